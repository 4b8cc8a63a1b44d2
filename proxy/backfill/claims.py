"""What a line of a file comes to: an event that somebody claims, or the reason why it is none."""

from collections.abc import Mapping
from datetime import tzinfo
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from proxy.model.server_request import NO_FIELDS, RequestFields


class Line(NamedTuple):
    """A line as it stands in the file."""

    number: int
    """From 1."""
    content: bytes
    """Without its end."""
    end: int
    """Bytes of the file up to and with its end."""


class Claim(NamedTuple):
    """An event as the file claims it, in Meta's names; contact data may still be raw."""

    line: int
    """Where it begins."""
    end: int
    """Bytes of the file up to the end of its last line."""
    event: Mapping[str, Any]
    content: bytes
    """What makes it this event and no other, for an id where nothing better names it."""
    fields: RequestFields = NO_FIELDS


class LeftOut(StrEnum):
    """Why a line is not sent."""

    REFUSED = "refused"
    """Something is wrong with it."""
    TOO_OLD = "too_old"
    """Meta would refuse it for its age."""
    NO_SALE = "no_sale"
    """It stands for no event: an order that is not paid, or was cancelled."""


class NotSent(NamedTuple):
    """A line of which nothing is sent."""

    line: int
    end: int
    why: str
    """In words that hold none of the line's contact data."""
    kind: LeftOut = LeftOut.REFUSED
    action_source: str = ""


class Wishes(NamedTuple):
    """What the owner says of a file besides the file itself."""

    columns: Mapping[str, str] = MappingProxyType({})
    """The place that a column, by its plain name, has; empty for a column that is left out."""
    constants: Mapping[str, str] = MappingProxyType({})
    """What a place holds where the file does not say it."""
    zone: tzinfo | None = None
    """Of moments that have no offset."""
    decimal: Literal["", ".", ","] = ""
    """What stands before decimals; empty when each amount must show it."""


class UnreadableFileError(Exception):
    """The file as a whole is not what the command reads; the text says why and what to do."""


class WrongValueError(ValueError):
    """A value that is not what its place needs; the text names the field and what is accepted, never contact data."""

"""What is read from a line of a file: an event as the file claims it, or the reason why it is not sent."""

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
    """Without the line end."""
    end: int
    """Bytes of the file up to the end of this line, its line end included."""


class Claim(NamedTuple):
    """An event as the file claims it, in Meta's names; contact data may still be raw."""

    line: int
    """The number of the line where it begins."""
    end: int
    """Bytes of the file up to the end of its last line."""
    event: Mapping[str, Any]
    content: bytes
    """What the file says of the event; its hash makes the id of an event without an event id and an order id."""
    fields: RequestFields = NO_FIELDS


class LeftOut(StrEnum):
    """Why a line or an event is not sent."""

    REFUSED = "refused"
    """Something is wrong with it."""
    TOO_OLD = "too_old"
    """Meta would refuse it for its age."""
    NO_SALE = "no_sale"
    """It stands for no event: an order that is not paid, or was cancelled."""


class NotSent(NamedTuple):
    """A line, or one event of a line, that is not sent."""

    line: int
    end: int
    why: str
    """The reason, in words that contain none of the line's contact data."""
    kind: LeftOut = LeftOut.REFUSED
    action_source: str = ""


class FileOptions(NamedTuple):
    """How the owner wants a file to be read, by options of the command ``send``."""

    columns: Mapping[str, str] = MappingProxyType({})
    """The place of each column, by the column's plain name; an empty place leaves the column out."""
    constants: Mapping[str, str] = MappingProxyType({})
    """By place: the value where the file has none."""
    zone: tzinfo | None = None
    """The time zone of moments without an offset."""
    decimal: Literal["", ".", ","] = ""
    """The decimal separator; empty when each amount must show by itself which it is."""


class UnreadableFileError(Exception):
    """The whole file cannot be read or sent; the text says why and what to do."""


class WrongValueError(ValueError):
    """A value that is not what its place needs; the text names the field and what is accepted, never contact data."""

"""The event as it may be sent: for one pixel, clean and hashed; and the reasons why an event is not sent.

From here on there is no raw contact data. Times are server-clock milliseconds unless a name says ``_s``. Objects that
every request creates are named tuples or structs: a frozen dataclass takes three times as long to create.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec


class BrowserCopy(StrEnum):
    """What became of the browser Pixel's copy of an event, as far as the tag could tell."""

    FIRED = "fired"
    BLOCKED = "blocked"
    PENDING = "pending"


class DropReason(StrEnum):
    """Why an acknowledged event is knowingly not sent; the same words are used in metrics and in the ledger."""

    TOO_OLD = "too_old"
    CONTACT_DATA = "contact_data"
    MISSING_VALUE = "missing_value"
    MISSING_CURRENCY = "missing_currency"
    LITTLE_IDENTITY = "little_identity"
    NO_CONSENT = "no_consent"
    GPC = "gpc"
    BOT = "bot"
    UNKNOWN_PIXEL = "unknown_pixel"
    EXCLUDED = "excluded"
    RESTRICTED = "restricted"
    DNT = "dnt"
    OPTED_OUT = "opted_out"
    ERASED = "erased"
    UNUSABLE = "unusable"
    UNPAID = "unpaid"


class Redaction(NamedTuple):
    """Something that was taken out because it would have leaked: its kind and place, never the value itself."""

    what: str
    place: str


class Event(msgspec.Struct, frozen=True):
    """One event for one pixel: clean, hashed, ready to be written in Graph's form."""

    pixel: str
    name: str
    id: str
    time_s: int
    url: str
    referrer: str
    user_data: Mapping[str, Any]
    custom_data: Mapping[str, Any]
    options: tuple[tuple[str, ...], int, int] | None
    visitor: bytes = b""
    """Four bytes that tell visitors apart, for the duplicate memory and for updates of browser copies; empty if the
    event has no visitor."""
    browser_copy: BrowserCopy | None = None
    """What became of the browser's copy; None if the event has none."""
    action_source: str = "website"
    """Where it happened, in Meta's words."""
    bot_reason: str = ""
    """``bot:`` and why its visitor is taken for a machine; empty otherwise. The event is sent all the same."""
    findings: tuple[str, ...] = ()
    """What is wrong with its data: each a field and a word, such as ``value:unusable``, never a value."""
    person_digests: tuple[bytes, ...] = ()
    """Person digests of the person that the event is about."""
    opt_out: bool | None = None
    """True: Meta may use the event for attribution only (Meta, server event parameters); None: the sender said
    nothing."""
    more: Mapping[str, Any] = MappingProxyType({})
    """Members that only a server's event has, such as ``app_data``."""

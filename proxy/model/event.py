"""What we vouch for: an event for one pixel, clean and hashed, and why another is not sent.

From here on there is no raw contact data. Times are server-clock milliseconds unless a name says ``_s``. What each
request makes anew is a named tuple: a frozen dataclass takes three times as long to make.
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
    """Why an acknowledged event is knowingly not sent; also its metric label and ledger word."""

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
    """Something that would have leaked: what it was taken for, never what it was."""

    what: str
    place: str


class Event(msgspec.Struct, frozen=True):
    """One event for one pixel that we vouch for: clean, hashed, ready to be written as Graph wants it."""

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
    """Four bytes that tell visitors apart, for the duplicate memory and for updates of browser copies; empty where an
    event has no visitor."""
    browser_copy: BrowserCopy | None = None
    """What became of the browser's copy; None where an event has none."""
    action_source: str = "website"
    """Where it happened, in Meta's words."""
    bot_reason: str = ""
    """``bot:`` and why its visitor is taken for a machine; empty otherwise. The event is sent all the same."""
    findings: tuple[str, ...] = ()
    """What is wrong with its data: each a field and a word, such as ``value:unusable``, never a value."""
    person_digests: tuple[bytes, ...] = ()
    """Digests of whom it is about."""
    opt_out: bool | None = None
    """True: for attribution alone (Meta, server event parameters); None where nobody said."""
    more: Mapping[str, Any] = MappingProxyType({})
    """Members that only a server's event has, such as ``app_data``."""

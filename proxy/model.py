"""The nouns of the flow; this module imports nothing of ours.

``Facts`` (what a request is) → ``Visit`` with ``Hit``s (what the page claims) → ``Event`` (what we vouch for)
→ ``Record`` (an event at rest, in a segment) → batch → ``Verdict`` (what Graph's answer means).
From ``Event`` on there is no raw contact data. All times are server-clock milliseconds unless a name says ``_s``.
What each request makes anew is a named tuple: a frozen dataclass takes three times as long to make.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

DAY_MS = 24 * 60 * 60 * 1000
# Graph refuses a whole request for one event older than 7 days (2804003, Meta's server-event page).
MAX_AGE_MS = 7 * DAY_MS


class Fate(StrEnum):
    """What became of the browser Pixel's copy of an event, as far as the tag could tell."""

    FIRED = "fired"
    BLOCKED = "blocked"
    PENDING = "pending"


class Consent(StrEnum):
    """What the page told ``fbq`` about consent."""

    GRANTED = "granted"
    UNKNOWN = "unknown"
    REVOKED = "revoked"


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


class SuppressionKind(StrEnum):
    """Why nothing more is sent about somebody; the queue's file holds these words."""

    OPT_OUT = "opted_out"
    """The visitor's own word, on the opt-out page; only the visitor, or the owner, lifts it."""
    WITHDRAWAL = "withdrawn"
    """The page's word, ``consent: "revoked"``; its grant in the same browser lifts it."""
    ERASURE = "erased"
    """The owner's; it speaks against what happened before it."""


class Status(StrEnum):
    """How an event ended, in the ledger."""

    DELIVERED = "delivered"
    DROPPED = "dropped"
    DUPLICATE = "duplicate"
    DEAD = "dead"


class Facts(NamedTuple):
    """One public request as plain values; behind the edge nothing sees the socket."""

    now: int
    entropy: int
    """128 random bits, so that the rules need no randomness of their own."""
    peer: str
    host: str = ""
    secure: bool = False
    origin: str = ""
    referer: str = ""
    cookie: str = ""
    user_agent: str = ""
    brands: str = ""
    """``Sec-CH-UA``; with the next, what Chromium says of itself beside the user agent."""
    platform: str = ""
    """``Sec-CH-UA-Platform``."""
    gpc: str = ""
    dnt: str = ""
    forwarded: str = ""
    """The configured client-address header; several lines joined by commas."""
    forwarded_pseudo: str = ""
    """``CF-Connecting-IPv6``."""
    forwarded_proto: str = ""
    forwarded_host: str = ""
    body: bytes = b""


class Hit(NamedTuple):
    """One event as the page claims it; ``at`` is the browser's clock."""

    name: str
    id: str
    at: int
    pixels: tuple[str, ...]
    data: Mapping[str, Any]
    fate: Fate
    place: int = 0
    """Its index among the ``events`` of the body."""


@dataclass(frozen=True, slots=True)
class FateNews:
    """Later news of a browser copy; a page knows names and ids, not which pixels took it."""

    name: str
    id: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class Refusal:
    """A member of ``events`` that is no event, or one too many: which one, and why."""

    index: int
    id: str
    why: str


class Visit(NamedTuple):
    """What one body says of all its events; ``sent`` is the browser's clock."""

    sent: int
    url: str = ""
    referrer: str = ""
    fbp: str = ""
    fbc: str = ""
    consent: Consent = Consent.UNKNOWN
    dpo: tuple[tuple[str, ...], int, int] | None = None
    webdriver: bool = False
    gpc: bool = False
    match: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    hits: tuple[Hit, ...] = ()
    fates: tuple[FateNews, ...] = ()
    refused: tuple[Refusal, ...] = ()
    surplus: int = 0
    """Further members of ``events`` that are refused without being looked at or named."""
    findings: tuple[str, ...] = ()
    """What of it was too long to be read, as an event's findings say it."""


class Redaction(NamedTuple):
    """Something that would have leaked: what it was taken for, never what it was."""

    what: str
    place: str


class Event(NamedTuple):
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
    visitor: bytes
    """Four bytes that tell visitors apart, for the duplicate memory and for news of browser copies."""
    fate: Fate
    mark: str = ""
    """Why the owner may doubt it (a bot's reason); it is sent all the same."""
    findings: tuple[str, ...] = ()
    """What is wrong with its data: each a field and a word, such as ``value:unusable``, never a value."""
    people: tuple[bytes, ...] = ()
    """Digests of whom it is about."""


class Record(NamedTuple):
    """An event at rest: its CAPI payload and what the queue must know without opening it.

    The payload is in two JSON objects: what is the event's own, and what all events of one request and pixel share.
    """

    pixel: str
    name: str
    id: str
    time_s: int
    visitor: bytes
    fate: Fate
    mark: str
    payload: bytes
    findings: tuple[str, ...] = ()
    people: tuple[bytes, ...] = ()
    """Held against the suppressions; 16 bytes each."""
    worth: bytes = b""
    """Four bytes that tell the values of Purchases apart, for the duplicate memory only; not kept."""
    shared: bytes = b""
    """The other part of the payload, no member of which is in ``payload``; empty when that is the whole."""

    @property
    def whole(self) -> bytes:
        """The payload as Graph takes it."""
        return b"%b,%b" % (self.payload[:-1], self.shared[1:]) if self.shared else self.payload


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One finished event, without personal data."""

    at: int
    pixel: str
    name: str
    id: str
    time_s: int
    status: Status
    reason: str = ""
    fate: Fate = Fate.PENDING
    fbtrace_id: str = ""
    attempts: int = 0
    findings: tuple[str, ...] = ()
    visitor: bytes = b""
    """Who may bring later news of its browser copy; written as a keyed hash, never read back."""


class Outcome(NamedTuple):
    """What one browser request comes to, before anything is stored."""

    status: int
    body: bytes = b""
    cookies: tuple[str, ...] = ()
    """``Set-Cookie`` values."""
    withdrawn: tuple[bytes, ...] = ()
    """Digests of the visitor whose consent ends here, as far as the visitor cookie proves who it is."""
    granted: tuple[bytes, ...] = ()
    """Likewise, of the visitor whose withdrawal ends here, if there was one."""
    records: tuple[Record, ...] = ()
    dropped: tuple[LedgerRow, ...] = ()
    refused: int = 0
    """Members of ``events`` that were none, or too many."""
    unknown_pixels: int = 0
    """Events, for each pixel counted, that the one ledger row with this reason stands for."""
    fates: tuple[FateNews, ...] = ()
    visitors: tuple[bytes, ...] = ()
    """Whose news ``fates`` may be: four bytes each, as in a record."""
    pixels: tuple[str, ...] = ()
    """The site's pixels: ``fates`` may speak of any of them."""
    redactions: tuple[Redaction, ...] = ()
    """What the records would have leaked: of addresses once, of custom data once for each event."""
    misdirected: bool = False
    """A forwarding header came from a peer nobody trusts, on a private network: most likely a mistake."""
    faults: tuple[str, ...] = ()
    """Errors of ours that the request led to, one for each event that could not be read: type and place in our code."""


@dataclass(frozen=True, slots=True)
class Words:
    """What Graph said when it refused: kept with a dead letter, never interpreted by its text."""

    code: int | None = None
    subcode: int | None = None
    message: str = ""
    fbtrace_id: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Graph counted the batch; ``received`` differs from its size only when Graph says so."""

    received: int
    sent: int
    fbtrace_id: str = ""
    cooldown: float = 0.0
    """Seconds that Graph's usage headers ask to wait before the next request."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing of this pixel can be delivered until somebody mends its token or permission."""

    reason: str
    words: Words = Words()


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now; ``after`` is the least wait in seconds that Graph asked for.

    ``strike``: a 2xx that counted nothing. After three of those the events are dead.
    """

    reason: str
    after: float = 0.0
    strike: bool = False
    words: Words = Words()


@dataclass(frozen=True, slots=True)
class Split:
    """Some event of the batch is bad; halves will tell which."""

    words: Words


@dataclass(frozen=True, slots=True)
class Dead:
    """Graph will never take this one event; it is kept with Graph's words."""

    reason: str
    words: Words = Words()


Verdict: TypeAlias = Delivered | Pause | Retry | Split | Dead

"""What the steps of a browser's request work on: the request so far, and each of its events so far."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from proxy.config.schema import Pixel
from proxy.model.event import DropReason, Redaction
from proxy.model.event_facts import NO_FACTS, EventFacts
from proxy.model.join import Sighting
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.model.request import BrowserRequest, Hit, Options, RefusedEvent, Visit
from proxy.rules.effort import Effort
from proxy.rules.identity.browser_ids import BrowserIds
from proxy.rules.identity.person import Person
from proxy.rules.identity.visitor_cookie import NONE_FOUND, FoundCookie, VisitorCookie
from proxy.rules.limits import RECORDS
from proxy.rules.match.keys import MatchKeys
from proxy.rules.payload.custom_data import CheckedData
from proxy.rules.payload.pages import CleanPage
from proxy.rules.payload.redact import CleanData
from proxy.rules.policy import Policy
from proxy.rules.request.sites import CookieScope

_NO_VISIT, _NO_IDS = Visit(sent=0), BrowserIds("", "", ())
_NO_PAGE = CleanPage("", "")
_NOWHERE = CookieScope(at_home=False, domain="", secure=False)


class SharedPart(NamedTuple):
    """What the records of one request's events for one pixel share."""

    written: bytes
    """What each of them says of the visitor and the page, as JSON."""
    person: Person
    findings: tuple[str, ...]
    bot_reason: str
    size: int
    """Bytes of what is written once for all of them."""
    noted: int
    """Bytes of the findings, which are noted with each of them."""
    facts: EventFacts
    """What the ledger keeps of each of them."""


class Case(msgspec.Struct):
    """What is known of one request so far. Each step writes its own part; none changes that of another."""

    request: BrowserRequest
    policy: Policy
    effort: Effort = msgspec.field(default_factory=Effort)
    # decode
    visit: Visit = _NO_VISIT
    # address
    address: str = ""
    """The visitor's address; empty if it must not be sent."""
    user_agent: str = ""
    findings: tuple[str, ...] = ()
    """What is wrong with what all its events share."""
    # cookies
    scope: CookieScope = _NOWHERE
    cookies: Mapping[str, str] = {}
    """Those that count for us."""
    # permission
    found: FoundCookie = NONE_FOUND
    """The visitor cookie as the request brought it."""
    bot: str | None = None
    """Why the visitor is taken for a machine."""
    forbidden: DropReason | None = None
    """Set when nothing of the visit may leave."""
    options: Options | None = None
    gpc: bool = False
    """The browser asks for Global Privacy Control."""
    # identity
    visitor: bytes = b""
    """Four bytes that tell visitors apart."""
    withdrawn: tuple[bytes, ...] = ()
    granted: tuple[bytes, ...] = ()
    ids: BrowserIds = _NO_IDS
    visitor_cookie: VisitorCookie = NONE_FOUND.visitor_cookie
    """What the visitor cookie holds from now on."""
    set_cookies: tuple[str, ...] = ()
    # the events
    match_keys: dict[str, MatchKeys] = {}
    """By pixel, like ``people`` and ``shared_parts``, as soon as an event or the visitor cookie needed them."""
    people: dict[str, Person] = {}
    stranger: Person | None = None
    """Who the visitor is for each pixel of which the page told nothing."""
    shared_parts: dict[str, SharedPart] = {}
    checked_data: dict[tuple[str, bytes], CheckedData] = {}
    """By name and custom data of an event, the latter as JSON: what of them may be sent, and findings."""
    clean_data: dict[tuple[str, bytes], CleanData] = {}
    """By the same."""
    page: CleanPage | None = None
    bytes_left: int = RECORDS
    records: list[Record] = []
    dropped: list[LedgerRow] = []
    refused: list[RefusedEvent] = []
    unknown_pixels: int = 0
    unknown_pixel: LedgerRow | None = None
    """The drop of the first of these."""
    redactions: list[Redaction] = []
    sightings: tuple[Sighting, ...] = ()
    faults: list[str] = []
    facts: EventFacts = NO_FACTS
    """What the ledger keeps of all its events alike."""

    def take(self, steps: "Iterable[RequestStep]") -> None:
        """Go through steps, in their order."""
        for step in steps:
            step.run(self)


class EventCase(msgspec.Struct):
    """What is known of one event so far, for each of the pixels that it is still meant for."""

    case: Case
    hit: Hit
    claimed_id: str = ""
    """Its id as the page gave it, by which the page is told of a refusal."""
    time: int = 0
    """When it happened, by our clock in milliseconds."""
    pixels: Sequence[Pixel] = ()
    data: Mapping[str, Any] = {}
    """Its custom data."""
    data_key: tuple[str, bytes] | None = None
    """By which other events of the request find what was made of the same custom data."""
    written: bytes = b""
    """The custom data as JSON, where they have been written already."""
    findings: tuple[str, ...] = ()
    """What is wrong with its custom data."""
    value: int | None = None
    """What the ledger sums of them, as ``custom_data.summed`` says it; likewise ``currency``."""
    currency: str = ""
    redactions: tuple[str, ...] = ()
    """What was taken out of them, as its facts say it."""
    page: CleanPage = _NO_PAGE
    dropped: list[LedgerRow] = []
    unknown_pixels: int = 0
    unknown_pixel: LedgerRow | None = None

    def drop_row(self, pixel_id: str, reason: DropReason, findings: tuple[str, ...] = ()) -> LedgerRow:
        """Return the ledger row of the event's drop for one pixel.

        Args:
            pixel_id: The pixel.
            reason: Why it is dropped.
            findings: What led to that.
        """
        hit = self.hit
        return LedgerRow(
            at=self.case.request.now,
            pixel=pixel_id,
            name=hit.name,
            id=hit.id,
            time_s=self.time // 1000,
            status=Status.DROPPED,
            reason=reason,
            browser_copy=hit.browser_copy,
            findings=findings,
            visitor=self.case.visitor,
            arrived=self.case.request.now,
            facts=self.case.facts,
        )


class RequestStep(NamedTuple):
    """Something that happens to a request once."""

    name: str
    run: Callable[[Case], None]


class EventStep(NamedTuple):
    """Something that happens to each event."""

    name: str
    run: Callable[[EventCase], None]
    drops: tuple[DropReason, ...] = ()
    """Why it may end there, for some or all of its pixels."""
    always: bool = False
    """Also while the event has no pixel, or none any more."""

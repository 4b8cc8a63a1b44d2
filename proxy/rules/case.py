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
    """The cookies that matter here: the browser's ids and the visitor cookie."""
    # permission
    found: FoundCookie = NONE_FOUND
    """The visitor cookie as the request brought it."""
    bot: str | None = None
    """Why the visitor is taken for a machine; None if it is not."""
    forbidden: DropReason | None = None
    """Why nothing of the visit may leave; None if it may."""
    options: Options | None = None
    gpc: bool = False
    """Whether the browser asks for Global Privacy Control."""
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
    """Who the visitor is for the pixels for which the page gave no match keys."""
    shared_parts: dict[str, SharedPart] = {}
    checked_data: dict[tuple[str, bytes], CheckedData] = {}
    """By name and custom data of an event, the latter as JSON: what of them may be sent, and findings."""
    clean_data: dict[tuple[str, bytes], CleanData] = {}
    """By the same keys: the custom data without what may not leave."""
    page: CleanPage | None = None
    received_order: str = ""
    """The order that the page's address names, if the site's policy reads orders there; see ``page``."""
    bytes_left: int = RECORDS
    records: list[Record] = []
    dropped: list[LedgerRow] = []
    refused: list[RefusedEvent] = []
    unknown_pixels: int = 0
    unknown_pixel: LedgerRow | None = None
    """The ledger row of the first event for an unlisted pixel."""
    redactions: list[Redaction] = []
    sightings: tuple[Sighting, ...] = ()
    faults: list[str] = []
    facts: EventFacts = NO_FACTS
    """The facts for the ledger that all its events share."""

    def run_steps(self, steps: "Iterable[RequestStep]") -> None:
        """Go through steps, in their order."""
        for step in steps:
            step.run(self)


class EventCase(msgspec.Struct):
    """What is known of one event so far, for each of the pixels that it is still meant for."""

    case: Case
    hit: Hit
    claimed_id: str = ""
    """Its id as the page gave it, which a refusal repeats to the page."""
    time: int = 0
    """When it happened, by our clock in milliseconds."""
    pixels: Sequence[Pixel] = ()
    data: Mapping[str, Any] = {}
    """Its custom data."""
    data_key: tuple[str, bytes] | None = None
    """Its key in ``Case.checked_data`` and ``Case.clean_data``; None if its custom data are not remembered there."""
    written: bytes = b""
    """The custom data as JSON, if they were serialized already."""
    findings: tuple[str, ...] = ()
    """What is wrong with its custom data."""
    value: int | None = None
    """The value that the ledger sums, see ``custom_data.summed``; likewise ``currency``."""
    currency: str = ""
    is_brief: bool = False
    """Whether it gets only what it needs, as the request's effort is spent."""
    is_unread: bool = False
    """Whether its custom data were left out for that reason, but for value and currency."""
    redactions: tuple[str, ...] = ()
    """What was taken out of the custom data, in the form of ``EventFacts.redactions``."""
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
    """Whether it runs even if the event has no pixel, or none any more."""

"""What is written of an event that passed: without what may not leave, for each pixel, with its drops."""

from collections.abc import Sequence

from proxy.graph import payload
from proxy.model.event import Event, Redaction
from proxy.model.ledger import LedgerRow
from proxy.model.record import Record
from proxy.model.request import Hit, RefusedEvent
from proxy.rules import limits
from proxy.rules.case import EventCase
from proxy.rules.payload.pages import clean_page
from proxy.rules.payload.redact import clean_data

# What queue or ledger note of an event beside its name, id and findings, at most: numbers, words, a pixel, lengths.
_FRAME = 100
# A digest of a person in hex, with quotes.
_PERSON = 34
_TOO_LARGE = f"size: too large, with the events before; accepted: {limits.RECORDS} bytes of records for a body"


def take(event_case: EventCase) -> None:
    """Write what is left of an event, and its drops."""
    if event_case.pixels:
        redaction(event_case)
        event(event_case)
    record(event_case)


def redaction(event_case: EventCase) -> None:
    """Take out of the custom data, and once of the page's addresses, what may not leave."""
    case, allowed = event_case.case, event_case.case.policy.allowed
    if event_case.data:
        event_case.data, removed, event_case.written = clean_data(event_case.data, allowed, case.effort)
        if removed:
            case.redactions += [Redaction(what, "custom_data") for what in removed]
    if case.page is None:
        case.page = clean_page(case.visit, case.policy.site.sensitive, allowed, case.effort)
        case.redactions += case.page.redactions
    event_case.page = case.page


def event(event_case: EventCase) -> None:
    """Make the event for each pixel."""
    case, hit, page = event_case.case, event_case.hit, event_case.page
    doubt = f"bot:{case.bot}" if case.bot else ""
    shared_findings = (doubt, *case.findings) if doubt else case.findings
    for pixel in event_case.pixels:
        person = case.people[pixel.id]
        event_case.events.append(
            Event(
                pixel=pixel.id,
                name=hit.name,
                id=hit.id,
                time_s=event_case.time // 1000,
                url=page.url,
                referrer=page.referrer,
                user_data=person.user_data,
                person_digests=person.digests,
                custom_data=event_case.data,
                written=event_case.written,
                options=case.options,
                visitor=case.visitor,
                browser_copy=hit.browser_copy,
                bot_reason=doubt,
                findings=shared_findings + person.findings + event_case.findings,
            )
        )


def record(event_case: EventCase) -> None:
    """Write the event's records and drops, all of them or none: what one request may write is bounded.

    What the records for several pixels have in common is written for the first of them.
    """
    case, events = event_case.case, event_case.events
    records: list[Record] = []
    shared: dict[str, bytes] = {}
    size = 0
    for event in events:
        first, shared_part = records[0] if records else None, case.shared.get(event.pixel)
        is_new = shared_part is None
        if is_new and first and event.user_data is events[0].user_data:
            shared_part = first.shared
        written = payload.record(event, shared_part, first)
        if is_new:
            shared[event.pixel] = written.shared
            size += len(written.shared) + _PERSON * len(written.person_digests) + _FRAME
        size += len(written.payload)
        records.append(written)
    size += _noted(event_case.hit, (*records, *event_case.dropped))
    if size > case.bytes_left:
        case.refused.append(RefusedEvent(event_case.hit.place, event_case.claimed_id, _TOO_LARGE))
        return
    case.bytes_left -= size
    case.shared |= shared
    case.records += records
    case.dropped += event_case.dropped
    case.unknown_pixels += event_case.unknown_pixels
    case.unknown_pixel = case.unknown_pixel or event_case.unknown_pixel


def _noted(hit: Hit, noted: Sequence[Record | LedgerRow]) -> int:
    """Return how many bytes of queue or ledger that is of an event beside payloads, as JSON writes them, at most."""
    words = f"{hit.name}{hit.id}"
    size = (len(words) if words.isascii() else len(words.encode())) + words.count('"') + words.count("\\")
    findings = [finding for each in noted for finding in each.findings]
    return len(noted) * (size + _FRAME) + sum([len(finding) + 3 for finding in findings])

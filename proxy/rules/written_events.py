"""The records of a page's event that passed: without what may not leave, one for each pixel, with its drops."""

from collections.abc import Sequence
from functools import partial

from proxy.graph import payload
from proxy.model.event import Event, Redaction
from proxy.model.event_facts import NO_FACTS, EventFacts
from proxy.model.record import Record
from proxy.model.request import Hit, RefusedEvent
from proxy.rules import facts, limits
from proxy.rules.case import Case, EventCase, SharedPart
from proxy.rules.identity.person import Person
from proxy.rules.joins import sightings
from proxy.rules.joins.waits import twin_of
from proxy.rules.orders import ONCE_PER_ORDER, received_order
from proxy.rules.payload.addresses import REASONS
from proxy.rules.payload.custom_data import WORTH, summed
from proxy.rules.payload.pages import CleanPage, clean_page
from proxy.rules.payload.redact import LONG_NUMBER, clean_data
from proxy.rules.payload.shape_patterns import Shape

# The most bytes that queue or ledger note of an event besides its name, id and findings: numbers, words, a pixel,
# lengths.
_FRAME = 100
# Bytes of a person digest in hex, with quotes.
_PERSON = 34
_IN_DATA = {what: Redaction(what, "custom_data") for what in REASONS}
_WORTH = frozenset(WORTH)
# What ``Record(...)`` and ``EventFacts(...)`` do, without the call of a function in Python: a request may come to
# hundreds.
_record_of = partial(tuple.__new__, Record)
_facts_of = partial(tuple.__new__, EventFacts)
# Only servers' events have other values than these.
_SOURCE, _FIELDS = (Record._field_defaults[name] for name in ("action_source", "fields"))
# Its order, when it may be delivered, and what it waits for.
_ALONE = (b"", 0, None)
_TOO_LARGE = f"size: too large, with the events before; accepted: {limits.RECORDS} bytes of records for a body"


def write_event(event_case: EventCase) -> None:
    """Write what is left of an event, and its drops."""
    if event_case.pixels:
        redaction(event_case)
    record(event_case)


def redaction(event_case: EventCase) -> None:
    """Take what may not leave out of the custom data, and once for the request out of the page's addresses."""
    case, allowed = event_case.case, event_case.case.policy.allowed
    removed: tuple[str, ...] = ()
    if event_case.data and not _is_worth_alone(event_case):
        key = event_case.data_key
        found = case.clean_data.get(key) if key else None
        if found is None:
            found = clean_data(event_case.data, allowed, case.effort)
            if key:
                case.clean_data[key] = found
        event_case.data, removed, event_case.written = found
        if removed:
            event_case.value, event_case.currency = summed(event_case.data)
    if event_case.is_unread:
        removed += _UNREAD
    if removed:
        in_data, event_case.redactions = _ONLY_UNREAD if removed == _UNREAD else _redactions_of(removed)
        case.redactions += in_data
    if case.page is None:
        case.page = clean_page(case.visit, case.policy.site.sensitive, allowed, case.effort)
        case.redactions += case.page.redactions
        if case.policy.reads_order_pages:
            case.received_order = received_order(case.visit.url)
    event_case.page = case.page


def _redactions_of(removed: Sequence[str]) -> tuple[list[Redaction], tuple[str, ...]]:
    """Return the redactions of custom data for what was removed, and their words for the ledger."""
    in_data = [_IN_DATA[what] for what in removed]
    return in_data, facts.words(in_data)


# What a body of many odd events repeats.
_UNREAD = (Shape.UNREAD,)
_ONLY_UNREAD = _redactions_of(_UNREAD)


def _is_worth_alone(event_case: EventCase) -> bool:
    """Tell whether the custom data are a number unlike a card's and a currency, and the site lets them leave."""
    data = event_case.data
    if not _WORTH.issuperset(data):
        return False
    value = data.get("value", 0)
    if type(value) is int and value >= LONG_NUMBER:
        return False
    return event_case.case.policy.allowed.members.issuperset(data)


def event(event_case: EventCase, pixel_id: str) -> Event:
    """Return the event for one of its pixels."""
    case, hit, page, person = event_case.case, event_case.hit, event_case.page, event_case.case.people[pixel_id]
    return Event(
        pixel=pixel_id,
        name=hit.name,
        id=hit.id,
        time_s=event_case.time // 1000,
        url=page.url,
        referrer=page.referrer,
        user_data=person.user_data,
        person_digests=person.digests,
        custom_data=event_case.data,
        options=case.options,
        visitor=case.visitor,
        browser_copy=hit.browser_copy,
        bot_reason=_bot_reason(case),
        findings=_findings(case, person) + event_case.findings,
    )


def record(event_case: EventCase) -> None:
    """Write the event's records and drops, all of them or none: what one request may write is bounded."""
    case, hit, dropped = event_case.case, event_case.hit, event_case.dropped
    parts: dict[str, SharedPart] = {}
    records, size = _records(event_case, parts) if event_case.pixels else ([], 0)
    size += (len(records) + len(dropped)) * _event_bytes(hit)
    if dropped:
        size += _json_bytes([finding for row in dropped for finding in row.findings])
    if size > case.bytes_left:
        case.refused.append(RefusedEvent(hit.place, event_case.claimed_id, _TOO_LARGE))
        return
    case.bytes_left -= size
    if parts:
        case.shared_parts |= parts
    case.records += records
    if case.policy.joins_orders and hit.name in ONCE_PER_ORDER and records:
        sightings.add_sighting(event_case)
    if dropped:
        case.dropped += dropped
    if event_case.unknown_pixels:
        case.unknown_pixels += event_case.unknown_pixels
        case.unknown_pixel = case.unknown_pixel or event_case.unknown_pixel


def _records(event_case: EventCase, parts: dict[str, SharedPart]) -> tuple[list[Record], int]:
    """Return an event's records, and their bytes without what ``_event_bytes`` counts; add shared parts to ``parts``.

    The event's own part is serialized once for all its pixels, and the part that a pixel's events share once for all.
    """
    case, hit, data, findings = event_case.case, event_case.hit, event_case.data, event_case.findings
    name, identity, time_s = hit.name, hit.id, event_case.time // 1000
    visitor, browser_copy = case.visitor, hit.browser_copy
    first_id = event_case.pixels[0].id
    first_event = None if first_id in case.shared_parts else event(event_case, first_id)
    own, worth, written = payload.parts(
        name, time_s, identity, data, event_case.written, first_event, has_worth=not event_case.is_brief
    )
    size = len(event_case.pixels) * (len(own) + _json_bytes(findings))
    is_of_order = name in ONCE_PER_ORDER and case.policy.joins_orders
    order, not_before, twin = twin_of(event_case) if is_of_order else _ALONE
    says_more = event_case.value is not None or event_case.redactions
    alike: EventFacts | None = None
    told = NO_FACTS
    records: list[Record] = []
    first = None
    for pixel in event_case.pixels:
        part = case.shared_parts.get(pixel.id)
        if part is None:
            part = parts[pixel.id] = _shared_part(event_case, pixel.id, first, written)
            size += part.size
        first = first or part
        size += part.noted
        if part.facts is not alike:
            alike = part.facts
            told = _with_own(alike, event_case) if says_more else alike
        records.append(
            _record_of((
                pixel.id, name, identity, time_s, visitor, browser_copy, part.bot_reason, own,
                part.findings + findings, part.person.digests, worth, part.written,
                _SOURCE, _FIELDS, order, not_before, twin, told, case.request.now,
            ))
        )  # fmt: skip
    return records, size


def _shared_part(event_case: EventCase, pixel_id: str, first: SharedPart | None, written: bytes) -> SharedPart:
    """Return what the records of one pixel share; serialize it again if its person is not that of the first pixel.

    Args:
        event_case: The event.
        pixel_id: The pixel.
        first: The part of the event's first pixel; None for that one itself.
        written: The serialized part of the first pixel.
    """
    case = event_case.case
    person = case.people[pixel_id]
    findings = _findings(case, person)
    alike = first if first is not None and first.person is person else None
    if first is not None:
        written = alike.written if alike else payload.shared(event(event_case, pixel_id))
    return SharedPart(
        written,
        person,
        findings,
        _bot_reason(case),
        size=len(written) + _PERSON * len(person.digests) + _FRAME,
        noted=_json_bytes(findings),
        facts=alike.facts if alike else _with_keys(case.facts, person, event_case.page),
    )


def _with_keys(said: EventFacts, person: Person, page: CleanPage) -> EventFacts:
    """Return the facts of a visit, with the match keys and redactions that the events of one pixel share."""
    return facts.shared_facts(said.site, said.consent, said.consent_source, tuple(person.user_data), page.redactions)


def _with_own(shared: EventFacts, event_case: EventCase) -> EventFacts:
    """Return shared facts with an event's own redactions, value and currency."""
    site, match_keys, consent, source, redactions, _, _ = shared
    redactions += event_case.redactions
    return _facts_of((site, match_keys, consent, source, redactions, event_case.value, event_case.currency))


def _findings(case: Case, person: Person) -> tuple[str, ...]:
    """Return the findings that all events of one pixel share."""
    of_request = (_bot_reason(case), *case.findings) if case.bot else case.findings
    return of_request + person.findings


def _bot_reason(case: Case) -> str:
    return f"bot:{case.bot}" if case.bot else ""


def _event_bytes(hit: Hit) -> int:
    """Return the most bytes that queue or ledger need for an event besides findings: name and id as JSON, and more."""
    words = f"{hit.name}{hit.id}"
    size = (len(words) if words.isascii() else len(words.encode())) + words.count('"') + words.count("\\")
    return size + _FRAME


def _json_bytes(findings: Sequence[str]) -> int:
    return len("".join(findings)) + 3 * len(findings)

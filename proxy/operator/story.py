"""The story of an event, from the call in the page to Meta's answer: pure, from what ledger and queue know of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import EventFacts
from proxy.model.ledger import REPEATS_SERVER, LedgerRow, Status
from proxy.operator.event_json import dead_letter_json, event_json, facts_json, waiting_json
from proxy.queue.contract import DeadLetter, DeliveryState, WaitingEvent

Moment: TypeAlias = dict[str, Any]
_SENT_STATUSES = {Status.DELIVERED, Status.DEAD, Status.REPLAYED}
_ORDER = (
    "happened",
    "arrived",
    "decided",
    "held",
    "attempted",
    "delivered",
    "dead",
    "replayed",
    "browser_copy",
    "paused",
)
_END_WORDS = {
    Status.DELIVERED: "Meta took it.",
    Status.REPLAYED: "It had become a dead letter and was put back.",
    Status.DEAD: "It became a dead letter.",
}
_COPY_WORDS = {
    BrowserCopy.FIRED: "The Pixel in this browser took the call and reports it too.",
    BrowserCopy.BLOCKED: "The Pixel in this browser was blocked.",
    BrowserCopy.PENDING: "It is not known whether the Pixel in this browser took the call.",
}


class EventHistory(NamedTuple):
    """All that is known of the event with one pixel, name and id."""

    rows: Sequence[LedgerRow]
    waiting: Sequence[WaitingEvent]
    dead: Sequence[DeadLetter]


def story_json(
    identity: tuple[str, str, str], chapters: EventHistory, lane: DeliveryState | None, now: int
) -> dict[str, Any]:
    """Return the story as the API tells it.

    Args:
        identity: Pixel, name and id.
        chapters: What is known.
        lane: The state of the pixel's delivery; None if the pixel is not in the configuration.
        now: Server clock in milliseconds.
    """
    rows = sorted(chapters.rows, key=lambda row: (row.arrived or row.at, row.at, row.number))
    waiting = sorted(chapters.waiting, key=lambda event: event.arrived)
    pixel, name, event_id = identity
    moments = [*_moments_of_rows(rows), *_moments_of_waiting(waiting, rows, lane, now)]
    return {
        "pixel": pixel,
        "name": name,
        "id": event_id,
        "site": next((facts.site for facts in _facts(rows, waiting) if facts.site), ""),
        "state": "waiting" if waiting else _state(rows),
        "timeline": sorted(moments, key=lambda moment: (moment["at"], _ORDER.index(moment["what"]))),
        "rows": list(map(event_json, rows)),
        "waiting": list(map(waiting_json, waiting)),
        "dead": list(map(dead_letter_json, chapters.dead)),
        "copies": _copies(rows, waiting),
        "proof": _proof(rows, waiting),
    }


def _state(rows: Sequence[LedgerRow]) -> str:
    """Return how the event ended, without regard to repeats unless nothing else is known."""
    told = [row for row in rows if row.status is not Status.DUPLICATE] or rows
    return str(told[-1].status) if told else str(Status.DEAD)


def _own_copy(row: LedgerRow) -> BrowserCopy | None:
    """Return the browser copy that a row stands for; None for a server's event, and for a repeat of another row."""
    is_repeat = row.status is Status.DUPLICATE and row.reason != REPEATS_SERVER
    return None if is_repeat else row.browser_copy


def _moments_of_rows(rows: Sequence[LedgerRow]) -> Iterator[Moment]:
    visitor = 0
    for place, row in enumerate(rows):
        is_page, copy = row.browser_copy is not None, _own_copy(row)
        visitor += copy is not None
        if not place or row.time_s != rows[place - 1].time_s:
            yield _happened(row.time_s, is_page=is_page)
        if row.arrived:
            yield _arrived(row.arrived, visitor if is_page else None)
        yield from _end(row)
        if copy is not None:
            yield _copy(row.at, visitor, copy)


def _moments_of_waiting(
    waiting: Sequence[WaitingEvent], rows: Sequence[LedgerRow], lane: DeliveryState | None, now: int
) -> Iterator[Moment]:
    visitor = sum(_own_copy(row) is not None for row in rows)
    for event in waiting:
        is_page = event.browser_copy is not None
        visitor += is_page
        yield _happened(event.time_s, is_page=is_page)
        yield _arrived(event.arrived, visitor if is_page else None)
        if event.held_until > now:
            words = "It waits for the other copy of its order."
            yield {"at": event.arrived, "what": "held", "words": words, "until": event.held_until}
        if event.attempts:
            words = f"It was sent {_times(event.attempts)} and is tried again."
            yield {"at": now, "what": "attempted", "words": words, "attempts": event.attempts}
    if waiting and lane and lane.paused:
        yield _paused(lane, now)


def _happened(time_s: int, *, is_page: bool) -> Moment:
    words = "The page called fbq." if is_page else "It happened, as the server says."
    return {"at": time_s * 1000, "what": "happened", "words": words}


def _arrived(at: int, visitor: int | None) -> Moment:
    return {"at": at, "what": "arrived", "words": "The proxy has it; nothing can lose it any more.", "visitor": visitor}


def _end(row: LedgerRow) -> Iterator[Moment]:
    if row.status not in _SENT_STATUSES:
        at = row.arrived or row.at
        yield {"at": at, "what": "decided", "words": _decision(row), "status": row.status, "reason": row.reason}
        return
    if row.attempts > 1:
        words = f"It was sent {_times(row.attempts)} in all."
        yield {"at": row.at, "what": "attempted", "words": words, "attempts": row.attempts}
    yield {
        "at": row.at,
        "what": str(row.status),
        "words": _END_WORDS[row.status],
        **{key: getattr(row, key) for key in ("attempts", "reason", "code", "subcode", "message", "fbtrace_id")},
    }


def _decision(row: LedgerRow) -> str:
    if row.status is not Status.DUPLICATE:
        return "It is not sent."
    if row.reason == REPEATS_SERVER:
        return "The event of the shop's server is sent in its place."
    return "It came again and is not sent again."


def _copy(at: int, visitor: int, browser_copy: BrowserCopy) -> Moment:
    words = _COPY_WORDS[browser_copy]
    return {"at": at, "what": "browser_copy", "words": words, "visitor": visitor, "browser_copy": browser_copy}


def _paused(lane: DeliveryState, now: int) -> Moment:
    error = lane.graph_error
    return {
        "at": now,
        "what": "paused",
        "words": "The pixel is paused.",
        "reason": lane.paused,
        "code": error.code,
        "subcode": error.subcode,
        "message": error.message,
    }


def _copies(rows: Sequence[LedgerRow], waiting: Sequence[WaitingEvent]) -> list[Mapping[str, Any]]:
    """Return the browser copy of each visitor; visitors are numbered from 1."""
    first = [(row.arrived or row.at, _own_copy(row)) for row in rows]
    first += [(event.arrived, event.browser_copy) for event in waiting]
    of_pages = [(arrived, copy) for arrived, copy in first if copy is not None]
    return [
        {"visitor": number, "browser_copy": copy, "arrived": arrived}
        for number, (arrived, copy) in enumerate(of_pages, 1)
    ]


def _proof(rows: Sequence[LedgerRow], waiting: Sequence[WaitingEvent]) -> dict[str, Any] | None:
    """Return what was known when it was decided to send the event, or not to."""
    sent = next((row for row in reversed(rows) if row.status in _SENT_STATUSES), None)
    told: LedgerRow | WaitingEvent | None = sent or next(iter(waiting), None) or next(iter(rows), None)
    if told is None:
        return None
    facts = facts_json(told.facts)
    kept = {key: facts[key] for key in ("consent", "consent_source", "match_keys", "redactions")}
    return {**kept, "findings": told.findings, "action_source": told.action_source}


def _facts(rows: Sequence[LedgerRow], waiting: Sequence[WaitingEvent]) -> list[EventFacts]:
    return [*(row.facts for row in rows), *(event.facts for event in waiting)]


def _times(times: int) -> str:
    return "once" if times == 1 else f"{times} times"

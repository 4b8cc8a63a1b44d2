"""What waits, as the operator sees it: a bounded number of segments is opened, the newest and the oldest."""

from collections.abc import Iterator
from typing import Any

import apsw

from proxy.model.record import Record
from proxy.queue.codec import unpack
from proxy.queue.contract import FROM_SERVER, Filter, WaitingEvent
from proxy.queue.seal import Sealer, SealError
from proxy.queue.sqlite.segment_table import without

# How many events and segments are opened from either end. A segment has up to 500 events, in a quiet shop a single one.
_EVENTS, _SEGMENTS = 3000, 1500
_COLUMNS = "id, n, pixel, attempts, at, suspect, not_before, sealed, skip"


def waiting_events(db: apsw.Connection, sealer: Sealer, wanted: Filter) -> list[WaitingEvent]:
    """Return events that wait, the latest arrivals first.

    Args:
        db: The connection, in a transaction.
        sealer: Opens the segments.
        wanted: Which; ``status``, ``reason``, ``since`` and ``below`` are ignored.
    """
    found = [event for row in _segments(db, wanted) for event in _events(row, sealer) if _is_wanted(event, wanted)]
    return sorted(found, key=lambda event: event.arrived, reverse=True)[: wanted.limit]


def _segments(db: apsw.Connection, wanted: Filter) -> list[Any]:
    condition, values = (" WHERE pixel=?", (wanted.pixel,)) if wanted.pixel else ("", ())
    rows: dict[int, Any] = {}
    for order in ("DESC", "ASC"):
        sql = f"SELECT {_COLUMNS} FROM segment{condition} ORDER BY id {order} LIMIT {_SEGMENTS}"  # noqa: S608 - our own text
        events = 0
        for row in iter(db.execute(sql, values)):
            if events >= _EVENTS or row[0] in rows:
                break
            rows[row[0]] = row
            events += row[1]
    return list(rows.values())


def _events(row: Any, sealer: Sealer) -> Iterator[WaitingEvent]:
    _, _, pixel, attempts, at, suspect, not_before, sealed, skip = row
    try:
        records = without(unpack(sealer.open(sealed, pixel.encode()), pixel), skip)
    except (SealError, ValueError):
        return  # damaged on disk, which delivery reports
    for record in records:
        yield _event(record, attempts, at, held_until=not_before, is_suspect=bool(suspect))


def _event(record: Record, attempts: int, at: int, *, held_until: int, is_suspect: bool) -> WaitingEvent:
    return WaitingEvent(
        record.pixel,
        record.name,
        record.id,
        record.time_s,
        record.arrived or at,
        record.facts,
        record.browser_copy,
        record.action_source,
        record.findings,
        attempts,
        held_until,
        is_suspect,
    )


def _is_wanted(event: WaitingEvent, wanted: Filter) -> bool:
    copy = event.browser_copy or FROM_SERVER
    exact = (
        (wanted.name, event.name),
        (wanted.id, event.id),
        (wanted.site, event.facts.site),
        (wanted.action_source, event.action_source),
        (wanted.browser_copy, copy),
    )
    return (
        all(not text or text == other for text, other in exact)
        and (not wanted.ids or event.id in wanted.ids)
        and (wanted.since_ms is None or event.arrived >= wanted.since_ms)
        and (wanted.until_ms is None or event.arrived < wanted.until_ms)
    )

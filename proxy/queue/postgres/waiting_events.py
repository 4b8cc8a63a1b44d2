"""Which events wait, for the operator: the newest and the oldest of each lane, as many as can be opened at once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from proxy.model.record import Record
from proxy.queue.codec import unpack
from proxy.queue.contract import FROM_SERVER, Filter, WaitingEvent
from proxy.queue.postgres.ledger_rows import storable_text
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer, SealError

# Segments to choose from at either end of a lane; how many segments are opened in all, and their sealed bytes.
_SEGMENTS_OF_LANE, _SEGMENTS, _BYTES = 20, 40, 2 << 20
_LANES = """
WITH RECURSIVE found(lane) AS (
  SELECT (SELECT lane FROM segment ORDER BY lane LIMIT 1)
  UNION ALL SELECT (SELECT s.lane FROM segment s WHERE s.lane > found.lane ORDER BY s.lane LIMIT 1) FROM found
  WHERE found.lane IS NOT NULL)
SELECT lane FROM found WHERE lane IS NOT NULL LIMIT 1000
"""
_ENDS = f"""
SELECT u.lane, s.id, s.at, s.bytes FROM unnest($1::text[]) u(lane) CROSS JOIN LATERAL (
  (SELECT id, at, length(sealed) AS bytes FROM segment WHERE lane = u.lane ORDER BY id DESC LIMIT {_SEGMENTS_OF_LANE})
  UNION
  (SELECT id, at, length(sealed) AS bytes FROM segment WHERE lane = u.lane ORDER BY id LIMIT {_SEGMENTS_OF_LANE})) s
"""  # noqa: S608 - our own numbers
_OPENED = """
SELECT s.lane, s.attempts, s.at, s.suspect, s.not_before, s.skip, s.sealed
FROM unnest($1::text[], $2::uuid[]) u(lane, id) JOIN segment s ON s.lane = u.lane AND s.id = u.id
"""


async def segments(run: Run, wanted: Filter) -> Sequence[Any]:
    """Return the rows of the segments that ``events`` opens, still sealed."""
    lanes = [storable_text(wanted.pixel)] if wanted.pixel else [row["lane"] for row in await run(_LANES)]
    chosen = list(_chosen(await run(_ENDS, lanes)))
    return await run(_OPENED, [row["lane"] for row in chosen], [row["id"] for row in chosen])


def events(rows: Sequence[Any], sealer: Sealer, wanted: Filter) -> list[WaitingEvent]:
    """Return wanted events that wait, those that arrived last first; no database is needed.

    Args:
        rows: What ``segments`` returned.
        sealer: Opens them.
        wanted: The filter.
    """
    found = [event for row in rows for event in _events(row, sealer) if _is_wanted(event, wanted)]
    return sorted(found, key=lambda event: event.arrived, reverse=True)[: wanted.limit]


def _chosen(rows: Sequence[Any]) -> Iterator[Any]:
    """Yield as many segments as may be opened, the newest and the oldest in turn."""
    left = sorted(rows, key=lambda row: (row["at"], row["id"]))
    size = number = 0
    while left and size < _BYTES and number < _SEGMENTS:
        row = left.pop(0 if number % 2 else -1)
        size, number = size + row["bytes"], number + 1
        yield row


def _events(row: Any, sealer: Sealer) -> Iterable[WaitingEvent]:
    lane, attempts, at, suspect, not_before, skip, sealed = row
    try:
        records = unpack(sealer.open(sealed, lane.encode()), lane)
    except (SealError, ValueError):
        return []  # damaged: the claim logs it
    gone = set(skip or ())
    return [
        _event(record, (at, attempts, not_before, bool(suspect)))
        for place, record in enumerate(records)
        if place not in gone
    ]


def _event(record: Record, history: tuple[int, int, int, bool]) -> WaitingEvent:
    at, attempts, not_before, is_suspect = history
    identity = (record.pixel, record.name, record.id, record.time_s, record.arrived or at)
    about = (record.facts, record.browser_copy, record.action_source, record.findings)
    return WaitingEvent(*identity, *about, attempts, not_before, is_suspect)


def _is_wanted(event: WaitingEvent, wanted: Filter) -> bool:
    texts = (
        (wanted.pixel, event.pixel),
        (wanted.name, event.name),
        (wanted.id, event.id),
        (wanted.action_source, event.action_source),
        (wanted.site, event.facts.site),
        (wanted.browser_copy, event.browser_copy or FROM_SERVER),
    )
    return (
        all(not word or word == said for word, said in texts)
        and (not wanted.ids or event.id in wanted.ids)
        and (wanted.since_ms is None or event.arrived >= wanted.since_ms)
        and (wanted.until_ms is None or event.arrived < wanted.until_ms)
    )

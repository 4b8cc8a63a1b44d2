"""What becomes of claimed segments after an attempt; pure, so that every case can be tested without a queue."""

from collections import Counter
from collections.abc import Sequence

from proxy.delivery.attempt import Attempt
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.model.verdict import Dead, Delivered, GraphError, Retry
from proxy.queue.contract import NewDeadLetter, Remainder, Segment, Settlement, dead_row

# After so many answers that count none of its events, a segment is given up.
_MOST_UNCOUNTED = 3
# Each attempt rewrites the rest of its segment, so no smaller pieces than this are cut from a segment.
_LEAST_PIECE = 16


def settlement(segments: Sequence[Segment], result: Attempt, now: int) -> Settlement:
    """Return what the queue has to record after an attempt at claimed segments.

    A segment that is undecided as a whole stays as it is; the rest of one that is decided in part becomes new segments.
    Events that were answered three times with a 2xx that counts none of them are moved to ``result.dead``.

    Args:
        segments: The claimed segments.
        result: The outcome of the attempt with their records.
        now: Server clock in milliseconds.
    """
    uncounted = isinstance(result.halt, Retry) and result.halt.uncounted
    if uncounted:
        _give_up(segments, result)
    attempts = {id(record): segment.attempts + 1 for segment in segments for record in segment.records}
    bounds = _bounds(segments, result)
    done = [] if bounds else [segment.ref for segment in segments]
    tried, suspects, remainders = [], [], []
    filled: Counter[int] = Counter()
    for segment in segments if bounds else ():
        if all(bounds.get(id(record)) == segment.suspect for record in segment.records):
            tried.append(segment.ref)
            continue
        parts = _parts(segment, bounds, filled)
        if [len(part) for _, part in parts] != [len(segment.records)]:
            done.append(segment.ref)
            history = (segment.attempts + 1, segment.strikes + uncounted)
            # Stored in reverse, since a claim of the newest reads them backwards.
            remainders += [
                Remainder(segment.pixel, *history, tuple(part), segment.at, bound) for bound, part in reversed(parts)
            ]
        else:
            suspects.append((segment.ref, parts[0][0]))
    rows = [_row(record, verdict, now, attempts[id(record)]) for record, verdict in result.delivered]
    rows += [dead_row(record, verdict, now, attempts[id(record)]) for record, verdict in result.dead]
    dead = [
        NewDeadLetter(record, verdict.reason, verdict.graph_error, attempts[id(record)])
        for record, verdict in result.dead
    ]
    return Settlement(
        done=tuple(done),
        tried=tuple(tried),
        struck=uncounted,
        suspects=tuple(suspects),
        remainders=tuple(remainders),
        dead=tuple(dead),
        rows=tuple(rows),
    )


def _give_up(segments: Sequence[Segment], result: Attempt) -> None:
    """Move undecided events to the dead ones when Graph has failed to count them as often as allowed."""
    graph_error = result.halt.graph_error if result.halt else GraphError()
    last = [segment for segment in segments if segment.strikes + 1 >= _MOST_UNCOUNTED]
    gone = {id(record) for segment in last for record in segment.records}
    result.dead += [(record, Dead("not_received", graph_error)) for record in result.undecided if id(record) in gone]
    result.undecided = [record for record in result.undecided if id(record) not in gone]


def _bounds(segments: Sequence[Segment], result: Attempt) -> dict[int, int]:
    """Return the new ``Segment.suspect`` (0: fresh), by ``id(record)``, of records that stay queued; usually none."""
    if not (result.undecided or result.suspects):
        return {}
    now = {id(record): segment.suspect for segment in segments for record in segment.records}
    return {id(record): now[id(record)] for record in result.undecided} | {
        id(record): bound for record, bound in result.suspects
    }


def _parts(segment: Segment, bounds: dict[int, int], filled: Counter[int]) -> list[tuple[int, list[Record]]]:
    """Return the pieces of a segment that stay, each with its bound, cut where a batch is full and the next begins."""
    parts: list[tuple[int, list[Record]]] = []
    last: dict[int, list[Record]] = {}
    for record in segment.records:
        bound = bounds.get(id(record))
        if bound is None:
            continue
        new = bound > 0 and bound != segment.suspect
        full = bound and filled[bound] % (bound if new else max(_LEAST_PIECE, abs(bound))) == 0
        if full or bound not in last:
            last[bound] = []
            parts.append((bound, last[bound]))
        last[bound].append(record)
        filled[bound] += 1
    return parts


def _row(record: Record, verdict: Delivered, now: int, attempts: int) -> LedgerRow:
    return LedgerRow(
        now,
        record.pixel,
        record.name,
        record.id,
        record.time_s,
        Status.DELIVERED,
        record.bot_reason or _miscount(verdict),
        record.browser_copy,
        verdict.fbtrace_id,
        attempts,
        record.findings,
        record.visitor,
        record.action_source,
        record.arrived,
        record.facts,
    )


def _miscount(delivered: Delivered) -> str:
    """Return how many events Graph counted, if not as many as were sent; Graph does not say which. Empty otherwise."""
    return "" if delivered.received == delivered.sent else f"received {delivered.received} of {delivered.sent}"

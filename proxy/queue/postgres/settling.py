"""Settlements: how an attempt ended, written whole or not at all.

Everything depends on the DELETE of the segment: a segment that is already deleted has been settled, and nothing more is
written about its events. So a settlement may be sent again after its answer was lost; and if two processes sent the
same events, the second settlement changes nothing. A segment that stays is changed only if it still has the number of
attempts that the claim read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

from proxy.model.event import DropReason
from proxy.model.ledger import LedgerRow
from proxy.model.record import Record
from proxy.queue.codec import chunks
from proxy.queue.contract import NewDeadLetter, Remainder, Segment, SegmentRef, Settlement
from proxy.queue.group import sealed_segment
from proxy.queue.postgres import segment_table
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.errors import TableMissingError
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.ledger_rows import COLUMNS, insertion
from proxy.queue.postgres.rollup_table import DAYS, HOURS, raising
from proxy.queue.postgres.segment_table import SegmentRow
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer

T = TypeVar("T")

DELETE = "DELETE FROM segment WHERE lane = $1::text AND id = ANY($2::uuid[]) RETURNING id"
# Each row to write names, by its place in $2, the segment that must be deleted here for it; 0: any of them.
_WITH_ROWS = """
WITH gone AS ({delete}),
taken AS (SELECT place FROM unnest($2::uuid[]) WITH ORDINALITY asked(id, place) WHERE id IN (SELECT id FROM gone)),
written AS ({insertion}),
hours AS ({hours}),
days AS ({days})
SELECT id FROM gone
"""
_ANY = "(cardinality($2::uuid[]) = 0 OR EXISTS (SELECT FROM gone))"
_IF_TAKEN = f"(place IN (SELECT place FROM taken) OR place = 0 AND {_ANY})"  # noqa: S608 - our own text
RAISE_ATTEMPTS = """
UPDATE segment s SET attempts = s.attempts + 1, strikes = s.strikes + $4::int4, suspect = coalesce(t.suspect, s.suspect)
FROM unnest($2::uuid[], $3::int4[], $5::int4[]) t(id, attempts, suspect)
WHERE s.lane = $1::text AND s.id = t.id AND s.attempts = t.attempts RETURNING s.id
"""


class DeadLetterStore:
    """Stores dead letters, except those about suppressed people."""

    def __init__(self, dead: SharedDeadLetters, suppressions: SharedSuppressions, now: Callable[[], int]) -> None:
        """Prepare to store dead letters.

        Args:
            dead: Stores them.
            suppressions: Know who is suppressed.
            now: The server's clock in milliseconds.
        """
        self._dead = dead
        self._suppressions = suppressions
        self._now = now

    async def add_letters(self, run: Run, letters: Sequence[NewDeadLetter]) -> int:
        """Add letters within a transaction, except those about suppressed people; return how many were added."""
        return await self._dead.add_permitted(run, letters, self._now(), self._refusals)

    async def _refusals(self, run: Run, records: Sequence[Record]) -> Sequence[DropReason | None]:
        await self._suppressions.catch_up(run)
        digests = {digest for record in records for digest in record.person_digests}
        refusals = await self._suppressions.refusals(run, digests)
        return [refusals.of_record(record) for record in records]


class Settled(NamedTuple):
    """What a settlement did."""

    gone: frozenset[SegmentRef]
    """Segments that it deleted."""
    stayed: frozenset[SegmentRef]
    """Segments that stay and that it changed."""
    rows: Sequence[SegmentRow]
    """New segments, made of the records that outlive their segment."""
    buried: int
    """Dead letters that were added."""


class Settling:
    """Writes how attempts ended."""

    def __init__(self, database: Database, sealer: Sealer, ledger: SharedLedger, graveyard: DeadLetterStore) -> None:
        """Prepare to write settlements.

        Args:
            database: Where segments wait.
            sealer: Seals what is left of them.
            ledger: Where finished events are written.
            graveyard: Where dead letters go.
        """
        self._database = database
        self._sealer = sealer
        self._ledger = ledger
        self._graveyard = graveyard

    async def settle(self, segments: Sequence[Segment], settlement: Settlement, now: int) -> Settled:
        """Write how an attempt at segments of one lane ended.

        Args:
            segments: What was claimed.
            settlement: What became of it.
            now: Server clock in milliseconds.

        Raises:
            QueueError: when it is not known to be written.
        """
        by_day = self._ledger.group_by_day(settlement.rows)
        await self._ledger.ensure_tables(by_day)
        with self._ledger.writing():
            rest = (settlement.tried, settlement.suspects, settlement.remainders, settlement.dead)
            if not any(rest) and len(by_day) <= 1:
                with suppress(TableMissingError):  # _settle finds out which table, and it is made again next time
                    if settled := await self._settle_plainly(segments, settlement, by_day):
                        return settled
            work = partial(self._settle, segments, settlement, now)
            return await self._database.transact(Role.DELIVER, work)

    async def _settle_plainly(
        self, segments: Sequence[Segment], settlement: Settlement, by_day: Mapping[int, Sequence[LedgerRow]]
    ) -> Settled | None:
        """Write a settlement of segments that leave whole, as nearly all do, by one statement.

        Return None, and write nothing, where the rollups need more statements.
        """
        lane, done = _lane(segments), list(settlement.done)
        text, values = DELETE, []
        for day, some in by_day.items():
            rows = await self._ledger.with_known_copies(partial(self._database.run, Role.DELIVER), some)
            places = _sources(rows, segments, done)
            changes = self._ledger.plain_changes(rows, places)
            if changes is None:
                return None
            text, values = _with_rows(day), [*self._ledger.values(rows), places, changes.hours, changes.days]
        gone = await self._database.run(Role.DELIVER, text, lane, done, *values)
        return Settled(frozenset(row["id"] for row in gone), frozenset(), (), 0)

    async def _settle(self, segments: Sequence[Segment], settlement: Settlement, now: int, run: Run) -> Settled:
        lane, done = _lane(segments), list(settlement.done)
        gone = frozenset([row["id"] for row in await run(DELETE, lane, done)] if done else ())
        stayed = await _raise_attempts(run, segments, settlement)
        places = {place for place, ref in enumerate(done, 1) if ref in gone}
        places |= {0} if gone or not done else set()

        def of_gone(events: Iterable[T], record_of: Callable[[T], Record | LedgerRow]) -> list[T]:
            some = list(events)
            sources = _sources([record_of(each) for each in some], segments, done)
            return [each for each, place in zip(some, sources, strict=True) if place in places]

        remainders = of_gone(settlement.remainders, lambda rest: rest.records[0])
        rows = [row for rest in remainders for row in self._rows(rest, now)]
        if rows:
            await run(segment_table.INSERT, *segment_table.columns(rows))
        buried = await self._graveyard.add_letters(run, of_gone(settlement.dead, lambda letter: letter.record))
        await self._ledger.write(run, of_gone(settlement.rows, lambda row: row))
        return Settled(gone, stayed, rows, buried)

    def _rows(self, remainder: Remainder, now: int) -> list[SegmentRow]:
        history = (remainder.attempts, remainder.strikes, remainder.suspect)
        return [
            segment_table.row_of(sealed_segment(remainder.pixel, some, 0, self._sealer), remainder.at or now, history)
            for some in chunks(remainder.records)
        ]


def _lane(segments: Sequence[Segment]) -> str:
    return segments[0].pixel if segments else ""


def _with_rows(day: int) -> str:
    rows = insertion(day, 3, condition=_IF_TAKEN, more=(("place", "int8"),))
    last = 3 + len(COLUMNS)
    hours, days = (raising(table, last + number, _IF_TAKEN) for number, table in enumerate((HOURS, DAYS), 1))
    return _WITH_ROWS.format(delete=DELETE, insertion=rows, hours=hours, days=days)


async def _raise_attempts(run: Run, segments: Sequence[Segment], settlement: Settlement) -> frozenset[SegmentRef]:
    """Raise the attempts of segments that stay; return those that still had the attempts that the claim read."""
    bounds: dict[SegmentRef, int | None] = dict.fromkeys(settlement.tried)
    bounds |= dict(settlement.suspects)
    if not bounds:
        return frozenset()
    attempts = {segment.ref: segment.attempts for segment in segments}
    ids = sorted(bounds)
    facts = ([attempts[each] for each in ids], int(settlement.struck), [bounds[each] for each in ids])
    rows = await run(RAISE_ATTEMPTS, _lane(segments), ids, *facts)
    return frozenset(row["id"] for row in rows)


def _sources(
    events: Sequence[Record | LedgerRow], segments: Sequence[Segment], done: Sequence[SegmentRef]
) -> list[int]:
    """Return for each event the place in ``done``, from 1, of the segment that it was in; 0 if it was in none of them.

    Events with the same name, id, time and visitor are told apart by their order.
    """
    places = {ref: place for place, ref in enumerate(done, 1)}
    found: dict[tuple[Any, ...], list[int]] = {}
    for segment in reversed(segments):
        for record in reversed(segment.records):
            alike = (record.name, record.id, record.time_s, record.visitor)
            found.setdefault(alike, []).append(places.get(segment.ref, 0))
    sources = []
    for event in events:
        some = found.get((event.name, event.id, event.time_s, event.visitor), [0])
        sources.append(some.pop() if len(some) > 1 else some[0])
    return sources

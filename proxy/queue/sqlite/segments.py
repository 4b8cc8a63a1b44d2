"""The table of waiting events: sealed segments, each of which is claimed by its number.

A batch that Graph refused makes its segments *suspects*: they are claimed apart from fresh ones, so that fresh events
never wait for the search for the bad one, and the bound of the batches they may ride in shrinks with each refusal.
"""

import logging
from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import apsw

from proxy.model.record import Record
from proxy.queue.claim_size import MOST_CLAIMED_BYTES, MOST_PENDING, fields_key_of, pending_events, wire_size
from proxy.queue.codec import chunks, unpack
from proxy.queue.contract import Remainder, Segment, SegmentRef, Settlement
from proxy.queue.field_turns import FieldTurns
from proxy.queue.group import SealedSegment, sealed_segment
from proxy.queue.seal import Sealer, SealError
from proxy.queue.sqlite import segment_table
from proxy.queue.sqlite.claims import Claims
from proxy.queue.sqlite.counts import Counts
from proxy.queue.sqlite.holds import Holds
from proxy.queue.sqlite.segment_search import SEALED_COLUMNS, SealedColumns, SegmentSearch
from proxy.queue.sqlite.segment_table import Row, packed, without

log = logging.getLogger(__name__)


class Segments:
    """The table of segments; works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection, sealer: Sealer, counts: Counts, now: Callable[[], int]) -> None:
        self._db = db
        self._sealer = sealer
        self._counts = counts
        self._now = now
        self.damaged: set[int] = set()
        """Numbers of segments that were found damaged; safe to look into from any thread."""
        self.claims = Claims()
        self.search = SegmentSearch(db, self.claims)
        self._holds = Holds(db, counts, now)
        self._turns = FieldTurns(counts.with_fields.nonzero_keys, suspect=False)
        self._suspect_turns = FieldTurns(counts.with_fields.nonzero_keys, suspect=True)
        ((last,),) = db.execute("SELECT coalesce(max(id), 0) FROM segment")
        self._next = int(str(last)) + 1

    def insert(self, remainder: Remainder, not_before: int = 0) -> None:
        """Store records of one pixel, held until ``not_before`` (server clock in milliseconds) if that is to come."""
        at = remainder.at or self._now()
        history = (remainder.attempts, remainder.strikes, at, remainder.suspect)
        segments = (
            sealed_segment(remainder.pixel, records, not_before, self._sealer) for records in chunks(remainder.records)
        )
        segment_table.insert(self._db, [self._row(segment, (), history) for segment in segments])

    def insert_sealed(self, segments: Sequence[tuple[SealedSegment, Sequence[int]]]) -> None:
        """Store sealed segments, each with the positions of records to skip; one with no other record is not stored."""
        history = (0, 0, self._now(), 0)
        rows = [self._row(segment, skip, history) for segment, skip in segments if len(skip) < segment.n]
        segment_table.insert(self._db, rows)

    def _row(self, segment: SealedSegment, skip: Sequence[int], history: tuple[int, int, int, int]) -> Row:
        attempts, strikes, at, suspect = history
        n = segment.n - len(skip)
        not_before = segment.not_before if segment.not_before > at else 0
        self._count(segment.pixel, n, suspect=suspect, fields=segment.fields, is_held=not_before > 0)
        if not_before:
            self._counts.next_due.advance(not_before)
        self._next += 1
        facts = (self._next - 1, segment.pixel, n, attempts, strikes, segment.sealed, at, suspect)
        return (*facts, segment.oldest_s, not_before, packed(skip), segment.fields)

    def _count(self, pixel: str, events: int, *, suspect: int, fields: bytes, is_held: bool) -> None:
        self._counts.waiting.add(pixel, events)
        if is_held:
            self._counts.held.add(pixel, events)
            return
        if fields:
            self._counts.with_fields.add((pixel, fields, bool(suspect)), events)
        if suspect:
            self._counts.suspects.add(pixel, events)

    def _count_segment(self, segment: Segment, events: int, *, is_held: bool = False) -> None:
        fields = fields_key_of(segment)
        self._count(segment.pixel, events, suspect=segment.suspect, fields=fields, is_held=is_held)

    def claim(self, pixel: str, most: int, *, newest: bool, begun: Sequence[Segment] = ()) -> tuple[Segment, ...]:
        """Claim unclaimed fresh segments of a pixel that are due, all with the fields whose turn it is.

        There may be more to claim if the claimed segments have ``MOST_PENDING`` pending events.

        Args:
            pixel: Its id.
            most: How many events; only a single segment may hold more.
            newest: The youngest come first, otherwise the oldest.
            begun: Segments that were claimed before for the same batch.
        """
        self._holds.release_due()
        way = "DESC" if newest else "ASC"
        lane = f"suspect=0 ORDER BY at {way}, id {way}"
        if begun:
            return tuple(self._claim(pixel, fields_key_of(begun[0]), lane, most, begun))
        return _claim_in_turn(self._turns, pixel, lambda fields: self._claim(pixel, fields, lane, most))

    def _claim(self, pixel: str, fields: bytes, lane: str, most: int, begun: Sequence[Segment] = ()) -> list[Segment]:
        found: list[Segment] = []
        events, size, pending = sum(len(segment.records) for segment in begun), sum(map(wire_size, begun)), 0
        for facts, resting in self.search.claimable_segments(pixel, fields, lane, most):
            is_full = events + facts[1] > most or size >= MOST_CLAIMED_BYTES or pending >= MOST_PENDING
            if is_full and (found or begun):
                break
            if segment := self._take(facts, resting):
                found.append(segment)
                events, size = events + facts[1], size + wire_size(segment)
                pending += pending_events(segment)
        return found

    def claim_suspects(self, pixel: str, most: int) -> tuple[Segment, ...]:
        """Claim the newest suspects, with the fields whose turn it is, that fit one batch of the largest bound.

        The last segment may exceed it.
        """
        return _claim_in_turn(self._suspect_turns, pixel, lambda fields: self._claim_suspects(pixel, fields, most))

    def _claim_suspects(self, pixel: str, fields: bytes, most: int) -> list[Segment]:
        found: list[Segment] = []
        events = size = 0
        for facts, resting in self.search.suspects(pixel, fields, most):
            suspect = facts[-1]
            bound = min(most, abs(found[0].suspect if found else suspect))
            if found and (suspect != found[0].suspect or events >= bound or size >= MOST_CLAIMED_BYTES):
                break
            if segment := self._take(facts, resting):
                found.append(segment)
                events, size = events + len(segment.records), size + wire_size(segment)
        return found

    def read(self, facts: Sequence[Any]) -> Segment | None:
        """Open a segment and claim it, if it was not damaged on disk."""
        return self._take(facts, self._sealed_columns(facts[0]))

    def _take(self, facts: Sequence[Any], resting: SealedColumns) -> Segment | None:
        """Claim a segment and open it; one that was damaged on disk stays claimed, so that it holds up no other."""
        number, _, pixel, attempts, strikes, at, suspect = facts
        sealed, skip = resting
        self.claims.add(pixel, number)
        try:
            records = self._opened(pixel, sealed)
        except (SealError, ValueError):
            log.exception("segment %d of pixel %s was damaged on disk; it is kept and skipped", number, pixel)
            self.damaged.add(number)
            return None
        return Segment(number, pixel, attempts, strikes, without(records, skip) if skip else records, at, suspect)

    def sealed_records(self, segment: Segment) -> tuple[Record, ...]:
        """Return all records in the sealed bytes of a segment, including the repeats that are skipped."""
        return self._opened(segment.pixel, self._sealed_columns(segment.ref)[0])

    def _sealed_columns(self, number: SegmentRef) -> SealedColumns:
        rows: list[Any] = self._db.execute(f"SELECT {SEALED_COLUMNS} FROM segment WHERE id=?", (number,)).fetchall()  # noqa: S608
        sealed, skip = rows[0]
        return sealed, skip

    def _opened(self, pixel: str, sealed: bytes) -> tuple[Record, ...]:
        """Return all records of a segment.

        Raises:
            SealError: when it was damaged on disk.
            ValueError: when it is no segment.
        """
        return unpack(self._sealer.open(sealed, pixel.encode()), pixel)

    def keep(self, segment: Segment, survivors: Sequence[Record]) -> Segment | None:
        """Keep only these records of a claimed segment and return it; without any, remove it and return None."""
        if survivors:
            written = sealed_segment(segment.pixel, survivors, 0, self._sealer)
            row = (written.n, written.sealed, written.oldest_s, segment.ref)
            change = "UPDATE segment SET n=?, sealed=?, oldest_s=?, skip=x'' WHERE id=? RETURNING not_before"
            changed = self._db.execute(change, row).fetchall()
        else:
            changed = self._db.execute("DELETE FROM segment WHERE id=? RETURNING not_before", (segment.ref,)).fetchall()
            self.release([segment])
        # A sweep may come across a held segment, a claim never does.
        is_held = any(not_before for (not_before,) in changed)
        self._count_segment(segment, len(survivors) - len(segment.records), is_held=is_held)
        return segment._replace(records=tuple(survivors)) if survivors else None

    def release(self, segments: Sequence[Segment]) -> None:
        """Give up a claim."""
        numbers: defaultdict[str, list[SegmentRef]] = defaultdict(list)
        for segment in segments:
            numbers[segment.pixel].append(segment.ref)
        for pixel, claimed in numbers.items():
            self.claims.remove(pixel, claimed)

    def settle(self, segments: Sequence[Segment], settlement: Settlement) -> None:
        """Write what becomes of claimed segments, and give up the claim."""
        by_number = {segment.ref: segment for segment in segments}
        self._execute("DELETE FROM segment WHERE id IN carray(?1)", settlement.done)
        for number in settlement.done:
            gone = by_number[number]
            self._count_segment(gone, -len(gone.records))
        older = "UPDATE segment SET attempts=attempts+1"
        self._execute(f"{older}, strikes=strikes+?2 WHERE id IN carray(?1)", settlement.tried, settlement.struck)
        bounds: defaultdict[int, list[SegmentRef]] = defaultdict(list)
        for number, bound in settlement.suspects:
            bounds[bound].append(number)
            if not (segment := by_number[number]).suspect:
                self._count_segment(segment, -len(segment.records))
                self._count_segment(segment._replace(suspect=bound), len(segment.records))
        for bound, numbers in bounds.items():
            self._execute(f"{older}, suspect=?2 WHERE id IN carray(?1)", numbers, bound)
        for remainder in settlement.remainders:
            self.insert(remainder)
        self.release(segments)

    def _execute(self, sql: str, numbers: Sequence[SegmentRef], *values: int) -> None:
        """Change some segments in one statement."""
        if numbers:  # an empty array cannot be bound
            self._db.execute(sql, (apsw.carray(array("q", numbers)), *values))


def _claim_in_turn(turns: FieldTurns, pixel: str, claim: Callable[[bytes], list[Segment]]) -> tuple[Segment, ...]:
    for fields in turns.fields_in_turn(pixel):
        if found := claim(fields):
            turns.record_turn(pixel, fields)
            return tuple(found)
    return ()

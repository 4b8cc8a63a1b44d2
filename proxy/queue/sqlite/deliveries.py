"""Delivery's side of the file: what is claimed, and how it ends; within transactions that others start."""

from collections import Counter
from collections.abc import Sequence

from proxy.model.record import Record
from proxy.model.verdict import Dead
from proxy.queue.claim_size import MOST_PENDING, pending_events
from proxy.queue.contract import (
    NewDeadLetter,
    Segment,
    SegmentRef,
    Settlement,
    dead_row,
    dropped_row,
)
from proxy.queue.sqlite.pending import PendingRecords
from proxy.queue.sqlite.sweeps import Sweeps
from proxy.queue.sqlite.tables import Tables


class Deliveries:
    """Claims, settles and expires what waits."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._sweeps = Sweeps(tables.segments)
        self._pending = PendingRecords(tables)

    def claim(
        self,
        pixel: str,
        most: int,
        *,
        newest: bool = False,
        suspect: bool = False,
        begun: Sequence[Segment] = (),
    ) -> tuple[tuple[Segment, ...], bool]:
        """Claim unclaimed segments of a pixel, without what must not be sent any more; tell whether there may be more.

        The caller claims more in further transactions, so that no append waits while something is looked up for a
        thousand events, or while a whole backlog of duplicates is dropped.

        Args:
            pixel: Its id.
            most: How many events.
            newest: See ``Outbox.claim``.
            suspect: See ``Outbox.claim``.
            begun: Segments that were claimed before for the same batch.
        """
        segments = self._tables.segments
        if suspect:
            claimed = segments.claim_suspects(pixel, most)
        else:
            claimed = segments.claim(pixel, most, newest=newest, begun=begun)
        permitted = tuple(left for segment in claimed if (left := self._permitted(segment)))
        is_part = not suspect and sum(map(pending_events, claimed)) >= MOST_PENDING
        return permitted, is_part or bool(claimed and not permitted)

    def _permitted(self, segment: Segment) -> Segment | None:
        """Return what may be sent of a claimed segment, as every attempt will send it, or None; drop the rest."""
        records = self._unsuppressed(segment.records)
        if any(record.pending for record in records):
            # A record's visitor may be known only now, and may be suppressed.
            records = self._unsuppressed(self._pending.resolve_pending(segment.pixel, records))
        return segment if records is segment.records else self._tables.segments.keep(segment, records)

    def _unsuppressed(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return the records that may be sent, the same object if these are all, and drop the others."""
        tables = self._tables
        if not tables.suppressions.may_concern(records):
            return records
        survivors, refused = tables.suppressions.split_refused(records)
        if not refused:
            return records
        tables.ledger.write(dropped_row(record, reason, tables.now()) for record, reason in refused)
        for _, reason in refused:
            tables.counts.withheld.add(reason, 1)
        return survivors

    def release(self, claimed: Sequence[Segment]) -> None:
        """Give up a claim."""
        self._tables.segments.release(claimed)

    def settle(self, claimed: Sequence[Segment], settlement: Settlement) -> frozenset[SegmentRef]:
        """Write how a delivery attempt ended; the result is empty, since no other process settles in this file."""
        self._tables.segments.settle(claimed, settlement)
        self._bury(settlement.dead)
        self._tables.ledger.write(settlement.rows)
        return frozenset()

    def _bury(self, letters: Sequence[NewDeadLetter]) -> None:
        tables = self._tables
        permitted = [letter for letter in letters if not tables.suppressions.refusal(letter.record)]
        for letter in permitted:
            tables.dead.bury(letter, tables.now())
        tables.counts.dead.add("", len(permitted))

    def expire(self, before_s: int) -> tuple[dict[str, int], bool]:
        """Make dead letters of a slice of the events that are too old; see ``Outbox.expire``."""
        taken, more = self._sweeps.expire(before_s)
        dead, now = Dead("too_old"), self._tables.now()
        self._bury(
            [NewDeadLetter(record, dead.reason, dead.graph_error, segment.attempts) for segment, record in taken]
        )
        self._tables.ledger.write(dead_row(record, dead, now, segment.attempts) for segment, record in taken)
        return Counter(record.pixel for _, record in taken), more

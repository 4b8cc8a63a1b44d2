"""Decides what of a claim may be sent: drops suppressed people, and completes or drops what waited for another copy.

Nearly all claims pass without a further statement. Of any other, the doubtful segments are locked, read again, decided
and written back in one transaction, so that every further attempt sends the same bytes. A suppression that was
committed before the claim was read always counts: the claim brings the version of the suppressions, and if this process
knows only an older one, it reads the newer suppressions first.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from proxy.model.ledger import LedgerRow
from proxy.model.record import Record
from proxy.model.units import DAY_MS
from proxy.queue.contract import Segment, SegmentRef, dropped_row
from proxy.queue.group import sealed_segment
from proxy.queue.postgres.claim_texts import FACTS
from proxy.queue.postgres.claiming import ClaimedSegments, Claiming
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer

_LOCKED = f"SELECT {FACTS} FROM segment WHERE lane = $1::text AND id = ANY($2::uuid[]) ORDER BY at, id FOR UPDATE"  # noqa: S608
_REWRITE = """
UPDATE segment SET n = $3::int4, sealed = $4::bytea, oldest_s = $5::int8, skip = NULL
WHERE lane = $1::text AND id = $2::uuid
"""
_REMOVE = "DELETE FROM segment WHERE lane = $1::text AND id = $2::uuid"


class Copies(Protocol):
    """Knows the other copies of orders."""

    async def resolve_pending(
        self, run: Run, pixel: str, records: Sequence[Record], now: int
    ) -> tuple[list[Record], list[LedgerRow]]:
        """Return the records to be sent, completed from their other copies, and ledger rows for those that ended.

        Args:
            run: Runs statements of the claim's transaction.
            pixel: Whose records they are.
            records: The records of a segment.
            now: Server clock in milliseconds.
        """


class FilteredClaim(NamedTuple):
    """What was decided about claimed segments."""

    segments: Sequence[Segment]
    """What may be sent."""
    ended: Sequence[LedgerRow]
    """Ledger rows of the events that are not sent."""
    gone: Sequence[SegmentRef]
    """Segments of which nothing is left, that another process had settled, or that are damaged."""
    changed: int
    """By how many the number of waiting events changed: 0 or less."""


class ClaimFilter:
    """Decides what of claimed segments may be sent."""

    def __init__(  # noqa: PLR0913 - all that has a say
        self,
        database: Database,
        sealer: Sealer,
        claiming: Claiming,
        *,
        ledger: SharedLedger,
        suppressions: SharedSuppressions,
        copies: Copies,
    ) -> None:
        """Prepare to judge.

        Args:
            database: Where segments wait.
            sealer: Seals the records that are left of a segment.
            claiming: Opens segments.
            ledger: Where it is written how events ended.
            suppressions: Know who is suppressed.
            copies: Knows the other copies of orders.
        """
        self._database = database
        self._sealer = sealer
        self._claiming = claiming
        self._ledger = ledger
        self._suppressions = suppressions
        self._copies = copies

    async def filter_claim(self, lane: str, claim: ClaimedSegments, now: int) -> FilteredClaim:
        """Return what of a claim may be sent, and drop the rest.

        Args:
            lane: Whose segments were claimed.
            claim: What was claimed.
            now: Server clock in milliseconds.

        Raises:
            QueueError: when it is not known whether the decision was written.
        """
        await self._suppressions.catch_up(partial(self._database.run, Role.DELIVER), claim.version)
        doubtful = [segment.ref for segment in claim.segments if self._is_doubtful(segment.records)]
        if not doubtful:
            return FilteredClaim(claim.segments, (), (), 0)
        await self._ledger.ensure_tables([now // DAY_MS])
        with self._ledger.writing():
            decided = await self._database.transact(Role.DELIVER, partial(self._decide, lane, doubtful, now))
        found = {segment.ref: segment for segment in decided.segments}
        gone = {ref for ref in doubtful if ref not in found}
        segments = [found.get(segment.ref, segment) for segment in claim.segments if segment.ref not in gone]
        return decided._replace(segments=segments, gone=list(gone))

    def _is_doubtful(self, records: Sequence[Record]) -> bool:
        return any(record.pending for record in records) or self._suppressions.may_concern(records)

    async def _decide(self, lane: str, ids: Sequence[Any], now: int, run: Run) -> FilteredClaim:
        kept: list[Segment] = []
        ended: list[LedgerRow] = []
        changed = 0
        for row in await run(_LOCKED, lane, ids):
            if not (segment := self._claiming.open_segment(lane, row)):
                continue
            records, rows = await self._permitted(run, lane, segment.records, now)
            if rows or records != segment.records:
                await rewrite_segment(run, segment, records, self._sealer)
            if records:
                kept.append(segment._replace(records=tuple(records)))
            ended += rows
            changed += len(records) - len(segment.records)
        await self._ledger.write(run, ended)
        return FilteredClaim(kept, ended, (), changed)

    async def _permitted(
        self, run: Run, lane: str, records: Sequence[Record], now: int
    ) -> tuple[Sequence[Record], list[LedgerRow]]:
        records, ended = await self._unsuppressed(run, records, now)
        if not any(record.pending for record in records):
            return records, ended
        joined, rows = await self._copies.resolve_pending(run, lane, records, now)
        # The other copy may have told only now who the visitor is.
        permitted, dropped = await self._unsuppressed(run, joined, now)
        return permitted, [*ended, *rows, *dropped]

    async def _unsuppressed(
        self, run: Run, records: Sequence[Record], now: int
    ) -> tuple[Sequence[Record], list[LedgerRow]]:
        """Return the records that no suppression forbids (``records`` itself if all), and ledger rows of the others."""
        if not self._suppressions.may_concern(records):
            return records, []
        digests = {digest for record in records for digest in record.person_digests}
        refusals = await self._suppressions.refusals(run, digests)
        judged = [(record, refusals.of_record(record)) for record in records]
        left = [record for record, reason in judged if reason is None]
        return left if len(left) < len(records) else records, [
            dropped_row(record, reason, now) for record, reason in judged if reason is not None
        ]


async def rewrite_segment(run: Run, segment: Segment, records: Sequence[Record], sealer: Sealer) -> None:
    """Replace the records of a locked segment by those that are left; delete the segment if there are none.

    Args:
        run: Runs statements of the transaction that locked the segment.
        segment: Which segment.
        records: The records that are left.
        sealer: Seals them.
    """
    if not records:
        await run(_REMOVE, segment.pixel, segment.ref)
        return
    written = sealed_segment(segment.pixel, records, 0, sealer)
    await run(_REWRITE, segment.pixel, segment.ref, written.n, written.sealed, written.oldest_s)

"""Ends of waiting events: settlements and expiry, and what they change in the memory and the counts of this process."""

from collections.abc import Awaitable, Callable, Sequence

from proxy.model.event import DropReason
from proxy.model.ledger import Status
from proxy.queue.contract import Segment, SegmentRef, Settlement
from proxy.queue.postgres.backlog import SharedBacklog
from proxy.queue.postgres.claim_filter import FilteredClaim
from proxy.queue.postgres.claiming import ClaimedSegments, Claiming
from proxy.queue.postgres.errors import DatabaseAwayError
from proxy.queue.postgres.expiring import Expiring
from proxy.queue.postgres.settling import Settled, Settling


class Endings:
    """Settles attempts, expires events that are too old, and counts both."""

    def __init__(  # noqa: PLR0913 - what an end changes
        self,
        settling: Settling,
        expiring: Expiring,
        claiming: Claiming,
        backlog: SharedBacklog,
        *,
        now: Callable[[], int],
        until_here: Callable[[], Awaitable[None]],
        on_buried: Callable[[int], None],
    ) -> None:
        """Take the parts that an end changes.

        Args:
            settling: Writes how attempts ended.
            expiring: Makes dead letters of events that are too old.
            claiming: Remembers claims.
            backlog: Counts what waits.
            now: The server's clock in milliseconds.
            until_here: Waits a moment for the database; raises QueueError when the queue is closed.
            on_buried: Called with how many dead letters were added.
        """
        self._settling = settling
        self._expiring = expiring
        self._claiming = claiming
        self._backlog = backlog
        self._now = now
        self._until_here = until_here
        self._on_buried = on_buried

    def count_verdicts(self, pixel: str, claim: ClaimedSegments, verdicts: FilteredClaim) -> None:
        """Count the events of a claim that may not be sent.

        Args:
            pixel: Whose segments were claimed.
            claim: What was claimed.
            verdicts: What was decided about it.
        """
        if not (verdicts.changed or verdicts.gone):
            return
        self._claiming.lanes[pixel].end_claims(verdicts.gone, stay=False)
        is_suspect = bool(claim.segments[0].suspect)
        self._backlog.add(pixel, waiting=verdicts.changed, suspects=verdicts.changed if is_suspect else 0)
        for row in verdicts.ended:
            if row.status is Status.DROPPED:
                self._backlog.withheld[DropReason(row.reason)] += 1

    async def settle(self, segments: Sequence[Segment], settlement: Settlement) -> frozenset[SegmentRef]:
        """See ``Outbox``; waits while the database is away."""
        settled = await self._settled(segments, settlement)
        self._on_buried(settled.buried)
        if segments:
            memory = self._claiming.lanes[segments[0].pixel]
            memory.end_claims(settlement.done, stay=False)
            memory.end_claims([segment.ref for segment in segments], stay=True)
            self._count(segments, settlement, settled)
        elsewhere = frozenset(settlement.done) - settled.gone
        return elsewhere | ({*settlement.tried, *(ref for ref, _ in settlement.suspects)} - settled.stayed)

    async def _settled(self, segments: Sequence[Segment], settlement: Settlement) -> Settled:
        is_repeated = False
        while True:
            try:
                settled = await self._settling.settle(segments, settlement, self._now())
            except DatabaseAwayError:
                is_repeated = True
                await self._until_here()
            else:
                return self._repeated(segments, settlement, settled) if is_repeated else settled

    def _repeated(self, segments: Sequence[Segment], settlement: Settlement, settled: Settled) -> Settled:
        """Return the result of a settlement that was sent again because the answer to the first try was lost.

        Whatever the last try found done already, the first try has done.
        """
        for segment in segments:
            self._claiming.lanes[segment.pixel].restart()
        stayed = {*settlement.tried, *(ref for ref, _ in settlement.suspects)}
        return settled._replace(gone=frozenset(settlement.done), stayed=frozenset(stayed))

    def _count(self, segments: Sequence[Segment], settlement: Settlement, settled: Settled) -> None:
        pixel, memory = segments[0].pixel, self._claiming.lanes[segments[0].pixel]
        by_ref = {segment.ref: segment for segment in segments}
        for ref in settled.gone:
            self._count_events(pixel, -len(by_ref[ref].records), suspect=by_ref[ref].suspect)
        for ref, _ in settlement.suspects:
            if ref in settled.stayed and not by_ref[ref].suspect:
                self._backlog.add(pixel, suspects=len(by_ref[ref].records))
        for row in settled.rows:
            self._count_events(pixel, row.n, suspect=row.suspect)
            if not row.suspect:
                memory.note_arrival(row.at, row.fields)
        memory.fields_changed = memory.fields_changed or bool(settlement.suspects or settled.rows)

    def _count_events(self, pixel: str, events: int, *, suspect: int) -> None:
        self._backlog.add(pixel, waiting=events, suspects=events if suspect else 0)

    async def expire(self, before_s: int) -> tuple[dict[str, int], bool]:
        """See ``Outbox``."""
        expired = await self._expiring.expire(before_s, self._now())
        for segment, events, is_held in expired.taken:
            suspects = -events if segment.suspect and not is_held else 0
            self._backlog.add(segment.pixel, waiting=-events, held=-events if is_held else 0, suspects=suspects)
        self._on_buried(expired.buried)
        return expired.events, expired.more

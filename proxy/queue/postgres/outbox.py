"""Delivery's side of the shared queue: the ``Outbox`` of the contract, for the lanes that this process leads.

Settlements are never dropped: while the database is away they wait, and are sent again when it is back. A claim made
while the database is away waits a moment and returns nothing.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from proxy.queue.contract import DeliveryState, Oldest, QueueBrokenError, Segment, SegmentRef, Settlement, Stats
from proxy.queue.postgres.backlog import SharedBacklog
from proxy.queue.postgres.claim_filter import ClaimFilter
from proxy.queue.postgres.claiming import ClaimedSegments, Claiming
from proxy.queue.postgres.copies import OtherCopies
from proxy.queue.postgres.database import Database
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.endings import Endings
from proxy.queue.postgres.errors import DatabaseAwayError
from proxy.queue.postgres.expiring import Expiring
from proxy.queue.postgres.lane_poller import LanePoller
from proxy.queue.postgres.lane_states import LaneStates
from proxy.queue.postgres.leases import Leases
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.plain_append import StoredSegment
from proxy.queue.postgres.settling import DeadLetterStore, Settling
from proxy.queue.postgres.sightings import SharedSightings
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.seal import Sealer

# Seconds between two checks whether the database is back.
_LOOK_S = 0.1


class SharedOutbox:
    """Gives out the events that wait in the lanes that this process leads; used on the event loop only."""

    def __init__(  # noqa: PLR0913 - all that has a part in a delivery
        self,
        database: Database,
        sealer: Sealer,
        now: Callable[[], int],
        *,
        ledger: SharedLedger,
        dead: SharedDeadLetters,
        suppressions: SharedSuppressions,
        sightings: SharedSightings,
        lease_s: float,
        on_buried: Callable[[int], None] = lambda _letters: None,
    ) -> None:
        """Lead nothing yet.

        Args:
            database: Where events wait.
            sealer: Opens and seals them.
            now: The server's clock in milliseconds.
            ledger: Where it is written how they ended.
            dead: Keeps dead letters.
            suppressions: Know who is suppressed.
            sightings: What pages' events left of their visitors.
            lease_s: Seconds without a beat after which a process counts as dead.
            on_buried: Called with how many dead letters were added.
        """
        self._database = database
        self._now = now
        self._claiming = Claiming(database, sealer, now, on_due=self._became_due)
        self.leases = Leases(database, lease_s, is_idle=lambda lane: self._claiming.lanes[lane].is_idle)
        self.leases.watchers.append(self._reset_lane)
        self.leases.after_beat = self._adopt_counts
        self.backlog = SharedBacklog(database)
        graveyard = DeadLetterStore(dead, suppressions, now)
        self._claim_filter = ClaimFilter(
            database,
            sealer,
            self._claiming,
            ledger=ledger,
            suppressions=suppressions,
            copies=OtherCopies(sightings, suppressions),
        )
        self._endings = Endings(
            Settling(database, sealer, ledger, graveyard),
            Expiring(database, sealer, self._claiming, ledger=ledger, graveyard=graveyard, lease_s=lease_s),
            self._claiming,
            self.backlog,
            now=now,
            until_here=self._wait_for_database,
            on_buried=on_buried,
        )
        self._lane_poller = LanePoller(database, self.leases, self._claiming, self.backlog, wake=self._wake)
        self._wakes: Mapping[str, Callable[[], None]] = {}
        self._states = LaneStates(database, self.leases)
        self._closing = asyncio.Event()
        self.settled_elsewhere = 0
        """Segments since start that another process had settled before this one."""

    async def start(self) -> None:
        """Ask for leases and count what waits, if the database is here; start the background tasks."""
        if self._database.is_here:
            await self.leases.beat()
            await self._lane_poller.count_all()
        self.leases.start()
        self._lane_poller.start()
        self._database.watchers.append(self._wake_all)

    async def close(self) -> None:
        """Give all lanes back."""
        self._closing.set()
        await self._lane_poller.close()
        await self.leases.close()

    def register_lanes(self, wakes: Mapping[str, Callable[[], None]]) -> None:
        """See ``Outbox``."""
        self._wakes = wakes
        self.leases.request_lanes(wakes.keys())

    def term(self, pixel: str) -> int:
        """See ``Outbox``."""
        return self.leases.term(pixel) if not self._closing.is_set() else 0

    def _reset_lane(self, lane: str) -> None:
        self._claiming.lanes[lane].restart()
        self._states.forget(lane)
        self._wake(lane)

    def _adopt_counts(self) -> None:
        self.backlog.adopt_counts(self.leases.rows, self.leases.led_lanes())

    def _wake(self, lane: str) -> None:
        if wake := self._wakes.get(lane):
            wake()

    def _wake_all(self) -> None:
        for wake in self._wakes.values():
            wake()

    def note_arrivals(self, arrivals: Sequence[StoredSegment]) -> None:
        """Take note of the segments that this process has just stored."""
        for lane, n, at, due, fields in [
            (each.lane, each.n, each.at, each.not_before, each.fields) for each in arrivals
        ]:
            if due:
                self.backlog.add(lane, waiting=n, held=n, due=due)
                self._claiming.lanes[lane].note_held(due)
            else:
                self.backlog.add(lane, waiting=n)
                self._claiming.lanes[lane].note_arrival(at, fields)

    async def recount(self) -> None:
        """Count again what waits, after other parts put events back or removed some.

        Raises:
            QueueError: when there is no answer.
        """
        for memory in self._claiming.lanes.values():
            memory.restart()
        await self._lane_poller.count_all()

    async def claim(self, pixel: str, *, most: int, newest: bool = False, suspect: bool = False) -> tuple[Segment, ...]:
        """See ``Outbox``."""
        try:
            if not await self._leads(pixel):
                return ()
            await self._claiming.release_due(self.leases.led_lanes())
            while self.term(pixel):
                claim = await self._claiming.claim(pixel, most, newest=newest, suspect=suspect)
                if not claim.segments:
                    return ()
                if permitted := await self._filtered(pixel, claim):
                    return permitted
        except DatabaseAwayError:
            await self._wait_for_database()
        return ()

    def _became_due(self, lane: str, events: int, next_due: int | None) -> None:
        self.backlog.add(lane, held=-events)
        self.backlog.put_due(lane, next_due)

    async def _leads(self, pixel: str) -> bool:
        """Tell whether this process leads a lane; the first claim of a lane asks for its lease."""
        if not self._database.is_here:
            await self._wait_for_database()
            return False
        if self.leases.request_lanes([pixel]):
            await self.leases.beat()
        return bool(self.term(pixel))

    async def _filtered(self, pixel: str, claim: ClaimedSegments) -> tuple[Segment, ...]:
        try:
            verdicts = await self._claim_filter.filter_claim(pixel, claim, self._now())
        except BaseException:
            await self.release(claim.segments)
            raise
        self._endings.count_verdicts(pixel, claim, verdicts)
        return tuple(verdicts.segments)

    async def release(self, segments: Sequence[Segment]) -> None:
        """See ``Outbox``."""
        for segment in segments:
            self._claiming.lanes[segment.pixel].end_claims([segment.ref], stay=True)

    async def settle(self, segments: Sequence[Segment], settlement: Settlement) -> frozenset[SegmentRef]:
        """See ``Outbox``; waits while the database is away."""
        elsewhere = await self._endings.settle(segments, settlement)
        self.settled_elsewhere += len(elsewhere)
        return elsewhere

    async def expire(self, *, before_s: int) -> tuple[dict[str, int], bool]:
        """See ``Outbox``; while the database is away nothing expires."""
        return await self._endings.expire(before_s) if self._database.is_here else ({}, False)

    async def lane_state(self, pixel: str) -> DeliveryState:
        """See ``Outbox``."""
        return await self._states.read(pixel)

    async def keep_lane_state(self, pixel: str, state: DeliveryState) -> None:
        """See ``Outbox``; writes nothing unless this process leads the lane."""
        await self._states.keep(pixel, state)

    def stats(self) -> Stats:
        """See ``Backlog``; without what other parts count."""
        return replace(self.backlog.stats(), next_due=self._next_due())

    def _next_due(self) -> int | None:
        """Return when the next held segment is due that this process can release.

        Of a lane that is not led here, moments in the past are left out: its leader may be late, and this process can
        do nothing about it.
        """
        now, led = self._now(), set(self.leases.led_lanes())
        moments = []
        for lane in self.backlog.stats().held:
            due = self._claiming.lanes[lane].next_due or self.backlog.counts(lane).next_due
            if due is not None and (lane in led or due > now):
                moments.append(due)
        return min(moments, default=None)

    async def oldest(self, pixels: Collection[str]) -> dict[str, Oldest]:
        """See ``Backlog``."""
        damaged = [number for memory in self._claiming.lanes.values() for number in memory.damaged]
        return await self.backlog.oldest(pixels, damaged)

    async def _wait_for_database(self) -> None:
        """Wait a moment for the database to come back; only a moment, since the caller may be asked to stop.

        Raises:
            QueueBrokenError: when this part is closed.
        """
        if self._closing.is_set():
            raise QueueBrokenError("the queue is closed")
        await asyncio.sleep(_LOOK_S)

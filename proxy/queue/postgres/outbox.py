"""Delivery's side of the shared queue: the ``Outbox`` of the contract, for the lanes that this process leads.

Settlements are never put aside: while the database is away they wait, and are sent again when it is back. A claim then
waits a moment and finds nothing.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from proxy.model.event import DropReason
from proxy.model.ledger import Status
from proxy.queue.contract import DeliveryState, Oldest, Segment, SegmentRef, Settlement, Stats
from proxy.queue.postgres import lane_table
from proxy.queue.postgres.backlog import SharedBacklog
from proxy.queue.postgres.claiming import Claim, Claiming
from proxy.queue.postgres.copies import OtherCopies
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.errors import DatabaseAwayError
from proxy.queue.postgres.expiring import Expiring
from proxy.queue.postgres.judging import Judging, Verdicts
from proxy.queue.postgres.leases import Leases
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.look_out import LookOut
from proxy.queue.postgres.settling import Graveyard, Settled, Settling
from proxy.queue.postgres.sightings import SharedSightings
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.seal import Sealer

# While the database is away, it is looked for so often.
_LOOK_S = 0.1


class Arrival(Protocol):
    """What an append left of one lane."""

    @property
    def lane(self) -> str:
        """Which lane."""

    @property
    def n(self) -> int:
        """How many events."""

    @property
    def at(self) -> int:
        """Server clock in milliseconds."""

    @property
    def not_before(self) -> int:
        """0 where it is not held."""

    @property
    def fields(self) -> bytes:
        """See ``keys.fields_key``."""


class SharedOutbox:
    """Gives out what waits in the lanes that this process leads; used on the event loop only."""

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
    ) -> None:
        """Lead nothing yet.

        Args:
            database: Where events wait.
            sealer: Opens and seals them.
            now: The server's clock in milliseconds.
            ledger: Where it is written how they ended.
            dead: Keeps dead letters.
            suppressions: Know who is suppressed.
            sightings: Know visitors.
            lease_s: Seconds after which a process that is not heard of counts as dead.
        """
        self._database = database
        self._now = now
        self._claiming = Claiming(database, sealer, now, on_due=self._became_due)
        self.leases = Leases(database, lease_s, is_idle=lambda lane: self._claiming.lanes[lane].is_idle)
        self.leases.watchers.append(self._turn_over)
        self.leases.after_beat = self._learn
        self.backlog = SharedBacklog(database)
        graveyard = Graveyard(dead, suppressions, now)
        self._settling = Settling(database, sealer, ledger, graveyard)
        self._judging = Judging(
            database,
            sealer,
            self._claiming,
            ledger=ledger,
            suppressions=suppressions,
            copies=OtherCopies(sightings, suppressions),
        )
        self._expiring = Expiring(database, sealer, self._claiming, ledger=ledger, graveyard=graveyard, lease_s=lease_s)
        self._look_out = LookOut(database, self.leases, self._claiming, self.backlog, wake=self._wake)
        self._wakes: Mapping[str, Callable[[], None]] = {}
        self._states: dict[str, DeliveryState] = {}
        self._closing = asyncio.Event()
        self.settled_elsewhere = 0
        """Segments since start whose settlement here came second."""
        self.on_buried: Callable[[int], None] = lambda _letters: None
        """Called with how many dead letters were added."""

    # -- from start to end

    async def start(self) -> None:
        """Begin to lead, and learn how much waits, if the database is here."""
        if self._database.here:
            await self.leases.beat()
            await self._look_out.count_all()
        self.leases.start()
        self._look_out.start()
        self._database.watchers.append(self._wake_all)

    async def close(self) -> None:
        """Give all lanes back."""
        self._closing.set()
        await self._look_out.close()
        await self.leases.close()

    def hear_of_work(self, wakes: Mapping[str, Callable[[], None]]) -> None:
        """See ``Outbox``."""
        self._wakes = wakes
        self.leases.wish(wakes.keys())

    def term(self, pixel: str) -> int:
        """See ``Outbox``."""
        return self.leases.term(pixel) if not self._closing.is_set() else 0

    def _turn_over(self, lane: str) -> None:
        self._claiming.lanes[lane].restart()
        self._states.pop(lane, None)
        self._wake(lane)

    def _learn(self) -> None:
        self.backlog.learn(self.leases.rows, self.leases.led())

    def _wake(self, lane: str) -> None:
        if wake := self._wakes.get(lane):
            wake()

    def _wake_all(self) -> None:
        for wake in self._wakes.values():
            wake()

    # -- what came

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        """Hear what this process stored just now."""
        for lane, n, at, due, fields in [
            (each.lane, each.n, each.at, each.not_before, each.fields) for each in arrivals
        ]:
            if due:
                self.backlog.add(lane, waiting=n, held=n, due=due)
                self._claiming.lanes[lane].held(due)
            else:
                self.backlog.add(lane, waiting=n)
                self._claiming.lanes[lane].arrived(at, fields)

    async def changed(self) -> None:
        """Learn how much waits after other parts put events back or removed some.

        Raises:
            QueueError: when there is no answer.
        """
        for memory in self._claiming.lanes.values():
            memory.restart()
        await self._look_out.count_all()

    # -- claims

    async def claim(self, pixel: str, *, most: int, newest: bool = False, suspect: bool = False) -> tuple[Segment, ...]:
        """See ``Outbox``."""
        if not await self._leads(pixel):
            return ()
        try:
            await self._claiming.release_due(self.leases.led())
            while self.term(pixel):
                claim = await self._claiming.claim(pixel, most, newest=newest, suspect=suspect)
                if not claim.segments:
                    return ()
                if permitted := await self._judged(pixel, claim):
                    return permitted
        except DatabaseAwayError:
            await self._until_here()
        return ()

    def _became_due(self, lane: str, events: int, next_due: int | None) -> None:
        self.backlog.add(lane, held=-events)
        self.backlog.put_due(lane, next_due)

    async def _leads(self, pixel: str) -> bool:
        """Tell whether this process leads; whoever claims for the first time wishes to."""
        if not self._database.here:
            await self._until_here()
            return False
        if self.leases.wish([pixel]):
            await self.leases.beat()
        return bool(self.term(pixel))

    async def _judged(self, pixel: str, claim: Claim) -> tuple[Segment, ...]:
        try:
            verdicts = await self._judging.judge(pixel, claim, self._now())
        except BaseException:
            await self.release(claim.segments)
            raise
        self._note(pixel, claim, verdicts)
        return tuple(verdicts.segments)

    def _note(self, pixel: str, claim: Claim, verdicts: Verdicts) -> None:
        if not (verdicts.changed or verdicts.gone):
            return
        self._claiming.lanes[pixel].give_up(verdicts.gone, stay=False)
        is_suspect = bool(claim.segments[0].suspect)
        self.backlog.add(pixel, waiting=verdicts.changed, suspects=verdicts.changed if is_suspect else 0)
        for row in verdicts.ended:
            if row.status is Status.DROPPED:
                self.backlog.withheld[DropReason(row.reason)] += 1

    async def release(self, segments: Sequence[Segment]) -> None:
        """See ``Outbox``."""
        for segment in segments:
            self._claiming.lanes[segment.pixel].give_up([segment.ref], stay=True)

    # -- settlements

    async def settle(self, segments: Sequence[Segment], settlement: Settlement) -> frozenset[SegmentRef]:
        """See ``Outbox``; waits while the database is away."""
        settled = await self._settled(segments, settlement)
        memory = self._claiming.lanes[segments[0].pixel]
        gone = [segment.ref for segment in segments if segment.ref in settlement.done]
        memory.give_up(gone, stay=False)
        memory.give_up([segment.ref for segment in segments], stay=True)
        self._count(segments, settlement, settled)
        elsewhere = frozenset(settlement.done) - settled.gone
        elsewhere |= {*settlement.tried, *(ref for ref, _ in settlement.suspects)} - settled.stayed
        self.settled_elsewhere += len(elsewhere)
        return elsewhere

    async def _settled(self, segments: Sequence[Segment], settlement: Settlement) -> Settled:
        is_repeated = False
        while True:
            try:
                settled = await self._settling.settle(segments, settlement, self._now())
            except DatabaseAwayError:
                if self._closing.is_set():
                    raise
                is_repeated = True
                await self._until_here()
            else:
                # What is gone by then is so by the first try, whose answer was lost.
                return settled._replace(gone=frozenset(settlement.done)) if is_repeated else settled

    def _count(self, segments: Sequence[Segment], settlement: Settlement, settled: Settled) -> None:
        pixel, memory = segments[0].pixel, self._claiming.lanes[segments[0].pixel]
        by_ref = {segment.ref: segment for segment in segments}
        for ref in settled.gone:
            self._count_events(pixel, -len(by_ref[ref].records), suspect=by_ref[ref].suspect)
        for ref, _ in settlement.suspects:
            if ref in settled.stayed and not by_ref[ref].suspect:
                self.backlog.add(pixel, suspects=len(by_ref[ref].records))
        for row in settled.rows:
            self._count_events(pixel, row.n, suspect=row.suspect)
            if not row.suspect:
                memory.arrived(row.at, row.fields)
        memory.fields_changed = memory.fields_changed or bool(settlement.suspects or settled.rows)
        self.on_buried(settled.buried)

    def _count_events(self, pixel: str, events: int, *, suspect: int) -> None:
        self.backlog.add(pixel, waiting=events, suspects=events if suspect else 0)

    async def expire(self, *, before_s: int) -> tuple[dict[str, int], bool]:
        """See ``Outbox``; while the database is away nothing expires."""
        if not self._database.here:
            return {}, False
        expired = await self._expiring.expire(before_s, self._now())
        for segment, events, is_held in expired.taken:
            suspects = -events if segment.suspect and not is_held else 0
            self.backlog.add(segment.pixel, waiting=-events, held=-events if is_held else 0, suspects=suspects)
        self.on_buried(expired.buried)
        return expired.events, expired.more

    # -- how lanes stand

    async def lane_state(self, pixel: str) -> DeliveryState:
        """See ``Outbox``."""
        if pixel not in self._states or not self.term(pixel):
            self._states[pixel] = await lane_table.read_state(self._run, pixel)
        return self._states[pixel]

    async def keep_lane_state(self, pixel: str, state: DeliveryState) -> None:
        """See ``Outbox``; who does not lead keeps nothing."""
        if state == self._states.get(pixel):
            return
        if self.leases.wish([pixel]):
            await self.leases.beat()
        await lane_table.keep_state(self._run, pixel, self._database.replica, state)
        self._states[pixel] = state

    async def _run(self, statement: str, *arguments: object) -> Sequence[Any]:
        return await self._database.run(Role.DELIVER, statement, *arguments)

    def stats(self) -> Stats:
        """See ``Backlog``; without what other parts count."""
        return replace(self.backlog.stats(), next_due=self._next_due())

    def _next_due(self) -> int | None:
        """Return when the next held segment is due that a claim here would find: of others it may be long past."""
        now, led = self._now(), set(self.leases.led())
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

    async def _until_here(self) -> None:
        """Wait until the database may be here again; not long, as whoever waits may be asked to stop."""
        await asyncio.sleep(_LOOK_S)
        if not self._database.here and not self._closing.is_set():
            await asyncio.sleep(_LOOK_S)

"""Leases: they say which of the processes that share the queue delivers which pixel, that is, leads its lane.

Each process *beats*: it writes regularly that it lives, and which lanes it wishes to lead. Lanes without a living
leader are taken, shared fairly between the processes. A process that leads more than its share gives lanes back, each
once no attempt at it is under way; a process that stops gives back all. A lease says who *starts* attempts. Nothing
that is stored depends on it: if two processes lead a lane at once, they send the same events twice, with the same ids,
and the second settlement changes nothing.

All times are the database's clock, or durations measured by this process. A process that has not beaten for the length
of a lease counts as dead, but only a process whose own beats succeeded all that time may take its lanes: after an
outage of the database, which stopped all beats, the first to come back takes nothing away from the others.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from proxy.background import cancel_and_wait
from proxy.queue.contract import QueueError
from proxy.queue.postgres import lane_table
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.lane_shares import shares
from proxy.queue.postgres.lane_table import Row

log = logging.getLogger(__name__)

_BEATS = 4
"""How many beats there are in the time of a lease."""
_SURE = 2 / 3
"""Part of a lease: a process whose last beat is older than this starts nothing, well before others take its lanes."""


class Leases:
    """The leases of one process, for which it beats; used on the event loop only."""

    def __init__(
        self,
        database: Database,
        lease_s: float,
        *,
        is_idle: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Lead nothing yet.

        Args:
            database: Where the leases are.
            lease_s: Seconds without a beat after which a process counts as dead.
            is_idle: Tells whether no attempt at a lane is under way here, so that it may be given back.
            clock: A monotonic clock in seconds.
        """
        self._database = database
        self._lease_s = lease_s
        self._is_idle = is_idle
        self._clock = clock
        self._wishes: set[str] = set()
        self._terms: dict[str, int] = {}
        self._leaving: set[str] = set()
        """Lanes that this process still leads, but that another shall lead."""
        self._heard = self._heard_since = -lease_s
        """When the last successful beat was sent, and when the first of the unbroken series of them."""
        self._one_beat = asyncio.Lock()
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.watchers: list[Callable[[str], None]] = []
        """Called with a lane when this process begins or ceases to lead it."""
        self.after_beat: Callable[[], None] = lambda: None
        """Called after each successful beat."""
        self.rows: dict[str, Row] = {}
        """All lanes as of the last beat."""

    def start(self) -> None:
        """Beat until closed."""
        self._task = asyncio.create_task(self._run(), name="leases")

    def request_lanes(self, lanes: Collection[str]) -> bool:
        """Wish to lead lanes; tell whether any of them is a new wish."""
        is_new = not self._wishes.issuperset(lanes)
        self._wishes.update(lanes)
        if is_new:
            self._nudged.set()
        return is_new

    def term(self, lane: str) -> int:
        """Return a number that changes each time this process begins to lead a lane; 0 while it must start none."""
        return self._terms.get(lane, 0) if self._has_recent_beat() and lane not in self._leaving else 0

    def led_lanes(self) -> list[str]:
        """Return the lanes that this process leads."""
        return [lane for lane in self._terms if self.term(lane)]

    async def beat(self) -> None:
        """Write that this process lives, and take lanes, give lanes back, or learn that they were lost.

        Raises:
            QueueError: when there is no answer.
        """
        async with self._one_beat:
            before = {lane: self.term(lane) for lane in self._terms}
            try:
                await self._beat()
            finally:
                for lane in before.keys() | self._terms.keys():
                    if before.get(lane, 0) != self.term(lane):
                        self._notify_watchers(lane)

    async def _beat(self) -> None:
        sent, me, run = self._clock(), self._database.replica, self._run_on_deliver
        if new := sorted(self._wishes - self.rows.keys()):
            await run(lane_table.ADD, new)
        living = await run(lane_table.BEAT, me, sorted(self._wishes), self._lease_s)
        self.rows = {row["lane"]: row for row in await run(lane_table.LANES)}
        wishes = {row["id"]: row["wishes"] for row in living}
        if me not in wishes:
            self._terms.clear()
            self._database.mark_away("the database does not know this process any more")
            return
        self._record_beat(sent)
        leaders = {lane: row["leader"] for lane, row in self.rows.items() if row["leader"]}
        self._terms = {lane: self.rows[lane]["term"] for lane, leader in leaders.items() if leader == me}
        await self._share(wishes, leaders)
        self.after_beat()

    async def _share(self, wishes: Mapping[bytes, Collection[str]], leaders: Mapping[str, bytes]) -> None:
        me = self._database.replica
        ours = {lane for lane, leader in shares(wishes, leaders).items() if leader == me}
        if free := sorted(lane for lane in ours if leaders.get(lane) not in wishes):
            await self._take(free)
        self._leaving = self._terms.keys() - ours
        if idle := sorted(filter(self._is_idle, self._leaving)):
            await self._give_back(idle)

    async def _take(self, lanes: Sequence[str]) -> None:
        may_judge = self._heard - self._heard_since >= self._lease_s
        taken = await self._run_on_deliver(lane_table.TAKE, self._database.replica, lanes, self._lease_s, may_judge)
        for row in taken:
            self._terms[row["lane"]] = row["term"]
            log.info("lane %s is led here from now on", row["lane"])

    async def _give_back(self, lanes: Sequence[str]) -> None:
        await self._run_on_deliver(lane_table.GIVE_BACK, self._database.replica, lanes)
        for lane in lanes:
            self._terms.pop(lane, None)
            log.info("lane %s was given back", lane)

    async def _run_on_deliver(self, statement: str, *arguments: object) -> Sequence[Row]:
        return await self._database.run(Role.DELIVER, statement, *arguments, limit=self._lease_s)

    def _record_beat(self, sent: float) -> None:
        if sent - self._heard > self._lease_s * _SURE:
            self._heard_since = sent
        self._heard = sent

    def _has_recent_beat(self) -> bool:
        return self._clock() - self._heard < self._lease_s * _SURE

    def _notify_watchers(self, lane: str) -> None:
        for watcher in self.watchers:
            watcher(lane)

    async def _run(self) -> None:
        while True:
            self._nudged.clear()
            try:
                await self.beat()
            except QueueError as error:
                # That the database is away is logged elsewhere.
                log.log(logging.WARNING if self._database.is_here else logging.DEBUG, "no beat: %s", error)
            except Exception:
                # If the task ended, the others would take all lanes, and nothing would tell why.
                log.exception("a fault of ours in the beat")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lease_s / _BEATS):
                    await self._nudged.wait()

    async def close(self) -> None:
        """Stop beating, and give all lanes back if the database answers."""
        if self._task:
            await cancel_and_wait(self._task)
        async with self._one_beat:
            terms, self._terms, self._wishes = self._terms, {}, set()
            with suppress(QueueError):
                await self._run_on_deliver(lane_table.GIVE_BACK, self._database.replica, sorted(terms))
                await self._run_on_deliver(lane_table.BEAT, self._database.replica, [], self._lease_s)

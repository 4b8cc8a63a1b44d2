"""Wakes the lanes that this process leads when other processes stored events, by polling the database.

NOTIFY could wake a listener instead, but it holds a lock during each commit that sends one, which costs more than half
of the throughput. One statement asks for all lanes: ten times a second if it found something in the last five seconds,
otherwise once a second.

Some segments become visible late: their commit took long, or the clock of their proxy is behind, so that claims have
passed their position already. Sweeps look for them below the floors of the lanes (lane_memory.py), as often as that
takes no more than a hundredth of the time: usually four times a second, but rarely while a transaction that is open
elsewhere keeps the database from removing deleted rows.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence

from proxy.background import cancel_and_wait
from proxy.queue.contract import QueueError
from proxy.queue.postgres import lane_table
from proxy.queue.postgres.backlog import SharedBacklog
from proxy.queue.postgres.claiming import Claiming
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.leases import Leases

log = logging.getLogger(__name__)

_BUSY_S, _QUIET_S, _LATELY_S = 0.1, 1.0, 5.0
_SWEEP_S, _COUNT_S, _STRAYS_S = 0.25, 1.0, 60.0
# A step may take one part in so many of the time.
_PARTS = 100

LOOK = """
SELECT l.lane FROM unnest($1::text[], $2::int8[], $3::uuid[]) l(lane, at, id) WHERE (
  SELECT true FROM segment s
  WHERE s.lane = l.lane AND s.fields = '' AND s.suspect = 0 AND s.not_before = 0 AND (s.at, s.id) > (l.at, l.id)
  LIMIT 1)
"""
"""Finds the lanes that have fresh events of browsers above their floors.

No EXISTS is used, here and below: the planner would turn it into a join, and read what waits in all lanes each time.
"""
_WAITS = "SELECT true FROM segment s WHERE s.lane = l.lane AND s.not_before = 0 AND"
OTHERS = f"""
SELECT l.lane, (SELECT min(s.not_before) FROM segment s WHERE s.lane = l.lane AND s.not_before > 0) AS due,
  coalesce(({_WAITS} s.fields > '' LIMIT 1), false) AS with_fields,
  coalesce(
    ({_WAITS} s.fields = '' AND s.suspect > 0 LIMIT 1), ({_WAITS} s.fields = '' AND s.suspect < 0 LIMIT 1), false
  ) AS suspects
FROM unnest($1::text[]) l(lane)
"""  # noqa: S608 - our own text
"""Finds what else waits in lanes: when the next held segment is due, events with request fields, and suspects."""
SWEEP = """
SELECT l.lane, l.fields, s.at, s.id
FROM unnest($1::text[], $2::bytea[], $3::int8[], $4::uuid[], $5::int8[]) l(lane, fields, at, id, most),
LATERAL (
  SELECT s.at, s.id FROM segment s
  WHERE s.lane = l.lane AND s.fields = l.fields AND s.suspect = 0 AND s.not_before = 0 AND (s.at, s.id) <= (l.at, l.id)
  ORDER BY s.at, s.id LIMIT l.most) s
"""
"""Finds the first segments up to the floors of lanes: up to ``most``, which is one more than are claimed there."""


class _Step:
    """The schedule of a step: every ``every_s`` seconds, or less often if it takes more than its part of the time."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._next = 0.0

    def is_due(self, now: float) -> bool:
        return now >= self._next

    def done(self, began: float, ended: float) -> None:
        self._next = ended + max(self._every_s, (ended - began) * _PARTS)


class LanePoller:
    """Looks for events that other processes stored; used on the event loop only."""

    def __init__(  # noqa: PLR0913 - all that it keeps up to date
        self,
        database: Database,
        leases: Leases,
        claiming: Claiming,
        backlog: SharedBacklog,
        *,
        wake: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at nothing yet.

        Args:
            database: Where events wait.
            leases: Tell which lanes are led.
            claiming: Knows how far the lanes were read.
            backlog: Takes the counts of what waits.
            wake: Called with a lane for which there may be work.
            clock: A monotonic clock in seconds.
        """
        self._database = database
        self._leases = leases
        self._claiming = claiming
        self._backlog = backlog
        self._wake = wake
        self._clock = clock
        self._steps = {
            self._look_at_others: _Step(_QUIET_S),
            self._sweep: _Step(_SWEEP_S),
            self._count: _Step(_COUNT_S),
            self._count_unled_lanes: _Step(_STRAYS_S),
        }
        self._worked = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look until closed."""
        self._task = asyncio.create_task(self._run(), name="look-out")

    async def close(self) -> None:
        """Look no more."""
        if self._task:
            await cancel_and_wait(self._task)

    async def _run(self) -> None:
        while True:
            if self._database.is_here:
                try:
                    await self.poll()
                except QueueError as error:
                    self._log_failure(error)
                    await asyncio.sleep(_QUIET_S)
                except Exception:
                    # If the task ended, events that others store would not be noticed.
                    log.exception("a fault of ours in the look-out")
            await asyncio.sleep(_BUSY_S if self._clock() - self._worked < _LATELY_S else _QUIET_S)

    def _log_failure(self, error: QueueError) -> None:
        # That the database is away is logged elsewhere.
        log.log(logging.WARNING if self._database.is_here else logging.DEBUG, "no look: %s", error)

    async def poll(self) -> None:
        """Wake lanes for which other processes stored events, and do the other steps that are due.

        Raises:
            QueueError: when there is no answer.
        """
        led = self._leases.led_lanes()
        if led:
            floors = [self._claiming.lanes[lane].floor(b"") for lane in led]
            places = ([at for at, _ in floors], [number for _, number in floors])
            for row in await self._database.run(Role.DELIVER, LOOK, led, *places):
                self._wake_lane(row["lane"])
        for work, step in self._steps.items():
            if step.is_due(began := self._clock()):
                await work(led)
                step.done(began, self._clock())

    def _wake_lane(self, lane: str) -> None:
        self._worked = self._clock()
        self._wake(lane)

    async def _look_at_others(self, led: Sequence[str]) -> None:
        """Look for held segments, suspects, and servers' events in the lanes that are led."""
        for row in await self._database.run(Role.BOOKS, OTHERS, led) if led else ():
            memory = self._claiming.lanes[row["lane"]]
            if row["due"] is not None:
                memory.note_held(row["due"])
            if row["with_fields"] or memory.fields[False] or memory.fields[True]:
                memory.fields_changed = True
            if row["with_fields"] or row["suspects"]:
                self._wake(row["lane"])

    async def _sweep(self, led: Sequence[str]) -> None:
        """Lower the floors of lanes to segments that became visible late."""
        asked = [
            (lane, fields, *floor, len(memory.claims) + len(memory.damaged) + 1)
            for lane in led
            for memory in [self._claiming.lanes[lane]]
            for fields, floor in memory.floors.items()
        ]
        if not asked:
            return
        for row in await self._database.run(Role.BOOKS, SWEEP, *map(list, zip(*asked, strict=True))):
            memory = self._claiming.lanes[row["lane"]]
            if not memory.has(row["id"]):
                memory.lower(row["at"], row["fields"])
                self._wake_lane(row["lane"])

    async def _count(self, led: Collection[str]) -> None:
        """Count what waits in the lanes that are led, and write it where the other processes read it."""
        if led:
            for lane, counts in (await self._backlog.count(led)).items():
                row = self._leases.rows.get(lane)
                if row is None or lane_table.counts_of(row) != counts:
                    run = self._database.run
                    await run(Role.DELIVER, lane_table.COUNTED, lane, self._database.replica, *counts)

    async def _count_unled_lanes(self, _led: Collection[str]) -> None:
        """Count what waits in lanes without a leader, such as those of pixels that are no longer configured."""
        await self.count_all()

    async def count_all(self) -> None:
        """Count what waits in all lanes except those that other processes lead.

        Raises:
            QueueError: when there is no answer.
        """
        lanes = set(await self._backlog.all_lanes()) | self._backlog.stats().waiting.keys()
        others = {
            lane for lane, row in self._leases.rows.items() if row["leader"] not in {None, self._database.replica}
        }
        if mine := lanes - others:
            await self._backlog.count(mine)

"""Delivery: one lane per pixel, so that a dead pixel or a slow token never delays another.

In each lane one worker leads: it claims the newest events, so that after an outage fresh ones are not stuck behind
the backlog, and it alone tries again while Graph is unwell. Behind it, helpers claim the oldest events while there is
a backlog and Graph is well, more of them as Graph answers well, fewer when it throttles or slows down.

An attempt buries what is too old, delivers what it can, and is settled in one transaction. What happened in between
survives nothing but the queue: after a crash the same events go out again with the same ids.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from proxy.edge.attempt import Attempt, attempt
from proxy.edge.conditions import Conditions
from proxy.edge.graph import Graph
from proxy.edge.metrics import Metrics
from proxy.model import MAX_AGE_MS, Dead, Delivered, LedgerRow, Pause, Record, Retry, Status, Verdict, Words
from proxy.queue.base import Letter, Queue, QueueError, QueueFullError, Remainder, Segment, Settlement
from proxy.rules import pace
from proxy.rules.capi import MAX_BATCH
from proxy.settings import Pixel

log = logging.getLogger(__name__)

# A systemic pause is probed with few events, since a refusal is then tried one by one.
_PROBE_EVENTS = 8
_MOST_STRIKES = 3
_TOO_OLD = Dead("too_old")


@dataclass(frozen=True, slots=True)
class Cooldown:
    """Go on after so many seconds, usually none."""

    seconds: float


Halt: TypeAlias = Cooldown | Pause | Retry
_IDLE = Cooldown(-1)
"""There is nothing to do."""


@dataclass(slots=True)
class LaneState:
    """What health and dashboard show of a lane."""

    paused: str = ""
    failures: int = 0
    last_error: str = ""
    working_since: float | None = None
    """Monotonic time since when there is work and no success; None when all is well."""


class Lane:
    """Delivers the events of one pixel."""

    def __init__(  # noqa: PLR0913 - its collaborators, clock and chance
        self,
        pixel: Pixel,
        *,
        queue: Queue,
        graph: Graph,
        metrics: Metrics,
        conditions: Conditions,
        now: Callable[[], int],
        chance: Callable[[], float],
    ) -> None:
        self.pixel = pixel
        self.state = LaneState()
        self._queue = queue
        self._graph = graph
        self._metrics = metrics
        self._conditions = conditions
        self._now = now
        self._chance = chance
        self._work = asyncio.Event()
        self._work.set()
        self._stopping = asyncio.Event()
        self._change = asyncio.Condition()
        self._well = False
        """The last answer was good: helpers may work."""
        self._window = 1
        self._best = float("inf")
        """Seconds of the quickest good answer."""

    def wake(self) -> None:
        """Say that there may be work."""
        self._work.set()

    def stop(self) -> None:
        """Ask the lane to end after the attempts it is making."""
        self._stopping.set()
        self._work.set()

    async def run(self) -> None:
        """Deliver until stopped."""
        helpers = [asyncio.create_task(self._help(rank)) for rank in range(1, pace.WINDOW_MOST)]
        try:
            await self._lead()
            await self._tell()
            await asyncio.gather(*helpers)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _lead(self) -> None:
        while not self._stopping.is_set():
            self._work.clear()
            halt = await self._guarded_step(newest=True)
            await self._tell()
            if halt is _IDLE:
                await self._work.wait()
            else:
                await self._pause_after(halt)

    async def _help(self, rank: int) -> None:
        while True:
            async with self._change:
                await self._change.wait_for(lambda: self._stopping.is_set() or self._may_help(rank))
            if self._stopping.is_set():
                return
            halt = await self._guarded_step(newest=False)
            if isinstance(halt, Cooldown):
                await self._rest(pace.PROBE_S if halt is _IDLE else halt.seconds)
            else:
                self._work.set()
            await self._tell()

    def _may_help(self, rank: int) -> bool:
        waiting = self._queue.stats().waiting.get(self.pixel.id, 0)
        return self._well and rank < self._window and waiting > MAX_BATCH * self._window

    async def _tell(self) -> None:
        async with self._change:
            self._change.notify_all()

    async def _pause_after(self, halt: Halt) -> None:
        """Wait as long as the last attempt asks for."""
        match halt:
            case Cooldown(seconds):
                await self._rest(seconds)
            case Pause():
                await self._rest(pace.probe(self.state.failures - 1))
            case Retry() as retry:
                wait = pace.backoff(self.state.failures, self._chance(), asked=retry.after)
                if retry.after or wait <= pace.FRESH_S:
                    await self._rest(wait)
                else:
                    await self._rest(pace.FRESH_S)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._work.wait(), wait - pace.FRESH_S)

    async def _rest(self, seconds: float) -> None:
        if seconds:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _guarded_step(self, *, newest: bool) -> Halt:
        try:
            return await self._step(newest=newest)
        except QueueError as error:
            log.warning("pixel %s: the queue does not answer (%s)", self.pixel.id, error)
        except Exception:
            # A lane that ends would be silent for ever; its events are still in the queue.
            log.exception("pixel %s: a fault of ours in delivery", self.pixel.id)
        return Cooldown(pace.PROBE_S)

    async def _step(self, *, newest: bool) -> Halt:
        """Make one attempt and say what to wait for before the next."""
        most = _PROBE_EVENTS if self.state.paused else MAX_BATCH
        segments = await self._queue.claim(self.pixel.id, most=most, newest=newest)
        if not segments:
            if newest:
                self.state.working_since = None
            return _IDLE
        self.state.working_since = self.state.working_since or time.monotonic()
        started = time.monotonic()
        try:
            result, settlement = await self._deliver(segments, limit=most)
        except BaseException:
            await self._queue.release(segments)
            raise
        latency = time.monotonic() - started
        await self._settle(segments, settlement)
        return self._conclude(result, latency, leading=newest)

    async def _settle(self, segments: Sequence[Segment], settlement: Settlement) -> None:
        """Record what Graph answered; a disk that has no room now is asked again, so that nothing is sent twice."""
        while True:
            try:
                return await self._queue.settle(segments, settlement)
            except QueueFullError:
                log.warning("pixel %s: the disk is full, so what was delivered cannot be recorded yet", self.pixel.id)
                await self._rest(pace.PROBE_S)
                if self._stopping.is_set():
                    raise

    async def _deliver(self, segments: Sequence[Segment], *, limit: int) -> tuple[Attempt, Settlement]:
        oldest_s = (self._now() - MAX_AGE_MS) // 1000
        records = [record for segment in segments for record in segment.records]
        young = [record for record in records if record.time_s > oldest_s]
        result = await attempt(young[:limit], self._send) if young else Attempt()
        result.left += young[limit:]
        result.dead += [(record, _TOO_OLD) for record in records if record.time_s <= oldest_s]
        return result, self._settlement(segments, result)

    async def _send(self, records: Sequence[Record]) -> Verdict:
        verdict = await self._graph.send(self.pixel, records)
        self._metrics.verdict(self.pixel.id, verdict)
        return verdict

    def _settlement(self, segments: Sequence[Segment], result: Attempt) -> Settlement:
        struck = isinstance(result.halt, Retry) and result.halt.strike
        attempts = {id(record): segment.attempts + 1 for segment in segments for record in segment.records}
        left = {id(record) for record in result.left}
        done, tried, remainders, rows = [], [], [], []
        for segment in segments:
            survivors = tuple(record for record in segment.records if id(record) in left)
            if survivors and struck and segment.strikes + 1 >= _MOST_STRIKES:
                result.dead += [(record, Dead("not_received", _words(result.halt))) for record in survivors]
                survivors = ()
            if len(survivors) == len(segment.records):
                tried.append(segment.id)
                continue
            done.append(segment.id)
            if survivors:
                remainders.append(Remainder(segment.pixel, segment.attempts + 1, segment.strikes + struck, survivors))
        rows = [self._row(record, verdict, attempts[id(record)]) for record, verdict in result.delivered + result.dead]
        letters = [Letter(record, dead.reason, dead.words, attempts[id(record)]) for record, dead in result.dead]
        return Settlement(tuple(done), tuple(tried), struck, tuple(remainders), tuple(letters), tuple(rows))

    def _row(self, record: Record, verdict: Delivered | Dead, attempts: int) -> LedgerRow:
        if isinstance(verdict, Delivered):
            status, reason, trace = Status.DELIVERED, record.mark or _doubt(verdict), verdict.fbtrace_id
        else:
            status, reason, trace = Status.DEAD, verdict.reason, verdict.words.fbtrace_id
        identity = (record.pixel, record.name, record.id, record.time_s)
        facts = (self._now(), *identity, status, reason, record.fate, trace, attempts)
        return LedgerRow(*facts, record.findings, record.visitor)

    def _conclude(self, result: Attempt, latency: float, *, leading: bool) -> Halt:
        self._metrics.finished(self.pixel.id, Status.DELIVERED, len(result.delivered))
        self._metrics.finished(self.pixel.id, Status.DEAD, len(result.dead))
        if result.delivered:
            self.state.working_since = time.monotonic()
        if result.halt is not None:
            self._well, self._window = False, pace.narrow(self._window)
            if leading:
                self._note_failure(result.halt)
            return result.halt
        self._recover()
        cooldown = max((verdict.cooldown for _, verdict in result.delivered), default=0.0)
        if result.delivered:
            self._best = min(self._best, latency)
            self._well, self._window = cooldown == 0, pace.widen(self._window, latency, self._best)
        return Cooldown(cooldown)

    def _note_failure(self, halt: Pause | Retry) -> None:
        """Count a failure of the leader; helpers fail by the dozen, and say nothing that the leader will not meet."""
        paused = isinstance(halt, Pause)
        if paused != bool(self.state.paused):
            self.state.failures = 0
        if paused:
            self._conditions.report("pixel_paused", self.pixel.id, halt.reason, failing=True)
        elif not self.state.failures:
            log.warning("pixel %s: Graph cannot take events now (%s); trying again", self.pixel.id, halt.reason)
        self.state.failures += 1
        self.state.paused, self.state.last_error = halt.reason if paused else "", halt.reason

    def _recover(self) -> None:
        if self.state.failures:
            log.warning("pixel %s delivers again", self.pixel.id)
        self._conditions.clear("pixel_paused", self.pixel.id)
        self.state.failures, self.state.paused, self.state.last_error = 0, "", ""


def _doubt(delivered: Delivered) -> str:
    """Say when Graph counted another number of events than it was sent; which ones, it does not say."""
    return "" if delivered.received == delivered.sent else f"received {delivered.received} of {delivered.sent}"


def _words(halt: Pause | Retry | None) -> Words:
    return halt.words if halt else Words()


class Sender:
    """All lanes together."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = {lane.pixel.id: lane for lane in lanes}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every lane."""
        self._tasks = [asyncio.create_task(lane.run(), name=f"lane {name}") for name, lane in self.lanes.items()]

    def wake(self, pixels: set[str]) -> None:
        """Say that there may be work for these pixels."""
        for pixel in pixels & self.lanes.keys():
            self.lanes[pixel].wake()

    async def stop(self, grace: float) -> None:
        """Let attempts under way finish for ``grace`` seconds, then cancel them; their events stay in the queue."""
        for lane in self.lanes.values():
            lane.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

"""Delivery of one pixel: fresh events by a leader and its helpers, suspects by a worker of their own.

The leader claims the newest events, so that after an outage fresh ones are not stuck behind the backlog, and it alone
tries again while Graph is unwell. Behind it, helpers claim the oldest events while there is a backlog and Graph is
well, more of them as Graph answers well, fewer when it throttles or slows down. What was refused together leaves this
way: the worker for suspects finds the bad events among them while Graph is well, a few requests at a time, and fresh
events never wait for it.

Each answer is settled before the next request. What happened in between survives nothing but the queue: after a crash
the same events go out again with the same ids.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from proxy.config.schema import Pixel
from proxy.delivery import pace
from proxy.delivery.attempt import Attempt, Doubt, Offenders, attempt, probe, trial
from proxy.delivery.client import Graph
from proxy.delivery.in_flight import Pacing
from proxy.delivery.lane_state import Cooldown, Halt, LaneState
from proxy.delivery.recording import Recording
from proxy.delivery.settlement import settlement
from proxy.graph.law import MAX_AGE_MS, MAX_BATCH
from proxy.model.ledger import Status
from proxy.model.record import Record
from proxy.model.verdict import Dead, Pause, Retry, Verdict
from proxy.queue.contract import Queue, QueueError, Segment
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

# A pause is probed with few events, since a refusal is then tried one by one.
_PROBE_EVENTS = 8
# Batches of suspects under way at once. At 0.3 s an answer that is 27 requests a second, enough for three bad events a
# second from as many networks, each of which takes about 8 requests among honest ones.
_SUSPECT_BATCHES = 8
_TOO_OLD = Dead("too_old")
_SYSTEMIC, _REFUSED = "systemic", "rejected"
_IDLE = Cooldown(-1)
"""There is nothing to do."""


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
        self._conditions = conditions
        self.state = LaneState(pixel.id, conditions, pixel.access_token.get_secret_value())
        self._queue = queue
        self._graph = graph
        self._metrics = metrics
        self._now = now
        self._chance = chance
        self._work = asyncio.Event()
        self._work.set()
        self._stopping = asyncio.Event()
        self._recording = Recording(queue, conditions, self._stopping)
        self._change = asyncio.Condition()
        self._pacing = Pacing()
        self._offenders = Offenders()
        self._doubt = Doubt()
        self._handed: Pause | Retry | None = None
        """What the worker for suspects met: the leader waits and tries again for both."""

    def wake(self) -> None:
        """Say that there may be work."""
        self._work.set()

    def stop(self) -> None:
        """Ask the lane to end after the attempts it is making."""
        self._stopping.set()
        self._work.set()

    async def run(self) -> None:
        """Deliver until stopped."""
        others = [asyncio.create_task(self._help(rank)) for rank in range(1, pace.WINDOW_MOST)]
        others.append(asyncio.create_task(self._search()))
        try:
            await self._lead()
            await self._tell()
            await asyncio.gather(*others)
        finally:
            for other in others:
                other.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    # -- who works when

    async def _lead(self) -> None:
        while not self._stopping.is_set():
            self._work.clear()
            halt, self._handed = self._handed, None
            outcome = halt or await self._guarded(self._step(newest=True))
            if not halt and isinstance(outcome, Pause | Retry):
                self.state.fail(outcome)
            await self._tell()
            if outcome is _IDLE:
                await self._work.wait()
            else:
                await self._pause_after(outcome)

    async def _help(self, rank: int) -> None:
        while await self._my_turn(lambda: self._may_help(rank)):
            halt = await self._guarded(self._step(newest=False))
            if isinstance(halt, Cooldown):
                await self._rest(pace.PROBE_S if halt is _IDLE else halt.seconds)
            else:
                # Helpers fail by the dozen, and say nothing that the leader will not meet.
                self._work.set()
            await self._tell()

    async def _search(self) -> None:
        """Find the bad events among the suspects."""
        while await self._my_turn(self._may_search):
            halts = await self._search_once()
            failed = next((halt for halt in halts if isinstance(halt, Pause | Retry)), None)
            if failed:
                self.state.fail(failed)
                self._handed = failed
                self._work.set()
            waits = [halt.seconds for halt in halts if isinstance(halt, Cooldown) and halt is not _IDLE]
            await self._rest(max(waits, default=0.0) if halts else pace.PROBE_S)
            await self._tell()

    async def _my_turn(self, may: Callable[[], bool]) -> bool:
        """Wait until it is, and tell; False when the lane stops."""
        async with self._change:
            await self._change.wait_for(lambda: self._stopping.is_set() or may())
        return not self._stopping.is_set()

    def _may_help(self, rank: int) -> bool:
        stats = self._queue.stats()
        fresh = stats.waiting.get(self.pixel.id, 0) - stats.suspects.get(self.pixel.id, 0)
        return self._pacing.well and rank < self._pacing.window and fresh > self._pacing.batch * (rank + 1)

    def _may_search(self) -> bool:
        return not self.state.failures and self._queue.stats().suspects.get(self.pixel.id, 0) > 0

    async def _tell(self) -> None:
        async with self._change:
            self._change.notify_all()

    async def _pause_after(self, halt: Halt) -> None:
        """Wait as long as the last attempt asks for."""
        match halt:
            case Cooldown(seconds):
                await self._rest(seconds)
            case Pause(reason):
                # What was bad events only, and no fault of the pixel, shows with the next good one.
                await self._rest(pace.probe(self.state.failures - 1), fresh=reason == _SYSTEMIC)
            case Retry(_, asked):
                wait = pace.backoff(self.state.failures, self._chance(), asked=asked)
                await self._rest(wait, fresh=not asked)

    async def _rest(self, seconds: float, *, fresh: bool = False) -> None:
        """Do nothing for so long; with ``fresh``, events that come meanwhile cut a long rest short."""
        whole = min(seconds, pace.FRESH_S) if fresh else seconds
        for event, wait in ((self._stopping, whole), (self._work, seconds - whole)):
            if wait:
                with suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), wait)

    # -- one step

    async def _guarded(self, step: Coroutine[Any, Any, Halt]) -> Halt:
        try:
            return await step
        except QueueError as error:
            self._conditions.report("queue", detail=str(error))
        except Exception:
            # A lane that ends would be silent for ever; its events are still in the queue.
            log.exception("pixel %s: a fault of ours in delivery", self.pixel.id)
        return Cooldown(pace.PROBE_S)

    async def _step(self, *, newest: bool) -> Halt:
        """Make one attempt and say what to wait for before the next."""
        most = _PROBE_EVENTS if self.state.paused else self._pacing.batch
        segments = await self._queue.claim(self.pixel.id, most=most, newest=newest)
        if not segments and newest and self.state.failures:
            segments = await self._queue.claim(self.pixel.id, most=most, suspect=True)
        if not segments:
            return _IDLE
        return await self._work_on(segments, self._ask)

    async def _search_once(self) -> list[Halt]:
        """Send some batches of suspects at once; each is settled as it is answered."""
        batches: list[tuple[Segment, ...]] = []
        with suppress(QueueError):
            while len(batches) < _SUSPECT_BATCHES and (
                claimed := await self._queue.claim(self.pixel.id, most=MAX_BATCH, suspect=True)
            ):
                batches.append(claimed)
        if batches and self._doubt.grave:
            together = tuple(segment for batch in batches for segment in batch)
            return [await self._guarded(self._work_on(together, self._trial))]
        return await asyncio.gather(*(self._guarded(self._work_on(batch, self._ask)) for batch in batches))

    async def _ask(self, records: Sequence[Record], most: int) -> Attempt:
        way = probe if self.state.paused == _SYSTEMIC else attempt
        result = await way(records[:most], self._send, self._offenders)
        result.left += records[most:]
        return result

    async def _trial(self, records: Sequence[Record], _most: int) -> Attempt:
        self._doubt = Doubt()
        return await trial(records, self._send)

    async def _work_on(
        self, segments: Sequence[Segment], way: Callable[[Sequence[Record], int], Awaitable[Attempt]]
    ) -> Halt:
        """Try claimed segments in a way, and settle what it decides."""
        started = time.monotonic()
        try:
            result = await self._deliver(segments, way)
            latency = time.monotonic() - started
            settled = settlement(segments, result, self._now())
        except BaseException:
            await self._recording.release(segments)
            raise
        await self._recording.settle(segments, settled)
        self._count(result)
        return self._conclude(result, latency, fresh=not segments[0].suspect)

    async def _deliver(
        self, segments: Sequence[Segment], way: Callable[[Sequence[Record], int], Awaitable[Attempt]]
    ) -> Attempt:
        oldest_s = (self._now() - MAX_AGE_MS) // 1000
        records = [record for segment in segments for record in segment.records]
        young = [record for record in records if record.time_s > oldest_s]
        most = abs(segments[0].suspect) or MAX_BATCH
        result = await way(young, min(most, _PROBE_EVENTS) if self.state.paused else most) if young else Attempt()
        result.dead += [(record, _TOO_OLD) for record in records if record.time_s <= oldest_s]
        return result

    async def _send(self, records: Sequence[Record]) -> Verdict:
        verdict = await self._graph.send(self.pixel, records)
        self._metrics.verdict(self.pixel.id, verdict)
        self._doubt.note(verdict)
        return verdict

    # -- what it comes to

    def _count(self, result: Attempt) -> None:
        for record, dead in result.dead:
            if dead.reason == _REFUSED:
                self._offenders.add(record)
        self._metrics.finished(self.pixel.id, Status.DELIVERED, len(result.delivered))
        self._metrics.finished(self.pixel.id, Status.DEAD, len(result.dead))

    def _conclude(self, result: Attempt, latency: float, *, fresh: bool) -> Halt:
        if result.halt is not None:
            self._pacing.failed(result.halt, fresh=fresh)
            return result.halt
        if not (result.delivered or result.suspects or any(dead is not _TOO_OLD for _, dead in result.dead)):
            # Graph was not asked.
            return Cooldown(0)
        self.state.recover()
        if fresh and result.suspects:
            self._pacing.refused(len(result.suspects))
        cooldown = max((verdict.cooldown for _, verdict in result.delivered), default=0.0)
        if fresh and result.delivered:
            self._pacing.delivered(len(result.delivered), latency)
        self._pacing.well = cooldown == 0 and (self._pacing.well or bool(result.delivered))
        return Cooldown(cooldown)

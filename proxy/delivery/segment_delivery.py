"""Delivery of claimed segments: claim, attempt, settlement, and what a lane learns from each answer.

Each answer is settled in the queue before the next request. Only what the queue holds survives a crash: events whose
answer was not settled are sent again with the same ids.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from proxy.config.schema import Pixel
from proxy.delivery import pace
from proxy.delivery.attempt import Attempt, attempt
from proxy.delivery.client import GraphClient
from proxy.delivery.diagnosis import SYSTEMIC, RefusalStreak, diagnose, probe
from proxy.delivery.lane_state import Cooldown, LaneState, Wait
from proxy.delivery.pacing import Pacing
from proxy.delivery.refused_networks import RefusedNetworks
from proxy.delivery.settlement import settlement
from proxy.delivery.settler import Settler
from proxy.graph.law import MAX_BATCH, max_age_ms
from proxy.model.condition import ConditionBoard
from proxy.model.ledger import Status
from proxy.model.record import Record
from proxy.model.verdict import Dead, Verdict
from proxy.queue.contract import Outbox, QueueError, Segment
from proxy.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

# A pause is probed with few events, since after a refusal they are sent one by one.
_PROBE_EVENTS = 8
# Batches of suspects under way at once. At 0.3 s an answer that is 27 requests a second, enough for three bad events a
# second from as many networks, each of which takes about 8 requests among honest ones.
_SUSPECT_BATCHES = 8
_TOO_OLD = Dead("too_old")
_REFUSED = "rejected"
IDLE = Cooldown(-1)
"""There is nothing to do."""

_Attempt: TypeAlias = Callable[[Sequence[Record], int], Awaitable[Attempt]]
"""Makes an attempt with some records; the number says how many may be sent together."""


class SegmentDelivery:
    """Delivers segments of one pixel, for all workers of its lane."""

    def __init__(  # noqa: PLR0913 - the collaborators of a delivery
        self,
        pixel: Pixel,
        *,
        queue: Outbox,
        graph: GraphClient,
        settler: Settler,
        metrics: Metrics,
        conditions: ConditionBoard,
        state: LaneState,
        now: Callable[[], int],
    ) -> None:
        """Store what a delivery needs.

        Args:
            pixel: Whose events are delivered.
            queue: Where they wait.
            graph: Where they go.
            settler: Records what was decided.
            metrics: Count what was decided.
            conditions: Are told when the queue fails.
            state: The state of the lane.
            now: Server clock in milliseconds.
        """
        self._pixel = pixel
        self._queue = queue
        self._graph = graph
        self._settler = settler
        self._metrics = metrics
        self._conditions = conditions
        self._state = state
        self._now = now
        self.pacing = Pacing()
        self._networks = RefusedNetworks()
        self._streak = RefusalStreak()

    def fresh_events(self) -> int:
        """Return how many waiting fresh events are due, including those of attempts under way."""
        stats, pixel = self._queue.stats(), self._pixel.id
        return stats.waiting.get(pixel, 0) - stats.suspects.get(pixel, 0) - stats.held.get(pixel, 0)

    async def deliver_fresh(self, *, newest: bool) -> Wait:
        """Make one attempt at the newest or the oldest fresh events, and return what to wait for before the next.

        While Graph fails, suspects are tried where nothing fresh waits, so that its recovery is noticed.
        """
        return await self._guarded(self._deliver_fresh(newest=newest))

    async def _deliver_fresh(self, *, newest: bool) -> Wait:
        most = _PROBE_EVENTS if self._state.current.paused else self.pacing.batch
        segments = await self._queue.claim(self._pixel.id, most=most, newest=newest)
        if not segments and newest and self._state.current.failures:
            segments = await self._queue.claim(self._pixel.id, most=most, suspect=True)
        return await self._deliver(segments, self._attempt) if segments else IDLE

    async def deliver_suspects(self) -> list[Wait]:
        """Send several batches of suspects at once, each settled when answered; return what to wait for after each."""
        batches: list[tuple[Segment, ...]] = []
        with suppress(QueueError):
            while len(batches) < _SUSPECT_BATCHES and (
                claimed := await self._queue.claim(self._pixel.id, most=MAX_BATCH, suspect=True)
            ):
                batches.append(claimed)
        if batches and self._streak.calls_for_diagnosis:
            together = tuple(segment for batch in batches for segment in batch)
            return [await self._guarded(self._deliver(together, self._diagnose))]
        return await asyncio.gather(*(self._guarded(self._deliver(batch, self._attempt)) for batch in batches))

    async def _guarded(self, delivery: Coroutine[Any, Any, Wait]) -> Wait:
        try:
            return await delivery
        except QueueError as error:
            self._conditions.report("queue", detail=str(error))
        except Exception:
            # Otherwise the lane would end, and nobody would notice; its events are still in the queue.
            log.exception("pixel %s: a fault of ours in delivery", self._pixel.id)
        return Cooldown(pace.PROBE_S)

    # -- one attempt

    async def _attempt(self, records: Sequence[Record], most: int) -> Attempt:
        send_batch = probe if self._state.current.paused == SYSTEMIC else attempt
        result = await send_batch(records[:most], self._send, self._networks)
        result.undecided += records[most:]
        return result

    async def _diagnose(self, records: Sequence[Record], _most: int) -> Attempt:
        self._streak = RefusalStreak()
        return await diagnose(records, self._send)

    async def _deliver(self, segments: Sequence[Segment], try_records: _Attempt) -> Wait:
        """Make an attempt with claimed segments, settle its outcome, and return what to wait for."""
        started = time.monotonic()
        try:
            result = await self._try_young(segments, try_records)
            latency = time.monotonic() - started
            settled = settlement(segments, result, self._now())
        except BaseException:
            await self._settler.release(segments)
            raise
        await self._settler.settle(segments, settled)
        self._count(result)
        return self._learn(result, latency, fresh=not segments[0].suspect)

    async def _try_young(self, segments: Sequence[Segment], try_records: _Attempt) -> Attempt:
        """Make an attempt with the events that are not too old for Meta: one that is would fail its whole batch."""
        young: list[Record] = []
        old: list[Record] = []
        for segment in segments:
            # All records of a segment have one action source.
            oldest_s = (self._now() - max_age_ms(segment.records[0].action_source)) // 1000
            for record in segment.records:
                (young if record.time_s > oldest_s else old).append(record)
        most = abs(segments[0].suspect) or MAX_BATCH
        most = min(most, _PROBE_EVENTS) if self._state.current.paused else most
        result = await try_records(young, most) if young else Attempt()
        result.dead += [(record, _TOO_OLD) for record in old]
        return result

    async def _send(self, records: Sequence[Record]) -> Verdict:
        started = time.monotonic()
        verdict = await self._graph.send(self._pixel, records)
        self._metrics.verdict(self._pixel.id, verdict, time.monotonic() - started)
        self._streak.add(verdict)
        return verdict

    # -- the outcome

    def _count(self, result: Attempt) -> None:
        for record, dead in result.dead:
            if dead.reason == _REFUSED:
                self._networks.add(record)
        now = self._now()
        lags = (now - record.arrived for record, _ in result.delivered if record.arrived)
        self._metrics.delivered(self._pixel.id, lags)
        self._metrics.finished(self._pixel.id, Status.DELIVERED, len(result.delivered))
        self._metrics.finished(self._pixel.id, Status.DEAD, len(result.dead))

    def _learn(self, result: Attempt, latency: float, *, fresh: bool) -> Wait:
        if result.halt is not None:
            self.pacing.halted(result.halt, fresh=fresh)
            return result.halt
        if not (result.delivered or result.suspects or any(dead is not _TOO_OLD for _, dead in result.dead)):
            # Graph was not asked.
            return Cooldown(0)
        self._state.recover()
        if fresh and result.suspects:
            self.pacing.refused(len(result.suspects))
        cooldown = max((verdict.cooldown for _, verdict in result.delivered), default=0.0)
        self.pacing.is_well = cooldown == 0 and (self.pacing.is_well or bool(result.delivered))
        if fresh and result.delivered:
            self.pacing.delivered(len(result.delivered), latency)
            cooldown = max(cooldown, pace.gathering(self.fresh_events(), self.pacing.batch))
        return Cooldown(cooldown)

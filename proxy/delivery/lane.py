"""Delivery of one pixel: fresh events by a leader and its helpers, suspects by a worker of their own.

The leader claims the newest events, so that after an outage fresh ones are not stuck behind the backlog, and it alone
tries again while Graph is unwell. Behind it, helpers claim the oldest events while there is a backlog and Graph is
well, more of them as Graph answers well, fewer when it throttles or slows down. What was refused together leaves this
way: the worker for suspects finds the bad events among them while Graph is well, a few requests at a time, and fresh
events never wait for it. What the queue holds until a moment wakes the lane by itself.

More than 250 lines: who may send when is one question, and its answers stand together.
"""

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress

from proxy.config.schema import Pixel
from proxy.delivery import pace
from proxy.delivery.client import GraphClient
from proxy.delivery.diagnosis import SYSTEMIC
from proxy.delivery.lane_state import Cooldown, LaneState, Wait
from proxy.delivery.segment_delivery import IDLE, SegmentDelivery
from proxy.delivery.settler import Settler
from proxy.model.condition import ConditionBoard
from proxy.model.pixel_order import PixelOrder
from proxy.model.verdict import Pause, Retry
from proxy.queue.contract import DeliveryState, Outbox, QueueError
from proxy.telemetry.metrics import Metrics


class Lane:
    """Delivers the events of one pixel."""

    def __init__(  # noqa: PLR0913 - its collaborators, clock and chance
        self,
        pixel: Pixel,
        *,
        queue: Outbox,
        graph: GraphClient,
        metrics: Metrics,
        conditions: ConditionBoard,
        now: Callable[[], int],
        chance: Callable[[], float],
    ) -> None:
        """Take what the lane works with.

        Args:
            pixel: Whose events are delivered.
            queue: Where they wait.
            graph: Where they go.
            metrics: Count what was decided.
            conditions: Hear of pauses and errors.
            now: Server clock in milliseconds.
            chance: Uniform in [0, 1).
        """
        self.pixel = pixel
        self._state = LaneState(pixel.id, conditions, pixel.access_token.get_secret_value())
        self._queue = queue
        self._now = now
        self._chance = chance
        self.work = asyncio.Event()
        """Set when there may be work."""
        self.work.set()
        self._stopping = asyncio.Event()
        self._term = 0  # the ``Outbox.term`` that the state is of
        self._turnover = asyncio.Event()  # set when the lane stops or its leader changes: no rest outlasts that
        self._change = asyncio.Condition()
        self._delivery = SegmentDelivery(
            pixel,
            queue=queue,
            graph=graph,
            settler=Settler(queue, conditions, self._stopping),
            metrics=metrics,
            conditions=conditions,
            state=self._state,
            now=now,
        )
        # What the worker for suspects met: the leader waits and tries again for both.
        self._search_halt: Pause | Retry | None = None
        self._order, self._is_reordered = PixelOrder(), False

    @property
    def state(self) -> DeliveryState:
        """How the lane fares at this moment."""
        return self._state.current

    @property
    def is_led(self) -> bool:
        """Whether this process leads the delivery of the pixel."""
        return self._queue.term(self.pixel.id) != 0

    @property
    def order(self) -> PixelOrder:
        """What the operator ordered of it."""
        return self._order

    @property
    def _is_in_office(self) -> bool:
        """Whether it leads, and the leader knows."""
        return self._term != 0 and self._queue.term(self.pixel.id) == self._term

    def wake(self) -> None:
        """Say that there may be work, or that another process leads from now on, or this one."""
        if self._queue.term(self.pixel.id) != self._term:
            self._turnover.set()
        self.work.set()

    def obey(self, order: PixelOrder) -> None:
        """Send nothing while the operator wants it so; afterwards look at once whether Graph takes events."""
        was_paused, self._order = self._order.is_paused, order
        if order.is_paused != was_paused:
            self.probe()

    def probe(self) -> None:
        """Try again now, whatever was to be waited for."""
        self._is_reordered = True
        self._turnover.set()
        self.work.set()

    def stop(self) -> None:
        """Ask the lane to end after the attempts it is making."""
        self._stopping.set()
        self._turnover.set()
        self.work.set()

    async def run(self) -> None:
        """Deliver until stopped."""
        workers = [asyncio.create_task(self._help(rank)) for rank in range(1, pace.WINDOW_MOST)]
        workers.append(asyncio.create_task(self._search()))
        try:
            await self._lead()
            await self._notify()
            await asyncio.gather(*workers)
            await self._keep_state()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _lead(self) -> None:
        while not self._stopping.is_set():
            self.work.clear()
            if not await self._leads() or self._order.is_paused:
                await self.work.wait()
                continue
            halt, self._search_halt = self._search_halt, None
            wait = halt or await self._delivery.deliver_fresh(newest=True)
            if not halt and isinstance(wait, Pause | Retry):
                self._state.fail(wait)
            await self._notify()
            if wait is IDLE:
                await self._keep_state()
                await self._work_comes(math.inf)
            else:
                await self._wait(wait)

    async def _leads(self) -> bool:
        """Tell whether this process leads and goes on; where it begins to, resume what the one before it kept."""
        term = self._queue.term(self.pixel.id)
        if self._is_reordered and not self._stopping.is_set():
            self._is_reordered = False
            self._turnover.clear()
        if term != self._term:
            self._turnover.clear()
            self._term, self._search_halt = term, None
            if term:
                await self._resume()
            else:
                self._state.leave()
        return self._is_in_office and not self._stopping.is_set()

    async def _help(self, rank: int) -> None:
        while await self._turn_comes(lambda: self._may_help(rank)):
            wait = await self._delivery.deliver_fresh(newest=False)
            if isinstance(wait, Cooldown):
                await self._rest(pace.PROBE_S if wait is IDLE else wait.seconds)
            else:
                # Helpers fail by the dozen, and say nothing that the leader will not meet.
                self.work.set()
            await self._notify()

    async def _search(self) -> None:
        """Find the bad events among the suspects."""
        while await self._turn_comes(self._may_search):
            waits = await self._delivery.deliver_suspects()
            halt = next((wait for wait in waits if isinstance(wait, Pause | Retry)), None)
            if halt:
                self._state.fail(halt)
                self._search_halt = halt
                self.work.set()
            seconds = [wait.seconds for wait in waits if isinstance(wait, Cooldown) and wait is not IDLE]
            await self._rest(max(seconds, default=0.0) if waits else pace.PROBE_S)
            await self._notify()

    async def _turn_comes(self, may_work: Callable[[], bool]) -> bool:
        """Wait until a worker may work, and return true; false when the lane stops."""
        async with self._change:
            await self._change.wait_for(lambda: self._stopping.is_set() or may_work())
        return not self._stopping.is_set()

    def _may_help(self, rank: int) -> bool:
        pacing = self._delivery.pacing
        return (
            self._is_in_office
            and not self._order.is_paused
            and pacing.is_well
            and rank < pacing.window
            and self._delivery.fresh_events() > pacing.batch * (rank + 1)
        )

    def _may_search(self) -> bool:
        may_send = self._is_in_office and not self._order.is_paused and not self.state.failures
        return may_send and self._queue.stats().suspects.get(self.pixel.id, 0) > 0

    async def _notify(self) -> None:
        """Let workers look whether their turn has come."""
        async with self._change:
            self._change.notify_all()

    # -- what outlives the process

    async def _resume(self) -> None:
        """Go on as another process left the lane: with its last error, and not before its time."""
        with suppress(QueueError):
            self._state.resume(await self._queue.lane_state(self.pixel.id))
        left = (self.state.retry_at - self._now()) / 1000
        await self._rest(pace.resumption(left, paused=bool(self.state.paused)))

    async def _keep_state(self) -> None:
        # A queue that cannot be written reports so itself, and the next attempt ends with this again.
        with suppress(QueueError):
            await self._queue.keep_lane_state(self.pixel.id, self.state)

    async def _wait(self, wait: Wait) -> None:
        """Wait as long as the last attempt asks for."""
        match wait:
            case Cooldown(seconds):
                await self._keep_state()
                await self._rest(seconds)
            case Pause(reason):
                # What was bad events only, and no fault of the pixel, shows with the next good one.
                await self._back_off(pace.probe_wait(self.state.failures - 1), fresh=reason == SYSTEMIC)
            case Retry(_, asked):
                seconds = pace.backoff(self.state.failures, self._chance(), asked=asked)
                await self._back_off(seconds, fresh=not asked)

    async def _back_off(self, seconds: float, *, fresh: bool) -> None:
        earliest = min(seconds, pace.FRESH_S) if fresh else seconds
        self._state.wait_until(self._now() + int(earliest * 1000))
        await self._keep_state()
        await self._rest(seconds, fresh=fresh)

    async def _rest(self, seconds: float, *, fresh: bool = False) -> None:
        """Do nothing for so long; with ``fresh``, events that come meanwhile cut a long rest short."""
        whole = min(seconds, pace.FRESH_S) if fresh else seconds
        if whole:
            with suppress(TimeoutError):
                async with asyncio.timeout(whole):
                    await self._turnover.wait()
        if seconds > whole:
            await self._work_comes(seconds - whole)

    async def _work_comes(self, most: float) -> None:
        """Wait until there may be work, as something came or what was held is due; no longer than so many seconds."""
        clock = asyncio.get_running_loop().time
        end = clock() + most
        while not self.work.is_set() and (left := min(end - clock(), self._next_look())) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if left == math.inf else left):
                    await self.work.wait()

    def _next_look(self) -> float:
        """Return in how many seconds to look whether held events are due: soon, as the server's clock may step."""
        stats = self._queue.stats()
        if stats.next_due is None or self.pixel.id not in stats.held:
            return math.inf
        return min((stats.next_due - self._now()) / 1000, pace.LOOK_S)

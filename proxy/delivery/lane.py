"""Delivery of one pixel: fresh events by a leader and its helpers, suspects by a worker of their own.

More than 250 lines: all rules of who may send when are read together.

The leader of a lane is a task (not to be confused with the proxy that leads). It claims the newest events, so that
after an outage fresh ones are not stuck behind the backlog, and it alone tries again while Graph fails. Helpers claim
the oldest events while there is a backlog and Graph works: more helpers as Graph answers well, fewer when it throttles
or slows down. Events that were refused together become suspects: the worker for suspects finds the bad ones among them
while Graph works, a few requests at a time, and fresh events never wait for it. Held events wake the lane when due.
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
        """Store what the lane works with.

        Args:
            pixel: Whose events are delivered.
            queue: Where they wait.
            graph: Where they go.
            metrics: Count what was decided.
            conditions: Are told of pauses and errors.
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
        self._term = 0  # the ``Outbox.term`` that ``_state`` belongs to; 0: this process does not lead
        self._turnover = asyncio.Event()  # ends any rest: the lane stops or probes, or another process leads
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
        # The failure that the worker for suspects met: the leader waits and tries again for both.
        self._search_halt: Pause | Retry | None = None
        self._order, self._is_reordered = PixelOrder(), False

    @property
    def state(self) -> DeliveryState:
        """The state of the lane at this moment."""
        return self._state.current

    @property
    def is_led(self) -> bool:
        """Whether this process leads the delivery of the pixel."""
        return self._queue.term(self.pixel.id) != 0

    @property
    def order(self) -> PixelOrder:
        """The operator's order for this pixel."""
        return self._order

    @property
    def _holds_current_term(self) -> bool:
        """Whether this process leads, and the leader task has taken note of the current term."""
        return self._term != 0 and self._queue.term(self.pixel.id) == self._term

    def wake(self) -> None:
        """Wake the lane: there may be work, or the leading process has changed."""
        if self._queue.term(self.pixel.id) != self._term:
            self._turnover.set()
        self.work.set()

    def apply_order(self, order: PixelOrder) -> None:
        """Follow the operator's order: send nothing while it pauses the pixel, and try Graph at once afterwards."""
        was_paused, self._order = self._order.is_paused, order
        if order.is_paused != was_paused:
            self.probe()

    def probe(self) -> None:
        """End any wait of the lane, so that it tries again now."""
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
                await self._wait_for_work(math.inf)
            else:
                await self._wait(wait)

    async def _leads(self) -> bool:
        """Tell whether this process leads and is not stopping; a new leader first resumes the earlier one's state."""
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
                self._state.reset()
        return self._holds_current_term and not self._stopping.is_set()

    async def _help(self, rank: int) -> None:
        while await self._wait_until_allowed(lambda: self._may_help(rank)):
            wait = await self._delivery.deliver_fresh(newest=False)
            if isinstance(wait, Cooldown):
                await self._sleep_interruptibly(pace.PROBE_S if wait is IDLE else wait.seconds)
            else:
                # Many helpers fail together, and the leader will meet the same error and report it.
                self.work.set()
            await self._notify()

    async def _search(self) -> None:
        """Find the bad events among the suspects."""
        while await self._wait_until_allowed(self._may_search):
            waits = await self._delivery.deliver_suspects()
            halt = next((wait for wait in waits if isinstance(wait, Pause | Retry)), None)
            if halt:
                self._state.fail(halt)
                self._search_halt = halt
                self.work.set()
            seconds = [wait.seconds for wait in waits if isinstance(wait, Cooldown) and wait is not IDLE]
            await self._sleep_interruptibly(max(seconds, default=0.0) if waits else pace.PROBE_S)
            await self._notify()

    async def _wait_until_allowed(self, may_work: Callable[[], bool]) -> bool:
        """Wait until a worker may work, and return True; return False when the lane stops."""
        async with self._change:
            await self._change.wait_for(lambda: self._stopping.is_set() or may_work())
        return not self._stopping.is_set()

    def _may_help(self, rank: int) -> bool:
        pacing = self._delivery.pacing
        return (
            self._holds_current_term
            and not self._order.is_paused
            and pacing.is_well
            and rank < pacing.window
            and self._delivery.fresh_events() > pacing.batch * (rank + 1)
        )

    def _may_search(self) -> bool:
        may_send = self._holds_current_term and not self._order.is_paused and not self.state.failures
        return may_send and self._queue.stats().suspects.get(self.pixel.id, 0) > 0

    async def _notify(self) -> None:
        """Let the workers check again whether they may work."""
        async with self._change:
            self._change.notify_all()

    # -- state that outlives the process

    async def _resume(self) -> None:
        """Continue from the state that another process stored: with its last error, and after the rest of its wait."""
        with suppress(QueueError):
            self._state.resume(await self._queue.lane_state(self.pixel.id))
        left = (self.state.retry_at - self._now()) / 1000
        await self._sleep_interruptibly(pace.resumption(left, paused=bool(self.state.paused)))

    async def _keep_state(self) -> None:
        # A queue that cannot be written reports so itself, and the state is stored again after the next attempt.
        with suppress(QueueError):
            await self._queue.keep_lane_state(self.pixel.id, self.state)

    async def _wait(self, wait: Wait) -> None:
        """Wait as long as the last attempt asks for."""
        match wait:
            case Cooldown(seconds):
                await self._keep_state()
                await self._sleep_interruptibly(seconds)
            case Pause(reason):
                # If the events were bad, not the pixel, the next good event shows it: fresh events shorten this wait.
                await self._back_off(pace.probe_wait(self.state.failures - 1), fresh=reason == SYSTEMIC)
            case Retry(_, asked):
                seconds = pace.backoff(self.state.failures, self._chance(), asked=asked)
                await self._back_off(seconds, fresh=not asked)

    async def _back_off(self, seconds: float, *, fresh: bool) -> None:
        earliest = min(seconds, pace.FRESH_S) if fresh else seconds
        self._state.wait_until(self._now() + int(earliest * 1000))
        await self._keep_state()
        await self._sleep_interruptibly(seconds, fresh=fresh)

    async def _sleep_interruptibly(self, seconds: float, *, fresh: bool = False) -> None:
        """Wait ``seconds``; with ``fresh``, new events end the wait once ``pace.FRESH_S`` has passed."""
        whole = min(seconds, pace.FRESH_S) if fresh else seconds
        if whole:
            with suppress(TimeoutError):
                async with asyncio.timeout(whole):
                    await self._turnover.wait()
        if seconds > whole:
            await self._wait_for_work(seconds - whole)

    async def _wait_for_work(self, most: float) -> None:
        """Wait, at most ``most`` seconds, until there may be work: new events came, or held ones are due."""
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

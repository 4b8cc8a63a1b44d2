"""The end of a claim: settles or releases its segments, and tries again while the queue fails."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from proxy.delivery import pace
from proxy.model import condition_details as details
from proxy.model.condition import ConditionBoard
from proxy.queue.contract import Outbox, QueueBrokenError, QueueError, QueueFullError, Segment, Settlement

# How often the queue is asked to record an answer before the events are released to be sent again.
_MOST_FAULTS = 5


class Settler:
    """Ends the claims of one lane."""

    def __init__(self, queue: Outbox, conditions: ConditionBoard, stopping: asyncio.Event) -> None:
        """Store the queue, and the board that hears of failures.

        Args:
            queue: Where segments are claimed.
            conditions: Are told when an answer cannot be recorded.
            stopping: Set when the lane ends; no further attempt is made then.
        """
        self._queue = queue
        self._conditions = conditions
        self._stopping = stopping

    async def settle(self, segments: Sequence[Segment], settlement: Settlement) -> None:
        """Record what was decided; if that fails, release the segments to be sent again.

        Raises:
            QueueError: when it could not be recorded.
        """
        try:
            await self._retry(lambda: self._queue.settle(segments, settlement))
        except QueueError:
            with suppress(QueueError):
                await self.release(segments)
            raise

    async def release(self, segments: Sequence[Segment]) -> None:
        """Release claimed segments, so that they can be claimed again.

        Raises:
            QueueError: when that fails.
        """
        await self._retry(lambda: self._queue.release(segments))

    async def _retry(self, call: Callable[[], Awaitable[object]]) -> None:
        """Repeat a call until it succeeds: while the disk is full without end, after other errors a few times.

        A broken queue, or a lane that stops, ends the repetition at once.
        """
        faults = 0
        while True:
            try:
                await call()
            except QueueBrokenError:
                raise
            except QueueError as error:
                faults += not isinstance(error, QueueFullError)
                if faults >= _MOST_FAULTS or self._stopping.is_set():
                    raise
                self._conditions.report("queue", detail=details.not_recorded(error))
            else:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(pace.PROBE_S):
                    await self._stopping.wait()

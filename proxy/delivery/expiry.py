"""Expiry: events too old for Meta become dead letters even if no lane sends, as its pixel is paused or gone."""

import asyncio
import logging
from collections.abc import Callable, Collection

from proxy.graph.law import MAX_AGE_MS
from proxy.model import condition_details as details
from proxy.model.condition import ConditionBoard
from proxy.model.ledger import Status
from proxy.queue.contract import Outbox, QueueError
from proxy.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

_EVERY_S = 600.0
# The pause between two slices, so that other work gets its turn at the queue.
_BETWEEN_S = 0.02


class Expiry:
    """Searches the waiting events for those that are too old, at the start and every ten minutes."""

    def __init__(
        self,
        pixels: Collection[str],
        *,
        queue: Outbox,
        metrics: Metrics,
        conditions: ConditionBoard,
        now: Callable[[], int],
    ) -> None:
        """Store the queue, and who is told what was found.

        Args:
            pixels: Ids of the configured pixels.
            queue: Where events wait.
            metrics: Count what expired.
            conditions: Are told of events whose pixel is not configured.
            now: Server clock in milliseconds.
        """
        self._pixels = set(pixels)
        self._queue = queue
        self._metrics = metrics
        self._conditions = conditions
        self._now = now
        self._unconfigured: set[str] = set()

    async def run(self) -> None:
        """Search again and again until cancelled."""
        while True:
            try:
                await self.look()
            except QueueError as error:
                log.warning("the search for events that are too old failed (%s)", error)
            except Exception:
                # Otherwise the task would end, and nobody would notice.
                log.exception("a fault of ours in expiry")
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Give up events that are too old, a slice at a time; report those whose pixel is not configured.

        Raises:
            QueueError: when the queue fails.
        """
        more = True
        while more:
            expired, more = await self._queue.expire(before_s=(self._now() - MAX_AGE_MS) // 1000)
            for pixel, events in expired.items():
                self._metrics.finished(pixel, Status.DEAD, events)
            await asyncio.sleep(_BETWEEN_S if more else 0)
        self._report_unconfigured()

    def _report_unconfigured(self) -> None:
        waiting = {pixel: n for pixel, n in self._queue.stats().waiting.items() if pixel not in self._pixels}
        for pixel in self._unconfigured - waiting.keys():
            self._conditions.clear("pixel_not_configured", pixel)
        for pixel, events in waiting.items():
            self._conditions.report("pixel_not_configured", pixel, details.events_wait(events))
        self._unconfigured = set(waiting)

"""Events that wait too long for Graph."""

from collections.abc import Callable, Mapping

from proxy.delivery.lane import Lane
from proxy.model import condition_details as details
from proxy.model.condition import ConditionBoard, ConditionCode
from proxy.queue.contract import Backlog, Oldest, QueueError

# When a fresh event has waited longer than this, somebody should look at it.
_LATE_MS = 15 * 60 * 1000
# The search for bad events may take longer, and a stranger who sends bad events must not make readiness fail.
_SUSPECTS_LATE_MS = 60 * 60 * 1000


class LatenessCheck:
    """Compares the age of each pixel's oldest waiting events with its limit."""

    def __init__(
        self, lanes: Mapping[str, Lane], *, queue: Backlog, conditions: ConditionBoard, now: Callable[[], int]
    ) -> None:
        """Store what is checked.

        Args:
            lanes: By pixel id.
            queue: Where events wait.
            conditions: Are told of ``delivery_late`` and ``suspects_late``.
            now: Server clock in milliseconds.
        """
        self._lanes = lanes
        self._queue = queue
        self._conditions = conditions
        self._now = now

    async def check(self) -> None:
        """Report the pixels whose events are late, and clear those whose events no longer are."""
        try:
            oldest = await self._queue.oldest(self._lanes.keys())
        except QueueError:
            return  # reported as ``queue``
        for pixel, lane in self._lanes.items():
            self._look_at(lane, oldest.get(pixel, Oldest()))

    def _look_at(self, lane: Lane, oldest: Oldest) -> None:
        # A pause, and errors of Graph, are conditions of their own; a process that does not lead knows of neither.
        is_led = lane.is_led and not lane.order.is_paused
        fresh = oldest.fresh if is_led and not lane.state.paused else None
        suspect = oldest.suspect if is_led and not lane.state.failures else None
        self._compare("delivery_late", lane.pixel.id, fresh, _LATE_MS)
        self._compare("suspects_late", lane.pixel.id, suspect, _SUSPECTS_LATE_MS)

    def _compare(self, code: ConditionCode, pixel: str, arrived: int | None, most: int) -> None:
        age = 0 if arrived is None else self._now() - arrived
        if age > most:
            self._conditions.report(code, pixel, details.oldest_arrived(age))
        else:
            self._conditions.clear(code, pixel)

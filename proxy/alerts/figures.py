"""What the summary of a day says beside the conditions."""

from collections.abc import Sequence

from proxy.queue.contract import Archive


class DayFigures:
    """Reads the figures of a day."""

    def __init__(self, queue: Archive) -> None:
        self._queue = queue

    async def lines(self, _since_ms: int, _until_ms: int) -> Sequence[str]:
        """Return what happened between two moments, a line each."""
        stats = self._queue.stats()
        return (f"Waiting: {sum(stats.waiting.values())} events", f"Dead letters kept: {stats.dead}")

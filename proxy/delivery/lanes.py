"""All lanes: one for each pixel, so that trouble with one pixel never delays another."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping

from proxy.delivery.lane import Lane


class LaneGroup(Mapping[str, Lane]):
    """The lanes by pixel id, started and stopped together."""

    def __init__(self, lanes: Iterable[Lane]) -> None:
        self._lanes = {lane.pixel.id: lane for lane in lanes}
        self._tasks: list[asyncio.Task[None]] = []

    def __getitem__(self, pixel: str) -> Lane:
        """Return the lane of a pixel."""
        return self._lanes[pixel]

    def __iter__(self) -> Iterator[str]:
        """Yield the pixels."""
        return iter(self._lanes)

    def __len__(self) -> int:
        """Return how many lanes there are."""
        return len(self._lanes)

    def start(self) -> None:
        """Start every lane."""
        self._tasks = [asyncio.create_task(lane.run(), name=f"lane {name}") for name, lane in self._lanes.items()]

    @property
    def wakes(self) -> Mapping[str, Callable[[], None]]:
        """By pixel, the function that tells its lane that there may be work."""
        return {name: lane.work.set for name, lane in self._lanes.items()}

    async def stop(self, grace: float) -> None:
        """Let attempts under way finish for ``grace`` seconds, then cancel them; their events stay in the queue."""
        for lane in self._lanes.values():
            lane.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

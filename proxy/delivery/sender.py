"""Delivery: one lane per pixel, so that a dead pixel or a slow token never delays another."""

import asyncio
from collections.abc import Sequence

from proxy.delivery.lane import Lane


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

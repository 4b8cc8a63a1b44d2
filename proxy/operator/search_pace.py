"""The pace of a search: fast while the proxy has little else to do, slow while it is busy with events.

A search uses one of the few cores that events need. So it rests between two steps, and measures meanwhile how much of a
core the process uses without it: the busier the process, the longer the next rest.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

_LEAST_S, _LOOK_S = 0.003, 0.05
"""Seconds of the shortest rest, enough to see whether there is other work; and of the longest single measurement: a
longer rest consists of several, as the first may meet work that is soon over."""
_IGNORED_SHARE = 0.3
"""The share of a core that does not count as work: in a short rest, the rest itself uses most of it."""
_REST_FACTOR = 100
"""If the process uses a whole core, a rest is this many times as long as the step took."""


class SearchPace:
    """The pace of all searches, which count as work for each other; used on the event loop."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Begin as if there were nothing else to do.

        Args:
            monotonic: A clock in seconds.
            used: Seconds of processor time that the process has used.
            sleep: Waits for so many seconds.
        """
        self._monotonic = monotonic
        self._used = used
        self._sleep = sleep
        self._busy = 0.0

    async def rest(self, took: float, most: float) -> None:
        """Rest after a step.

        Args:
            took: Seconds that the step took.
            most: Seconds that the rest may last at most.
        """
        rested = 0.0
        while (left := min(max(_LEAST_S, _REST_FACTOR * self._busy * took), most) - rested) > 0:
            await self._measure_load(min(left, _LOOK_S))
            rested += min(left, _LOOK_S)

    async def _measure_load(self, seconds: float) -> None:
        """Rest for a while, and measure meanwhile how busy the process is."""
        began, used = self._monotonic(), self._used()
        await self._sleep(seconds)
        if (rested := self._monotonic() - began) >= _LEAST_S:
            share = (self._used() - used) / rested
            self._busy = max(0.0, min(1.0, share) - _IGNORED_SHARE) / (1 - _IGNORED_SHARE)

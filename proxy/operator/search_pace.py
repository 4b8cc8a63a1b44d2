"""How fast a search goes on: at once while the proxy has little else to do, slowly while it is busy with events.

A search reads on one of the few cores that events need. So between two of its steps it rests, and looks meanwhile how
much of a core the process uses without it: the busier that is, the longer is the next rest.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

_LEAST_S, _LOOK_S = 0.003, 0.05
"""Long enough to see whether there is other work; and whether it lasts, as a short look may meet what is soon over."""
_SPARE = 0.3
"""So much of a core may be used, of a look that short mostly by the rest itself, before it counts as work."""
_TIMES = 100
"""Beside a core that is fully used a step rests so many times as long as it took."""


class SearchPace:
    """Used on the event loop by all searches, which so count as work for each other."""

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
        """Rest behind a step.

        Args:
            took: Seconds that the step took.
            most: Seconds that the rest may last.
        """
        rested = 0.0
        while (left := min(max(_LEAST_S, _TIMES * self._busy * took), most) - rested) > 0:
            await self._look(min(left, _LOOK_S))
            rested += min(left, _LOOK_S)

    async def _look(self, seconds: float) -> None:
        """Rest, and see meanwhile how busy the process is."""
        began, used = self._monotonic(), self._used()
        await self._sleep(seconds)
        if (rested := self._monotonic() - began) >= _LEAST_S:
            share = (self._used() - used) / rested
            self._busy = max(0.0, min(1.0, share) - _SPARE) / (1 - _SPARE)

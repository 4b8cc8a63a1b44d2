"""Tending: housekeeping for all proxies by the leader of the lane ``@tend``, above all deletion of old data, in slices.

Correctness does not depend on there being only one leader: each does the same, and doing it twice changes nothing. A
step that needs an exclusive lock on a table waits a quarter of a second for it, and is tried again a minute later. A
dump may hold a table for hours, and every append queues behind a waiting exclusive lock: a longer wait would send all
proxies to their spools.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeAlias

from proxy.queue.contract import QueueError
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.errors import LockTimeoutError
from proxy.queue.postgres.transaction import Run

log = logging.getLogger(__name__)

TEND_LANE = "@tend"
"""The lane whose leader tends."""
EVERY_S = 60.0
# Between two slices others get their turn on the connection of Role.BOOKS.
_PAUSE_S = 0.05
# Slices of one step in one round, at most, so that a step that always has more does not hold up the others.
_MOST_SLICES = 1000
CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8"
_NO_LONG_WAIT = "SET LOCAL lock_timeout = '250ms'"

Step: TypeAlias = Callable[[Run, int], Awaitable[bool]]
"""Does one slice within a transaction; takes the present time in milliseconds, tells whether there may be more."""


class Tending:
    """Goes through all steps every minute, while this proxy leads."""

    def __init__(
        self, database: Database, steps: Mapping[str, Step], now: Callable[[], int], *, leads: Callable[[], bool]
    ) -> None:
        """Wait to be run.

        Args:
            database: Where it tends.
            steps: What is done, by names for the log.
            now: The server's clock in milliseconds.
            leads: Tells whether this proxy is the one to do it.
        """
        self._database = database
        self._steps = steps
        self._now = now
        self._leads = leads
        self._closing = asyncio.Event()

    async def run(self) -> None:
        """Tend until closed."""
        while not self._closing.is_set():
            if self._leads() and self._database.is_here:
                await self.tend()
            await self._pause(EVERY_S)

    def close(self) -> None:
        """Let ``run`` end after the slice that it is at."""
        self._closing.set()

    async def _pause(self, seconds: float) -> None:
        waits = asyncio.ensure_future(self._closing.wait())
        await asyncio.wait((waits,), timeout=seconds)
        waits.cancel()

    async def tend(self) -> None:
        """Go through all steps, each until it has no more to do; a step that fails does not stop the others."""
        for name, step in self._steps.items():
            try:
                await self._finish(step)
            except LockTimeoutError:
                log.info("%s: somebody holds a table; tried again in a minute", name)
            except QueueError as error:
                log.warning("%s: %s", name, error)
            except Exception:
                log.exception("a fault of ours: %s", name)

    async def _finish(self, step: Step) -> None:
        for _ in range(_MOST_SLICES):
            if self._closing.is_set() or not await self._database.transact(Role.BOOKS, partial(self._slice, step)):
                return
            await self._pause(_PAUSE_S)

    async def _slice(self, step: Step, run: Run) -> bool:
        await run(_NO_LONG_WAIT)
        ((database_now,),) = await run(CLOCK)
        return await step(run, min(self._now(), database_now))

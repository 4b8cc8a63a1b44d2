"""What a fault can use in its round."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fleet import Fleet
from load import Load
from trio import Trio


@dataclass
class Scene:
    """Servers, proxies, and the load on them."""

    servers: Trio
    proxies: Fleet
    load: Load
    chance: random.Random
    hold_s: float
    """How long a fault lasts, in seconds."""
    cut_s: float
    """How long a network cut lasts, in seconds."""

    async def last(self, seconds: float | None = None) -> None:
        """Let a fault last, at least until every running proxy has acknowledged some requests meanwhile."""
        # Here the time itself is part of the fault.
        await asyncio.sleep(self.hold_s if seconds is None else seconds)
        await self.load.goes_on()

    @asynccontextmanager
    async def dba(self, *functions: str, every_s: float = 0.05) -> AsyncIterator[None]:
        """Call functions of the server with the process id of each of our back-ends, again and again."""
        struck: list[int] = []
        task = asyncio.create_task(self._strike(functions, every_s, struck))
        try:
            yield
        finally:
            assert not task.done(), task.exception()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert sum(struck), "no back-end of ours was there"

    async def _strike(self, functions: tuple[str, ...], every_s: float, struck: list[int]) -> None:
        ours = "FROM pg_stat_activity WHERE application_name LIKE 'capi-proxy/%'"
        connection = await self.servers.primary.connect()
        try:
            while True:
                for function in functions:
                    struck.append(len(await connection.fetch(f"SELECT {function}(pid) {ours}")))
                    await asyncio.sleep(every_s)
        finally:
            connection.terminate()

"""Visitors who post until they are stopped, and the events that were acknowledged to them.

Like the tag, they send an event that was not acknowledged again with the same id, here to the next proxy. Some send an
acknowledged event once more, to another proxy, as a reloaded page does.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import aiohttp
import orjson
from fleet import PIXELS, Fleet
from polling import until
from support import browser_headers, wire

Event: TypeAlias = tuple[str, str]
"""Pixel and id."""
_PAUSE_S = 0.05
_VISITORS = 4 if "CAPI_PROXY_ROUNDS" in os.environ else 2
_REPEATED = 0.1
_TIMEOUT_S = 60.0


@dataclass
class Load:
    """Requests of visitors and their answers."""

    session: aiohttp.ClientSession
    fleet: Fleet
    name: str
    acknowledged: set[Event] = field(default_factory=set)
    by_proxy: Counter[int] = field(default_factory=Counter)
    """The number of requests that each proxy acknowledged."""
    longest_s: float = 0.0
    """The longest time between a request and its answer of any kind, except at a proxy that was frozen meanwhile."""
    unanswered: int = 0
    """Requests whose connection ended before an answer."""
    refused: Counter[int] = field(default_factory=Counter)
    """Answers other than 204, by status."""
    lag_s: float = 0.0
    """The longest delay of this process itself, which makes answers look later."""
    is_over: bool = False
    number: int = 0

    async def visitor(self, home: int, chance: random.Random) -> None:
        """Post events until the load ends, each until it is acknowledged."""
        while not self.is_over:
            ids = [self._identity(chance) for _ in PIXELS]
            body = orjson.dumps(_body(ids))
            proxy = home
            while not await self._post(self._awake(proxy), body, ids):
                proxy += 1
                await asyncio.sleep(_PAUSE_S)
            if chance.random() < _REPEATED:
                await self._post(self._awake(proxy + 1), body, ids)
            await asyncio.sleep(_PAUSE_S)

    def _awake(self, proxy: int) -> int:
        """Return this proxy, or the next one that is not frozen, as a balancer with health checks would."""
        machines = self.fleet.machines
        numbers = ((proxy + step) % len(machines) for step in range(len(machines)))
        return next(number for number in numbers if not machines[number].is_frozen)

    def _identity(self, chance: random.Random) -> str:
        """Return an id as the tag makes them or as a page gives them, alternating."""
        self.number += 1
        made = f"{time.time_ns() // 1_000_000}.{chance.randrange(1 << 53)}"
        return made if self.number % 2 else f"{self.name}-{self.number}"

    async def _post(self, proxy: int, body: bytes, ids: Sequence[str]) -> bool:
        machine = self.fleet.machines[proxy]
        started, freezes = time.monotonic(), machine.freezes
        address = f"{machine.public}/shop-tools/e"
        try:
            async with self.session.post(
                address, data=body, headers=browser_headers(), timeout=aiohttp.ClientTimeout(_TIMEOUT_S)
            ) as answer:
                status = answer.status
        except TimeoutError:
            self.longest_s = _TIMEOUT_S
            return False
        except (aiohttp.ClientError, OSError):
            self.unanswered += 1
            return False
        if not machine.is_frozen and machine.freezes == freezes:
            self.longest_s = max(self.longest_s, time.monotonic() - started)
        if status != 204:
            self.refused[status] += 1
            return False
        self.by_proxy[proxy] += 1
        self.acknowledged.update(zip(PIXELS, ids, strict=True))
        return True

    async def watch_lag(self) -> None:
        """Record by how much this process is late."""
        while not self.is_over:
            asked = time.monotonic()
            await asyncio.sleep(_PAUSE_S)
            self.lag_s = max(self.lag_s, time.monotonic() - asked - _PAUSE_S)

    async def goes_on(self, count: int = 10) -> None:
        """Wait until each running proxy has acknowledged ``count`` more requests."""
        machines = self.fleet.machines
        goals = {number: self.by_proxy[number] + count for number in range(len(machines))}

        def is_reached() -> bool:
            return all(
                self.by_proxy[number] >= goal or machines[number].is_frozen or not machines[number].runs
                for number, goal in goals.items()
            )

        await until(is_reached, what="acknowledgements of every proxy")


def _body(ids: Sequence[str]) -> dict[str, Any]:
    pairs = zip(PIXELS, ids, strict=True)
    return wire(*({"name": "PageView", "id": identity, "pixels": [pixel]} for pixel, identity in pairs))


@asynccontextmanager
async def loaded(fleet: Fleet, name: str, chance: random.Random, *, visitors: int = _VISITORS) -> AsyncIterator[Load]:
    """Load each proxy with some visitors; at the end wait until each visitor's last event is acknowledged."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        load = Load(session, fleet, name)
        homes = [home for home in range(len(fleet.machines)) for _ in range(visitors)]
        watch = asyncio.create_task(load.watch_lag())
        tasks = [asyncio.create_task(load.visitor(home, random.Random(chance.random()))) for home in homes]  # noqa: S311
        try:
            yield load
        finally:
            load.is_over = True
            await asyncio.gather(watch, *tasks)

"""Load on a real proxy over real sockets, and an account of every acknowledged event."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from machine import PIXEL, Machine
from support import browser_headers, get_json, page_views, until


@dataclass
class Load:
    """Clients that post until stopped; ``acknowledged`` has the ids of all events answered with 204."""

    name: str
    session: aiohttp.ClientSession
    port: int
    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0
    number: int = 0
    pause_s: float = 0.0
    """Seconds that each client waits between two requests."""

    def has(self, goal: int) -> bool:
        """Tell whether this many events are acknowledged."""
        return len(self.acknowledged) >= goal

    async def client(self) -> None:
        while True:
            ids = [f"{self.name}-{self.number + step}" for step in range(3)]
            self.number += 3
            try:
                async with self.session.post(
                    f"http://127.0.0.1:{self.port}/shop-tools/e",
                    data=orjson.dumps(page_views(ids)),
                    headers=browser_headers(),
                ) as answer:
                    status = answer.status
            except (aiohttp.ClientError, OSError):
                return
            if status == 204:
                self.acknowledged.update(ids)
            else:
                self.refused += 1
            await asyncio.sleep(self.pause_s)


@asynccontextmanager
async def loaded(machine: Machine, name: str, *, clients: int = 16) -> AsyncIterator[Load]:
    """Load the machine until the context ends."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        load = Load(name, session, machine.port)
        tasks = [asyncio.create_task(load.client()) for _ in range(clients)]
        try:
            yield load
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True)
class Account:
    """What the simulator got of the acknowledged events."""

    missing: set[str]
    copies: int
    """The number of server copies beyond the first: deliveries repeated after a crash or a lost answer."""


async def settled_account(
    session: aiohttp.ClientSession, graph: str, acknowledged: set[str], *, seconds: float = 120.0, pixel: str = PIXEL
) -> Account:
    """Wait until every acknowledged event has arrived, or the time is over; return the account.

    Args:
        session: For requests to the simulator.
        graph: Its address.
        acknowledged: The ids of the events.
        seconds: The longest wait.
        pixel: The pixel of the events.
    """
    deadline = time.monotonic() + seconds

    async def look() -> Account:
        pairs: list[dict[str, Any]] = (await get_json(session, f"{graph}/sim/report"))["pairs"]
        server = {pair["id"]: pair["server"] for pair in pairs if pair["pixel"] == pixel}
        extra = sum(copies - 1 for copies in server.values() if copies)
        return Account({identity for identity in acknowledged if not server.get(identity)}, extra)

    async def done() -> Account | None:
        account = await look()
        return account if not account.missing or time.monotonic() > deadline else None

    account: Account = await until(done, seconds=seconds + 10, what="the account")
    return account

"""Load on a proxy of several processes, and helpers to kill them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import orjson
from machine import Machine
from support import browser_headers, page_views, until
from traffic import Load


@asynccontextmanager
async def steady_load(machine: Machine, name: str, *, clients: int = 16) -> AsyncIterator[Load]:
    """Load a machine until the context ends, with clients that connect again after any error."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=60)
    ) as session:
        # The pause leaves the machine to a process that starts.
        load = Load(name, session, machine.port, pause_s=0.05)

        async def client() -> None:
            while True:
                with suppress(TimeoutError):
                    await load.client()
                await asyncio.sleep(load.pause_s)

        tasks = [asyncio.create_task(client()) for _ in range(clients)]
        try:
            yield load
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def all_here(machine: Machine) -> dict[str, int]:
    """Wait until all processes of a machine run; return their ids by name.

    Before the parent has logged its start, the end of any process ends all.
    """
    names = {"back", *(f"front-{number}" for number in range(1, machine.workers + 1))}
    await until(lambda: "\nworkers " in machine.log(), what="the parent's word that all are ready")
    await until(lambda: machine.children().keys() == names, what="all processes")
    return machine.children()


async def more(load: Load, events: int = 60) -> None:
    """Wait until ``events`` more events are acknowledged."""
    goal = len(load.acknowledged) + events
    await until(lambda: len(load.acknowledged) >= goal, what="more acknowledged events")


async def post(machine: Machine, identity: str) -> tuple[int, str]:
    """Post an event on a new connection; return the status, and the Retry-After header."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{machine.public}/shop-tools/e", data=orjson.dumps(page_views([identity])), headers=browser_headers()
        ) as answer,
    ):
        return answer.status, answer.headers.get("Retry-After", "")


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process, if it still exists."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)

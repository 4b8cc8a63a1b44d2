"""People before the dashboard of a proxy: its live list, its charts, and a search."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from ledger_stock import made_at
from rig import PinnedMachine

from proxy.model.units import DAY_MS

# How often the dashboard asks while nothing is streamed to it.
_POLL_S = 0.5
_OVERVIEW_S = 10.0
# Between two pages of a search.
_READING_S = 1.0


async def fetched(session: aiohttp.ClientSession, path: str) -> bytes:
    """Return the answer of an address of the operator listener.

    Raises:
        RuntimeError: when it is an error.
    """
    async with session.get(path) as answer:
        body = await answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
    return body


@asynccontextmanager
async def watched(machine: PinnedMachine) -> AsyncIterator[None]:
    """Keep a live dashboard open and a search running."""
    async with aiohttp.ClientSession(machine.operator) as session:
        tasks = [asyncio.create_task(work(session)) for work in (_live, _overview, _search)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for task in tasks:
                if not task.cancelled() and (error := task.exception()):
                    raise error


async def _live(session: aiohttp.ClientSession) -> None:
    """Listen to the stream; where there is none, ask for the newest events twice a second."""
    async with session.get("/api/stream", timeout=aiohttp.ClientTimeout(total=None)) as stream:
        if stream.status == 200:
            async for _ in stream.content.iter_any():
                pass
    while True:
        await fetched(session, "/api/events?limit=100")
        await asyncio.sleep(_POLL_S)


async def _overview(session: aiohttp.ClientSession) -> None:
    """Draw the charts of a day again and again."""
    while True:
        now = made_at()
        await fetched(session, f"/api/overview?from={now - DAY_MS}&to={now}")
        await asyncio.sleep(_OVERVIEW_S)


async def _search(session: aiohttp.ClientSession) -> None:
    """Ask for events that are rare, page after page as fast as a person reads, and begin anew behind the last."""
    below = ""
    while True:
        page = json.loads(await fetched(session, f"/api/events?name=Schedule&reason=bot&limit=100&below={below}"))
        below = page.get("below") or ""
        await asyncio.sleep(_READING_S)

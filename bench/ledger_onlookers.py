"""Operators at the dashboard of a proxy: its live list, its charts, and a search."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from ledger_stock import made_at
from rig import PinnedMachine

from proxy.model.units import DAY_MS

# How often the dashboard asks when there is no stream.
_POLL_S = 0.5
_OVERVIEW_S = 10.0
# The time between two pages of a search.
_READING_S = 1.0


async def fetched(session: aiohttp.ClientSession, path: str) -> bytes:
    """Return the body of an answer of the operator listener.

    Raises:
        RuntimeError: when the status is not 200.
    """
    async with session.get(path) as answer:
        body = await answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
    return body


@asynccontextmanager
async def watched(machine: PinnedMachine) -> AsyncIterator[None]:
    """Keep a live dashboard, its charts and a search running within the ``with`` block."""
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
    """Read the stream of events; if there is none, request the newest events twice a second."""
    async with session.get("/api/stream", timeout=aiohttp.ClientTimeout(total=None)) as stream:
        if stream.status == 200:
            async for _ in stream.content.iter_any():
                pass
    while True:
        await fetched(session, "/api/events?limit=100")
        await asyncio.sleep(_POLL_S)


async def _overview(session: aiohttp.ClientSession) -> None:
    """Request the charts of the last day every ten seconds."""
    while True:
        now = made_at()
        await fetched(session, f"/api/overview?from={now - DAY_MS}&to={now}")
        await asyncio.sleep(_OVERVIEW_S)


async def _search(session: aiohttp.ClientSession) -> None:
    """Search for rare events, reading a page a second, and start again with the newest after the last page."""
    below = ""
    while True:
        page = json.loads(await fetched(session, f"/api/events?name=Schedule&reason=bot&limit=100&below={below}"))
        below = page.get("below") or ""
        await asyncio.sleep(_READING_S)

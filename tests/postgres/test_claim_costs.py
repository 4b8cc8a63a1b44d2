"""Delivered segments cost a claim nothing, even if an open transaction elsewhere keeps their dead rows."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from clock import Clock
from postgres_server import Cluster
from shared_outboxes import Proxy, proxy_on
from support import PIXEL, record

from proxy.queue.contract import Settlement
from proxy.queue.postgres import claim_texts
from proxy.queue.postgres.lane_memory import BOTTOM

SEGMENTS = 2000


@asynccontextmanager
async def elsewhere(postgres: Cluster) -> AsyncIterator[Any]:
    """Hold another connection to the server."""
    connection = await asyncpg.connect(postgres.url())
    try:
        yield connection
    finally:
        await connection.close()


async def pages_read(proxy: Proxy, floor: tuple[int, bytes]) -> int:
    """Return how many pages the database reads for a claim of fresh events above a floor."""
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {claim_texts.OLDEST}"
    rows = await proxy.ids(explain, PIXEL, b"", 1000, [], 32, *floor)
    plan: Any = json.loads(rows[0][0])[0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.mark.long
async def test_a_claim_reads_nothing_of_what_is_gone(postgres: Cluster, schema: str) -> None:
    """From the lane's floor a claim reads a few pages; from the bottom it would read past all delivered segments."""
    async with elsewhere(postgres) as held, proxy_on(postgres, schema, Clock()) as proxy:
        assert await proxy.claimed() == []
        await held.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        for number in range(SEGMENTS):
            proxy.clock.now += 1
            await proxy.store([record(number)])
        while segments := await proxy.outbox.claim(PIXEL, most=1000, newest=True):
            await proxy.outbox.settle(segments, Settlement(done=tuple(segment.ref for segment in segments)))
        proxy.clock.now += 1
        await proxy.store([record(SEGMENTS)])

        floor = proxy.outbox._claiming.lanes[PIXEL].floor(b"")
        assert await pages_read(proxy, floor) < 30
        assert await pages_read(proxy, BOTTOM) > 100
        assert await proxy.claimed() == [f"id-{SEGMENTS}"]

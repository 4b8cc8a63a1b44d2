"""What a process does beside its callers ends with its queue."""

import asyncio

import pytest
from clock import Clock
from postgres_server import Cluster
from queues import open_shared

from proxy.queue.postgres import upkeep


async def test_an_end_waits_for_nothing_that_goes_on_for_ever(
    postgres: Cluster, schema: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the last notes may take, a queue that has none is closed at once, and nothing of it runs on."""
    monkeypatch.setattr(upkeep, "_END_S", float(1 << 20))
    before = asyncio.all_tasks()
    queue = await open_shared(postgres, schema, clock)
    async with asyncio.timeout(60):
        await queue.close()

    assert asyncio.all_tasks() <= before

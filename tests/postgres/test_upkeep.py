"""Background tasks of a queue end with it."""

import asyncio

import pytest
from clock import Clock
from postgres_server import Cluster
from queues import open_shared

from proxy.queue.postgres import upkeep


async def test_an_end_waits_for_nothing_that_goes_on_for_ever(
    postgres: Cluster, schema: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue without notes is closed at once, whatever time the last notes may take, and none of its tasks remains."""
    monkeypatch.setattr(upkeep, "_END_S", float(1 << 20))
    before = asyncio.all_tasks()
    queue = await open_shared(postgres, schema, clock)
    async with asyncio.timeout(60):
        await queue.close()

    assert asyncio.all_tasks() <= before

"""Background tasks of a queue go on despite errors, and end with the queue."""

import asyncio

import pytest
from clock import Clock
from polling import until
from postgres_server import Cluster
from queues import open_shared

from proxy.queue.postgres import upkeep
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.postgres.transaction import Run


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


async def test_counting_goes_on_after_an_error_of_ours(
    postgres: Cluster, schema: str, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that nobody foresaw is logged at each count, and ends no task."""
    monkeypatch.setattr(upkeep, "_COUNT_S", 0.01)
    queue = await open_shared(postgres, schema, clock)

    async def fail(_suppressions: SharedSuppressions, _run: Run) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(SharedSuppressions, "count", fail)

    async def is_logged_again() -> bool:
        return caplog.text.count("while dead letters and suppressions were counted") > 1

    await until(is_logged_again, what="a second count")
    caplog.clear()
    await queue.close()

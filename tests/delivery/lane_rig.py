"""A lane on a real queue, with a stand-in for Graph."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr
from support import PIXEL, SECRET, record, until

from proxy.config.schema import Pixel, QueueSettings, RetentionSettings
from proxy.delivery.lane import Lane
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.engine import LocalQueue
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

L = TypeVar("L", bound=Lane)

NOW = record(1).time_s * 1000


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[LocalQueue]:
    """Open the queue of a directory, with a clock that advances by a millisecond with each reading."""
    queue = LocalQueue.open(
        directory,
        Sealer(SECRET),
        limits=QueueSettings(),
        retention=RetentionSettings(),
        now=count(NOW).__next__,
        on_broken=lambda _error: None,
    )
    try:
        yield queue
    finally:
        await queue.close()


def lane_of(queue: LocalQueue, graph: Any) -> Lane:
    """Return a lane of the one pixel."""
    return made_lane(Lane, queue, graph, lambda: NOW)


def made_lane(kind: type[L], queue: LocalQueue, graph: Any, now: Callable[[], int]) -> L:
    """Return a lane of the one pixel.

    Args:
        kind: The lane's class.
        queue: Where events wait.
        graph: Where they go.
        now: The server's clock in milliseconds.
    """
    return kind(
        Pixel.model_construct(id=PIXEL, access_token=SecretStr("t")),
        queue=queue,
        graph=graph,
        metrics=Metrics(),
        conditions=Conditions(now),
        now=now,
        chance=lambda: 0.5,
    )


@asynccontextmanager
async def running(lane: L) -> AsyncIterator[L]:
    """Run a lane until the context ends."""
    task = asyncio.create_task(lane.run())
    try:
        yield lane
    finally:
        lane.stop()
        await task


@asynccontextmanager
async def delivering(queue: LocalQueue, graph: Any) -> AsyncIterator[Lane]:
    """Run a lane that sends to ``graph`` until the context ends."""
    async with running(lane_of(queue, graph)) as lane:
        yield lane


async def emptied(queue: LocalQueue) -> None:
    """Wait until no event waits."""

    async def empty() -> bool:
        return not queue.stats().waiting

    await until(empty, what="an empty queue", seconds=60)

"""A lane on the real queue, with a Graph of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from support import PIXEL, SECRET, record, until

from proxy.config.schema import Pixel, QueueSettings, RetentionSettings
from proxy.delivery.lane import Lane
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.engine import LocalQueue
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

NOW = record(1).time_s * 1000


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[LocalQueue]:
    """Open the queue of a directory, on which a millisecond passes with every look at the clock."""
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
    """Make the lane of the one pixel."""
    return Lane(
        Pixel.model_construct(id=PIXEL, access_token=SecretStr("t")),
        queue=queue,
        graph=graph,
        metrics=Metrics(),
        conditions=Conditions(lambda: NOW),
        now=lambda: NOW,
        chance=lambda: 0.5,
    )


@asynccontextmanager
async def delivering(queue: LocalQueue, graph: Any) -> AsyncIterator[Lane]:
    """Run a lane that sends to ``graph``."""
    lane = lane_of(queue, graph)
    task = asyncio.create_task(lane.run())
    try:
        yield lane
    finally:
        lane.stop()
        await task


async def emptied(queue: LocalQueue) -> None:
    """Wait until nothing waits."""

    async def empty() -> bool:
        return not queue.stats().waiting

    await until(empty, what="an empty queue", seconds=60)

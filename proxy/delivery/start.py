"""Delivery from its start to its end: the session to Graph, a lane for each pixel, expiry."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from proxy.config.schema import GraphSettings, Pixel
from proxy.delivery.client import GraphClient, graph_session
from proxy.delivery.expiry import Expiry
from proxy.delivery.lane import Lane
from proxy.delivery.lanes import LaneGroup
from proxy.model.condition import ConditionBoard
from proxy.queue.contract import Outbox
from proxy.telemetry.metrics import Metrics

_GRACE_S = 10.0


@asynccontextmanager
async def delivering(  # noqa: PLR0913 - what its parts need
    pixels: Sequence[Pixel],
    settings: GraphSettings,
    *,
    queue: Outbox,
    metrics: Metrics,
    conditions: ConditionBoard,
    now: Callable[[], int],
    chance: Callable[[], float],
) -> AsyncIterator[LaneGroup]:
    """Deliver until the context ends; then let attempts under way finish, and keep the rest in the queue.

    Args:
        pixels: Each gets a lane.
        settings: Where Graph is, and how long it may take.
        queue: Where events wait.
        metrics: Count what became of them.
        conditions: Hear what is wrong with delivery.
        now: The server's clock in milliseconds.
        chance: A random number from 0 to 1, another each time, which spreads retries.
    """
    async with graph_session(settings.timeout) as session:
        graph = GraphClient(session, settings, now, conditions)
        lanes = LaneGroup(
            Lane(pixel, queue=queue, graph=graph, metrics=metrics, conditions=conditions, now=now, chance=chance)
            for pixel in pixels
        )
        expiry = Expiry(lanes, queue=queue, metrics=metrics, conditions=conditions, now=now)
        queue.hear_of_work({pixel: lane.wake for pixel, lane in lanes.items()})
        lanes.start()
        expiring = asyncio.create_task(expiry.run(), name="expiry")
        try:
            yield lanes
        finally:
            await _cancel(expiring)
            await lanes.stop(_GRACE_S)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

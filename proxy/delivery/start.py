"""Delivery from its start to its end: the session to Graph, a lane for each pixel, expiry."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from proxy.background import cancel_and_wait
from proxy.config.schema import GraphSettings, Pixel
from proxy.delivery.client import GraphClient, graph_session
from proxy.delivery.expiry import Expiry
from proxy.delivery.lane import Lane
from proxy.delivery.lanes import LaneGroup
from proxy.delivery.order_book import OrderBook
from proxy.delivery.token_watch import TokenWatch
from proxy.model.condition import ConditionBoard
from proxy.queue.contract import DeliveryQueue
from proxy.telemetry.metrics import Metrics

_GRACE_S = 10.0


class Delivery(NamedTuple):
    """The parts of a running delivery that other parts of the proxy use."""

    lanes: LaneGroup
    orders: OrderBook
    tokens: TokenWatch


@asynccontextmanager
async def run_delivery(  # noqa: PLR0913 - what its parts need
    pixels: Sequence[Pixel],
    settings: GraphSettings,
    *,
    queue: DeliveryQueue,
    metrics: Metrics,
    conditions: ConditionBoard,
    now: Callable[[], int],
    chance: Callable[[], float],
) -> AsyncIterator[Delivery]:
    """Deliver until the context ends; then let attempts under way finish, and keep the rest in the queue.

    Args:
        pixels: Each gets a lane.
        settings: Where Graph is, and how long it may take.
        queue: Where events wait.
        metrics: Count what became of them.
        conditions: Are told what is wrong with delivery.
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
        queue.register_lanes({pixel: lane.wake for pixel, lane in lanes.items()})
        orders = OrderBook(queue, lanes=lanes, graph=graph, conditions=conditions, now=now)
        await orders.look()
        lanes.start()
        tokens = TokenWatch(lanes, graph=graph, conditions=conditions, now=now)
        tasks = [asyncio.create_task(part.run(), name=type(part).__name__) for part in (expiry, orders, tokens)]
        try:
            yield Delivery(lanes, orders, tokens)
        finally:
            for task in tasks:
                await cancel_and_wait(task)
            await lanes.stop(_GRACE_S)

"""The operator's orders for pixels: stored in the queue for all proxies that share it, and obeyed by their lanes."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from proxy.background import repeat_forever
from proxy.delivery.client import GraphClient
from proxy.delivery.lane import Lane
from proxy.model import condition_details as details
from proxy.model.condition import ConditionBoard
from proxy.model.pixel_order import PixelOrder
from proxy.queue.contract import PixelOrders, QueueError

_EVERY_S = 2.0
"""Seconds between two reads of the orders, which may be changed at another proxy that shares the queue."""


class OrderBook:
    """The operator's orders, by pixel."""

    def __init__(
        self,
        queue: PixelOrders,
        *,
        lanes: Mapping[str, Lane],
        graph: GraphClient,
        conditions: ConditionBoard,
        now: Callable[[], int],
    ) -> None:
        """Store where orders are kept, and who obeys them.

        Args:
            queue: Where the orders are kept.
            lanes: By pixel id.
            graph: Sends test event codes along.
            conditions: Are told of ``pixel_stopped``.
            now: Server clock in milliseconds.
        """
        self._queue = queue
        self._lanes = lanes
        self._graph = graph
        self._conditions = conditions
        self._now = now
        self._turn = asyncio.Lock()

    def order_of(self, pixel: str) -> PixelOrder:
        """Return the operator's order for a pixel."""
        return self._graph.orders.get(pixel, PixelOrder())

    async def change(self, pixel: str, **changes: Any) -> None:
        """Change the order for a pixel durably; the lanes of this process obey at once.

        Args:
            pixel: Its id.
            **changes: Members of ``PixelOrder``.

        Raises:
            QueueError: when the order could not be stored.
        """
        async with self._turn:
            order = (await self._queue.pixel_orders()).get(pixel, PixelOrder())._replace(**changes)
            await self._queue.order_pixel(pixel, order)
            await self._look()

    async def look(self) -> None:
        """Read the orders and obey them; while the queue cannot be read, the earlier orders stay in force."""
        with suppress(QueueError):
            async with self._turn:
                await self._look()

    async def run(self) -> None:
        """Read the orders again and again, until cancelled."""
        await repeat_forever(self.look, every_s=_EVERY_S, what="the operator's orders")

    async def _look(self) -> None:
        self._graph.orders = await self._queue.pixel_orders()
        for pixel, lane in self._lanes.items():
            order = self.order_of(pixel)
            lane.apply_order(order)
            if order.is_paused:
                self._conditions.report("pixel_stopped", pixel, details.stopped_since(self._now() - order.paused_at))
            else:
                self._conditions.clear("pixel_stopped", pixel)

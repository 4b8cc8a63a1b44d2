"""What the operator ordered about pixels: kept by the queue, so that it outlives the process and all proxies see it."""

from collections.abc import Mapping
from typing import Protocol

from proxy.model.pixel_order import PixelOrder


class PixelOrders(Protocol):
    """Keeps the operator's orders."""

    async def pixel_orders(self) -> Mapping[str, PixelOrder]:
        """Return the orders by pixel; pixels without an order are left out.

        Raises:
            QueueError: when they cannot be read.
        """

    async def order_pixel(self, pixel: str, order: PixelOrder) -> None:
        """Store the order about a pixel durably, in place of the one before.

        Raises:
            QueueError: when it could not be kept.
        """

"""What the operator ordered of pixels: kept by the queue, so that it outlives the process and is known to all."""

from collections.abc import Mapping
from typing import Protocol

from proxy.model.pixel_order import PixelOrder


class PixelOrders(Protocol):
    """Keeps the operator's orders."""

    async def pixel_orders(self) -> Mapping[str, PixelOrder]:
        """Return the orders by pixel; of a pixel about which nothing was ordered there is none.

        Raises:
            QueueError: when they cannot be read.
        """

    async def order_pixel(self, pixel: str, order: PixelOrder) -> None:
        """Keep durably what was ordered of a pixel, in place of what was before.

        Raises:
            QueueError: when it could not be kept.
        """

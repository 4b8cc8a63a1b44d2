"""The operator's orders for pixels are stored by both engines."""

import pytest
from queues import Opener

from proxy.model.pixel_order import PixelOrder

pytestmark = pytest.mark.both_engines


async def test_orders_outlive_the_process_and_are_told_to_all(opener: Opener) -> None:
    """A pixel's orders are read after a reopening, the last one of each pixel; an empty order removes them."""
    queue = await opener()
    assert await queue.pixel_orders() == {}
    await queue.order_pixel("1", PixelOrder(paused_at=5))
    await queue.order_pixel("2", PixelOrder(0, "TEST1", 9))
    await queue.order_pixel("1", PixelOrder(7, "TEST2", 8))
    await queue.close()
    again = await opener()
    first = dict(await again.pixel_orders())
    await again.order_pixel("1", PixelOrder())
    second = (await again.pixel_orders()).get("1", PixelOrder())

    assert first == {"1": PixelOrder(7, "TEST2", 8), "2": PixelOrder(0, "TEST1", 9)}
    assert second == PixelOrder()


def test_a_test_code_ends() -> None:
    """A test event code is no longer returned from its end on."""
    order = PixelOrder(test_code="TEST1", test_until=10)

    assert [order.test_code_at(now) for now in (0, 9, 10, 11)] == ["TEST1", "TEST1", "", ""]

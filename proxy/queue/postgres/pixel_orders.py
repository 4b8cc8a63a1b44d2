"""The operator's orders to pause or test a pixel, which all proxies that share the queue obey."""

from collections.abc import Mapping

from proxy.model.pixel_order import PixelOrder
from proxy.queue.postgres.database import Database, Role

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS pixel_order(
        pixel text PRIMARY KEY, paused_at int8 NOT NULL, test_code text NOT NULL, test_until int8 NOT NULL
    )
    """,
)
_READ = "SELECT pixel, paused_at, test_code, test_until FROM pixel_order"
_KEEP = """
INSERT INTO pixel_order(pixel, paused_at, test_code, test_until) VALUES($1::text, $2::int8, $3::text, $4::int8)
ON CONFLICT (pixel) DO UPDATE SET paused_at = $2::int8, test_code = $3::text, test_until = $4::int8
"""


class SharedPixelOrders:
    """Implements ``PixelOrders``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pixel_orders(self) -> Mapping[str, PixelOrder]:
        """See ``PixelOrders``."""
        rows = await self._database.run(Role.BOOKS, _READ)
        return {row["pixel"]: PixelOrder(row["paused_at"], row["test_code"], row["test_until"]) for row in rows}

    async def order_pixel(self, pixel: str, order: PixelOrder) -> None:
        """See ``PixelOrders``."""
        await self._database.run(Role.BOOKS, _KEEP, pixel, *order)

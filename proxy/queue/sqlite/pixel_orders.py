"""The table of the operator's orders; made with the first order, not by a new layout: older programs read the file."""

import apsw

from proxy.model.pixel_order import PixelOrder

_TABLE = """
CREATE TABLE IF NOT EXISTS pixel_order(
    pixel TEXT PRIMARY KEY, paused_at INTEGER NOT NULL, test_code TEXT NOT NULL, test_until INTEGER NOT NULL
) WITHOUT ROWID
"""
_EXISTS = "SELECT 1 FROM sqlite_schema WHERE type='table' AND name='pixel_order'"


def read_orders(db: apsw.Connection) -> dict[str, PixelOrder]:
    """Return the orders by pixel."""
    if not db.execute(_EXISTS).fetchone():
        return {}
    rows = db.execute("SELECT pixel, paused_at, test_code, test_until FROM pixel_order")
    return {pixel: PixelOrder(*order) for pixel, *order in rows}


def keep_order(db: apsw.Connection, pixel: str, order: PixelOrder) -> None:
    """Write an order; called within a transaction.

    Args:
        db: The connection that writes.
        pixel: Whose delivery it is about.
        order: The order; the default one, which orders nothing, is removed from the table.
    """
    db.execute(_TABLE)
    if order == PixelOrder():
        db.execute("DELETE FROM pixel_order WHERE pixel=?", (pixel,))
    else:
        db.execute("INSERT OR REPLACE INTO pixel_order VALUES(?, ?, ?, ?)", (pixel, *order))

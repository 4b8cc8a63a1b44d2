"""Keys of orders: an event of an order is counted once for weeks, whatever ids the copies of the event have."""

from hashlib import blake2b

ORDER_KEY = 16
"""Bytes of an order's key."""


def order_key(site: str, name: str, order: str) -> bytes:
    """Return the 16 bytes by which an event of an order is known.

    Args:
        site: The name of the site, since two shops may use the same order numbers.
        name: The event's name: an order may have a Purchase and a Refund.
        order: The order's id as text, in the same form wherever the site names it.
    """
    return blake2b(f"{site}\0{name}\0{order}".encode(), digest_size=ORDER_KEY).digest()

"""Orders: what is counted once for weeks, whatever ids the copies of its event have."""

from hashlib import blake2b

ORDER_KEY = 16
"""Bytes of a key."""


def order_key(site: str, name: str, order: str) -> bytes:
    """Return the 16 bytes by which an event of an order is known.

    Args:
        site: The name of the site, for two shops number their orders alike.
        name: The event's name: an order may have a Purchase and a Refund.
        order: The order's id as text, by one convention for a site.
    """
    return blake2b(f"{site}\0{name}\0{order}".encode(), digest_size=ORDER_KEY).digest()

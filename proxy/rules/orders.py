"""By what an event is counted once for its order, whatever ids its copies have."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.model.order import order_key

# A Refund, a ViewContent or an event of the site's own may come often for one order.
_ONCE = frozenset({"InitiateCheckout", "Lead", "Purchase", "StartTrial", "Subscribe"})
# Without a digit it is no order's number but a variable that nobody filled in; the tag's word on it is the same.
_NUMBERED = re.compile("[1-9]")


def is_order_id(text: str) -> bool:
    """Tell whether a text may be an order's id."""
    return _NUMBERED.search(text) is not None


def order_of(site: str, name: str, custom_data: Mapping[str, Any]) -> bytes:
    """Return the key of the order that an event is about; nothing where an order may have several of its name.

    Args:
        site: The name of the site.
        name: The event's.
        custom_data: Its custom data, checked.
    """
    order = custom_data.get("order_id")
    if name not in _ONCE or not isinstance(order, str) or not is_order_id(order):
        return b""
    # Lines of a till's order come each by itself (Meta, offline events).
    return b"" if "item_number" in custom_data else order_key(site, name, order)

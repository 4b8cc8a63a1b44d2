"""By what an event is counted once for its order: the order's key, whatever ids its copies have, and its event id."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.model.order import order_key
from proxy.rules import limits

# A Refund, a ViewContent or an event of the site's own may come often for one order.
_ONCE = frozenset({"InitiateCheckout", "Lead", "Purchase", "StartTrial", "Subscribe"})
# Without a digit it is no order's number but a variable that nobody filled in; the tag's word on it is the same.
_NUMBERED = re.compile("[1-9]")


def is_order_id(text: str) -> bool:
    """Tell whether a text may be an order's id."""
    return _NUMBERED.search(text) is not None


def as_event_id(text: str) -> str:
    """Return a text that may be an event's id, else nothing."""
    return text if len(text) <= limits.ID and text.isprintable() else ""


def order_event_id(site: str, order: str) -> str:
    """Return the event id of an order's Purchase, as the tag gives it to the page's copy; nothing where it is none."""
    return as_event_id(f"order-{site}-{order}")


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

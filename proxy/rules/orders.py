"""Orders: the key by which an order's event is counted once, whatever ids its copies have, and its event id."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.model.order import order_key
from proxy.rules import limits
from proxy.rules.match.text import trim

# A Refund, a ViewContent or an event of the site's own may come often for one order.
ONCE_PER_ORDER = frozenset({"InitiateCheckout", "Lead", "Purchase", "StartTrial", "Subscribe"})
"""Names of events that an order has once."""
# Without a digit from 1 to 9 a text is no order's number but an unfilled variable; the tag has the same rule.
_NUMBERED = re.compile("[1-9]")
# The thank-you page of WooCommerce, also in a shop with plain permalinks. The pattern begins with the text that both
# forms have: that is found fast, and a body has one address but 200 events.
_RECEIVED = re.compile(
    r"order-received(?:(?<=/order-received)/([0-9]{1,20}+)(?=[/?#]|$)|(?<=[?&]order-received)=([0-9]{1,20}+)(?=[&#]|$))"
)


def is_order_id(text: str) -> bool:
    """Tell whether a text may be an order's id."""
    return _NUMBERED.search(text) is not None


def as_event_id(text: str) -> str:
    """Return a text that may be an event's id; "" for any other."""
    return text if len(text) <= limits.ID and text.isprintable() else ""


def order_event_id(site: str, order: str) -> str:
    """Return the event id of an order's Purchase, as the tag gives it to the page's copy; "" if it can be no id."""
    return as_event_id(f"order-{site}-{order}")


def received_order(url: str) -> str:
    """Return the order that the address of a thank-you page of WooCommerce names; "" for any other page."""
    found = _RECEIVED.search(url.partition("#")[0]) if "order-received" in url else None
    order = found[1] or found[2] if found else ""
    return order if is_order_id(order) else ""


def order_of(site: str, name: str, custom_data: Mapping[str, Any], of_page: str = "") -> bytes:
    """Return the key of the order that an event is about; empty if an order may have several events of this name.

    Args:
        site: The name of the site.
        name: The event's name.
        custom_data: Its custom data, checked.
        of_page: The order in the address of its page, which is used if the custom data name none.
    """
    order = custom_data.get("order_id")
    order = trim(order) if isinstance(order, str) and is_order_id(order) else of_page
    if not order or name not in ONCE_PER_ORDER:
        return b""
    # A till may send each line of an order as an event of its own (Meta, offline events).
    return b"" if "item_number" in custom_data else order_key(site, name, order)

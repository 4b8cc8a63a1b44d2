"""What all webhooks have in common: the settings of a shop, the result of a webhook, and careful reading of payloads.

Payloads come from outside and in the versions of many years, so every member may be missing, null or of another type;
what cannot be read counts as missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from proxy.model.server_request import ServerHit
from proxy.rules.joins.placeholders import is_placeholder_id
from proxy.rules.orders import as_event_id, is_order_id, order_event_id
from proxy.rules.payload.labels import public_id
from proxy.rules.payload.money import amount
from proxy.rules.server_wire.values import RefusedValueError, time_of

# Shops write "0" if the product of a line does not exist any more.
_NO_IDS = {"", "0"}
# An order's number may have one word before it: a prefix that the shop chose.
_MOST_WORDS = 2


class Shop(NamedTuple):
    """What the configuration says of a shop."""

    site: str
    """The name of its site."""
    domain: str
    """The host of its pages."""
    order_id: str = "id"
    """Which member of an order the pages use as ``order_id``."""
    content_id: str = "product_id"
    """Which member of a line is the product's id in Meta's catalogue."""
    renewal: str = ""
    """The event that a renewed subscription is; empty for none."""


class HookEvents(NamedTuple):
    """The events that a webhook becomes."""

    hits: tuple[ServerHit, ...] = ()
    why_not: str = ""
    """Why it becomes no event, in one or two words; empty when there are events."""


def no_events(why_not: str) -> HookEvents:
    """Return the result of a webhook that becomes no event, with the reason."""
    return HookEvents(why_not=why_not)


def purchase_id(site: str, order_id: str, told: str = "") -> str:
    """Return the event id of an order's Purchase: the one in the order, else the one that the tag gives to its copy.

    Empty if neither can be an id; the event then gets an id made of its content.

    Args:
        site: The name of the site.
        order_id: The order's id, verbatim.
        told: The event id that the order brings along. Any visitor may have put it there, so it has to look like an id.
    """
    return usable_event_id(told) or order_event_id(site, order_id)


def as_object(value: object) -> Mapping[str, Any]:
    """Return a value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_objects(value: object) -> Sequence[Mapping[str, Any]]:
    """Return the JSON objects of a list; an empty list for any other value."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """Return a text, or a whole number as text, without spaces around it; "" for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).strip()


def order_number(value: object) -> str:
    """Return an order's number; "" for free text, which may name a person, since ids are stored in plain text."""
    found = text(value)
    return found if is_order_id(found) and _words(found) <= _MOST_WORDS else ""


def generated_id(value: object) -> str:
    """Return an id that a program made, such as that of an event or a refund; "" for free text, as ``order_number``."""
    found = text(value)
    return as_event_id(found) if _words(found) == 1 else ""


def usable_event_id(value: object) -> str:
    """Return an event id that an order brings along; "" for a placeholder of a broken snippet, and for contact data."""
    found = generated_id(value)
    return "" if is_placeholder_id(found) or is_contact_data(found) else found


def is_contact_data(found: str) -> bool:
    """Tell whether a text is contact data beyond doubt: an event with such an id is not sent."""
    return public_id(found) != found


def _words(found: str) -> int:
    return len(found.replace(",", " , ").split())


def number(value: object) -> float | int | None:
    """Return an amount as a number, None when its meaning is not certain."""
    found: float | int | None = amount(value)[0]
    return found


def seconds(value: object, *, is_utc: bool = False) -> int | None:
    """Return a time as Unix seconds; None when it is no time, or has no time zone.

    Args:
        value: ISO 8601 text, or Unix seconds.
        is_utc: Whether a text without a zone means UTC.
    """
    try:
        return time_of(value)
    except RefusedValueError:
        return seconds(f"{value}Z") if is_utc and isinstance(value, str) else None


def people_keys(pairs: Iterable[tuple[str, object]]) -> dict[str, tuple[str, ...]]:
    """Return match keys, each with its values once, in their order; those without a value are left out."""
    found: dict[str, tuple[str, ...]] = {}
    for key, value in pairs:
        words = text(value)
        if words and words not in found.get(key, ()):
            found[key] = (*found.get(key, ()), words)
    return found


def order_custom_data(order: Mapping[str, Any], content_id: str, *, value: float, order_id: str) -> dict[str, Any]:
    """Return the custom data of an order (Meta, custom data parameters).

    Args:
        order: The order.
        content_id: Which member of a line is the product's id in Meta's catalogue; lines without it are left out.
        value: What was paid.
        order_id: The order's id.
    """
    lines = as_objects(order.get("line_items"))
    contents = []
    for line in lines:
        if (identity := text(line.get(content_id))) not in _NO_IDS:
            price = number(line.get("price"))
            contents.append({"id": identity, "quantity": line.get("quantity"), "item_price": price})
    counts = [line.get("quantity") for line in lines]
    return {
        "value": value,
        "currency": text(order.get("currency")),
        "order_id": order_id,
        "contents": contents,
        "content_ids": list(dict.fromkeys(content["id"] for content in contents)),
        "num_items": sum(count for count in counts if isinstance(count, int)),
    }

"""What all webhooks have in common: what the configuration says of a shop, what comes of a hook, and careful reading.

Payloads come from outside and in the versions of many years, so every member may be missing, null or of another type;
what cannot be read counts as missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from proxy.model.server_request import ServerHit
from proxy.rules.joins.placeholders import is_nobodys_id
from proxy.rules.orders import as_event_id, is_order_id, order_event_id
from proxy.rules.payload.labels import public_id
from proxy.rules.payload.money import amount
from proxy.rules.server_wire.values import RefusedValueError, time_of

# Shops write the second where a line is of no product any more.
_NO_IDS = {"", "0"}
# An order's number may have a word before it, as a prefix of the shop's.
_MOST_WORDS = 2


class Shop(NamedTuple):
    """What the configuration says of a shop."""

    site: str
    """The name of its site."""
    domain: str
    """Where its pages are."""
    order_id: str = "id"
    """Which member of an order the pages use as ``order_id``."""
    content_id: str = "product_id"
    """Which member of a line is the product's id in Meta's catalogue."""
    renewal: str = ""
    """The event that a renewed subscription is; empty for none."""


class HookEvents(NamedTuple):
    """What comes of a webhook."""

    hits: tuple[ServerHit, ...] = ()
    why_not: str = ""
    """Why nothing comes of it, in one or two words; empty when something does."""


def nothing(why_not: str) -> HookEvents:
    """Return what comes of a webhook that does not interest."""
    return HookEvents(why_not=why_not)


def purchase_id(site: str, order_id: str, told: str = "") -> str:
    """Return the event id of an order's Purchase: the one that was told, else as the tag makes it for the page's copy.

    Nothing where neither is an id; the event then gets one of its content.

    Args:
        site: The name of the site.
        order_id: The order's id, verbatim.
        told: What the order brings along. Any visitor may have put that there, so it has to be an id in its form.
    """
    return told_id(told) or order_event_id(site, order_id)


def table(value: object) -> Mapping[str, Any]:
    """Return a value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> Sequence[Mapping[str, Any]]:
    """Return the JSON objects of a list; none of anything else."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """Return a text, or a whole number as text, without spaces around it; nothing of anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).strip()


def order_number(value: object) -> str:
    """Return an order's number; nothing of free text, which may name a person: ids rest in the clear."""
    found = text(value)
    return found if is_order_id(found) and _words(found) <= _MOST_WORDS else ""


def own_id(value: object) -> str:
    """Return an id of a program, such as of an event or a refund; nothing of free text, as with an order's number."""
    found = text(value)
    return as_event_id(found) if _words(found) == 1 else ""


def told_id(value: object) -> str:
    """Return an event id that an order brings along; nothing of what all orders of a broken snippet would have."""
    found = own_id(value)
    return "" if is_nobodys_id(found) or names_somebody(found) else found


def names_somebody(found: str) -> bool:
    """Tell whether a text is contact data beyond doubt: an event with such an id is not sent."""
    return public_id(found) != found


def _words(found: str) -> int:
    return len(found.replace(",", " , ").split())


def number(value: object) -> float | int | None:
    """Return an amount as a number, None when it has not one meaning."""
    found: float | int | None = amount(value)[0]
    return found


def seconds(value: object, *, is_utc: bool = False) -> int | None:
    """Return a time as Unix seconds; None when it says no time, or not in which zone.

    Args:
        value: ISO 8601 text, or Unix seconds.
        is_utc: A text without a zone means UTC.
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


def bought(order: Mapping[str, Any], content_id: str, *, value: float, order_id: str) -> dict[str, Any]:
    """Return the custom data of an order (Meta, custom data parameters).

    Args:
        order: The order.
        content_id: Which member of a line is the product's id in Meta's catalogue; lines without it are left out.
        value: What was paid.
        order_id: The order's id.
    """
    lines = rows(order.get("line_items"))
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

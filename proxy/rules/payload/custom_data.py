"""Custom data as Meta reads it: what is certain is put right, what means nothing is left out, the rest goes as it is.

What was odd is named in *findings*: a field and one of these words, never a value.

    repaired   sent in the documented form, which the page's own certainly meant
    unusable   left out, as it has no certain meaning
    doubtful   sent as it is, although it is hardly meant so
    missing    required beside what is there
    misplaced  belongs elsewhere

Properties that are not Meta's own stay untouched. Source: Meta, custom data parameters, and Meta Pixel reference.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

from proxy.graph.law import STANDARD_EVENTS
from proxy.rules.match.text import is_nothing
from proxy.rules.payload.money import DOUBTFUL, FINE, NOTHING, REPAIRED, UNUSABLE, Checked, amount, count, currency

_LOWER_NAMES = frozenset(name.lower() for name in STANDARD_EVENTS)
# Catalogues of travel, homes and cars have types of their own, which no page of Meta's lists in full.
_CONTENT_TYPES = frozenset(
    {"product", "product_group", "destination", "flight", "home_listing", "hotel", "media_title", "vehicle"}
)
_DELIVERY_CATEGORIES = frozenset({"in_store", "curbside", "home_delivery"})


def checked(name: str, data: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what of an event's custom data may be sent, and the findings. No JSON raises."""
    kept: dict[str, Any] = {}
    findings: list[str] = []
    for field, given in data.items():
        check = _CHECKS.get(field)
        if check is None:
            kept[field] = given
            continue
        value, words = check(given)
        if value is not None:
            kept[field] = value
        findings += [field + word for word in words]
    findings += _of_the_whole(name, kept)
    return kept, tuple(dict.fromkeys(findings)) if findings else ()


def _of_the_whole(name: str, data: Mapping[str, Any]) -> list[str]:
    findings = []
    if name not in STANDARD_EVENTS and name.lower() in _LOWER_NAMES:
        findings.append("event_name:doubtful")
    if "currency" not in data and (name == "Purchase" or "value" in data):
        findings.append("currency:missing")
    if "event_id" in data or "eventID" in data:
        findings.append("event_id:misplaced")
    return findings


def _content_ids(given: Any) -> Checked:
    """Return a list of texts or numbers; one alone is a list of one."""
    listed = _listed(given)
    ids = [one for one in listed if _is_id(one)]
    words = FINE if len(ids) == len(listed) else (":unusable",)
    if ids and not isinstance(given, list):
        # Several ids in one text, or one with a comma in it? Nobody but the page knows.
        words += DOUBTFUL if ids == [given] and "," in str(given) else REPAIRED
    return ids or None, words


def _contents(given: Any) -> Checked:
    """Return a list of items that have an id, numbers as numbers."""
    listed = _listed(given)
    items = [_item(one) for one in listed if isinstance(one, dict) and _is_id(one.get("id"))]
    words = [word for _, found in items for word in found]
    if len(items) < len(listed):
        words.append(":unusable")
    if items and not isinstance(given, list):
        words += REPAIRED
    return [item for item, _ in items] or None, tuple(words)


def _item(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    item, findings = dict(given), []
    for field, check in _ITEM_CHECKS.items():
        if field in given:
            item[field], words = check(given[field])
            findings += [f".{field}{word}" for word in words]
            if item[field] is None:
                del item[field]
    if "quantity" not in item:
        findings.append(".quantity:missing")
    return item, findings


def _listed(given: Any) -> list[Any]:
    """Return the members of a list, of one written as JSON text, or the one thing that should stand in a list."""
    if isinstance(given, str) and given.lstrip().startswith(("[", "{")):
        given = _parsed(given)
    if isinstance(given, list):
        return given
    return [] if given is None or given == "" else [given]


def _parsed(text: str) -> Any:
    """Return what JSON text says, if it is as shallow as Meta's fields are; deeper data might not be writable again."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    members = value if isinstance(value, list) else [value]
    parts = [part for one in members for part in (one.values() if isinstance(one, dict) else [one])]
    return [None] if any(isinstance(part, dict | list) for part in parts) else value


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return not is_nothing(value.strip())
    return isinstance(value, int) and not isinstance(value, bool)


def _text(given: Any) -> Checked:
    """Return an id as text, its letters and blanks as they are."""
    if given is None or given == "":
        return NOTHING
    if not _is_id(given):
        return UNUSABLE
    return str(given), FINE if isinstance(given, str) else REPAIRED


def _word(given: Any, known: frozenset[str], otherwise: Callable[[Any], Checked]) -> Checked:
    """Return one of Meta's words, whatever its case and what stands between its parts."""
    if given is None or given == "":
        return NOTHING
    word = given.strip().lower().replace(" ", "_").replace("-", "_") if isinstance(given, str) else ""
    if word in known:
        return word, FINE if word == given else REPAIRED
    return otherwise(given)


_delivery = partial(_word, known=_DELIVERY_CATEGORIES, otherwise=lambda _: UNUSABLE)
_CHECKS: Mapping[str, Callable[[Any], Checked]] = {
    "value": amount,
    "currency": currency,
    "predicted_ltv": amount,
    "net_revenue": amount,
    "num_items": count,
    "content_ids": _content_ids,
    "contents": _contents,
    "content_type": partial(_word, known=_CONTENT_TYPES, otherwise=lambda given: (given, DOUBTFUL)),
    "order_id": _text,
    "delivery_category": _delivery,
}
_ITEM_CHECKS: Mapping[str, Callable[[Any], Checked]] = {
    "quantity": count,
    "item_price": amount,
    "delivery_category": _delivery,
}

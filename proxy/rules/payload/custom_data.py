"""Custom data as Meta reads it: what is certain is put right, what means nothing is left out, the rest goes as it is.

What was odd is named in *findings*: a field and one of these words, never a value.

    repaired   sent in the documented form, the only one that the page can have meant
    unusable   left out, as it has no certain meaning
    doubtful   sent as it is, although it is probably a mistake
    missing    required with the data that are there, but absent
    misplaced  belongs elsewhere

Properties that are not Meta's own stay untouched. Source: Meta, custom data parameters, and Meta Pixel reference.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from proxy.graph.law import STANDARD_EVENTS
from proxy.model.event_facts import VALUE_SCALE
from proxy.rules import limits
from proxy.rules.match.text import NOTHINGS, is_nothing, mark_in
from proxy.rules.payload import money
from proxy.rules.payload.money import DOUBTFUL, FINE, NOTHING, REPAIRED, UNUSABLE, Checked

WORTH = ("value", "currency")
"""Members that, once checked, are a number and a code."""
_LOWER_NAMES = frozenset(name.lower() for name in STANDARD_EVENTS)
# Catalogues of travel, homes and cars have types of their own, which no page of Meta's lists in full.
_CONTENT_TYPES = frozenset(
    {"product", "product_group", "destination", "flight", "home_listing", "hotel", "media_title", "vehicle"}
)
# Such a pair is checked faster than ``int | float``, which is made anew each time.
_NUMBERS = (int, float)
_DELIVERY_CATEGORIES = frozenset({"in_store", "curbside", "home_delivery"})
# A larger value is a mistake, and sums over a year would exceed 64 bits.
_MOST_UNITS = 10**9


class CheckedData(NamedTuple):
    """Custom data that may be sent, the findings about them, and what the ledger sums."""

    data: Mapping[str, Any]
    findings: tuple[str, ...]
    value: int | None = None
    """The value that the ledger sums, see ``summed``; likewise ``currency``."""
    currency: str = ""


# What ``CheckedData(...)`` does, without the call of a function in Python.
_checked_data = partial(tuple.__new__, CheckedData)
_NO_SUM: tuple[None, str] = (None, "")
_NO_DATA = CheckedData(MappingProxyType({}), ())
# Events that need no custom data; most come without any.
_NEED_NO_DATA = STANDARD_EVENTS - {"Purchase"}


def check_custom_data(name: str, data: Mapping[str, Any]) -> CheckedData:
    """Check an event's custom data, and read what the ledger sums. No JSON raises."""
    if not data and name in _NEED_NO_DATA:
        return _NO_DATA
    sent, findings = checked(name, data)
    return _checked_data((sent, findings, *(summed(sent) if "value" in sent else _NO_SUM)))


def summed(data: Mapping[str, Any]) -> tuple[int | None, str]:
    """Return the value in ten-thousandths, and its currency: "" for an unknown one, which would be a sum of its own.

    If the value is no number, or too large to be meant, the result is None, without a currency.
    """
    value, currency = data.get("value"), data.get("currency")
    if not isinstance(value, _NUMBERS) or not -_MOST_UNITS < value < _MOST_UNITS:
        return _NO_SUM
    code = currency.upper() if isinstance(currency, str) else ""
    return round(value * VALUE_SCALE), code if code in money.currencies() else ""


def checked(name: str, data: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what of an event's custom data may be sent, and the findings. No JSON raises."""
    sent: dict[str, Any] = {}
    findings: list[str] = []
    for field, claimed in data.items():
        check = _CHECKS.get(field)
        if check is None:
            sent[field] = claimed
            continue
        value, words = check(claimed)
        if value is not None:
            sent[field] = value
        for word in words:
            findings.append(field + word)  # noqa: PERF401 - seldom more than one, so that a list of its own costs more
    if name not in STANDARD_EVENTS and name.lower() in _LOWER_NAMES:
        findings.append("event_name:doubtful")
    if "currency" not in sent and (name == "Purchase" or "value" in sent):
        findings.append("currency:missing")
    if "event_id" in sent or "eventID" in sent:
        findings.append("event_id:misplaced")
    return sent, tuple(findings)


def _content_ids(claimed: Any) -> Checked:
    """Return a list of texts or numbers; one alone is a list of one."""
    listed = _listed(claimed)
    ids = [member for member in listed if _is_id(member)]
    words = FINE if len(ids) == len(listed) else (":unusable",)
    if ids and not isinstance(claimed, list):
        # Several ids in one text, or one with a comma in it? Only the page knows.
        words += DOUBTFUL if ids == [claimed] and "," in str(claimed) else REPAIRED
    return ids or None, words


def _contents(claimed: Any) -> Checked:
    """Return a list of items that have an id, numbers as numbers."""
    listed = _listed(claimed)
    words: list[str] = []
    items = [
        member if _is_right(member) else _item(member, words)
        for member in listed
        if isinstance(member, dict) and _is_id(member.get("id"))
    ]
    if len(items) < len(listed):
        words.append(":unusable")
    if items and not isinstance(claimed, list):
        words += REPAIRED
    return items or None, tuple(dict.fromkeys(words)) if words else FINE


def _is_right(item: Mapping[str, Any]) -> bool:
    """Tell whether an item is as Meta documents it; most are."""
    quantity, price = item.get("quantity"), item.get("item_price", 0)
    if type(quantity) is not int or type(price) not in _NUMBERS or "delivery_category" in item:
        return False
    return 0 <= quantity < limits.NUMBER and 0 <= price < limits.NUMBER


def _item(claimed: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """Return what of an item may be sent, and add to the words what is odd about it."""
    item = dict(claimed)
    for field, check in _ITEM_CHECKS.items():
        if field in claimed:
            item[field], found = check(claimed[field])
            words += [f".{field}{word}" for word in found]
            if item[field] is None:
                del item[field]
    if "quantity" not in item:
        words.append(".quantity:missing")
    return item


def _listed(claimed: Any) -> list[Any]:
    """Return the members of a list, of one written as JSON text, or the one thing that should stand in a list."""
    if isinstance(claimed, str) and claimed.lstrip().startswith(("[", "{")):
        claimed = _parsed(claimed)
    if isinstance(claimed, list):
        return claimed
    return [] if claimed is None or claimed == "" else [claimed]


def _parsed(text: str) -> Any:
    """Return what JSON text says, if it is as shallow as Meta's fields are; deeper data might not be writable again."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    members = value if isinstance(value, list) else [value]
    parts = [part for member in members for part in (member.values() if isinstance(member, dict) else [member])]
    return [None] if any(isinstance(part, dict | list) for part in parts) else value


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        text = value.strip()
        return text.lower() not in NOTHINGS and not (mark_in(text) and is_nothing(text))
    return isinstance(value, int) and not isinstance(value, bool)


def _text(claimed: Any) -> Checked:
    """Return an id as text, its letters and blanks as they are."""
    if claimed is None or claimed == "":
        return NOTHING
    if not _is_id(claimed):
        return UNUSABLE
    return str(claimed), FINE if isinstance(claimed, str) else REPAIRED


def _word(claimed: Any, words: frozenset[str], otherwise: Callable[[Any], Checked]) -> Checked:
    """Return one of Meta's words, whatever its case and what stands between its parts."""
    if claimed is None or claimed == "":
        return NOTHING
    word = claimed.strip().lower().replace(" ", "_").replace("-", "_") if isinstance(claimed, str) else ""
    if word in words:
        return word, FINE if word == claimed else REPAIRED
    return otherwise(claimed)


def _amount(claimed: Any) -> Checked:
    """Return a number as it is, and leave whatever else may be one to ``money``."""
    if type(claimed) in _NUMBERS and 0 <= claimed < limits.NUMBER:
        return claimed, FINE
    return money.amount(claimed)


def _count(claimed: Any) -> Checked:
    """Return a whole number as it is, and leave whatever else may be one to ``money``."""
    if type(claimed) is int and 0 <= claimed < limits.NUMBER:
        return claimed, FINE
    return money.count(claimed)


def _currency(claimed: Any) -> Checked:
    """Return a code that is written as it should be; let ``money`` find out what any other text means."""
    if type(claimed) is str and claimed in money.currencies():
        return claimed, FINE
    return money.currency(claimed)


_delivery = partial(_word, words=_DELIVERY_CATEGORIES, otherwise=lambda _: UNUSABLE)
_CHECKS: Mapping[str, Callable[[Any], Checked]] = {
    "value": _amount,
    "currency": _currency,
    "predicted_ltv": _amount,
    "net_revenue": _amount,
    "num_items": _count,
    "content_ids": _content_ids,
    "contents": _contents,
    "content_type": partial(_word, words=_CONTENT_TYPES, otherwise=lambda claimed: (claimed, DOUBTFUL)),
    "order_id": _text,
    "delivery_category": _delivery,
}
# In the order in which their findings are named.
_ITEM_CHECKS: Mapping[str, Callable[[Any], Checked]] = {
    "quantity": _count,
    "item_price": _amount,
    "delivery_category": _delivery,
}

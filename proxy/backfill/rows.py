"""From rows of a table to events: a flat file has one event per row, an order export one order in several rows."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any, NamedTuple

import orjson

from proxy.backfill.claims import Claim, LeftOut, NotSent, WrongValueError
from proxy.backfill.columns import EVENT_PARTS, SHOPIFY, ExportKind
from proxy.backfill.table import Row
from proxy.backfill.values import Decimal, amount, flag, id_text, moment, whole

_MONEY = ("custom_data.value", "custom_data.predicted_ltv", "item.item_price")
_COUNTS = ("custom_data.num_items", "item.quantity")
_IDS = frozenset({
    "event_id", "order.key", "custom_data.order_id", "item.id", "user_data.external_id", "user_data.lead_id",
    "user_data.subscription_id", "user_data.fb_login_id", "user_data.ph", "user_data.zp", "user_data.page_id",
})  # fmt: skip
_MOST_ROWS = 1000
"""The most rows of one order; a longer group comes from a table whose column of order numbers is empty."""
_GUEST_IDS = frozenset({"0", "guest", "null", "undefined"})
"""What shops write for a buyer without an account."""


class Reading(NamedTuple):
    """How the cells of a file are read."""

    kind: ExportKind
    places: Mapping[str, tuple[int, ...]]
    """By place: the indexes of the columns that can hold its value, the best first."""
    constants: Mapping[str, str]
    """By place: the value where no column has one."""
    zone: tzinfo | None = None
    decimal: Decimal = ""

    def text(self, row: Row, place: str) -> str:
        """Return the value that a row has for a place, else the constant; empty when there is neither."""
        cells = (row.cells[index] for index in self.places.get(place, ()))
        return next(filter(None, cells), self.constants.get(place, ""))

    def texts(self, row: Row, place: str) -> list[str]:
        """Return all values that a row has for a place, each once."""
        return list(dict.fromkeys(filter(None, (row.cells[index] for index in self.places.get(place, ())))))


def row_claims(rows: Iterable[Row | NotSent], reading: Reading) -> Iterator[Claim | NotSent]:
    """Yield the events of the rows; the rows of one order make one event.

    Args:
        rows: All rows of a table, in their order.
        reading: How their cells are read.
    """
    for group in _groups(rows, reading):
        yield group if isinstance(group, NotSent) else _claim(group, reading)


def _groups(rows: Iterable[Row | NotSent], reading: Reading) -> Iterator[list[Row] | NotSent]:
    """Yield the rows in groups, each of one order: a row continues the group if it has the same order number or none.

    In a flat file each row is a group of its own.
    """
    group: list[Row] = []
    for row in rows:
        is_more = isinstance(row, Row) and bool(group) and _continues(row, group[0], reading)
        if group and not (is_more and len(group) < _MOST_ROWS):
            yield group
            group = []
        if isinstance(row, NotSent):
            yield row
        elif not (group and row.cells == group[-1].cells):
            # A row that repeats the last one exactly is dropped: exports repeat whole rows now and then, and goods that
            # were bought twice are one row with a quantity.
            group.append(row)
        else:
            group[-1] = group[-1]._replace(end=row.end)
    if group:
        yield group


def _continues(row: Row, first: Row, reading: Reading) -> bool:
    return bool(reading.kind.paid) and reading.text(row, "order.key") in ("", reading.text(first, "order.key"))


def _claim(group: Sequence[Row], reading: Reading) -> Claim | NotSent:
    first, end = group[0], group[-1].end
    try:
        no_sale = _why_no_sale(first, reading) if reading.kind.paid else ""
        if no_sale:
            return NotSent(first.line, end, no_sale, LeftOut.NO_SALE)
        event = _event(group, reading)
    except WrongValueError as error:
        return NotSent(first.line, end, str(error))
    return Claim(first.line, end, event, orjson.dumps([row.cells for row in group]))


def _why_no_sale(row: Row, reading: Reading) -> str:
    status = reading.text(row, "order.status").lower().replace(" ", "_").removeprefix("wc-")
    if status not in reading.kind.paid:
        return "the order is not paid, or was refunded" if status else "the order has no status"
    return "the order was cancelled" if reading.text(row, "order.cancelled") else ""


def _event(group: Sequence[Row], reading: Reading) -> dict[str, Any]:
    row = group[0]
    event: dict[str, Any] = {"user_data": {}, "custom_data": {}}
    for place in (*reading.places, *(reading.constants.keys() - reading.places.keys())):
        room, _, leaf = place.rpartition(".")
        if room in EVENT_PARTS:
            value = _value(place, row, reading)
            if value not in ("", [], None):
                (event[room] if room else event)[leaf] = value
    if reading.kind.paid:
        _complete_order(event, group, reading)
    return {name: value for name, value in event.items() if value != {}}


def _value(place: str, row: Row, reading: Reading) -> Any:
    if place.startswith("user_data."):
        return _person_value(place, row, reading)
    text = reading.text(row, place)
    return _read(place, text, reading) if text else None


def _person_value(place: str, row: Row, reading: Reading) -> Any:
    texts = reading.texts(row, place) or [reading.text(row, place)]
    values = [id_text(text, place) if place in _IDS else text for text in texts if text]
    if place == "user_data.external_id":
        values = [value for value in values if value.lower() not in _GUEST_IDS]
    return values if place == "user_data.ph" else next(iter(values), None)


def _read(place: str, text: str, reading: Reading) -> Any:
    if place == "event_time":
        return moment(text, reading.zone, place)
    if place in _MONEY:
        return amount(text, place, reading.decimal)
    if place in _COUNTS:
        return whole(text, place, reading.decimal)
    return _READERS.get(place, _unchanged)(id_text(text, place) if place in _IDS else text, place)


def _unchanged(text: str, _: str) -> str:
    return text


def _parts(text: str, _: str) -> list[str]:
    return list(filter(None, (part.strip() for part in re.split("[|;,]", text))))


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "opt_out": flag,
    "action_source": lambda text, _: text.lower(),
    "custom_data.content_ids": _parts,
}


def _complete_order(event: dict[str, Any], group: Sequence[Row], reading: Reading) -> None:
    row = group[0]
    event.setdefault("event_name", "Purchase")
    if "event_time" not in event and (created := reading.text(row, "order.created")):
        event["event_time"] = moment(created, reading.zone)
    in_store = reading.kind is SHOPIFY and reading.text(row, "order.source").lower() == "pos"
    event.setdefault("action_source", "physical_store" if in_store else "website")
    items = [item for row in group if (item := _item(row, reading))]
    if items:
        event["custom_data"] |= {
            "contents": items,
            "content_ids": [item["id"] for item in items],
            "content_type": "product",
            "num_items": sum(item.get("quantity", 1) for item in items),
        }


def _item(row: Row, reading: Reading) -> dict[str, Any]:
    """Return an item of an order; empty when it has no article number, as a catalogue knows goods only by that."""
    names = ("id", "title", "quantity", "item_price")
    texts = {name: text for name in names if (text := reading.text(row, f"item.{name}"))}
    if "id" not in texts:
        return {}
    return {name: _read(f"item.{name}", text, reading) for name, text in texts.items()}

"""Parity: whether the two copies of an event say the same of value, currency and content ids.

The Pixel writes custom data as `cd[…]` parameters, lists as JSON text; a server sends them in `custom_data`. Numbers
are compared as numbers, currencies without regard to case, content ids as texts, a single one like a list of it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

from proxy.simulator.graph.dedup import Copy, Pair

MOST_NAMED = 100


def parity(found: Iterable[Pair]) -> dict[str, Any]:
    """Return how many pairs were compared, in how many both copies agree, and where they differ.

    Args:
        found: Events with all their copies; those that only one side sent cannot be compared.
    """
    compared, differing, differences = 0, 0, []
    for pair in found:
        sides = _sides(pair)
        if sides:
            compared += 1
            unlike = list(_differences(*sides))
            differing += bool(unlike)
            differences += unlike
    return {"compared": compared, "alike": compared - differing, "differences": differences[:MOST_NAMED]}


def _sides(pair: Pair) -> tuple[Copy, Copy] | None:
    first = {copy.source: copy for copy in reversed(pair.copies)}
    return (first["browser"], first["server"]) if len(first) == 2 else None


def _differences(browser: Copy, server: Copy) -> Iterator[dict[str, Any]]:
    about = {"pixel": server.pixel, "name": server.name, "id": server.id}
    sent = server.read.get("custom_data")
    custom_data = sent if isinstance(sent, dict) else {}
    for field, plain in FIELDS.items():
        theirs, ours = browser.event.get(f"cd[{field}]"), custom_data.get(field)
        if plain(theirs) != plain(ours):
            yield {**about, "field": field, "browser": theirs, "server": ours}


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return value or None


def _code(value: Any) -> Any:
    return str(value).upper() if value else None


def _texts(value: Any) -> list[str] | None:
    if isinstance(value, str) and value[:1] in {"[", '"'}:
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return [value]
    if value is None or value in ("", []):
        return None
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


FIELDS: Mapping[str, Callable[[Any], Any]] = {"value": _number, "currency": _code, "content_ids": _texts}

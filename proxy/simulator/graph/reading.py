"""From an event as clients write it to the shape that the rules judge. Only types change, never what a value says.

What is taken here is what Meta's own SDKs and plugins send by default, so Graph presumably reads it: nulls, a scalar
for a list, an object with numeric keys for a list (PHP, and Node's ``extinfo``), JSON text for an object, numbers and
booleans as text (forms), ISO 8601 for ``event_time`` (Segment), capitals in ``action_source``. A value that cannot be
read stays as it is, for the rules to refuse. Pure.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson

from proxy.simulator.graph.tables import HASHED

MAX_SLOTS = 64
WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
DECIMAL = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
INDEX = re.compile(r"\d{1,9}", re.ASCII)
TRUTH = {"true": True, "1": True, "false": False, "0": False}

Reader = Callable[[Any], Any]


def read(event: Any) -> Any:
    """Return an event in the shape that the rules judge; a value that is no object is returned as it is."""
    return _members(event, EVENT) if isinstance(event, dict) else event


def list_from_numbered(value: Any) -> Any:
    """Return an object whose keys are all numbers as a list in their order, and anything else as it is."""
    return [value[key] for key in sorted(value, key=int)] if _is_numbered(value) else value


def _is_numbered(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(INDEX.fullmatch, value))


def _members(content: Mapping[str, Any], readers: Mapping[str, Reader]) -> dict[str, Any]:
    found = {name: readers.get(name, _unchanged)(value) for name, value in content.items() if value is not None}
    return {name: value for name, value in found.items() if value is not None}


def _unchanged(value: Any) -> Any:
    return value


def _object(readers: Mapping[str, Reader]) -> Reader:
    def reader(value: Any) -> Any:
        content = _decoded(value)
        return _members(content, readers) if isinstance(content, dict) else value

    return reader


def _decoded(value: Any) -> Any:
    try:
        return orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return value


def _list(value: Any) -> Any:
    """Return a list without nulls; None when nothing is left."""
    values = list_from_numbered(value)
    return [item for item in (values if isinstance(values, list) else [values]) if item is not None] or None


def _items(value: Any) -> Any:
    content = _decoded(value)
    return _list(content) if isinstance(content, list | dict) else value


def _options(value: Any) -> Any:
    # An empty list has a meaning of its own: the use of the data is not limited.
    return _list(_decoded(value)) or []


def _text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, str) and WHOLE.fullmatch(value) else value


def _amount(value: Any) -> Any:
    return float(value) if isinstance(value, str) and DECIMAL.fullmatch(value) else value


def _truth(value: Any) -> Any:
    return TRUTH.get(str(value).lower(), value) if isinstance(value, str | int) else value


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if math.isfinite(value) else value
    return _moment(value.strip()) if isinstance(value, str) else value


def _moment(text: str) -> Any:
    if DECIMAL.fullmatch(text):
        return int(float(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    # Without an offset nobody knows which moment is meant.
    return text if moment.tzinfo is None else int(moment.timestamp())


def _device(value: Any) -> Any:
    content = _decoded(value)
    slots = _with_gaps(content) if _is_numbered(content) else content
    return ["" if slot is None else _text(slot) for slot in slots] if isinstance(slots, list) else value


def _with_gaps(slots: Mapping[str, Any]) -> Any:
    by_index = {int(key): value for key, value in slots.items()}
    last = max(15, *by_index)
    return [by_index.get(index) for index in range(last + 1)] if last < MAX_SLOTS else slots


USER: Mapping[str, Reader] = dict.fromkeys((*HASHED, "external_id"), _list)
CUSTOM: Mapping[str, Reader] = {
    "contents": _items,
    "content_ids": _items,
    "value": _amount,
    "net_revenue": _amount,
    "predicted_ltv": _amount,
    "num_items": _whole,
    "order_id": _text,
}
APP: Mapping[str, Reader] = {
    "extinfo": _device,
    "application_tracking_enabled": _truth,
    "advertiser_tracking_enabled": _truth,
    "consider_views": _truth,
}
ORIGINAL: Mapping[str, Reader] = {"event_time": _seconds, "order_id": _text, "event_id": _text}
EVENT: Mapping[str, Reader] = {
    "event_time": _seconds,
    "event_id": _text,
    "action_source": _lower,
    "opt_out": _truth,
    "advertiser_tracking_enabled": _truth,
    "data_processing_options": _options,
    "data_processing_options_country": _whole,
    "data_processing_options_state": _whole,
    "user_data": _object(USER),
    "custom_data": _object(CUSTOM),
    "app_data": _object(APP),
    "original_event_data": _object(ORIGINAL),
    "attribution_data": _object({}),
}

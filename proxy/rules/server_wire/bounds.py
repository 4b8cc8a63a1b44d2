"""Bounds on the size and depth of parsed JSON, which are checked before other code walks through it."""

from typing import Any

from proxy.rules import server_limits

_HOLDERS = frozenset({dict, list})


def is_bounded(value: Any) -> bool:
    """Tell whether a value has no more members and levels than an event may have."""
    return _members(value, server_limits.MEMBERS, server_limits.DEPTH) is not None


def _members(value: Any, most: int, levels: int) -> int | None:
    """Return how many members a value has at all levels; None if they are too many, or too deep."""
    if type(value) not in _HOLDERS:
        return 0
    count = len(value)
    if count > most or levels < 1:
        return None
    for member in value.values() if isinstance(value, dict) else value:
        if type(member) in _HOLDERS:  # JSON knows no other classes, and this costs half
            inner = _members(member, most - count, levels - 1)
            if inner is None:
                return None
            count += inner
    return count

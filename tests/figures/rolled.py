"""Rollups made by hand."""

from collections.abc import Mapping
from typing import Any

from proxy.model.ledger import Status
from proxy.model.rollup import LAG_SLOTS, Rollup, RollupKey

HOUR = 490_000
"""An hour, since 1970, at which a day of UTC does not begin."""


def rollup(
    events: int = 1,
    *,
    hour: int = HOUR,
    site: str = "shop",
    pixel: str = "1",
    name: str = "Purchase",
    status: Status = Status.DELIVERED,
    reason: str = "",
    browser_copy: str = "fired",
    values: Mapping[str, tuple[int, int]] | None = None,
    match_keys: Mapping[str, int] | None = None,
    lag: Mapping[int, int] | None = None,
) -> Rollup:
    """Return a rollup.

    Args:
        events: How many it counts.
        hour: Of their arrival.
        site: Their site.
        pixel: Their pixel.
        name: Their name.
        status: How they ended.
        reason: Why.
        browser_copy: What became of their browser copy.
        values: As of ``Rollup``.
        match_keys: As of ``Rollup``.
        lag: How many took how long, by slot.
    """
    key = RollupKey(hour, site, pixel, name, status, reason, browser_copy)
    slots = tuple((lag or {}).get(slot, 0) for slot in range(LAG_SLOTS))
    return Rollup(key, events, values or {}, match_keys or {}, slots)


def members(found: Any, *names: str) -> tuple[Any, ...]:
    """Return some members of a value."""
    return tuple(getattr(found, name) for name in names)

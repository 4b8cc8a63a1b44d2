"""Rollups made by hand."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from proxy.model.ledger import Status
from proxy.model.rollup import LAG_SLOTS, Rollup, RollupKey
from proxy.model.rollup_sums import PeriodQuery, PeriodSums, in_bucket, reached_meta

HOUR = 490_000
"""An hour, counted from 1970, that is not the first of a UTC day."""


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
        events: How many events it counts.
        hour: The hour of their arrival.
        site: Their site.
        pixel: Their pixel.
        name: Their name.
        status: Their status.
        reason: The reason of the status.
        browser_copy: The status of their browser copies.
        values: As in ``Rollup``.
        match_keys: As in ``Rollup``.
        lag: The number of events by slot of the lag histogram.
    """
    key = RollupKey(hour, site, pixel, name, status, reason, browser_copy)
    slots = tuple((lag or {}).get(slot, 0) for slot in range(LAG_SLOTS))
    return Rollup(key, events, values or {}, match_keys or {}, slots)


def summed(wanted: PeriodQuery, rollups: Iterable[Rollup]) -> PeriodSums:
    """Return sums of rollups as a queue makes them, by a plain loop that is easy to check.

    Args:
        wanted: The periods and filters.
        rollups: Rollups of hours.
    """
    found = PeriodSums([], [], [])
    for each in rollups:
        key, spans = each.key, wanted.buckets
        texts = ((wanted.site, key.site), (wanted.pixel, key.pixel), (wanted.name, key.name))
        if any(text and text != mine for text, mine in texts):
            continue
        told = each if reached_meta(key.status, key.reason) else replace(each, values={}, match_keys={}, lag=())
        if wanted.before and wanted.before.since <= key.hour < wanted.before.until:
            found.before.append(replace(told, key=key._replace(hour=wanted.before.since)))
        for span in spans:
            if span.since <= key.hour < span.until:
                found.total.append(replace(told, key=key._replace(hour=spans[0].since)))
                found.buckets.append(replace(told, key=in_bucket(key, span.since, wanted.priced)))
    return PeriodSums(*map(together, found))


def together(rollups: Iterable[Rollup]) -> list[Rollup]:
    """Add up rollups with the same key, and sort them; only names that count values keep theirs."""
    found: dict[RollupKey, Rollup] = {}
    for each in rollups:
        before = found.get(each.key)
        found[each.key] = _sum(before, each) if before else _sum(each, replace(each, events=0, **_NOTHING))
    return [found[key] for key in sorted(found)]


_NOTHING: Mapping[str, Any] = {"values": {}, "match_keys": {}, "lag": ()}


def _sum(one: Rollup, other: Rollup) -> Rollup:
    values = {
        currency: (one.values.get(currency, (0, 0))[0] + number, one.values.get(currency, (0, 0))[1] + total)
        for currency, (number, total) in other.values.items()
    }
    keys = Counter(one.match_keys) + Counter(other.match_keys)
    lag = tuple(map(sum, zip_longest(one.lag, other.lag, fillvalue=0)))
    return Rollup(one.key, one.events + other.events, {**one.values, **values} if one.key.name else {}, keys, lag)


def members(found: Any, *names: str) -> tuple[Any, ...]:
    """Return some attributes of an object."""
    return tuple(getattr(found, name) for name in names)

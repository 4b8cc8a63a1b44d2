"""Delivery lag: from an event's arrival until Graph took it, as a histogram, of which bounds of quantiles follow.

A histogram knows of each event only between which bounds it lies, so a quantile is two bounds, and no number between.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from proxy.model.rollup import LAG_BOUNDS_MS, LAG_SLOTS

_MEDIAN, _P95 = Fraction(1, 2), Fraction(95, 100)


@dataclass(frozen=True, slots=True)
class Between:
    """Two bounds in milliseconds: longer than the first, and at most as long as the second."""

    over: int
    up_to: int | None
    """None beyond the last bound of the histogram."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How long events took."""

    events: int
    counts: tuple[int, ...]
    """How many took up to each of ``LAG_BOUNDS_MS`` and longer than the one before; the last: longer than all."""
    median: Between
    p95: Between


def lag_of(histograms: Iterable[Sequence[int]]) -> Lag | None:
    """Return the lag of all events of some histograms; None where they have none."""
    counts = [0] * LAG_SLOTS
    for histogram in histograms:
        for place, count in enumerate(histogram):
            counts[place] += count
    if not (events := sum(counts)):
        return None
    return Lag(events, tuple(counts), quantile(counts, _MEDIAN), quantile(counts, _P95))


def quantile(counts: Sequence[int], part: Fraction) -> Between:
    """Return between which bounds the shortest time lies within which a part of the events was done."""
    needed, done = part * sum(counts), 0
    bounds = (0, *LAG_BOUNDS_MS, None)
    for place, count in enumerate(counts):
        done += count
        if count and done >= needed:
            return Between(bounds[place] or 0, bounds[place + 1])
    return Between(0, LAG_BOUNDS_MS[0])

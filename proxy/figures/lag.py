"""Delivery lag: the time from an event's arrival until Graph took it, as a histogram and as quantiles.

A histogram only knows the two bounds between which an event's lag lies, so a quantile is given as two bounds too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from proxy.model.rollup import LAG_BOUNDS_MS, LAG_SLOTS

_MEDIAN, _P95 = Fraction(1, 2), Fraction(95, 100)


@dataclass(frozen=True, slots=True)
class LagRange:
    """Two bounds in milliseconds: a time is longer than the first, and at most as long as the second."""

    over: int
    up_to: int | None
    """None beyond the last bound of the histogram."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How long events took."""

    events: int
    counts: tuple[int, ...]
    """How many events took up to each of ``LAG_BOUNDS_MS`` but longer than the one before; the last: beyond all."""
    median: LagRange
    p95: LagRange


def lag_of(histograms: Iterable[Sequence[int]]) -> Lag | None:
    """Return the lag of all events of some histograms; None when they hold no event."""
    counts = [0] * LAG_SLOTS
    for histogram in histograms:
        for place, count in enumerate(histogram):
            counts[place] += count
    if not (events := sum(counts)):
        return None
    return Lag(events, tuple(counts), quantile(counts, _MEDIAN), quantile(counts, _P95))


def quantile(counts: Sequence[int], part: Fraction) -> LagRange:
    """Return the bounds of a quantile: of the time within which the ``part`` (0 to 1) of the events was delivered."""
    needed, done = part * sum(counts), 0
    bounds = (0, *LAG_BOUNDS_MS, None)
    for place, count in enumerate(counts):
        done += count
        if count and done >= needed:
            return LagRange(bounds[place] or 0, bounds[place + 1])
    return LagRange(0, LAG_BOUNDS_MS[0])

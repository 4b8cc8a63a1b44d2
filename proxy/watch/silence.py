"""Silence: nothing comes, for as long as usually brings many events at that time of day and week. No I/O, no clock."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.model.units import HOUR_MS
from proxy.watch.hours import WEEK

MISSED: Final = 30
"""So many events must be missed. Were they as independent as raindrops, chance would bring none of 30 once in 10^13
times; people come together, so that much is left for holidays and for campaigns that end."""
_SHORTEST_MS: Final = 15 * 60_000
_DAYS, _WEEKS = 7, 4


class Silence(NamedTuple):
    """Nothing has come since a moment."""

    since: int
    """The end of the hour of the last event, in milliseconds."""
    missed: int
    """How many events usually come in that time."""


def silence(counts: Mapping[int, int], now: int) -> Silence | None:
    """Return since when nothing comes; None where that is nothing unusual, or not known.

    Args:
        counts: Events by hour, since 1970 in UTC, of hours that have any.
        now: Server clock in milliseconds.
    """
    hour = now // HOUR_MS
    past = [number for number in counts if number <= hour]
    if not past or not (last := max(past)) < hour:
        return None
    since, first = (last + 1) * HOUR_MS, min(past)
    if last - first < WEEK or now - since < _SHORTEST_MS:
        return None
    silent = _Span(last + 1, hour, (now % HOUR_MS) / HOUR_MS)
    missed = min(
        _usual(counts, silent, first, step=24, most=_DAYS), _usual(counts, silent, first, step=WEEK, most=_WEEKS)
    )
    return Silence(since, round(missed)) if missed >= MISSED else None


class _Span(NamedTuple):
    """Hours without an event."""

    first: int
    current: int
    part: float
    """Of the current hour, which has passed."""

    def events(self, counts: Mapping[int, int], shift: int) -> float:
        """Return how many events came in these hours, so many hours earlier."""
        whole = sum(counts.get(hour - shift, 0) for hour in range(self.first, self.current))
        return whole + self.part * counts.get(self.current - shift, 0)


def _usual(counts: Mapping[int, int], silent: _Span, first: int, *, step: int, most: int) -> float:
    """Return how many events usually come in such hours, cautiously: the average without the largest.

    So one campaign is not what is usual.

    Args:
        counts: See ``silence``.
        silent: The hours.
        first: The first hour that is known.
        step: A day or a week, in hours: earlier hours are compared whole days or weeks before.
        most: How many such days or weeks.
    """
    nearest = -(-(silent.current - silent.first + 1) // step)
    shifts = [step * times for times in range(nearest, nearest + most)]
    samples = [silent.events(counts, shift) for shift in shifts if silent.first - shift >= first]
    if len(samples) < 2:
        return sum(samples)
    return (sum(samples) - max(samples)) / (len(samples) - 1)

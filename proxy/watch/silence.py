"""Silence: no event comes for a time that usually brings many, at that hour and weekday. No I/O, no clock."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.model.units import HOUR_MS
from proxy.watch.hours import WEEK

LEAST_MISSED: Final = 30
"""How many events must be missing. If events were independent, none of 30 would come by chance once in 10^13 times.
They are not, so the number also leaves room for holidays and for campaigns that end."""
_SHORTEST_MS: Final = 15 * 60_000
_DAYS, _WEEKS = 7, 4


class Silence(NamedTuple):
    """A silence that is unusual."""

    since: int
    """The end of the hour of the last event, in milliseconds."""
    missed: int
    """How many events usually come in that time."""


def silence(counts: Mapping[int, int], now: int) -> Silence | None:
    """Return the present silence; None when it is not unusual, or what is usual is not known.

    Args:
        counts: How many events came in each hour that has any, by hours since 1970 in UTC.
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
    return Silence(since, round(missed)) if missed >= LEAST_MISSED else None


class _Span(NamedTuple):
    """Hours without an event."""

    first: int
    current: int
    part: float
    """The part of the current hour that has passed, 0 to 1."""

    def events(self, counts: Mapping[int, int], shift: int) -> float:
        """Return how many events came in the same span ``shift`` hours earlier."""
        whole = sum(counts.get(hour - shift, 0) for hour in range(self.first, self.current))
        return whole + self.part * counts.get(self.current - shift, 0)


def _usual(counts: Mapping[int, int], silent: _Span, first: int, *, step: int, most: int) -> float:
    """Return how many events usually come in such hours: the average of earlier spans without the largest.

    The largest is left out so that one campaign does not count as usual.

    Args:
        counts: See ``silence``.
        silent: The hours without an event.
        first: The first hour of which events are known.
        step: A day or a week, in hours: the compared spans are whole days or weeks earlier.
        most: How many such days or weeks are compared.
    """
    nearest = -(-(silent.current - silent.first + 1) // step)
    shifts = [step * times for times in range(nearest, nearest + most)]
    samples = [silent.events(counts, shift) for shift in shifts if silent.first - shift >= first]
    if len(samples) < 2:
        return sum(samples)
    return (sum(samples) - max(samples)) / (len(samples) - 1)

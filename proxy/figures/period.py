"""The period that figures cover, and the buckets of its charts: whole hours, or days of the asker's time zone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from proxy.model.rollup_sums import HourSpan
from proxy.model.units import DAY_MS, HOUR_MS

LONGEST_DAYS = 400
"""The longest period, in days: rollups are kept so long."""
MOST_OFFSET = 14 * 60
"""The largest offset of a time zone from UTC, in minutes."""
Step: TypeAlias = Literal["hour", "day"]

_HOURS_UP_TO = 3 * 24
# A longer period has too many hours to read each: it is read as sums of days, which are days of UTC.
_MOST_HOURS = 8 * 24


class BadPeriodError(ValueError):
    """The period is not accepted; the text says what is."""


@dataclass(frozen=True, slots=True)
class Period:
    """A range of whole hours, and how it is cut into buckets."""

    since_hour: int
    """Hours since 1970, UTC; the first of the period."""
    until_hour: int
    """The first hour after the period."""
    step: Step = "hour"
    offset: int = 0
    """Minutes by which the asker's clocks are ahead of UTC; it says where days begin."""
    is_long: bool = False
    """Whether it consists of whole days of UTC; then the offset has no effect."""

    @property
    def since_ms(self) -> int:
        """When the period begins, in milliseconds since 1970."""
        return self.since_hour * HOUR_MS

    @property
    def until_ms(self) -> int:
        """When the period ends, in milliseconds since 1970."""
        return self.until_hour * HOUR_MS

    @property
    def has_before(self) -> bool:
        """Whether rollups of all of the period before are kept, if this one ends now."""
        return 2 * (self.until_hour - self.since_hour) <= LONGEST_DAYS * 24

    @property
    def before(self) -> "Period":
        """The period of the same length that ends where this one begins."""
        length = self.until_hour - self.since_hour
        return replace(self, since_hour=max(0, self.since_hour - length), until_hour=self.since_hour)

    def bucket(self, hour: int) -> int:
        """Return when the bucket of an hour begins, in milliseconds; an hour belongs to the day in which it begins."""
        begin = hour * HOUR_MS
        if self.step == "hour":
            return begin
        ahead = 0 if self.is_long else self.offset * 60_000
        return (begin + ahead) // DAY_MS * DAY_MS - ahead

    def buckets(self) -> Iterator[int]:
        """Yield when each bucket of the period begins, in milliseconds and in order."""
        length = HOUR_MS if self.step == "hour" else DAY_MS
        yield from range(self.bucket(self.since_hour), self.bucket(self.until_hour - 1) + 1, length)

    def spans(self) -> Iterator[HourSpan]:
        """Yield the hours of each bucket that belong to the period, in the order of ``buckets``."""
        length = HOUR_MS if self.step == "hour" else DAY_MS
        for at in self.buckets():
            first, behind = -(-at // HOUR_MS), -(-(at + length) // HOUR_MS)
            yield HourSpan(max(first, self.since_hour), min(behind, self.until_hour))


def period_of(since_ms: int, until_ms: int, *, step: str = "", offset: int = 0) -> Period:
    """Return the period of all hours that two moments touch; of more than eight days, of all days.

    Args:
        since_ms: The first moment, in milliseconds.
        until_ms: The last one, exclusive.
        step: ``hour`` or ``day``; empty: hours for up to three days.
        offset: Minutes by which the asker's clocks are ahead of UTC.

    Raises:
        BadPeriodError: when the period is empty or too long, or cannot be cut into such steps.
    """
    if not 0 <= since_ms < until_ms:
        raise BadPeriodError("from, to: accepted: two moments in milliseconds, the earlier one first")
    if until_ms - since_ms > LONGEST_DAYS * DAY_MS:
        raise BadPeriodError(f"from, to: accepted: at most {LONGEST_DAYS} days")
    if abs(offset) > MOST_OFFSET:
        raise BadPeriodError(f"offset: accepted: -{MOST_OFFSET} to {MOST_OFFSET} minutes")
    since_hour, until_hour = since_ms // HOUR_MS, -(-until_ms // HOUR_MS)
    is_long = until_hour - since_hour > _MOST_HOURS
    chosen = _step(step, until_hour - since_hour)
    if is_long:
        since_hour, until_hour = since_hour // 24 * 24, -(-until_hour // 24) * 24
    return Period(since_hour, until_hour, chosen, offset, is_long)


def _step(wanted: str, hours: int) -> Step:
    match wanted:
        case "":
            return "hour" if hours <= _HOURS_UP_TO else "day"
        case "hour" if hours <= _MOST_HOURS:
            return "hour"
        case "day":
            return "day"
        case _:
            raise BadPeriodError(f"step: accepted: day, or hour for at most {_MOST_HOURS // 24} days")

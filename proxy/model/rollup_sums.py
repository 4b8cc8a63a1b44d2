"""Rollups added up over a period, only as finely as its figures need: a year has tens of thousands of rollups."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from proxy.model.ledger import REPEATS_SERVER, Status
from proxy.model.rollup import Rollup, RollupKey


class HourSpan(NamedTuple):
    """A span of whole hours; its ends are hours since 1970, UTC."""

    since: int
    until: int
    """The first hour after the span."""


@dataclass(frozen=True, slots=True)
class PeriodQuery:
    """Which rollups are added up; empty fields match all."""

    buckets: tuple[HourSpan, ...]
    """The parts of the period, in order, without gaps; none if only ``before`` is wanted."""
    before: HourSpan | None = None
    """The earlier span that the period is compared with."""
    priced: str = ""
    """The event name whose values are wanted for each bucket."""
    site: str = ""
    pixel: str = ""
    name: str = ""

    @property
    def since(self) -> int:
        """The period's first hour; 0 where it has none."""
        return self.buckets[0].since if self.buckets else 0

    def split(self, hour: int) -> "tuple[PeriodQuery, PeriodQuery]":
        """Return the query for the time before an hour and the one for the rest.

        Buckets are not cut: the bucket that holds the hour goes to the rest. ``before`` is cut at the hour.
        """
        number = sum(span.until <= hour for span in self.buckets)
        early, late = _cut(self.before, hour)
        return (
            replace(self, buckets=self.buckets[:number], before=early),
            replace(self, buckets=self.buckets[number:], before=late),
        )


def _cut(span: HourSpan | None, hour: int) -> tuple[HourSpan | None, HourSpan | None]:
    if span is None or span.until <= hour:
        return span, None
    if span.since >= hour:
        return None, span
    return HourSpan(span.since, hour), HourSpan(hour, span.until)


class PeriodSums(NamedTuple):
    """Rollups added up; a key may come in several parts.

    Values, match keys and lag cover only events whose server copy reached Meta.
    """

    before: list[Rollup]
    """The sums over ``PeriodQuery.before``."""
    total: list[Rollup]
    """The sums over the period; their hour is the period's first."""
    buckets: list[Rollup]
    """The sums over each bucket; their hour is the bucket's first, and their keys are those of ``in_bucket``."""


def reached_meta(status: Status, reason: str) -> bool:
    """Tell whether Meta has a server copy of events that ended so: their own, or a server's event of the same order."""
    return status is Status.DELIVERED or (status is Status.DUPLICATE and reason == REPEATS_SERVER)


def in_bucket(key: RollupKey, since: int, priced: str) -> RollupKey:
    """Return the key under which events count in a bucket: without site; pixel and name only if values are summed.

    Args:
        key: The key of the events.
        since: The bucket's first hour.
        priced: The event name whose values are wanted.
    """
    if key.name == priced and reached_meta(key.status, key.reason):
        return key._replace(hour=since, site="")
    return key._replace(hour=since, site="", pixel="", name="")

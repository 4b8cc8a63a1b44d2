"""Rollups added up over a period, as finely as its figures need them and no finer: a year has tens of thousands."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from proxy.model.ledger import REPEATS_SERVER, Status
from proxy.model.rollup import Rollup, RollupKey


class HourSpan(NamedTuple):
    """Some whole hours, since 1970, UTC."""

    since: int
    until: int
    """The first hour behind it."""


@dataclass(frozen=True, slots=True)
class PeriodQuery:
    """Which rollups are added up; empty fields match all."""

    buckets: tuple[HourSpan, ...]
    """What the period is cut into, in order, without gaps; none where only what is before is wanted."""
    before: HourSpan | None = None
    """What it is compared with."""
    priced: str = ""
    """The name whose values are wanted of each bucket."""
    site: str = ""
    pixel: str = ""
    name: str = ""

    @property
    def since(self) -> int:
        """The period's first hour; 0 where it has none."""
        return self.buckets[0].since if self.buckets else 0

    def split(self, hour: int) -> "tuple[PeriodQuery, PeriodQuery]":
        """Return what is wanted of the time before an hour, and of that from it on with all of its bucket."""
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

    Values, match keys and lag are told of events only whose server copy reached Meta.
    """

    before: list[Rollup]
    """Over ``PeriodQuery.before``."""
    total: list[Rollup]
    """Over the period; their hour is its first."""
    buckets: list[Rollup]
    """Over each bucket, whose first hour they have, with keys as of ``in_bucket``."""


def reached_meta(status: Status, reason: str) -> bool:
    """Tell whether Meta has a server copy of such events: their own, or that of the server's of the same order."""
    return status is Status.DELIVERED or (status is Status.DUPLICATE and reason == REPEATS_SERVER)


def in_bucket(key: RollupKey, since: int, priced: str) -> RollupKey:
    """Return the key under which a bucket has events: site, pixel and name are told only where a value needs them.

    Args:
        key: Of the events.
        since: The bucket's first hour.
        priced: The name whose values are wanted.
    """
    if key.name == priced and reached_meta(key.status, key.reason):
        return key._replace(hour=since, site="")
    return key._replace(hour=since, site="", pixel="", name="")

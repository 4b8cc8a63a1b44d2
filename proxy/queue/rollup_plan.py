"""Which rollups are read for a period: sums of days where all of a day is in one bucket, else those of hours."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from proxy.model.rollup_sums import HourSpan, PeriodQuery

EARLIER_PERIOD = 0
"""The slot of the earlier period with which a period is compared."""
DAY_HOURS = 24


class RollupPlan(NamedTuple):
    """The slot of each time that is read: BEFORE, or the place of a bucket, counted from 1."""

    hours: dict[int, int]
    """By hour."""
    days: dict[int, int]
    """By the first hour of a day; the hours of such a day are not in ``hours``."""


def plan_of(wanted: PeriodQuery) -> RollupPlan:
    """Return what is read for a period."""
    plan = RollupPlan({}, {})
    if wanted.before:
        _add(plan, wanted.before, EARLIER_PERIOD)
    for slot, span in enumerate(wanted.buckets, 1):
        _add(plan, span, slot)
    return plan


def runs(times: Iterable[int], step: int = 1) -> Iterator[tuple[int, int]]:
    """Yield ascending times as runs without a gap: the first time of each run, and the time a step after its last."""
    first: int | None = None
    following = 0
    for time in times:
        if first is not None and time != following:
            yield first, following
            first = None
        first = time if first is None else first
        following = time + step
    if first is not None:
        yield first, following


def _add(plan: RollupPlan, span: HourSpan, slot: int) -> None:
    first = min(-(-span.since // DAY_HOURS) * DAY_HOURS, span.until)
    behind = max(span.until // DAY_HOURS * DAY_HOURS, first)
    plan.hours.update(dict.fromkeys((*range(span.since, first), *range(behind, span.until)), slot))
    plan.days.update(dict.fromkeys(range(first, behind, DAY_HOURS), slot))

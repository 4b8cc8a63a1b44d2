"""Rollups added up over a period, on the thread that reads.

No object is made for a rollup that only goes into a sum: numbers of events are added as they are read. The other counts
are added column by column, and only for events whose server copy reached Meta.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import apsw

from proxy.model.rollup import Rollup, RollupKey
from proxy.model.rollup_sums import PeriodQuery, PeriodSums, in_bucket, reached_meta
from proxy.queue.rollup_counts import added_up
from proxy.queue.rollup_plan import DAY_HOURS, EARLIER_PERIOD, RollupPlan, plan_of, runs
from proxy.queue.sqlite.rollup_pages import kinds_of

_EVENTS = "SELECT time, kind, events FROM {} WHERE time>=? AND time<? AND events<>0"
_COUNTS = "SELECT time, kind, counts FROM {} WHERE time>=? AND time<? AND events<>0 AND kind IN carray(?)"


class _Stretch(NamedTuple):
    """A run of times without a gap in a table, with the slot of each time."""

    table: str
    since: int
    until: int
    slots: Mapping[int, int]


def period_sums(db: apsw.Connection, wanted: PeriodQuery) -> PeriodSums:
    """Return rollups added up over a period.

    Args:
        db: The connection, within a transaction.
        wanted: Over what.
    """
    kinds = kinds_of(db, wanted.site, wanted.pixel, wanted.name)
    adding = _PeriodTotals(wanted, kinds)
    reached = array("q", [number for number, key in kinds.items() if reached_meta(key.status, key.reason)])
    for stretch in _stretches(plan_of(wanted)):
        span = stretch.since, stretch.until
        adding.add_events(stretch.slots, db.execute(_EVENTS.format(stretch.table), span))
        if reached:
            counts = db.execute(_COUNTS.format(stretch.table), (*span, apsw.carray(reached)))
            adding.add_counts(stretch.slots, counts)
    return adding.sums()


def _stretches(plan: RollupPlan) -> Iterator[_Stretch]:
    days = {hour // DAY_HOURS: slot for hour, slot in plan.days.items()}
    for table, slots in (("rollup_hour", plan.hours), ("rollup_day", days)):
        for since, until in runs(sorted(slots)):
            yield _Stretch(table, since, until, slots)


class _Sums:
    """Sums by number: the number of a kind, or one made of a slot and a key."""

    def __init__(self) -> None:
        self.events: defaultdict[int, int] = defaultdict(int)
        self.counts: defaultdict[int, list[bytes]] = defaultdict(list)
        """In their stored form until they are added up: unpacked, those of a year would be very many objects."""

    def rollup(self, number: int, key: RollupKey) -> Rollup:
        """Return the sums of a number as a rollup."""
        return Rollup(key, self.events[number], *added_up(self.counts.get(number, ())))


class _PeriodTotals:
    """Adds up rows by kind, over the period and over the earlier one that it is compared with, and by bucket."""

    def __init__(self, wanted: PeriodQuery, kinds: Mapping[int, RollupKey]) -> None:
        """Begin with nothing.

        Args:
            wanted: Over what is added.
            kinds: The kinds that are wanted, by number; their hour is always 0.
        """
        self._wanted, self._kinds = wanted, kinds
        keys = {number: in_bucket(key, 0, wanted.priced) for number, key in kinds.items()}
        self._bucket_keys = list(dict.fromkeys(keys.values()))
        places = {key: place for place, key in enumerate(self._bucket_keys)}
        self._places = {number: places[key] for number, key in keys.items()}
        self._before, self._total, self._buckets = _Sums(), _Sums(), _Sums()

    def add_events(self, slots: Mapping[int, int], rows: Any) -> None:
        """Add numbers of events.

        Args:
            slots: The slot of each time.
            rows: For each a time, the number of a kind, and how many events.
        """
        places, width = self._places, len(self._bucket_keys)
        before, total, buckets = self._before.events, self._total.events, self._buckets.events
        for time, kind, events in rows:
            if (place := places.get(kind)) is None:
                continue
            if (slot := slots[time]) == EARLIER_PERIOD:
                before[kind] += events
            else:
                total[kind] += events
                buckets[slot * width + place] += events

    def add_counts(self, slots: Mapping[int, int], rows: Any) -> None:
        """Add the other counts in the same way, in their stored form."""
        places, width = self._places, len(self._bucket_keys)
        before, total, buckets = self._before.counts, self._total.counts, self._buckets.counts
        for time, kind, packed in rows:
            if (slot := slots[time]) == EARLIER_PERIOD:
                before[kind].append(packed)
            else:
                total[kind].append(packed)
                buckets[slot * width + places[kind]].append(packed)

    def sums(self) -> PeriodSums:
        """Return what was added up."""
        wanted, width = self._wanted, len(self._bucket_keys)
        starts = [span.since for span in wanted.buckets]
        buckets = []
        for number in self._buckets.events:
            slot, place = divmod(number, width)
            buckets.append(self._buckets.rollup(number, self._bucket_keys[place]._replace(hour=starts[slot - 1])))
        before = self._of_kinds(self._before, wanted.before.since if wanted.before else 0)
        return PeriodSums(before, self._of_kinds(self._total, wanted.since), buckets)

    def _of_kinds(self, sums: _Sums, hour: int) -> list[Rollup]:
        return [sums.rollup(kind, self._kinds[kind]._replace(hour=hour)) for kind in sums.events]

"""Pages of the shared ledger by arrival: those finished events first whose requests came last.

A page looks at a bounded number of rows, by the index of arrivals of each day's table, or at all rows with some ids, or
at those of a rare status by an index of their own. The next page begins behind a cursor: the arrival and the number of
a row. After a page that found nothing, the cursor jumps to the last hour in which the rollups count a wanted event.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self

from proxy.model.ledger import Status
from proxy.model.units import DAY_MS
from proxy.queue.contract import EventPage, Filter
from proxy.queue.postgres.copy_updates import read_with_copies
from proxy.queue.postgres.ledger_days import ARRIVAL, LEDGER, UPDATES, day_tables, days_of
from proxy.queue.postgres.ledger_filter import bounded, condition_of, is_shown
from proxy.queue.postgres.ledger_rows import FACTS
from proxy.queue.postgres.search_jump import latest_arrival_bound
from proxy.queue.postgres.transaction import Run

SLICE, NAMED_SLICE = 5000, 25_000
"""Rows that a page looks at; the second if a name is wanted: the index has the names, so other rows are not read."""
MOST_ROWS = 200
"""Rows that a page returns, at most, without those that share the last one's place."""
# The planner does not know that a page ends early, and would sort many rows; so it must read in the order of an index.
_BY_INDEX = ("SET LOCAL enable_sort = off", "SET LOCAL enable_bitmapscan = off")
_NEWEST_FIRST = "arrival DESC, number DESC"
_COLUMNS = f"{FACTS}, {ARRIVAL} AS arrival"


class ArrivalPlace(NamedTuple):
    """The row behind which a page begins."""

    arrival: int
    number: int

    @classmethod
    def read(cls, written: str) -> Self | None:
        """Read what ``str`` wrote; return None for any other text."""
        arrival, _, number = written.partition(".")
        if not all(each.isascii() and each.isdecimal() and len(each) < 20 for each in (arrival, number)):
            return None
        return cls(bounded(int(arrival)), bounded(int(number)))

    def __str__(self) -> str:
        """Write it as a word."""
        return f"{self.arrival}.{self.number}"


_LAST_NUMBER = bounded(1 << 63)
START = ArrivalPlace(_LAST_NUMBER, _LAST_NUMBER)
_END = ArrivalPlace(-1, -1)


async def page(run: Run, wanted: Filter) -> EventPage:
    """Return a page of wanted events.

    Args:
        run: Runs statements of the page's transaction.
        wanted: The filter.
    """
    start = ArrivalPlace.read(wanted.below) if wanted.below else START
    if start is None:
        return EventPage(())
    if wanted.until_ms is not None:
        start = min(start, ArrivalPlace(bounded(wanted.until_ms), -1))
    tables = await day_tables(run)
    # No event ended on a day before it arrived; one day more, as the clocks of two proxies may differ.
    first = (wanted.since_ms or 0) // DAY_MS - 1
    days: Sequence[int] = [day for day in days_of(tables, LEDGER) if day >= first]
    if not days:
        return EventPage(())
    bottom = _END
    if not (wanted.id or wanted.ids):
        for setting in _BY_INDEX:
            await run(setting)
        days, bottom = await _slice(run, days, wanted, start)
    most = max(1, min(wanted.limit, MOST_ROWS))
    rows = await _found(run, days, wanted, (start, bottom), most)
    last = ArrivalPlace(rows[-1]["arrival"], rows[-1]["number"]) if len(rows) >= most else bottom
    if not rows and last != _END:
        moment = await latest_arrival_bound(run, wanted, last.arrival)
        last = min(last, ArrivalPlace(moment, _LAST_NUMBER)) if moment > 0 else _END
    found = await read_with_copies(run, sorted(days_of(tables, UPDATES)), rows)
    return EventPage([row for row in found if is_shown(row, wanted)], None if last == _END else str(last))


async def _slice(
    run: Run, days: Sequence[int], wanted: Filter, start: ArrivalPlace
) -> tuple[Sequence[int], ArrivalPlace]:
    """Return the days that a page looks at, and the place down to which it looks, itself included.

    No event of an older day came after that day, so the day before is asked only where the newer ones have too little.
    """
    count, bottom = sum(day > start.arrival // DAY_MS for day in days), _END
    while count < len(days):
        count += 1
        bottom = await _bottom(run, days[:count], wanted, start)
        if bottom.arrival >= days[count - 1] * DAY_MS:
            return days[:count], bottom
    return days, bottom


async def _bottom(run: Run, days: Sequence[int], wanted: Filter, start: ArrivalPlace) -> ArrivalPlace:
    """Return the last place of a slice of the rows of some days; ``_END`` if they have fewer rows."""
    looked = Filter(since_ms=wanted.since_ms, status=_rare(wanted.status))
    condition = condition_of(looked, 3)
    most = NAMED_SLICE if wanted.name else SLICE
    part = _DayPart(f"{ARRIVAL} AS arrival, number", condition.sql, f"LIMIT {most}")
    sql = f"SELECT arrival, number FROM ({part.of(days)}) n ORDER BY {_NEWEST_FIRST} OFFSET {most - 1} LIMIT 1"  # noqa: S608
    rows = await run(sql, *start, *condition.values)
    return ArrivalPlace(*rows[0]) if rows else _END


def _rare(status: Status | None) -> Status | None:
    return None if status is Status.DELIVERED else status


async def _found(
    run: Run, days: Sequence[int], wanted: Filter, between: tuple[ArrivalPlace, ArrivalPlace], most: int
) -> Sequence[Any]:
    start, bottom = between
    if wanted.since_ms is not None:
        bottom = max(bottom, ArrivalPlace(bounded(wanted.since_ms), -1))
    # Only one bound on either side: of two, the index might use the one that is further away.
    condition = condition_of(replace(wanted, since_ms=None, until_ms=None), 6)
    # Rows with an id are found by its index, whatever the planner thinks of the order.
    arrival = f"{ARRIVAL} + 0" if wanted.id or wanted.ids else ARRIVAL
    above = f" AND ({arrival}, number) >= ($3::int8, $4::int8)"
    part = _DayPart(_COLUMNS, above + condition.sql, "FETCH FIRST $5 ROWS WITH TIES", arrival)
    sql = f"SELECT * FROM ({part.of(days)}) n ORDER BY {_NEWEST_FIRST} FETCH FIRST $5 ROWS WITH TIES"  # noqa: S608
    return await run(sql, *start, *bottom, most, *condition.values)


class _DayPart(NamedTuple):
    """What is read of each day: the first rows below the place ``($1, $2)``, newest first, in the order of an index."""

    columns: str
    condition: str
    limit: str
    arrival: str = ARRIVAL

    def of(self, days: Sequence[int]) -> str:
        """Return the SQL of all days together."""
        below = f"({self.arrival}, number) < ($1::int8, $2::int8){self.condition}"
        order = f"ORDER BY {self.arrival} DESC, number DESC {self.limit}"
        return " UNION ALL ".join(
            f"(SELECT {self.columns} FROM ledger_{day} WHERE {below} {order})"  # noqa: S608 - our own text
            for day in days
        )

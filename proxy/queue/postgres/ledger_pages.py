"""Pages of the shared ledger: finished events with the latest status of their browser copies.

A page looks at a bounded number of rows and is read in one short transaction; day tables may appear and go between two
pages. There are two orders. Newest first (``newest``), rows come by day and by number.

Above a number (``since``), rows come in the order of their numbers, and a reader that goes on from the last one misses
none. Since a row may become visible after others with larger numbers, such a page ends ``LAG_US`` before the database's
clock and before the newest beat of any proxy: commits that wait for a standby become visible in their order, so all
that is older than a visible beat is visible. Only if no other proxy lives, and this one writes no rows at the moment,
does the page go up to the last row.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from proxy.model.ledger import LedgerRow
from proxy.queue.contract import Filter
from proxy.queue.postgres.copy_updates import read_with_copies
from proxy.queue.postgres.ledger_days import LEDGER, UPDATES, day_tables, days_of
from proxy.queue.postgres.ledger_filter import condition_of, is_shown
from proxy.queue.postgres.ledger_rows import CLOCK, FACTS
from proxy.queue.postgres.transaction import Run

SLICE = 5000
"""Rows that a page looks at."""
MOST_ROWS = 100
"""Rows that a page returns, at most, without those that share the last one's number."""
LAG_US = 6_000_000
"""Longer than any transaction takes from its rows to its commit, as idle ones are ended after 5 s."""
ABOVE_ALL = (1 << 63) - 1
# A proxy without a beat for a minute writes no more: any statement of it has ended.
_HORIZON = f"""
SELECT CASE
  WHEN $2 AND NOT EXISTS (SELECT FROM replica WHERE id <> $1 AND seen_at > now() - interval '60 s') THEN {ABOVE_ALL}
  ELSE least({CLOCK}, (SELECT (extract(epoch FROM max(seen_at)) * 1000000)::int8 FROM replica)) - {LAG_US}
END AS horizon
"""  # noqa: S608 - our own numbers


class DayPlace(NamedTuple):
    """Where a page begins: in the table of a day, below the number of a row."""

    day: int
    below: int


START = DayPlace(ABOVE_ALL, ABOVE_ALL)
"""Where the first page begins: at the newest row."""


async def newest(run: Run, wanted: Filter, place: DayPlace = START) -> tuple[list[LedgerRow], DayPlace | None]:
    """Return the wanted rows of a page, newest first, and where the next page begins, if anywhere.

    Args:
        run: Runs statements of the page's transaction.
        wanted: The filter.
        place: Where the page begins.
    """
    tables = await day_tables(run)
    days = [day for day in days_of(tables, LEDGER) if day <= place.day]
    if not days:
        return [], None
    day, below = days[0], place.below if days[0] == place.day else ABOVE_ALL
    by_id = bool(wanted.id or wanted.ids)
    bottom = 0 if by_id else await _bottom(run, day, below)
    condition, values = condition_of(wanted, 4)
    most = min(wanted.limit, MOST_ROWS)
    # An id is found by its index, whatever the planner thinks of the order.
    order = "number + 0" if by_id else "number"
    sql = (
        f"SELECT {FACTS} FROM ledger_{day} WHERE number >= $1 AND number < $2{condition}"  # noqa: S608 - our own names
        f" ORDER BY {order} DESC FETCH FIRST $3 ROWS WITH TIES"
    )
    rows = await run(sql, bottom, below, most, *values)
    lowest = int(rows[-1]["number"]) if len(rows) >= most else bottom
    following = DayPlace(day, lowest) if lowest else DayPlace(day - 1, ABOVE_ALL)
    found = [row for row in await _joined(run, tables, rows) if is_shown(row, wanted)]
    return found, following if lowest or days[1:] else None


async def _bottom(run: Run, day: int, below: int) -> int:
    """Return the number down to which a page looks; 0 where it reaches the end of the day."""
    sql = f"SELECT number FROM ledger_{day} WHERE number < $1 ORDER BY number DESC OFFSET {SLICE - 1} LIMIT 1"  # noqa: S608
    rows = await run(sql, below)
    return int(rows[0]["number"]) if rows else 0


async def horizon(run: Run, replica: bytes, *, alone: bool) -> int:
    """Return the number up to which no row will become visible any more.

    Args:
        run: Runs statements of the page's transaction.
        replica: The id of this process.
        alone: Whether this process writes no rows now.
    """
    ((found,),) = await run(_HORIZON, replica, alone)
    return await _last(run) if found == ABOVE_ALL else int(found)


async def _last(run: Run) -> int:
    """Return the largest number of any row; rows whose writing begins from now on get larger ones."""
    days = days_of(await day_tables(run), LEDGER)
    if not days:
        return 0
    ends = ", ".join(f"(SELECT max(number) FROM ledger_{day})" for day in days)  # noqa: S608 - our own names
    ((last,),) = await run(f"SELECT coalesce(greatest({ends}), 0)")
    return int(last)


async def page_above(run: Run, wanted: Filter, number: int, top: int) -> tuple[list[LedgerRow], int | None]:
    """Return the wanted rows of a page above a number, in order, and the number above which the next page begins.

    None for the latter if there is no next page.

    Args:
        run: Runs statements of the page's transaction.
        wanted: The filter.
        number: The number above which rows are returned.
        top: The number up to which rows are returned; see ``horizon``.
    """
    tables = await day_tables(run)
    days = days_of(tables, LEDGER)
    if not days:
        return [], None
    last = await _slice_end(run, days, number, top)
    condition, values = condition_of(wanted, 4)
    parts = " UNION ALL ".join(
        f"(SELECT {FACTS} FROM ledger_{day} WHERE number > $1 AND number <= $2{condition}"  # noqa: S608 - our own names
        " ORDER BY number FETCH FIRST $3 ROWS WITH TIES)"
        for day in days
    )
    most = min(wanted.limit, MOST_ROWS)
    sql = f"SELECT {FACTS} FROM ({parts}) found ORDER BY number FETCH FIRST $3 ROWS WITH TIES"  # noqa: S608
    rows = await run(sql, number, top if last is None else last, most, *values)
    found = [row for row in await _joined(run, tables, rows) if is_shown(row, wanted)]
    return found, int(rows[-1]["number"]) if len(rows) >= most else last


async def _slice_end(run: Run, days: Sequence[int], number: int, top: int) -> int | None:
    """Return the number up to which a page looks that begins above ``number``; None if it reaches the last row."""
    parts = " UNION ALL ".join(
        f"(SELECT number FROM ledger_{day} WHERE number > $1 AND number <= $2 ORDER BY number LIMIT {SLICE})"  # noqa: S608
        for day in days
    )
    rows = await run(
        f"SELECT number FROM ({parts}) numbers ORDER BY number OFFSET {SLICE - 1} LIMIT 1",  # noqa: S608
        number,
        top,
    )
    return int(rows[0]["number"]) if rows else None


async def _joined(run: Run, tables: frozenset[str], rows: Sequence[Any]) -> list[LedgerRow]:
    return await read_with_copies(run, sorted(days_of(tables, UPDATES)), rows)

"""Moves events from one rollup to another when the status of their browser copy becomes known later.

A row of the ledger says under which status it is counted (``fate``). The row is locked, changed and counted again in
one transaction, so that each event is moved once, however often its row is looked at.

A transaction that writes an update moves the rows that it can see, and one that writes a row looks for the updates that
it can see. Only two transactions that overlap miss each other. So tending goes through all rows once more
(``reconcile``), a minute behind the clock, when every transaction that could have missed one has ended.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from proxy.model.event import BrowserCopy
from proxy.queue.postgres.copy_updates import latest_copies
from proxy.queue.postgres.ledger_days import LEDGER, UPDATES, day_tables, days_of
from proxy.queue.postgres.ledger_rows import CLOCK, FACTS, row_of
from proxy.queue.postgres.rollup_changes import CountedRow
from proxy.queue.postgres.transaction import Run

SLICE = 5000
"""Rows that ``reconcile`` looks at in one transaction."""
_BEHIND_US = 60_000_000
_COPIES = "copy = ANY($1::int8[]) AND movable"
# The condition on $1 in addition to the join keeps every plan from reading the whole index, whatever the planner
# believes the size of the table to be. The status 'fired' is final.
_OTHERWISE = """
SELECT {facts} FROM unnest($1::int8[], $2::text[]) u(key, now_known)
JOIN ledger_{day} l ON l.copy = u.key AND l.fate <> u.now_known AND l.fate <> 'fired'
WHERE l.copy = ANY($1::int8[]) AND l.movable
ORDER BY copy, number FOR UPDATE OF l
"""
_DEAD = """
SELECT {facts} FROM ledger_{day} WHERE copy = ANY($1::int8[]) AND movable AND status = 'dead'
ORDER BY copy, number FOR UPDATE
"""
_MOVED = """
UPDATE ledger_{day} l SET fate = u.fate FROM unnest($1::int8[], $2::int8[], $3::text[]) u(copy, number, fate)
WHERE l.copy = ANY($1::int8[]) AND l.movable AND l.copy = u.copy AND l.number = u.number
"""
_REPLAYED = """
UPDATE ledger_{day} l SET replayed = true, movable = NULL FROM unnest($1::int8[], $2::int8[]) u(copy, number)
WHERE l.copy = ANY($1::int8[]) AND l.movable AND l.copy = u.copy AND l.number = u.number
"""
_MARK = "SELECT number FROM meta WHERE key = 'copies_moved'"
_KEEP = "INSERT INTO meta(key, number) VALUES('copies_moved', $1) ON CONFLICT (key) DO UPDATE SET number = $1"
_CLOCK = f"SELECT {CLOCK} AS number"


class CopyMoves:
    """Works within transactions that its callers start; each method returns the changes that the rollups must count."""

    async def move(self, run: Run, copies: Iterable[int]) -> list[CountedRow]:
        """Set the rows of browser copies with these numbers to the status that is known now."""
        wanted = list(copies)
        if not wanted:
            return []
        tables = await day_tables(run)
        updates = await latest_copies(run, sorted(days_of(tables, UPDATES)), wanted)
        moved: list[CountedRow] = []
        for day in await _days_with(run, sorted(days_of(tables, LEDGER)), sorted(updates)):
            moved += await self._move(run, day, updates)
        return moved

    async def _move(self, run: Run, day: int, updates: Mapping[int, BrowserCopy]) -> list[CountedRow]:
        keys = sorted(updates)
        rows = await run(_OTHERWISE.format(facts=FACTS, day=day), keys, [updates[key].value for key in keys])
        if not rows:
            return []
        found = [updates[row["copy"]] for row in rows]
        await run(_MOVED.format(day=day), *_places(rows), [each.value for each in found])
        befores = [row_of(row) for row in rows]
        afters = [row._replace(browser_copy=each) for row, each in zip(befores, found, strict=True)]
        return [*(CountedRow(row, -1) for row in befores), *map(CountedRow, afters)]

    async def mark_replayed(self, run: Run, copies: Sequence[int]) -> list[CountedRow]:
        """Mark the rows of dead letters that are put back as replayed.

        Args:
            run: Runs statements of the transaction.
            copies: Numbers of the copies of their events.
        """
        counted: list[CountedRow] = []
        for day in await _days_with(run, sorted(days_of(await day_tables(run), LEDGER)), sorted(set(copies))):
            rows = await run(_DEAD.format(facts=FACTS, day=day), sorted(set(copies)))
            if rows:
                await run(_REPLAYED.format(day=day), *_places(rows))
            counted += [CountedRow(row_of(row), -1) for row in rows]
        return counted

    async def reconcile(self, run: Run) -> tuple[list[CountedRow], bool]:
        """Move, in the next slice of rows, what overlapping transactions missed; tell whether there may be more."""
        ((now,),) = await run(_CLOCK)
        marks = await run(_MARK)
        horizon = now - _BEHIND_US
        above = int(marks[0]["number"]) if marks else horizon
        days = days_of(await day_tables(run), LEDGER)
        parts = " UNION ALL ".join(
            f"(SELECT number, copy FROM ledger_{day} WHERE number > $1 AND number <= $2 ORDER BY number"  # noqa: S608
            f" FETCH FIRST {SLICE} ROWS WITH TIES)"
            for day in days
        )
        sql = f"SELECT number, copy FROM ({parts}) n ORDER BY number FETCH FIRST {SLICE} ROWS WITH TIES"  # noqa: S608
        rows = await run(sql, above, horizon) if days else []
        more = len(rows) >= SLICE
        await run(_KEEP, max(above, rows[-1]["number"] if more else horizon))
        return await self.move(run, {row["copy"] for row in rows}), more


async def _days_with(run: Run, days: Sequence[int], copies: Sequence[int]) -> list[int]:
    """Return the days on which events with some of these copies ended, in order."""
    if not days or not copies:
        return []
    found = "SELECT {day} AS day WHERE EXISTS (SELECT FROM ledger_{day} WHERE {copies})"
    parts = " UNION ALL ".join(found.format(day=day, copies=_COPIES) for day in days)
    return sorted(row["day"] for row in await run(parts, list(copies)))


def _places(rows: Sequence[Any]) -> tuple[list[int], list[int]]:
    return [row["copy"] for row in rows], [row["number"] for row in rows]

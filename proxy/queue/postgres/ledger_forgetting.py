"""What the shared ledger forgets: whole days where it can, slices of the oldest rows where it must.

The bytes of a table are estimated: the number of rows that the server last counted (``ANALYZE``, which reads a sample),
times a fixed number of bytes per row. So no hundred million rows are read for it. A day's table is dropped once the day
is older than the ledger is kept, or if the other tables alone take as many bytes as the ledger may. If only a part of
the oldest table must go, its oldest rows are deleted, and the next rows take their room.
"""

import math
import time
from collections.abc import Callable, Mapping

from proxy.config.schema import RetentionSettings
from proxy.model.units import DAY_MS
from proxy.queue.postgres.ledger_days import LEDGER, UPDATES, day_tables, days_of
from proxy.queue.postgres.transaction import Run

# Of each row and update, with the indexes; measured.
ROW_BYTES, UPDATE_BYTES = 380, 70
# Rows removed in one transaction.
SLICE = 10_000
_COUNT_EVERY_S = 600.0
# The newest days, which are counted again: tomorrow's table, still empty, today's, and yesterday's, which may grow.
_GROWING_DAYS = 3
_OURS = "relname = ANY($1::text[]) AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
_COUNTS = f"SELECT relname::text AS name, greatest(reltuples, 0)::int8 AS rows FROM pg_class WHERE {_OURS}"  # noqa: S608
_UNCOUNTED = f"SELECT relname::text AS name FROM pg_class WHERE {_OURS} AND reltuples < 0"  # noqa: S608


async def forget_days(run: Run, now: int, retention: RetentionSettings) -> bool:
    """Drop the oldest table whose day is no longer kept; tell whether there is another.

    Args:
        run: Runs statements of a transaction that waits for no lock for long.
        now: Server clock in milliseconds.
        retention: How many days stay.
    """
    last_over = now // DAY_MS - retention.ledger_days
    over = sorted({name for name in await day_tables(run) if int(name.partition("_")[2]) <= last_over}, key=_age)
    if over:
        await run(f"DROP TABLE IF EXISTS {over[0]}")
    return len(over) > 1


def _age(name: str) -> tuple[int, str]:
    kind, _, day = name.partition("_")
    return int(day), kind


class LedgerBytes:
    """Keeps the ledger within the bytes that it may take."""

    def __init__(self, retention: RetentionSettings, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin without any count.

        Args:
            retention: How many bytes the ledger may take.
            monotonic: A clock in seconds.
        """
        self._most = retention.ledger_max_bytes
        self._monotonic = monotonic
        self._counted_at = -math.inf

    async def forget(self, run: Run) -> bool:
        """Remove a slice of what is beyond the bytes that the ledger may take; tell whether there may be more.

        The oldest events or the oldest updates go, whichever kind takes more, so that a flood of one kind leaves room
        for the other.

        Args:
            run: Runs statements of a transaction that waits for no lock for long.
        """
        tables = await day_tables(run)
        await self._count(run, tables)
        sizes = await _sizes(run, tables)
        beyond = sum(sizes.values()) - self._most
        return beyond > 0 and await _remove(run, _larger(sizes), beyond)

    async def _count(self, run: Run, tables: frozenset[str]) -> None:
        """Have the server count the rows of the newest days now and then, and those of other days once."""
        now = self._monotonic()
        if now - self._counted_at >= _COUNT_EVERY_S:
            self._counted_at = now
            newest = sorted({*days_of(tables, LEDGER), *days_of(tables, UPDATES)})[-_GROWING_DAYS:]
            growing = {name for name in tables if int(name.partition("_")[2]) in newest}
            uncounted = {row["name"] for row in await run(_UNCOUNTED, sorted(tables))}
            for name in sorted(growing | uncounted):
                await run(f"ANALYZE {name}")


def _larger(sizes: Mapping[str, int]) -> Mapping[str, int]:
    """Return the sizes of the kind of tables that takes more, the oldest day first, without empty tables."""
    kinds = [
        {f"{kind}_{day}": size for day in reversed(days_of(sizes, kind)) if (size := sizes[f"{kind}_{day}"])}
        for kind in (LEDGER, UPDATES)
    ]
    return max(kinds, key=lambda some: sum(some.values()))


async def _remove(run: Run, sizes: Mapping[str, int], beyond: int) -> bool:
    """Drop the oldest table if it is no larger than the excess, else delete a slice of it; tell if more must go."""
    name, size = next(iter(sizes.items()))
    if size <= beyond and len(sizes) > 1:
        await run(f"DROP TABLE IF EXISTS {name}")
        return size < beyond
    row_bytes, key = (ROW_BYTES, "number") if name.startswith(LEDGER) else (UPDATE_BYTES, "key")
    count = min(SLICE, -(-beyond // row_bytes))
    oldest = f"SELECT {key} FROM {name} ORDER BY {key} LIMIT $1"  # noqa: S608 - our own names
    await run(f"DELETE FROM {name} WHERE {key} = ANY(ARRAY({oldest}))", count)  # noqa: S608 - our own names
    await run(f"ANALYZE {name}")
    return count * row_bytes < beyond


async def _sizes(run: Run, tables: frozenset[str]) -> dict[str, int]:
    """Return about how many bytes each table takes."""
    rows = await run(_COUNTS, sorted(tables))
    return {row["name"]: row["rows"] * (ROW_BYTES if row["name"].startswith(LEDGER) else UPDATE_BYTES) for row in rows}

"""Tables of finished events, two for each day D (days since 1970, UTC): which there are, and how they are made.

``ledger_D`` has a row for each finished event of the day, ``fate_D`` the later updates of browser copies by event and
visitor (``keys.copy_key``). They are plain tables that are dropped whole, as nothing is cheaper to forget; creating and
dropping them locks no parent. Whoever writes makes sure of today's and tomorrow's.
"""

from collections.abc import Iterable

from proxy.queue.postgres.transaction import Run

LEDGER, UPDATES = "ledger", "fate"
"""Kinds of day tables: their names begin so."""
_ROWS = """
CREATE TABLE IF NOT EXISTS ledger_{day}(
    number int8 NOT NULL, at int8 NOT NULL, pixel text NOT NULL, name text NOT NULL, id text NOT NULL,
    time_s int8 NOT NULL, status text NOT NULL, reason text NOT NULL, fate text, fbtrace_id text NOT NULL,
    attempts int4 NOT NULL, findings text NOT NULL, copy int8 NOT NULL, source text NOT NULL
)
"""
_CREATIONS = (
    _ROWS,
    "CREATE INDEX IF NOT EXISTS ledger_{day}_number ON ledger_{day}(number)",
    "CREATE INDEX IF NOT EXISTS ledger_{day}_id ON ledger_{day} USING hash(id)",
    "CREATE TABLE IF NOT EXISTS fate_{day}(key int8 PRIMARY KEY, fate text NOT NULL)",
)
# By the index of the catalogue, whose names are compared byte by byte.
_NAMES = """
SELECT relname::text AS name FROM pg_class
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relkind = 'r'
  AND (relname BETWEEN 'ledger_0' AND 'ledger_9a' OR relname BETWEEN 'fate_0' AND 'fate_9a')
"""


async def create(run: Run, day: int) -> None:
    """Make the tables of a day where they are missing."""
    for statement in _CREATIONS:
        await run(statement.format(day=day))


async def day_tables(run: Run) -> frozenset[str]:
    """Return the names of all day tables there are."""
    names = [str(row["name"]) for row in await run(_NAMES)]
    return frozenset(name for name in names if name.partition("_")[2].isdecimal())


def days_of(tables: Iterable[str], kind: str) -> list[int]:
    """Return the days of the tables of a kind, newest first."""
    names = (name.partition("_") for name in tables)
    return sorted((int(day) for start, _, day in names if start == kind), reverse=True)

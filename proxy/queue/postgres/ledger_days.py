"""Tables of finished events, two for each day D (days since 1970, UTC): which there are, and how they are made.

``ledger_D`` has a row for each finished event of the day, ``fate_D`` the later updates of browser copies by event and
visitor (``keys.copy_key``). They are plain tables, which are dropped whole, as that is the cheapest way to delete; and
unlike with partitions, creating and dropping them locks no parent table. Processes that write the ledger make sure that
the tables of today and tomorrow exist.
"""

from collections.abc import Iterable

from proxy.queue.postgres.ledger_rows import COLUMNS
from proxy.queue.postgres.transaction import Run

LEDGER, UPDATES = "ledger", "fate"
"""Kinds of day tables: their names begin so."""
# The columns of layout 1. Pages keep room for the new version of a row whose browser copy becomes known.
_ROWS = """
CREATE TABLE IF NOT EXISTS ledger_{day}(
    number int8 NOT NULL, at int8 NOT NULL, pixel text NOT NULL, name text NOT NULL, id text NOT NULL,
    time_s int8 NOT NULL, status text NOT NULL, reason text NOT NULL, fate text, fbtrace_id text NOT NULL,
    attempts int4 NOT NULL, findings text NOT NULL, copy int8 NOT NULL, source text NOT NULL
) WITH (fillfactor = 90)
"""
_OLD_COLUMNS = 14
_NEW_COLUMNS = (*COLUMNS[_OLD_COLUMNS - 1 :], ("replayed", "bool"))
_ADDED = ", ".join(f"ADD COLUMN IF NOT EXISTS {name} {kind}" for name, kind in _NEW_COLUMNS)
ARRIVAL = "coalesce(arrived, at)"
"""SQL: when the event of a row arrived; for rows of layout 1, when it ended."""
RARE = "status <> 'delivered'"
"""SQL condition: the rows that are in the index by status."""
_ADDITIONS = (
    "ALTER TABLE ledger_{day} " + _ADDED,
    # With the name, so that a search for a rare one reads no other rows.
    "CREATE INDEX IF NOT EXISTS ledger_{day}_arrival ON ledger_{day}((" + ARRIVAL + "), number, name)",
    "CREATE INDEX IF NOT EXISTS ledger_{day}_status ON ledger_{day}(status, (" + ARRIVAL + "), number) WHERE " + RARE,
    # Without the column of the browser copy, so that a row whose copy becomes known needs no new entry in any index.
    "CREATE INDEX IF NOT EXISTS ledger_{day}_copy ON ledger_{day}(copy) WHERE movable",
)
# Tables that an older version of the program made: before the upgrade, or since then, beside this one.
_OLD = """
SELECT substr(relname::text, 8)::int8 AS day FROM pg_class c
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relkind = 'r'
  AND relname BETWEEN 'ledger_0' AND 'ledger_9a' AND relname ~ '^ledger_[0-9]+$'
  AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND attname = 'replayed')
"""
_CREATIONS = (
    _ROWS,
    "CREATE INDEX IF NOT EXISTS ledger_{day}_number ON ledger_{day}(number)",
    "CREATE INDEX IF NOT EXISTS ledger_{day}_id ON ledger_{day} USING hash(id)",
    "CREATE TABLE IF NOT EXISTS fate_{day}(key int8 PRIMARY KEY, fate text NOT NULL)",
)
# The ranges use the index of the catalogue, whose names are compared byte by byte.
_NAMES = """
SELECT relname::text AS name FROM pg_class c
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relkind = 'r'
  AND (relname BETWEEN 'fate_0' AND 'fate_9a' OR relname BETWEEN 'ledger_0' AND 'ledger_9a'
    AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND attname = 'replayed'))
"""


async def create(run: Run, day: int) -> None:
    """Make the tables of a day where they are missing."""
    for statement in _CREATIONS:
        await run(statement.format(day=day))
    if day in await old_days(run):
        await add_columns(run, day)


async def old_days(run: Run) -> list[int]:
    """Return the days whose tables lack something of this layout, the oldest first."""
    return sorted([int(row["day"]) for row in await run(_OLD)])


async def add_columns(run: Run, day: int) -> None:
    """Add the columns of this layout to the table of a day; writers wait for it, briefly where the table is small."""
    for statement in _ADDITIONS:
        await run(statement.format(day=day))


async def day_tables(run: Run) -> frozenset[str]:
    """Return the names of all day tables, except tables of rows that lack columns since an older version made them."""
    names = [str(row["name"]) for row in await run(_NAMES)]
    return frozenset(name for name in names if name.partition("_")[2].isdecimal())


def days_of(tables: Iterable[str], kind: str) -> list[int]:
    """Return the days of the tables of a kind, newest first."""
    names = (name.partition("_") for name in tables)
    return sorted((int(day) for start, _, day in names if start == kind), reverse=True)

"""Tables of what is counted for the figures: finished events by hour and by day, and the small counts beside them.

``rollup_hour`` and ``rollup_day`` have a row for each hour or day and kind of events; a day is named by its first hour.
Each thing that is counted has a column, NULL where there is nothing to count, as in most of them. ``rollup_kind`` says
what a kind is: a ``RollupKey`` without its hour, and the currency of the values; its number is a hash of that, so that
every proxy knows it without asking. ``rollup_name`` has the names that are told apart, by pixel and day of arrival.

Rows are raised in place: no index has a column that changes, and pages have room for the next version of their rows.
"""

from proxy.model.rollup import LAG_SLOTS
from proxy.queue.postgres.ledger_rows import CLOCK
from proxy.queue.postgres.transaction import Run

HOURS, DAYS = "rollup_hour", "rollup_day"
KIND = ("site", "pixel", "name", "status", "reason", "fate", "currency")
"""Columns that say what a kind is."""
EVENTS, VALUED, AMOUNT = "events", "valued", "amount"
# More than there are match keys, so that the next ones need no change of tables; an unused column takes no room.
MATCHED = tuple(f"k{place}" for place in range(32))
LAGGED = tuple(f"l{place}" for place in range(LAG_SLOTS))
# A sum of values may exceed 64 bits.
SUMS = ((EVENTS, "int8"), (VALUED, "int8"), (AMOUNT, "numeric"), *((name, "int8") for name in (*MATCHED, *LAGGED)))
"""Columns that are raised."""
_SUMS = ", ".join(name for name, _ in SUMS)
_TYPED = ", ".join(f"{name} {kind}" for name, kind in (("hour", "int4"), ("kind", "int8"), *SUMS))
_RAISED = ", ".join(f"{name} = coalesce(r.{name} + excluded.{name}, r.{name}, excluded.{name})" for name, _ in SUMS)
_ADDED = ", ".join(f"sum({name})::{kind} AS {name}" for name, kind in SUMS)
_NAMED = ", ".join(f"{name} text NOT NULL" for name in KIND)
_COUNTS = """
CREATE TABLE IF NOT EXISTS {table}({columns}, PRIMARY KEY (hour, kind)) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)
"""

TABLES = (
    f"INSERT INTO meta(key, number) VALUES('copies_moved', {CLOCK}) ON CONFLICT DO NOTHING",
    *(_COUNTS.format(table=table, columns=_TYPED) for table in (HOURS, DAYS)),
    f"CREATE TABLE IF NOT EXISTS rollup_kind(kind int8 PRIMARY KEY, {_NAMED})",
    """CREATE TABLE IF NOT EXISTS rollup_name(
        day int4 NOT NULL, pixel text NOT NULL, name text NOT NULL, PRIMARY KEY (day, pixel, name))""",
    """CREATE TABLE IF NOT EXISTS tally(
        hour int4 NOT NULL, kind text NOT NULL, subject text NOT NULL, count int8 NOT NULL,
        PRIMARY KEY (hour, kind, subject)) WITH (fillfactor = 70)""",
)


def raising(table: str, argument: int, condition: str = "true") -> str:
    """Return the SQL that adds changes to a table of rollups, in the order of their keys, so that two never deadlock.

    Args:
        table: HOURS or DAYS.
        argument: The number of the argument that has the changes as JSON; see ``rollup_changes``.
        condition: An SQL condition on their ``place``: which of them are added.
    """
    return (
        f"INSERT INTO {table} AS r(hour, kind, {_SUMS}) SELECT hour, kind, {_ADDED}"  # noqa: S608 - our own names
        f" FROM json_to_recordset(${argument}::json) u({_TYPED}, place int8) WHERE {condition}"
        f" GROUP BY hour, kind ORDER BY hour, kind ON CONFLICT (hour, kind) DO UPDATE SET {_RAISED}"
    )


RAISE_HOURS, RAISE_DAYS = raising(HOURS, 1), raising(DAYS, 1)
# Of each table the column that tells its age, and how many hours that counts.
_AGES = ((HOURS, "hour", 1), (DAYS, "hour", 1), ("rollup_name", "day", 24), ("tally", "hour", 1))
_FORGET = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {column} < $1 LIMIT {slice})) RETURNING 1
"""
_SLICE = 10_000


async def forget(run: Run, hour: int) -> bool:
    """Remove a slice of what is older than an hour from each table; tell whether there may be more."""
    found = [
        await run(_FORGET.format(table=table, column=column, slice=_SLICE), hour // hours)
        for table, column, hours in _AGES
    ]
    return max(map(len, found)) == _SLICE

"""The table of what waits: its layout, how its rows are written, and how older layouts become it."""

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import TypeAlias

import apsw

from proxy.model.record import Record

Row: TypeAlias = tuple[int, str, int, int, int, bytes, int, int, int, int, bytes, bytes]
# More of them in one statement would crowd the cache of prepared statements.
_MOST_ROWS = 32

# What is held is in the other index: neither a claim nor a look for the oldest event reads it.
_INDEX_LANE = "CREATE INDEX segment_lane ON segment(pixel, fields, suspect, at) WHERE not_before=0;"
_INDEX_HELD = "CREATE INDEX segment_held ON segment(not_before) WHERE not_before>0;"
_INDEX_OLDEST = "CREATE INDEX segment_oldest ON segment(oldest_s);"
SCHEMA = f"""
CREATE TABLE segment(
    id INTEGER PRIMARY KEY, pixel TEXT NOT NULL, n INTEGER NOT NULL,
    attempts INTEGER NOT NULL, strikes INTEGER NOT NULL, sealed BLOB NOT NULL,
    at INTEGER NOT NULL, suspect INTEGER NOT NULL, oldest_s INTEGER NOT NULL, not_before INTEGER NOT NULL,
    skip BLOB NOT NULL, fields BLOB NOT NULL
);
{_INDEX_LANE}
{_INDEX_HELD}
{_INDEX_OLDEST}
"""


def insert(db: apsw.Connection, rows: Sequence[Row]) -> None:
    """Write rows, many in one statement: at each step of SQLite the thread may lose the interpreter's lock."""
    for start in range(0, len(rows), _MOST_ROWS):
        some = rows[start : start + _MOST_ROWS]
        db.execute(_insert_sql(len(some)), tuple(chain.from_iterable(some)))


@lru_cache(maxsize=_MOST_ROWS)
def _insert_sql(rows: int) -> str:
    places = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO segment VALUES {places}"  # noqa: S608 - our own text


def packed(positions: Sequence[int]) -> bytes:
    """Return positions within a segment as they are stored: 2 bytes each, big-endian."""
    return struct.pack(f">{len(positions)}H", *positions)


def without(records: Sequence[Record], skip: bytes) -> tuple[Record, ...]:
    """Return the records without those at the positions in ``skip``, which ``packed`` wrote."""
    left_out = frozenset(struct.unpack(f">{len(skip) // 2}H", skip))
    return tuple(record for position, record in enumerate(records) if position not in left_out)


def add_arrivals(db: apsw.Connection, now: int) -> None:
    """Give the table of layout 3 what layout 4 added.

    When older events arrived was not written down: it counts as now, so that none is called late. An ``oldest_s`` of 0
    means that the segment must be opened to know.
    """
    db.execute(
        f"""
        ALTER TABLE segment ADD COLUMN at INTEGER NOT NULL DEFAULT {now:d};
        ALTER TABLE segment ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE segment ADD COLUMN oldest_s INTEGER NOT NULL DEFAULT 0;
        DROP INDEX segment_lane;
        CREATE INDEX segment_lane ON segment(pixel, suspect, at);
        {_INDEX_OLDEST}
        """
    )


def add_delay_and_skip(db: apsw.Connection) -> None:
    """Give the table of layout 5 what layout 6 added; waiting segments may be claimed at once, and have no repeats."""
    db.execute(
        """
        ALTER TABLE segment ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE segment ADD COLUMN skip BLOB NOT NULL DEFAULT x'';
        """
    )


def add_fields(db: apsw.Connection) -> None:
    """Give the table of layout 6 what layout 7 added; waiting segments have no request fields."""
    db.execute(
        """
        ALTER TABLE segment ADD COLUMN fields BLOB NOT NULL DEFAULT x'';
        DROP INDEX segment_lane;
        CREATE INDEX segment_lane ON segment(pixel, fields, suspect, at, not_before);
        """
    )


def add_holds(db: apsw.Connection) -> None:
    """Give the table of layout 7 the indexes of layout 8; a segment with a ``not_before`` is held until then."""
    db.execute(f"DROP INDEX segment_lane; {_INDEX_LANE} {_INDEX_HELD}")

"""The layout of the table of what waits, and how older layouts become it."""

import apsw

_INDEX_LANE = "CREATE INDEX segment_lane ON segment(pixel, suspect, at, not_before);"
_INDEX_OLDEST = "CREATE INDEX segment_oldest ON segment(oldest_s);"
SCHEMA = f"""
CREATE TABLE segment(
    id INTEGER PRIMARY KEY, pixel TEXT NOT NULL, n INTEGER NOT NULL,
    attempts INTEGER NOT NULL, strikes INTEGER NOT NULL, sealed BLOB NOT NULL,
    at INTEGER NOT NULL, suspect INTEGER NOT NULL, oldest_s INTEGER NOT NULL, not_before INTEGER NOT NULL,
    skip BLOB NOT NULL
);
{_INDEX_LANE}
{_INDEX_OLDEST}
"""


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
    """Give the table of layout 5 what layout 6 added; what waits may be claimed at once, and has no repeats."""
    db.execute(
        f"""
        ALTER TABLE segment ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE segment ADD COLUMN skip BLOB NOT NULL DEFAULT x'';
        DROP INDEX segment_lane;
        {_INDEX_LANE}
        """
    )

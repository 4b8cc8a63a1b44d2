"""Helpers that turn a queue's file back into an older layout, for tests of the upgrade."""

import struct
from contextlib import closing
from pathlib import Path

import apsw
import orjson
from support import PIXEL, SECRET

from proxy.model.record import Record
from proxy.queue.seal import Sealer


def write_as_layout_8(db: apsw.Connection) -> None:
    """Turn a file back into layout 8: without rollups, tallies, and the facts in ledger rows."""
    for table in ("rollup_kind", "rollup_hour", "rollup_day", "rollup_open", "tally"):
        db.execute(f"DROP TABLE {table}")
    for (index,) in db.execute("SELECT name FROM sqlite_schema WHERE type='index' AND name LIKE 'ledger_%'").fetchall():
        db.execute(f"DROP INDEX {index}")
    for (ledger,) in db.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'ledger_%'").fetchall():
        for column in ("arrived", "site", "facts", "error"):
            db.execute(f"ALTER TABLE {ledger} DROP COLUMN {column}")
    db.execute("DELETE FROM meta WHERE key LIKE 'rollup_%'")
    db.pragma("user_version", 8)


def write_as_layout_7(db: apsw.Connection) -> None:
    """Turn a file back into layout 7: without separate indexes of held and due segments, and the join of copies."""
    write_as_layout_8(db)
    db.execute("DROP INDEX segment_held; DROP INDEX segment_lane")
    db.execute("CREATE INDEX segment_lane ON segment(pixel, fields, suspect, at, not_before)")
    for table in ("sighting", "sighting_slot", "unsent_order"):
        db.execute(f"DROP TABLE {table}")
    db.pragma("user_version", 7)


def write_as_layout_6(db: apsw.Connection) -> None:
    """Turn a file back into layout 6: without request fields and action sources."""
    write_as_layout_7(db)
    db.execute("DROP INDEX segment_lane; ALTER TABLE segment DROP COLUMN fields")
    db.execute("CREATE INDEX segment_lane ON segment(pixel, suspect, at, not_before)")
    for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'ledger_%'").fetchall():
        db.execute(f"ALTER TABLE {table} DROP COLUMN source")
    db.pragma("user_version", 6)


def write_as_layout_5(db: apsw.Connection) -> None:
    """Turn a file back into layout 5: without states of lanes, due times, repeats to skip, and keys with visitors.

    Its duplicate memory, which had an event's whole hash and its visitor in two columns, is left empty.
    """
    write_as_layout_6(db)
    db.execute("DROP TABLE lane; DROP INDEX segment_lane; CREATE INDEX segment_lane ON segment(pixel, suspect, at)")
    for column in ("not_before", "skip"):
        db.execute(f"ALTER TABLE segment DROP COLUMN {column}")
    for number in range(4):
        db.execute(f"DROP TABLE event_{number}")
        columns = "key BLOB, visitor BLOB, worth BLOB, PRIMARY KEY(key, visitor)"
        db.execute(f"CREATE TABLE seen_{number}({columns}) WITHOUT ROWID")
    db.pragma("user_version", 5)


def write_as_layout_4(db: apsw.Connection) -> None:
    """Turn a file back into layout 4: without the browser copy in ledger rows, and the values of Purchases."""
    write_as_layout_5(db)
    for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'ledger_%'").fetchall():
        db.execute(f"ALTER TABLE {table} DROP COLUMN copy")
    for number in range(4):
        db.execute(f"ALTER TABLE seen_{number} DROP COLUMN worth")
    db.pragma("user_version", 4)


def write_as_layout_3(db: apsw.Connection) -> None:
    """Turn a file back into layout 3: without arrival times, suspects, and the time of the oldest event."""
    write_as_layout_4(db)
    db.execute("DROP INDEX segment_lane; DROP INDEX segment_oldest; CREATE INDEX segment_lane ON segment(pixel)")
    for column in ("at", "suspect", "oldest_s"):
        db.execute(f"ALTER TABLE segment DROP COLUMN {column}")
    db.pragma("user_version", 3)


def write_as_layout_1(path: Path, waiting: Record, *, day: int) -> None:
    """Turn a file back into layout 1: without findings, people, suppressions, sizes and numbers of dead letters."""
    head = orjson.dumps(
        [waiting.name, waiting.id, waiting.time_s, waiting.visitor.hex(), waiting.browser_copy, waiting.bot_reason]
    )
    packed = struct.pack(">II", len(head), len(waiting.payload)) + head + waiting.payload
    sealed = Sealer(SECRET).seal(packed, PIXEL.encode())
    with closing(apsw.Connection(str(path))) as db:
        write_as_layout_3(db)
        for column in ("findings", "total"):
            db.execute(f"ALTER TABLE ledger_{day} DROP COLUMN {column}")
        db.execute("DROP TABLE mark")
        db.execute("DELETE FROM meta WHERE key='dead_last'")
        db.execute("UPDATE segment SET sealed=?", (sealed,))
        db.pragma("user_version", 1)

"""The file of the spool: rows of what the database does not have yet, in the order in which they came.

It is no second queue: no repeats are recognised, and nothing is claimed or delivered here. It is written by one thread
(spool.py), with an fsync for each row before any caller is told that the row is there.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from proxy.queue.contract import QueueBrokenError, QueueFullError
from proxy.queue.sqlite.connection import FATAL, advice, open_writer

FILE = "spool.db"
# Bytes of a row without its body, in the file and in its log.
ROW_BYTES = 200
_SHRINK_BYTES = 1 << 20
# How much is read at once, at most.
_MOST_ROWS, _MOST_BYTES = 500, 8 << 20
# ``doubt``: the database may have it already. ``aside``: it did not take it, and is not asked again by this process.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS spool(
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, at INTEGER NOT NULL, events INTEGER NOT NULL,
    doubt INTEGER NOT NULL, aside INTEGER NOT NULL DEFAULT 0, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS spool_order ON spool(aside, kind, id);
"""
_OLDEST = """
SELECT id, kind, at, events, doubt, body FROM spool
WHERE aside = 0 AND kind = (SELECT min(kind) FROM spool WHERE aside = 0) ORDER BY id LIMIT ?
"""
_TOTALS = "SELECT coalesce(sum(events), 0), coalesce(sum(length(body) + ?), 0), coalesce(sum(kind = ?), 0) FROM spool"


class SpoolKind(IntEnum):
    """What a row holds; rows with the smaller number go first."""

    SUPPRESSION = 0
    GROUP = 1
    NOTES = 2


class SpoolRow(NamedTuple):
    """What the database does not have yet."""

    id: int
    kind: SpoolKind
    at: int
    """Server clock in milliseconds when it came."""
    events: int
    in_doubt: bool
    """Whether the database may have it already."""
    body: bytes


class Totals(NamedTuple):
    """How much there is."""

    events: int
    bytes: int
    suppressions: int


class SpoolFile:
    """The open file; used by one thread."""

    def __init__(self, directory: Path, *, most_bytes: int, min_free_bytes: int) -> None:
        """Open or create the file.

        Args:
            directory: The directory of the file.
            most_bytes: How many bytes all rows together may have.
            min_free_bytes: How many bytes of the disk stay free.

        Raises:
            QueueBrokenError: when it cannot be used.
        """
        self._directory = directory
        self._most_bytes = most_bytes
        self._min_free_bytes = min_free_bytes
        path = directory / FILE
        try:
            path.touch(mode=0o600)
            self._db = open_writer(path)
            for name, value in (("journal_mode", "wal"), ("synchronous", "full"), ("journal_size_limit", 0)):
                self._db.pragma(name, value)
            self._db.execute(_SCHEMA)
            with self._db:
                self._db.execute("UPDATE spool SET aside = 0 WHERE aside = 1")
            sync_directory(directory)
            # The process that wrote these rows may have ended after the database took them, before it removed them.
            self._last_in_doubt = self._last_number()
            self.totals = self._counted()
        except (apsw.Error, OSError) as error:
            raise QueueBrokenError(f"{path}: {advice(error)}") from error

    def put(self, row: SpoolRow) -> int:
        """Store a row durably under a new number, whatever number it has; return the new one.

        Raises:
            QueueFullError: when it does not fit.
            QueueBrokenError: when the disk failed.
        """
        size = len(row.body) + ROW_BYTES
        if why := self.no_room(size):
            raise QueueFullError(why)
        values = (row.kind, row.at, row.events, row.in_doubt, row.body)
        statement = "INSERT INTO spool(kind, at, events, doubt, body) VALUES(?, ?, ?, ?, ?)"
        self._change(statement, values)
        events, total, suppressions = self.totals
        self.totals = Totals(events + row.events, total + size, suppressions + (row.kind == SpoolKind.SUPPRESSION))
        return self._db.last_insert_rowid()

    def oldest(self, most_events: int, most_rows: int = _MOST_ROWS) -> Sequence[SpoolRow]:
        """Return the oldest rows of the kind that goes first, at least one if there is any.

        Args:
            most_events: How many events they may have together.
            most_rows: How many rows.

        Raises:
            QueueBrokenError: when the disk failed.
        """
        rows: list[SpoolRow] = []
        events = size = 0
        try:
            for row in self._read_oldest(most_rows):
                events, size = events + row.events, size + len(row.body)
                if rows and (events > most_events or size > _MOST_BYTES):
                    break
                rows.append(row)
        except apsw.Error as error:
            raise _broken(error) from error
        return rows

    def _read_oldest(self, most: int) -> Iterator[SpoolRow]:
        found: Any
        for found in self._db.execute(_OLDEST, (most,)):
            number, kind, at, events, doubt, body = found
            in_doubt = bool(doubt) or number <= self._last_in_doubt
            yield SpoolRow(number, SpoolKind(kind), at, events, in_doubt, body)

    def remove(self, rows: Collection[SpoolRow]) -> None:
        """Remove rows that the database has.

        Raises:
            QueueFullError: when the disk is too full for it; later it may work.
            QueueBrokenError: when the disk failed.
        """
        self._change(_with_ids("DELETE FROM spool WHERE id IN ({})", rows), tuple(row.id for row in rows))
        events, total, suppressions = self.totals
        self.totals = Totals(
            events - sum(row.events for row in rows),
            total - sum(len(row.body) + ROW_BYTES for row in rows),
            suppressions - sum(row.kind == SpoolKind.SUPPRESSION for row in rows),
        )
        if not self.totals.bytes:
            self._shrink()

    def set_aside(self, row: SpoolRow) -> None:
        """Keep a row, but do not bring it again before the next start.

        Raises:
            QueueFullError: when the disk is too full for it; later it may work.
            QueueBrokenError: when the disk failed.
        """
        self._change("UPDATE spool SET aside = 1 WHERE id = ?", (row.id,))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _last_number(self) -> int:
        found: Any = self._db.execute("SELECT coalesce(max(id), 0) FROM spool").fetchone()
        return int(found[0])

    def _counted(self) -> Totals:
        found: Any = self._db.execute(_TOTALS, (ROW_BYTES, SpoolKind.SUPPRESSION)).fetchone()
        return Totals(*found)

    def _change(self, statement: str, values: Sequence[object]) -> None:
        try:
            with self._db:
                self._db.execute(statement, values)
        except apsw.FullError as error:
            raise QueueFullError("the disk of data_dir is full") from error
        except apsw.Error as error:
            raise _broken(error) from error

    def no_room(self, size: int = 0) -> str:
        """Return why ``size`` more bytes do not fit, an empty text if they do; may be called from any thread."""
        if self.totals.bytes + size > self._most_bytes:
            return f"the spool holds {self.totals.bytes} bytes already (queue.spool_max_bytes)"
        disk = os.statvfs(self._directory)
        if disk.f_bavail * disk.f_frsize < self._min_free_bytes:
            return f"less than {self._min_free_bytes} bytes of disk are free (queue.min_free_bytes)"
        return ""

    def _shrink(self) -> None:
        """Give back the disk space that the rows of an outage took."""
        try:
            pages = int(str(self._db.pragma("page_count")))
            if pages * int(str(self._db.pragma("page_size"))) > _SHRINK_BYTES:
                self._db.execute("VACUUM")
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.FullError:
            return
        except apsw.Error as error:
            raise _broken(error) from error


def sync_directory(directory: Path) -> None:
    """Make it durable that a file was created in a directory.

    Raises:
        OSError: when the disk refuses.
    """
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _with_ids(statement: str, rows: Collection[SpoolRow]) -> str:
    return statement.format(", ".join("?" * len(rows)))


def _broken(error: apsw.Error) -> QueueBrokenError:
    if isinstance(error, FATAL):
        return QueueBrokenError(f"the disk failed under the spool: {advice(error)}")
    return QueueBrokenError(f"the spool failed: {type(error).__name__}")

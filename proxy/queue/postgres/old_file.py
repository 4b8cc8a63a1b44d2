"""A file of the SQLite engine, read a slice at a time to be moved into the shared queue; no queue is open in it.

For each kind of row there is a method that returns the slice behind a place, and the place of the last row in it; if
that is the same place, there are no more rows. Sealed data is sealed again with the current secret, so that the other
proxies need not know the secrets with which this file was written.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import apsw

from proxy.queue.contract import QueueBrokenError
from proxy.queue.seal import Sealer, SealError
from proxy.queue.sightings import open_sighting, seal_sighting
from proxy.queue.sqlite.connection import advice, open_writer
from proxy.queue.sqlite.layout import prepare
from proxy.queue.sqlite.tables import set_pragmas

# Rows in a slice, of keys and of sealed data; and the sealed bytes with which a slice ends.
_KEYS, _SEALED, _SEALED_BYTES = 2000, 500, 2 << 20
_ID = 16
Slice: TypeAlias = tuple[Sequence[Any], "FilePlace"]


class FilePlace(NamedTuple):
    """The row behind which a slice begins."""

    number: int = 0
    key: bytes = b""


class OldSighting(NamedTuple):
    """A sighting, and by which slots it is found."""

    number: int
    at: int
    sealed: bytes
    slots: Sequence[tuple[bytes, bool]]
    """Each with whether the sighting is forbidden there."""


class OldFile:
    """The file, brought to the current layout when it is opened."""

    def __init__(self, path: Path, sealer: Sealer, now: Callable[[], int]) -> None:
        """Open the file of a locked data_dir in which no queue is open.

        Args:
            path: The file.
            sealer: Must open what is sealed in the file.
            now: The server's clock in milliseconds.

        Raises:
            QueueBrokenError: when it cannot be used; the message says what to do.
        """
        self._path = path
        self._sealer = sealer
        try:
            self._db = open_writer(path)
            try:
                set_pragmas(self._db)
                prepare(self._db, sealer, now)
                self.id = self._name()
            except BaseException:
                self._db.close()
                raise
        except (apsw.Error, SealError, ValueError) as error:
            raise QueueBrokenError(f"{path}: {advice(error)}") from error

    def _name(self) -> bytes:
        """Return the id of this file; the first call makes it and writes it into the file."""
        self._db.execute("INSERT OR IGNORE INTO meta VALUES('file', randomblob(?))", (_ID,))
        ((name,),) = self._db.execute("SELECT value FROM meta WHERE key='file'").fetchall()
        return bytes(name)  # type: ignore[arg-type]  # a blob, as it was written

    def close(self) -> None:
        """Close the file; after that, no other file, such as a WAL, belongs to it."""
        self._db.close()

    def suppressions(self, place: FilePlace) -> Slice:
        """Return suppressions: digest, kind and moment."""
        digest, kind = place.key[:_ID], place.key[_ID:].decode()
        sql = "SELECT digest, kind, at FROM mark WHERE (digest, kind) > (?, ?) ORDER BY digest, kind LIMIT ?"
        rows = self._rows(sql, digest, kind, _KEYS)
        return rows, FilePlace(0, rows[-1][0] + rows[-1][1].encode()) if rows else place

    def seen(self, place: FilePlace) -> Slice:
        """Return what the duplicate memory knows: keys, each with its worth."""
        return self._keyed([f"event_{number}" for number in range(4)], "coalesce(worth, x'')", place)

    def orders(self, place: FilePlace) -> Slice:
        """Return what the order memory knows: keys, each with its worth and its month."""
        names = self._rows("SELECT name FROM sqlite_schema WHERE type='table' AND name GLOB 'order_[0-9]*'")
        tables = sorted(str(name) for (name,) in names)
        rows, following = self._keyed(tables, "worth", place)
        month = int(tables[following.number].removeprefix("order_")) if rows else 0
        return [(*row, month) for row in rows], following

    def unsent_orders(self, place: FilePlace) -> Slice:
        """Return orders of which no copy was sent: keys, each with the moment until which it waits."""
        return self._keyed(["unsent_order"], "until", place)

    def _keyed(self, tables: Sequence[str], column: str, place: FilePlace) -> Slice:
        """Return a slice of the first table that has rows behind a place: keys, each with the value of a column."""
        key = place.key
        for number in range(place.number, len(tables)):
            sql = f"SELECT key, {column} FROM {tables[number]} WHERE key>? ORDER BY key LIMIT ?"  # noqa: S608 - our own names
            if rows := self._rows(sql, key, _KEYS):
                return rows, FilePlace(number, rows[-1][0])
            key = b""
        return [], place

    def sightings(self, place: FilePlace) -> Slice:
        """Return sightings that a listed secret opens."""
        rows = self._sealed_rows("SELECT id, at, sealed FROM sighting WHERE id>? ORDER BY id LIMIT ?", place)
        found = [
            OldSighting(number, at, seal_sighting(opened, self._sealer), self._slots(number))
            for number, at, sealed in rows
            if (opened := open_sighting(sealed, self._sealer))
        ]
        return found, FilePlace(rows[-1][0]) if rows else place

    def _slots(self, number: int) -> list[tuple[bytes, bool]]:
        rows = self._rows("SELECT slot, forbidden FROM sighting_slot WHERE number=?", number)
        return [(slot, bool(is_forbidden)) for slot, is_forbidden in rows]

    def dead_letters(self, place: FilePlace) -> Slice:
        """Return dead letters, all their columns."""
        rows = self._sealed_rows("SELECT * FROM dead WHERE id>? ORDER BY id LIMIT ?", place)
        sealed_anew = [(*row[:-1], self._sealed_anew(row[-1], row[2])) for row in rows]
        return sealed_anew, FilePlace(rows[-1][0]) if rows else place

    def segments(self, place: FilePlace) -> Slice:
        """Return waiting segments: all columns, the sealed one last."""
        columns = "id, pixel, n, attempts, strikes, at, suspect, oldest_s, not_before, skip, fields, sealed"
        sql = f"SELECT {columns} FROM segment WHERE id>? ORDER BY id LIMIT ?"  # noqa: S608 - our own names
        rows = self._sealed_rows(sql, place)
        sealed_anew = [(*row[:-1], self._sealed_anew(row[-1], row[1])) for row in rows]
        return sealed_anew, FilePlace(rows[-1][0]) if rows else place

    def _sealed_anew(self, sealed: bytes, pixel: str) -> bytes:
        """Return sealed records, sealed again with the current secret; unchanged if they are damaged."""
        try:
            return self._sealer.seal(self._sealer.open(sealed, pixel.encode()), pixel.encode())
        except SealError:
            return sealed

    def _sealed_rows(self, sql: str, place: FilePlace) -> list[Any]:
        """Return rows behind a number, until their last columns, which are sealed, have many bytes together."""
        rows, size = [], 0
        for row in self._stepped(sql, place.number, _SEALED):
            rows.append(row)
            size += len(row[-1])
            if size >= _SEALED_BYTES:
                break
        return rows

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        return list(self._stepped(sql, *values))

    def _stepped(self, sql: str, *values: Any) -> Iterator[Any]:
        return iter(self._db.execute(sql, values))

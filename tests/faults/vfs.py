"""A disk that forgets: an SQLite VFS which keeps what was synced apart from what was only written.

Modelled: every write and truncation since a file's last xSync may, at a cut, be kept, lost, or torn at 512-byte
sectors, each on its own and in any combination, so later ones may survive earlier ones; holes read as zeros. A file
that was made or deleted may be missing or back until its directory is synced, which SQLite's unix VFS does, as traced,
only at the first xSync of a journal or log it opened. Every operation can be delayed, counted, cut at or made to fail
first (``before``); a failed xSync leaves its writes as unsure as they were, or with ``forgets`` drops them for good, as
Linux does with pages it could not write: the next xSync succeeds without them.

Not modelled: sectors that decay or are misdirected, a disk that lies about a flush, tearing within a sector, stale
bytes in holes; memory-mapped I/O and ``-shm`` (the queue uses neither: the log's index is on the heap); files that do
not pass through SQLite (the lock, the ballast, the secret), and the directory's own entry in its parent.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeAlias

import apsw

from proxy.queue.sqlite import connection

SECTOR = 512
# The probabilities, one of which holds for a cut, that an unsynced sector or write reached the disk.
_LUCK = (0.0, 0.2, 0.5, 0.9, 1.0)
_numbers = count()

Operation: TypeAlias = Literal["read", "write", "sync", "truncate", "size"]
Before: TypeAlias = Callable[[Operation, str, int], None]
"""Called with the operation, the file's name and the number of bytes, before it is done; may sleep, raise or cut."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A write, or without data a truncation to ``offset``."""

    offset: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.offset :]
            content.extend(bytes(self.offset - len(content)))
            return
        content.extend(bytes(max(0, self.offset - len(content))))
        content[self.offset : self.offset + len(self.data)] = self.data

    def sectors(self) -> Iterator["_Change"]:
        """Yield the parts that the disk writes in one piece, in order."""
        if self.data is None:
            yield self
            return
        at, end = self.offset, self.offset + len(self.data)
        while at < end:
            stop = min(end, (at // SECTOR + 1) * SECTOR)
            yield _Change(at, self.data[at - self.offset : stop - self.offset])
            at = stop


@dataclass(slots=True)
class _Platter:
    """A file: its content that survives a cut, and the changes that may not."""

    stable: bytearray
    made: bool
    """Whether the file's directory entry is durable."""
    unsure: list[_Change] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.unsure:
            change.apply(self.stable)
        self.unsure.clear()

    def after_cut(self, chance: random.Random) -> bytes:
        """Return the content that is found after a cut."""
        luck, torn = chance.choice(_LUCK), chance.random() < 0.5
        content = bytearray(self.stable)
        for change in self.unsure:
            for part in change.sectors() if torn else (change,):
                if chance.random() < luck:
                    part.apply(content)
        return bytes(content)


class Disk(apsw.VFS):
    """The VFS that the queue uses while ``installed``; the files themselves are ordinary ones."""

    def __init__(self, before: Before | None = None, *, forgets: bool = False) -> None:
        self.name = f"forgetful-{next(_numbers)}"
        self.before, self.forgets = before, forgets
        self.platters: dict[str, _Platter] = {}
        self.deleted: dict[str, _Platter] = {}  # since the directory was synced
        self.base = connection.VFS  # what the queue opens its file with until now
        super().__init__(self.name, self.base)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's
        if name is None:
            return super().xOpen(name, flags)
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        # With the database comes the log of an earlier run; an empty file may have been created just now.
        for file in (path, *path.parent.glob(path.name + "-*")):
            if file.name not in self.platters:
                content = bytearray(file.read_bytes() if file.exists() else b"")
                self.platters[file.name] = _Platter(content, made=bool(content))
        return _File(self, path.name, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802 - SQLite's
        super().xDelete(filename, syncdir)
        name = Path(filename).name
        platter = self.platters.pop(name, None)
        if platter and platter.made:
            self.deleted[name] = platter
        if syncdir:
            self.sync_directory()

    def sync_directory(self) -> None:
        """Make the present directory entries durable."""
        self.deleted.clear()
        for platter in self.platters.values():
            platter.made = True

    def do(self, operation: Operation, name: str, size: int = 0) -> _Platter:
        """Call the hook, then return the file to work on."""
        platter = self.platters[name]
        try:
            if self.before:
                self.before(operation, name, size)
        except apsw.Error:
            if operation == "sync" and self.forgets:
                platter.unsure.clear()
            raise
        return platter

    def cut(self, seed: int, into: Path) -> None:
        """Write what a power cut now would leave into a new directory."""
        chance = random.Random(seed)  # noqa: S311 - a test's dice
        into.mkdir(mode=0o700)
        for name in sorted({*self.platters, *self.deleted}):
            platter = self.platters.get(name)
            if (not platter or not platter.made) and chance.random() < 0.5:
                platter = self.deleted.get(name)
            if platter:
                (into / name).write_bytes(platter.after_cut(chance))


class _File(apsw.VFSFile):
    """An ordinary file whose changes are also recorded in its platter."""

    def __init__(self, disk: Disk, name: str, filename: str | apsw.URIFilename, flags: list[int]) -> None:
        self._disk, self._name = disk, name
        self._new = bool(flags[0] & (apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL))
        super().__init__(disk.base, filename, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's
        self._disk.do("read", self._name, amount)
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - SQLite's
        copy = bytes(data)
        platter = self._disk.do("write", self._name, len(copy))
        super().xWrite(data, offset)
        platter.unsure.append(_Change(offset, copy))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's
        platter = self._disk.do("truncate", self._name)
        super().xTruncate(newsize)
        platter.unsure.append(_Change(newsize, None))

    def xFileSize(self) -> int:  # noqa: N802 - SQLite's
        self._disk.do("size", self._name)
        return super().xFileSize()

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's
        platter = self._disk.do("sync", self._name)
        super().xSync(flags)
        platter.sync()
        if self._new:
            self._disk.sync_directory()
            self._new = False


@contextmanager
def installed(before: Before | None = None, *, forgets: bool = False) -> Iterator[Disk]:
    """Give the queue a forgetful disk for a while; every connection must be closed before the end."""
    disk = Disk(before, forgets=forgets)
    connection.VFS = disk.name
    try:
        yield disk
    finally:
        connection.VFS = disk.base
        disk.unregister()


def failing(operation: Operation, ending: str = "", error: type[apsw.Error] = apsw.IOError) -> Before:
    """Return a hook that fails an operation, with EIO or another error, on files with this ending."""

    def before(found: Operation, name: str, _size: int) -> None:
        if found == operation and name.endswith(ending):
            raise error(f"injected: {operation} of {name}")

    return before


def slow(seconds: float) -> Before:
    """Return a hook that delays every xSync."""

    def before(found: Operation, _name: str, _size: int) -> None:
        if found == "sync":
            time.sleep(seconds)

    return before


DISK_FAULTS: dict[str, Before] = {
    "sync": failing("sync"),
    "write": failing("write"),
    "read-only": failing("write", error=apsw.ReadOnlyError),
    "slow": slow(0.2),
}
"""The hooks with which the real process runs, by name."""

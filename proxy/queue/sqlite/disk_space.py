"""The disk under the queue: how much space is free, and whether the queue's files are still in their place.

A full disk stops more than appends: SQLite cannot even delete. So that waiting events can still be delivered, new ones
are refused while less than the reserve is free; and should another program fill the disk all the same, a ballast file
is removed, which frees the space that recording deliveries takes.
"""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from proxy.queue.contract import QueueBrokenError
from proxy.queue.sqlite.troubles import HOUSEKEEPING, QUEUE, Troubles

_BALLAST_FILE = "ballast"
# Enough for the write-ahead log of many settlements; never more than a twentieth of the disk.
_BALLAST_BYTES = 16 << 20
_BALLAST_SHARE = 20
# So much must be free in addition to the ballast before a disk that was full counts as usable again.
_PROBE_BYTES = 1 << 16
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_GONE = {errno.ENOENT, errno.ENOTDIR}


class DiskSpace:
    """Measures the free space of one directory's disk; used from the writer thread only, except ``short``.

    A measurement that fails is reported and changes nothing: SQLite still notices a full disk by itself.
    """

    def __init__(self, directory: Path, reserve: int, troubles: Troubles) -> None:
        """Measure for the first time.

        Args:
            directory: Where the queue's files are.
            reserve: How many bytes of its disk are to stay free.
            troubles: Is told when new events are refused, and what cannot be measured.
        """
        self._directory = directory
        self._reserve = reserve
        self._troubles = troubles
        self._ballast = directory / _BALLAST_FILE
        self.full = False
        """Whether a write failed for want of space, and no free space has been found since."""
        self.short = ""
        """Why nothing new may be stored; empty while there is space."""
        self.look()

    def look(self) -> None:
        """Measure the free space, and make the ballast again when it fits."""
        try:
            disk = os.statvfs(self._directory)
        except OSError as error:
            self._report_failure("disk", "the free space on the disk of data_dir cannot be measured", error)
            return
        self._troubles.end(HOUSEKEEPING, "disk")
        reserved = disk.f_bavail * disk.f_frsize >= self._reserve
        if reserved and (self.full or not self._ballast_exists()):
            found = self._make_ballast(min(_BALLAST_BYTES, disk.f_blocks * disk.f_frsize // _BALLAST_SHARE))
            self.full = self.full and not found
        self._report(reserved=reserved)

    def _report(self, *, reserved: bool) -> None:
        if not reserved:
            self.short = f"less than {self._reserve} bytes of disk are free (queue.min_free_bytes)"
        elif self.full:
            self.short = "the disk is full"
        else:
            self.short = ""
            self._troubles.end(QUEUE, "")
            return
        self._troubles.begin(QUEUE, "", self.short)

    def _ballast_exists(self) -> bool:
        try:
            return self._ballast.stat().st_size > 0
        except OSError:
            return False

    def _make_ballast(self, size: int) -> bool:
        """Make the ballast; return whether the disk had space for it and a little more."""
        try:
            self._write(size)
        except OSError as error:
            with suppress(OSError):
                self._ballast.unlink()
            if error.errno in _NO_SPACE:
                return False
            self._report_failure("ballast", "the ballast file cannot be made", error)
            return True
        self._troubles.end(HOUSEKEEPING, "ballast")
        return True

    def _write(self, size: int) -> None:
        file = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, size + _PROBE_BYTES)
            os.ftruncate(file, size)
        finally:
            os.close(file)

    def remove_ballast(self) -> bool:
        """Remove the ballast from a full disk; return whether that freed space."""
        self.mark_full()
        had_ballast = self._ballast_exists()
        try:
            self._ballast.unlink(missing_ok=True)
        except OSError as error:
            self._report_failure("ballast", "the disk is full and the ballast file cannot be removed", error)
            return False
        return had_ballast

    def mark_full(self) -> None:
        """Remember that a write failed for want of space."""
        self.full = True
        self._report(reserved=True)

    def _report_failure(self, subject: str, text: str, error: OSError) -> None:
        self._troubles.begin(HOUSEKEEPING, subject, f"{text}: {error.strerror}")


class Files:
    """Checks that the open files are still those at their paths.

    Linux lets a process write to files that were removed; what is written there is gone at the next start. SQLite
    compares i-node numbers too, but only with a rollback journal (``databaseIsUnmoved`` in its pager).
    """

    def __init__(self, paths: Iterable[Path], troubles: Troubles) -> None:
        self._troubles = troubles
        self._nodes = {str(path): path.stat().st_ino for path in paths if path.exists()}

    def check(self) -> bool:
        """Check all of the files; return whether they could be looked at.

        Raises:
            QueueBrokenError: when one was removed or replaced.
        """
        try:
            moved = [path for path, node in self._nodes.items() if os.stat(path).st_ino != node]  # noqa: PTH116 - after each commit, at a quarter of its cost
        except OSError as error:
            if error.errno in _GONE:
                raise _moved(error.filename) from error
            self._troubles.begin(HOUSEKEEPING, "files", f"data_dir cannot be looked at: {error.strerror}")
            return False
        if moved:
            raise _moved(moved[0])
        return True


def _moved(path: str) -> QueueBrokenError:
    return QueueBrokenError(f"{path} was removed or replaced while the proxy ran: put data_dir back, then start again")

"""How much room the disk has: a mark below which nothing new is taken, and a ballast that is thrown when it is full.

A full disk stops more than appends: SQLite cannot even delete. So what waits must be able to leave: new events are
refused while less than the reserve is free, and should others fill the disk all the same, the ballast makes the room
that recording deliveries needs.
"""

import os
from pathlib import Path

_BALLAST_FILE = "ballast"
# Enough for the write-ahead log of many settlements; never more than a small part of the reserve's disk.
_BALLAST_BYTES = 16 << 20
_BALLAST_SHARE = 20


class Room:
    """Looks at the disk of one directory; used from the writer thread only, but for ``short``."""

    def __init__(self, directory: Path, reserve: int) -> None:
        self._directory = directory
        self._reserve = reserve
        self._ballast = directory / _BALLAST_FILE
        self.short = False
        """Less than the reserve is free."""
        self.look()

    def look(self) -> None:
        """Measure, and take the ballast in again when there is room for it."""
        disk = os.statvfs(self._directory)
        free = disk.f_bavail * disk.f_frsize
        self.short = free < self._reserve
        if not self.short and not self._ballast.exists():
            self._take(min(_BALLAST_BYTES, disk.f_blocks * disk.f_frsize // _BALLAST_SHARE))

    def _take(self, size: int) -> None:
        file = os.open(self._ballast, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(file, 0, size)
        except OSError:
            self._ballast.unlink()
        finally:
            os.close(file)

    def release(self) -> bool:
        """Throw the ballast; tell whether there was one to throw."""
        self.short = True
        thrown = self._ballast.exists()
        self._ballast.unlink(missing_ok=True)
        return thrown

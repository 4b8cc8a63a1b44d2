"""The data_dir: its files, and the lock that keeps it to one process."""

import fcntl
import os
from pathlib import Path

DATABASE_FILE, LOCK_FILE = "queue.db", "lock"


class DataDirBusyError(Exception):
    """Another process works in this data_dir."""


class DataDirLock:
    """Holds a data_dir for this process alone, until closed or dead."""

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Raises:
            DataDirBusyError: when another process holds it.
            OSError: when the directory cannot be made or written.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise DataDirBusyError(f"{directory}: another capi-proxy works here; stop it first") from None

    def close(self) -> None:
        """Release the lock."""
        os.close(self._file)

"""A look at a data_dir from outside, which writes nothing: no lock file, no journal, no shared memory."""

import fcntl
import os
from pathlib import Path
from urllib.parse import quote

import apsw

from proxy.queue.seal import Sealer
from proxy.queue.sqlite.data_dir import DATABASE_FILE, LOCK_FILE

_HEADS = """
    SELECT substr(value, 1, 5) FROM meta WHERE key='proof'
    UNION SELECT substr(sealed, 1, 5) FROM segment UNION SELECT substr(sealed, 1, 5) FROM dead
"""


def is_held(directory: Path) -> bool:
    """Tell whether a process works in this data_dir."""
    try:
        file = os.open(directory / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def is_opened_by(directory: Path, sealer: Sealer) -> bool:
    """Tell whether the listed secrets open all that rests in a data_dir that nobody holds.

    A file that cannot be read, or whose last changes are still in the log that a crash left, is for the next start.
    """
    path = directory / DATABASE_FILE
    log = path.with_name(f"{path.name}-wal")
    if not path.exists() or (log.exists() and log.stat().st_size):
        return True
    # "immutable" keeps SQLite from making the files beside a database in WAL mode (SQLite, URI filenames).
    address = f"file:{quote(str(path.absolute()))}?immutable=1"
    try:
        database = apsw.Connection(address, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        try:
            return all(sealer.knows(head) for (head,) in database.execute(_HEADS) if isinstance(head, bytes))
        finally:
            database.close()
    except apsw.Error:
        return True

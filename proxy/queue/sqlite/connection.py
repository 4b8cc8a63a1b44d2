"""How the database file is opened: once for the thread that writes, once for the thread that reads.

SQLite's VFS ``unix-excl`` locks the file against every other process and keeps the index of the write-ahead log on the
heap, where all connections of this process share it (https://www.sqlite.org/vfs.html): there is no ``-shm`` file, which
a full disk could not extend, and that another process could touch. The reader's connection is read-only, and never
checkpoints. So the defect of SQLite before 3.51.3 that corrupts a database when two connections write or checkpoint at
the same moment (https://www.sqlite.org/wal.html#walresetbug) has no second connection that does either.
"""

from pathlib import Path
from urllib.parse import quote

import apsw

VFS = "unix-excl"
# After these errors what is on the disk is not known; a failed fsync says nothing about what was written before.
FATAL = (apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.ReadOnlyError)
# For so long a reader tries again when it meets the moment in which the log starts again from its beginning.
_BUSY_MS = 1000


def open_writer(path: Path) -> apsw.Connection:
    """Open or create the file for the connection that writes and checkpoints."""
    db = apsw.Connection(str(path), vfs=VFS)
    # So that sorting opens no temporary file: that may fail for want of a descriptor, and its content is not sealed.
    db.pragma("temp_store", "memory")
    return db


def open_reader(path: Path) -> apsw.Connection:
    """Open a file that this process writes, for a connection that only reads."""
    return _readable(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=VFS))


def open_stopped(path: Path) -> apsw.Connection:
    """Open a file that no process writes, to read it as it stands; nothing is written, no file is made.

    If a crash left a write-ahead log, it is read with the file. SQLite must then lock the file against others, so the
    file is opened as if for writing. Without a log, "immutable" keeps SQLite from making one
    (https://www.sqlite.org/uri.html).
    """
    if not log_is_empty(path):
        return _readable(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=VFS))
    address = f"file:{quote(str(path.absolute()))}?immutable=1"
    return _readable(apsw.Connection(address, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI))


def log_is_empty(path: Path) -> bool:
    """Tell whether all changes of a file are in the file itself, as after an orderly end."""
    log = path.with_name(f"{path.name}-wal")
    return not log.exists() or not log.stat().st_size


def _readable(db: apsw.Connection) -> apsw.Connection:
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
    db.set_busy_timeout(_BUSY_MS)
    for name, value in (("query_only", 1), ("temp_store", "memory")):
        db.pragma(name, value)
    return db


def advice(error: Exception) -> str:
    """Return what an operator can do about a file that cannot be used."""
    match error:
        case apsw.NotADBError() | apsw.CorruptError() | ValueError():
            return f"the file is damaged ({error}); keep a copy, then restore it or move it away to start empty"
        case apsw.CantOpenError() | apsw.PermissionsError() | apsw.ReadOnlyError():
            return f"the file cannot be written ({error}); check the owner and mode of data_dir"
        case apsw.BusyError() | apsw.LockedError():
            return f"another process holds the file ({error}); stop it first"
        case _:
            return str(error)

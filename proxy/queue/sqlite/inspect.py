"""A look at a data_dir from outside, which writes nothing: no lock file, no journal, no shared memory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from proxy.queue.seal import Sealer
from proxy.queue.sqlite.connection import log_is_empty, open_stopped
from proxy.queue.sqlite.data_dir import DATABASE_FILE, LOCK_FILE, DataDirBusyError
from proxy.queue.sqlite.layout import SCHEMA_VERSION
from proxy.queue.sqlite.reader import Reader

_HEADS = """
    SELECT substr(value, 1, 5) FROM meta WHERE key='proof'
    UNION SELECT substr(sealed, 1, 5) FROM segment UNION SELECT substr(sealed, 1, 5) FROM dead
"""


def is_in_use(directory: Path) -> bool:
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
    """Tell whether the listed secrets open all that rests in a data_dir in which no process works.

    True also if the file cannot be read, or if its last changes are still in the log of a crash: the next start tells.
    """
    path = directory / DATABASE_FILE
    if not path.exists() or not log_is_empty(path):
        return True
    try:
        db = open_stopped(path)
        try:
            return _has_all_secrets(db, sealer)
        finally:
            db.close()
    except apsw.Error:
        return True


@contextmanager
def locked_for_reading(directory: Path) -> Iterator[None]:
    """Keep other processes from working in a data_dir while it is read; nothing is written.

    Raises:
        DataDirBusyError: when one works there.
        OSError: when the directory cannot be read.
    """
    try:
        file = os.open(directory / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        next(directory.iterdir(), None)  # raises OSError if the directory itself does not exist or cannot be read
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataDirBusyError(f"{directory}: a capi-proxy works here") from None
    else:
        yield
    finally:
        os.close(file)


def reader_of(directory: Path, sealer: Sealer, *, may_lack_secrets: bool = False) -> Reader | None:
    """Return a reader of a data_dir in which no process works.

    Args:
        directory: The data_dir.
        sealer: Opens what rests.
        may_lack_secrets: Return a reader even if the sealer cannot open every text: the other columns can be read.

    Returns:
        The reader. None if only a start of the proxy can tell what is there: there is no file, it cannot be read, it
        has an older or a newer layout, or it holds texts that the listed secrets do not open.
    """
    path = directory / DATABASE_FILE
    if not path.exists():
        return None
    try:
        db = open_stopped(path)
    except apsw.Error:
        return None
    try:
        if db.pragma("user_version") == SCHEMA_VERSION and (may_lack_secrets or _has_all_secrets(db, sealer)):
            return Reader(db, sealer)
    except (apsw.Error, ValueError):
        pass
    db.close()
    return None


def _has_all_secrets(db: apsw.Connection, sealer: Sealer) -> bool:
    return all(sealer.has_secret_of(head) for (head,) in db.execute(_HEADS) if isinstance(head, bytes))

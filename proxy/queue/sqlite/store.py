"""The queue in one SQLite file: what the writer thread drives.

Invariants
    1. ``append`` returns only after COMMIT with ``synchronous=FULL`` in WAL mode: the WAL was fsynced.
    2. A record leaves ``segment`` only in the transaction that writes its end: a ledger row, a dead letter, or a
       remainder that still holds it. The exception is an erasure, which leaves no trace of the record.
    3. A repeat is recognised in the transaction that stores the first: the duplicate memory and ``segment`` never
       disagree.
    4. One connection writes and checkpoints, owned by one thread. A second one of this process only reads (reader.py);
       the VFS and a lock file keep every other process out (connection.py).

The tables are described in layout.py. "Acknowledged" means: readable after ``kill -9``, and after a power cut as far as
the disk keeps what it was told to flush. File system assumed: fsync returns after the data is stable, or fails; a
failed fsync says nothing about what was written, so it ends the process.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw

from proxy.config.schema import RetentionSettings
from proxy.queue.contract import QueueBrokenError, QueueError, QueueFullError
from proxy.queue.group import Append, Group, make_group
from proxy.queue.notes import Notes
from proxy.queue.seal import Sealer
from proxy.queue.sieve import Sieve
from proxy.queue.sqlite.appends import Appends
from proxy.queue.sqlite.connection import FATAL, advice
from proxy.queue.sqlite.corrections import Corrections
from proxy.queue.sqlite.deliveries import Deliveries
from proxy.queue.sqlite.disk_space import DiskSpace, Files
from proxy.queue.sqlite.housekeeping import Housekeeping
from proxy.queue.sqlite.tables import Tables
from proxy.queue.sqlite.troubles import Troubles
from proxy.queue.sqlite.work import Work

log = logging.getLogger(__name__)


class SqliteStore:
    """The database itself. Call it on the writer thread; only ``group`` may be called on any thread.

    Some attributes of its parts may be used on other threads, too; their docstrings say so.
    """

    def __init__(  # noqa: PLR0913 - its file, its settings, its clock, and who hears of it
        self,
        path: Path,
        sealer: Sealer,
        retention: RetentionSettings,
        now: Callable[[], int],
        *,
        reserve: int,
        join_days: int,
        troubles: Troubles,
        sieve: Sieve | None = None,
    ) -> None:
        """Open or create the file.

        Args:
            path: The file, in data_dir.
            sealer: Seals what rests in it.
            retention: How long finished events and other old data are kept.
            now: The server's clock in milliseconds.
            reserve: How many bytes of its disk are to stay free.
            join_days: For how many days sightings are kept.
            troubles: Is told, on the writer thread, of failures that the store survives.
            sieve: Is told who is suppressed; by default the store makes one of its own.

        Raises:
            QueueBrokenError: when it cannot be used; the message says what to do.
        """
        self._path = path
        self._sealer = sealer
        self.notes = Notes()
        self.disk_space = DiskSpace(path.parent, reserve, troubles)
        self.tables = Tables(path, sealer, now, sieve)
        self._files = Files((path, path.with_name(path.name + "-wal")), troubles)
        self._appends = Appends(self.tables)
        self.deliveries = Deliveries(self.tables)
        self.corrections = Corrections(self.tables)
        self.housekeeping = Housekeeping(
            self.tables,
            self.notes,
            self.disk_space,
            files=self._files,
            troubles=troubles,
            retention=retention,
            join_days=join_days,
        )

    def group(self, appends: Sequence[Append]) -> Group:
        """Make a group of appends (``make_group``); safe to call from any thread."""
        return make_group(appends, self._sealer, self.tables.suppressions)

    def commit(self, works: Sequence[Work]) -> list[Any]:
        """Do the works in one transaction; a work that cannot be done fails alone.

        Raises:
            QueueError: when nothing of it was stored.
        """
        try:
            with self.tables.transaction():
                results = [self._appends.store(work) if isinstance(work, Group) else work() for work in works]
        except QueueBrokenError:
            raise
        except apsw.FullError as error:
            return self._free_space(works, error)
        except FATAL as error:
            raise self.tables.broken(error) from error
        except Exception as error:  # noqa: BLE001 - whatever one caller brought must not cost its neighbours
            if len(works) == 1 and _callers(works[0]) == 1:
                failure = QueueError(f"{type(error).__name__} in the queue")
                return [[failure] if isinstance(works[0], Group) else failure]
            return [self._each_alone(work) if isinstance(work, Group) else self._alone(work) for work in works]
        self._files.check()
        return results

    def _free_space(self, works: Sequence[Work], error: apsw.FullError) -> list[Any]:
        """Remove the ballast, refuse what is new, and let the rest have the space."""
        freed = self.disk_space.remove_ballast()
        full = QueueFullError("the disk is full")
        if len(works) == 1 and (isinstance(works[0], Group) or not freed):
            raise full from error
        return [full if isinstance(work, Group) else self._alone(work) for work in works]

    def _each_alone(self, group: Group) -> list[Any]:
        """Store each append of a group by itself; return what became of each."""
        answers = [self._alone(self.group([append])) for append in group.calls]
        return [answer if isinstance(answer, QueueError) else answer[0] for answer in answers]

    def _alone(self, work: Work) -> Any:
        try:
            return self.commit([work])[0]
        except QueueFullError as error:
            return error

    def touch(self) -> None:
        """Write something small, as a sign of life."""
        self.tables.db.execute("INSERT OR REPLACE INTO meta VALUES('alive', ?)", (self.tables.now(),))

    def tend(self) -> bool:
        """See ``Housekeeping.tend``."""
        return self.housekeeping.tend()

    def close(self, *, in_order: bool) -> None:
        """Write the last notes and close the file, which checkpoints it; if the disk failed, only close it."""
        db = self.tables.db
        try:
            while in_order and self.notes:
                self.housekeeping.write_notes()
            db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, not in_order)
            db.close()
        except (apsw.Error, QueueError) as error:
            log.error("%s was not closed in order: %s", self._path, advice(error))  # noqa: TRY400 - one line will do
            db.close(True)


def _callers(work: Work) -> int:
    return len(work.calls) if isinstance(work, Group) else 1

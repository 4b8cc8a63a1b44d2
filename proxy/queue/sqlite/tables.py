"""All tables of the file, and the one transaction in which they change."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from proxy.queue.contract import QueueBrokenError
from proxy.queue.seal import Sealer, SealError
from proxy.queue.sieve import Sieve
from proxy.queue.sqlite import segment_search
from proxy.queue.sqlite.connection import advice, open_writer
from proxy.queue.sqlite.counts import Counts
from proxy.queue.sqlite.dead_letters import DeadLetters
from proxy.queue.sqlite.holds import next_due
from proxy.queue.sqlite.lanes import Lanes
from proxy.queue.sqlite.layout import prepare
from proxy.queue.sqlite.ledger import Ledger
from proxy.queue.sqlite.orders import OrderMemory
from proxy.queue.sqlite.seen import DuplicateMemory
from proxy.queue.sqlite.segments import Segments
from proxy.queue.sqlite.sightings import SightingTable
from proxy.queue.sqlite.suppressions import SuppressionTable
from proxy.queue.sqlite.tallies import Tallies


class Tables:
    """Owns the connection that writes; a rollback also takes back what the tables keep in memory."""

    def __init__(self, path: Path, sealer: Sealer, now: Callable[[], int], sieve: Sieve | None = None) -> None:
        """Open or create the file.

        Args:
            path: The file, in data_dir.
            sealer: Seals what rests in it.
            now: The server's clock in milliseconds.
            sieve: Is told who is suppressed; by default a new one.

        Raises:
            QueueBrokenError: when it cannot be used; the message says what to do.
        """
        self._path = path
        self.now = now
        self.wal_pages = 0
        """Pages in the write-ahead log since somebody last set this to 0."""
        try:
            self.db = open_writer(path)
            try:
                self._open(sealer, sieve or Sieve())
            except BaseException:
                self.db.close()
                raise
        except (apsw.Error, SealError, ValueError) as error:
            raise self.broken(error) from error

    def _open(self, sealer: Sealer, sieve: Sieve) -> None:
        set_pragmas(self.db)
        self.db.set_wal_hook(self._count_pages)
        prepare(self.db, sealer, self.now)
        self.seen = DuplicateMemory(self.db)
        self.orders = OrderMemory(self.db)
        self.ledger = Ledger(self.db, sealer.key("browser-copies"))
        self.dead = DeadLetters(self.db, sealer)
        waiting, suppressions = segment_search.count(self.db), SuppressionTable.count(self.db)
        self.counts = Counts(waiting, self.dead.count(), suppressions, next_due(self.db))
        self.segments = Segments(self.db, sealer, self.counts, self.now)
        self.sightings = SightingTable(self.db, sealer)
        self.lanes = Lanes(self.db)
        self.tallies = Tallies(self.db)
        self.suppressions = SuppressionTable(self.db, self.counts.suppressions, sieve)

    def _count_pages(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self.wal_pages = pages
        return apsw.SQLITE_OK

    def broken(self, error: Exception) -> QueueBrokenError:
        """Return an error after which the file is not to be trusted, with what an operator can do."""
        return QueueBrokenError(f"{self._path}: {advice(error)}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the tables do within the ``with`` block, or nothing of it.

        Raises:
            QueueBrokenError: when the changes could not be rolled back.
        """
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            self._take_back()
            raise
        self.counts.commit()
        self.segments.claims.commit()

    def _take_back(self) -> None:
        self.counts.rollback()
        self.segments.claims.rollback()
        try:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            self.seen.reload()
            self.orders.reload()
            self.sightings.reload()
            self.ledger.reload()
        except Exception as error:
            # What is in memory may differ from the file now.
            raise self.broken(error) from error


def set_pragmas(db: apsw.Connection) -> None:
    """Make commits durable, and set the sizes of the write-ahead log and the cache."""
    for name, value in (("journal_mode", "wal"), ("synchronous", "full")):
        db.pragma(name, value)
    for name, size in (("cache_size", -16_384), ("journal_size_limit", 64 << 20), ("secure_delete", 0)):
        db.pragma(name, size)

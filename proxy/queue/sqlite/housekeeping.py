"""What can wait: notes, looks at the disk, checkpoints and retention, each a little at a time between commits."""

import math
import time
from collections.abc import Callable, Sequence

import apsw

from proxy.config.schema import RetentionSettings
from proxy.model.condition_details import ROWS_TOO_FAST
from proxy.model.event import BrowserCopy
from proxy.model.units import DAY_MS
from proxy.queue.notes import CopyUpdate, Notes
from proxy.queue.sqlite.disk_space import DiskSpace, Files
from proxy.queue.sqlite.tables import Tables
from proxy.queue.sqlite.troubles import HOUSEKEEPING, INCOMPLETE, Troubles

_CHECKPOINT_PAGES = 4000
_NOTE_EVERY_S = 0.25
_LOOK_EVERY_S = 1.0
_SIZES = ("page_size", "page_count", "freelist_count")
_TIDY_EVERY_S = 600.0
# The ledger is also tidied once it has grown by a 16th of ``ledger_max_bytes``.
_TIDY_SHARE = 16
# Notes written in one transaction: about 14 ms, in which no append is served.
_NOTES = 1000
# These leave the file as it was (no descriptor for a temporary file, no memory): they are tried again later.
_PASSING = (apsw.CantOpenError, apsw.NoMemError, apsw.BusyError, apsw.LockedError)


class Housekeeping:
    """Does the work that can wait; used on the writer thread, except the numbers, which any thread may read."""

    def __init__(  # noqa: PLR0913 - all that it looks after
        self,
        tables: Tables,
        notes: Notes,
        disk_space: DiskSpace,
        *,
        files: Files,
        troubles: Troubles,
        retention: RetentionSettings,
        join_days: int,
    ) -> None:
        """Look after an open file.

        Args:
            tables: What it holds.
            notes: What is to be written to the ledger; the event loop may add notes at any time.
            disk_space: Measures the free space of the file's disk.
            files: Checks that the file is still in its place.
            troubles: Is told of failures that leave the file sound.
            retention: How long finished events and other old data are kept.
            join_days: For how many days sightings are kept.
        """
        self._tables = tables
        self._notes = notes
        self._disk_space = disk_space
        self._files = files
        self._troubles = troubles
        self._retention = retention
        self._join_days = join_days
        self._growth = retention.ledger_max_bytes // _TIDY_SHARE
        self._told_lost = 0
        self._noted_at, self._tidied_at, self._looked_at = time.monotonic(), -math.inf, -math.inf
        self.used_bytes = 0
        """What the file holds, without its free pages; measured every second."""
        self.foreign_updates = 0
        """Updates since start of browser copies of somebody else's events."""

    def tend(self) -> bool:
        """Do what is due, a little of each; tell whether more is due at once.

        A failure that leaves the file sound is reported, and the step is tried again later.

        Raises:
            QueueBrokenError: when the disk failed, or the file is gone.
        """
        now, more = time.monotonic(), False
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            self._step("size", self._look)
        if self._notes and not self._disk_space.full and now - self._noted_at >= _NOTE_EVERY_S:
            # If more notes wait than one transaction takes, the next slice follows at once, only after the calls that
            # wait by then.
            again = self._step("notes", self.write_notes)
            self._noted_at = -math.inf if again else now
            more |= again
        if self._tables.wal_pages >= _CHECKPOINT_PAGES:
            self._tables.wal_pages = 0
            self._step("checkpoint", self._checkpoint)
        if now - self._tidied_at >= _TIDY_EVERY_S or self._tables.ledger.grown >= self._growth:
            self._tables.ledger.grown = 0
            again = self._step("retention", self._tidy)
            # A slice at a time, with commits in between, until nothing is left to forget.
            self._tidied_at = -math.inf if again else now
            more |= again
        self._tell_of_losses()
        return more

    def _tell_of_losses(self) -> None:
        lost = self._notes.lost
        if lost > self._told_lost:
            self._told_lost = lost
            self._troubles.begin(INCOMPLETE, "", ROWS_TOO_FAST)
        elif not self._notes:
            self._troubles.end(INCOMPLETE, "")

    def _step(self, subject: str, step: Callable[[], bool]) -> bool:
        """Do a piece of housekeeping; tell whether there may be more of it."""
        try:
            more = step()
        except apsw.FullError:
            self._disk_space.mark_full()
            return False
        except _PASSING as error:
            self._troubles.begin(HOUSEKEEPING, subject, str(error))
            return False
        except apsw.Error as error:
            raise self._tables.broken(error) from error
        self._troubles.end(HOUSEKEEPING, subject)
        return more

    def _look(self) -> bool:
        """Look at the disk and at the file's size."""
        if self._files.check():
            self._troubles.end(HOUSEKEEPING, "files")
        self._disk_space.look()
        page, pages, free = (int(str(self._tables.db.pragma(name))) for name in _SIZES)
        self.used_bytes = page * (pages - free)
        return False

    def _checkpoint(self) -> bool:
        self._tables.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        return False

    def write_notes(self) -> bool:
        """Write a slice of the notes to the ledger; tell whether enough notes wait for another full slice."""
        batch = self._notes.take(_NOTES)
        try:
            with self._tables.transaction():
                left_out = self._tables.ledger.write(batch.rows)
                owned = self._owned(batch.updates)
                self._tables.ledger.write_updates(owned)
        except BaseException:
            self._notes.give_back(batch)
            raise
        self._notes.mark_written(batch, left_out)
        self.foreign_updates += len(batch.updates) - len(owned)
        return len(self._notes) >= _NOTES

    def _owned(self, updates: Sequence[CopyUpdate]) -> list[tuple[int, bytes, bytes, BrowserCopy]]:
        """Return updates, each with the visitor who brought the event, without those of somebody else's events."""
        owners = self._tables.seen.owners([(key, visitors) for _, key, visitors, _ in updates])
        return [
            (at, key, owner, browser_copy)
            for (at, key, _, browser_copy), owner in zip(updates, owners, strict=True)
            if owner is not None
        ]

    def _tidy(self) -> bool:
        """Remove a slice of what is past its retention; tell whether there may be more."""
        tables, retention = self._tables, self._retention
        now = tables.now()
        with tables.transaction():
            rows = tables.ledger.forget(now, retention)
            letters = tables.dead.forget(now - retention.dead_days * DAY_MS)
            tables.counts.dead.add("", -letters)
            suppressions = tables.suppressions.forget(now, retention)
            orders = tables.orders.forget(now)
            sightings = tables.sightings.forget(now, self._join_days)
            rollups = tables.ledger.rollups.forget(now, retention.rollup_days)
            tallies = tables.tallies.forget(now, retention.rollup_days)
        return rows or letters > 0 or suppressions or orders or sightings or rollups or tallies

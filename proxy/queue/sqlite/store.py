"""The queue in one SQLite file.

Invariants
    1. ``append`` returns only after COMMIT with ``synchronous=FULL`` in WAL mode: the WAL was fsynced.
    2. A record leaves ``segment`` only in the transaction that writes its end: a ledger row, a dead letter, or a
       remainder that still holds it.
    3. A repeat is recognised in the transaction that stores the first: ``seen`` and ``segment`` never disagree.
    4. One connection writes and checkpoints, owned by one thread. A second one of this process only reads (reader.py);
       the VFS and a lock file keep every other process out (connection.py).

On disk (``queue.db``)
    meta     schema facts, a sealed word that proves the secret fits, the last number of a dead letter, the first and
             the last number of a ledger row, how many updates each fate_D holds
    segment  id, pixel, n, attempts, strikes, sealed records: what one commit wrote for one pixel; when it arrived, the
             bound of its batches if it is a suspect, when its oldest event happened, and before when it is not claimed
    seen_0…3 16-byte event key with 4-byte hashes of visitor and value; a table covers 16 hours, is emptied whole
    dead     one sealed record per dead letter, with Graph's words
    ledger_D finished events of day D without personal data, by number; forgotten from its oldest end, then dropped
    fate_D   later updates of browser copies, by event and visitor; likewise
    mark     suppressions: 16-byte keyed digest of a person who opted out, withdrew or was erased, and when (the table
             has the name that suppressions had before; another one would cost a migration)
    lane     how delivery of each pixel stands with Graph: pause, failures, when to try again, Graph's last error

"Acknowledged" means: readable after ``kill -9``, and after a power cut as far as the disk keeps what it was told to
flush. File system assumed: fsync returns after the data is stable, or fails; a failed fsync says nothing about what
was written, so it ends the process.
"""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from proxy.config.schema import RetentionSettings
from proxy.model.event import BrowserCopy, DropReason
from proxy.model.record import Record
from proxy.model.units import DAY_MS
from proxy.model.verdict import Dead
from proxy.queue.contract import (
    NewDeadLetter,
    Oldest,
    QueueBrokenError,
    QueueError,
    QueueFullError,
    Remainder,
    Segment,
    SegmentRef,
    Settlement,
    Stored,
    dead_row,
    dropped_row,
)
from proxy.queue.seal import Sealer, SealError
from proxy.queue.sqlite import dead_letters, lanes, segments, suppressions
from proxy.queue.sqlite.connection import FATAL, advice, open_writer
from proxy.queue.sqlite.counts import Counts
from proxy.queue.sqlite.dead_letters import DeadLetters
from proxy.queue.sqlite.disk_space import DiskSpace, Files
from proxy.queue.sqlite.lanes import Lanes
from proxy.queue.sqlite.ledger import Ledger
from proxy.queue.sqlite.notes import CopyUpdate, Notes
from proxy.queue.sqlite.seen import Past, Seen
from proxy.queue.sqlite.segments import Segments
from proxy.queue.sqlite.suppressions import SuppressionTable
from proxy.queue.sqlite.troubles import HOUSEKEEPING, INCOMPLETE, Troubles
from proxy.queue.sqlite.writer import Append, Work

log = logging.getLogger(__name__)

SCHEMA_VERSION = 6
_PROOF, _PROOF_BOUND = b"capi-proxy", b"meta"
_CHECKPOINT_PAGES = 4000
_NOTE_EVERY_S = 0.25
_LOOK_EVERY_S = 1.0
_SIZES = ("page_size", "page_count", "freelist_count")
_TIDY_EVERY_S = 600.0
# The ledger is also tidied once it has grown by this part of what it may take.
_TIDY_SHARE = 16
# Notes written in one transaction: about 14 ms, in which no append is served.
_NOTES = 1000
# These leave the file as it was (no descriptor for a temporary file, no memory): housekeeping tries again later.
_PASSING = (apsw.CantOpenError, apsw.NoMemError, apsw.BusyError, apsw.LockedError)

_SCHEMA = "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"


class SqliteStore:
    """The database itself; every method runs on the writer thread."""

    def __init__(  # noqa: PLR0913 - its file, its settings, its clock, and who hears of it
        self,
        path: Path,
        sealer: Sealer,
        retention: RetentionSettings,
        now: Callable[[], int],
        *,
        reserve: int,
        troubles: Troubles,
    ) -> None:
        """Open or create the file.

        Args:
            path: The file, in data_dir.
            sealer: Seals what rests in it.
            retention: How long what is over stays.
            now: The server's clock in milliseconds.
            reserve: How many bytes of its disk are to stay free.
            troubles: Hears, on the writer thread, of what the store survives.

        Raises:
            QueueBrokenError: when it cannot be used; the message says what to do.
        """
        self._sealer = sealer
        self._retention = retention
        self._now = now
        self._path = path
        self._wal_pages = 0
        self._growth = retention.ledger_max_bytes // _TIDY_SHARE
        self.notes = Notes()
        self.foreign_news = 0
        """Updates since start of browser copies of somebody else's events."""
        self._told_lost = 0
        self._noted_at, self._tidied_at, self._looked_at = time.monotonic(), -math.inf, -math.inf
        self._troubles = troubles
        self.room = DiskSpace(path.parent, reserve, self._troubles)
        self.used_bytes = 0
        """What the file holds, without its free pages; measured every second."""
        try:
            self._db = open_writer(path)
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise
        except (apsw.Error, SealError, ValueError) as error:
            raise QueueBrokenError(f"{path}: {advice(error)}") from error
        self._files = Files((path, path.with_name(path.name + "-wal")), self._troubles)

    def _open(self) -> None:
        for name, value in (("journal_mode", "wal"), ("synchronous", "full")):
            self._db.pragma(name, value)
        for name, size in (("cache_size", -16_384), ("journal_size_limit", 64 << 20), ("secure_delete", 0)):
            self._db.pragma(name, size)
        self._db.set_wal_hook(self._count_pages)
        version = self._db.pragma("user_version")
        if version > SCHEMA_VERSION:
            raise SealError(f"written by a newer version of capi-proxy (layout {version}); run that one")
        if version == 0:
            self._create()
        self._prove()
        self._seen = Seen(self._db)
        self.ledger = Ledger(self._db, self._sealer.key("browser-copies"))
        self._migrate(version)
        self._dead = DeadLetters(self._db, self._sealer)
        waiting, suspects = Segments.count(self._db)
        self.counts = Counts(waiting, self._dead.count(), suspects, SuppressionTable.count(self._db))
        self._segments = Segments(self._db, self._sealer, self.counts, self._now)
        self.lanes = Lanes(self._db)
        self.marks = SuppressionTable(self._db, self.counts.suppressions)
        """Suppressions."""

    def _prove(self) -> None:
        """Refuse a file that the listed secrets do not open, all of it; then seal the proof with the current one.

        So an old secret can be taken from the list once nothing rests under it any more.
        """
        proof = self._one("SELECT value FROM meta WHERE key='proof'")
        if not isinstance(proof, bytes):
            raise ValueError("it has lost the word that proves the secret")  # noqa: TRY004 - the file is at fault
        self._sealer.open(proof, _PROOF_BOUND)
        heads = "SELECT DISTINCT substr(sealed, 1, 5) FROM segment UNION SELECT DISTINCT substr(sealed, 1, 5) FROM dead"
        if not all(self._sealer.knows(bytes(head)) for (head,) in self._db.execute(heads)):
            raise SealError("it holds events sealed with a secret that is not listed in server.old_secrets")
        # On a full disk the old proof must do: what waits shall leave, and make room.
        with suppress(apsw.FullError), self._db:
            self._db.execute("UPDATE meta SET value=? WHERE key='proof'", (self._proof(),))

    def _proof(self) -> bytes:
        return self._sealer.seal(_PROOF, _PROOF_BOUND)

    def _create(self) -> None:
        with self._db:
            self._db.execute(_SCHEMA + segments.SCHEMA + dead_letters.SCHEMA + suppressions.SCHEMA + lanes.SCHEMA)
            self._db.execute("INSERT INTO meta VALUES('proof', ?)", (self._proof(),))
            Seen.create(self._db)
            DeadLetters.start_numbers(self._db)
            Ledger(self._db).start_numbers()
            self._db.pragma("user_version", SCHEMA_VERSION)

    def _migrate(self, version: int) -> None:
        """Bring the file of an older program to this layout, step by step."""
        steps: dict[int, Sequence[Callable[[], None]]] = {
            2: (self.ledger.add_findings, self._add_marks),
            3: (self.ledger.add_totals, self._number_letters),
            4: (self._add_suspects,),  # and withdrawals among the marks, which an older program cannot read
            5: (self.ledger.add_copies, self._add_worth),
            6: (self.ledger.start_numbers, self._add_lanes, self._add_delay),
        }
        for layout, changes in steps.items():
            if 0 < version < layout:
                with self._db:
                    for change in changes:
                        change()
                    self._db.pragma("user_version", layout)

    def _add_marks(self) -> None:
        self._db.execute(suppressions.SCHEMA)

    def _add_worth(self) -> None:
        Seen.add_worth(self._db)

    def _number_letters(self) -> None:
        DeadLetters.start_numbers(self._db)

    def _add_suspects(self) -> None:
        segments.migrate(self._db, self._now())

    def _add_lanes(self) -> None:
        self._db.execute(lanes.SCHEMA)

    def _add_delay(self) -> None:
        segments.add_delay(self._db)

    def _count_pages(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _one(self, sql: str, *values: Any) -> Any:
        row = self._db.execute(sql, values).fetchone()
        return row[0] if row else None

    # -- the shared transaction

    def commit(self, works: Sequence[Work]) -> list[Any]:
        """Do the works in one transaction; a work that cannot be done fails alone.

        Raises:
            QueueError: when nothing of the group was stored.
        """
        try:
            with self._transaction():
                results = self._do(works)
        except QueueBrokenError:
            raise
        except apsw.FullError as error:
            return self._make_room(works, error)
        except FATAL as error:
            raise self._broken(error) from error
        except Exception as error:  # noqa: BLE001 - whatever one caller brought must not cost its neighbours
            if len(works) == 1:
                return [QueueError(f"{type(error).__name__} in the queue")]
            return [self._alone(work) for work in works]
        self._files.check()
        return results

    def look_up(self, work: Callable[[], Any]) -> Any:
        """Return what a work finds that changes nothing.

        Raises:
            QueueError: when it could not be read.
        """
        try:
            return work()
        except FATAL as error:
            raise self._broken(error) from error
        except Exception as error:
            raise QueueError(f"{type(error).__name__} in the queue") from error

    def _broken(self, error: Exception) -> QueueBrokenError:
        return QueueBrokenError(f"{self._path}: {advice(error)}")

    def _make_room(self, works: Sequence[Work], error: apsw.FullError) -> list[Any]:
        """Remove the ballast, refuse what is new, and let the rest have the room."""
        thrown = self.room.release()
        full = QueueFullError("the disk is full")
        if len(works) == 1 and (isinstance(works[0], Append) or not thrown):
            raise full from error
        return [full if isinstance(work, Append) else self._alone(work) for work in works]

    def _alone(self, work: Work) -> Any:
        try:
            return self.commit([work])[0]
        except QueueFullError as error:
            return error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._take_back()
            raise
        self.counts.commit()
        self._segments.claims.commit()

    def _take_back(self) -> None:
        self.counts.rollback()
        self._segments.claims.rollback()
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._seen.reload()
            self.ledger.reload()
        except Exception as error:
            # What is in memory may differ from the file now.
            raise self._broken(error) from error

    def _do(self, works: Sequence[Work]) -> list[Any]:
        appends = [work for work in works if isinstance(work, Append)]
        stored = iter(self._append(appends) if appends else ())
        return [next(stored) if isinstance(work, Append) else work() for work in works]

    # -- acknowledgement

    def _append(self, appends: Sequence[Append]) -> list[Stored]:
        self._seen.turn(self._now())
        fresh: dict[tuple[str, int], list[Record]] = {}
        stored = []
        for append in appends:
            records, refused = self.marks.sift(append.records)
            met = [(record, self._seen.meet(record)) for record in records]
            for record, past in met:
                if past is not Past.REPEAT:
                    waiting = fresh.setdefault((record.pixel, append.not_before), [])
                    waiting.append(_doubted(record) if past is Past.CONFLICT else record)
            stored.append(_stored(met, refused))
        for (pixel, not_before), waiting in fresh.items():
            self._segments.insert(Remainder(pixel, 0, 0, tuple(waiting)), not_before)
        return stored

    # -- delivery

    def claim(self, pixel: str, most: int, *, newest: bool = False, suspect: bool = False) -> tuple[Segment, ...]:
        """Claim unclaimed segments of a pixel, without what was suppressed since; see ``base.Queue``."""
        while claimed := (
            self._segments.claim_suspects(pixel, most) if suspect else self._segments.claim(pixel, most, newest=newest)
        ):
            if kept := tuple(segment for one in claimed if (segment := self._permitted(one))):
                return kept
        return ()

    def _permitted(self, segment: Segment) -> Segment | None:
        survivors, refused = self.marks.sift(segment.records)
        if not refused:
            return segment
        self.ledger.write(dropped_row(record, reason, self._now()) for record, reason in refused)
        for _, reason in refused:
            self.counts.withheld.add(reason, 1)
        return self._segments.keep(segment, survivors)

    def release(self, claimed: Sequence[Segment]) -> None:
        """Give up a claim."""
        self._segments.release(claimed)

    def settle(self, claimed: Sequence[Segment], settlement: Settlement) -> frozenset[SegmentRef]:
        """Write the end of a delivery attempt; see ``Outbox.settle``."""
        self._segments.settle(claimed, settlement)
        self._bury(settlement.dead)
        self.ledger.write(settlement.rows)
        return frozenset()

    def _bury(self, letters: Sequence[NewDeadLetter]) -> None:
        permitted = [letter for letter in letters if not self.marks.refusal(letter.record)]
        for letter in permitted:
            self._dead.bury(letter, self._now())
        self.counts.dead.add("", len(permitted))

    def expire(self, before_s: int) -> tuple[dict[str, int], bool]:
        """Make dead letters of a slice of what is too old; see ``base.Queue``."""
        taken, more = self._segments.expire(before_s)
        dead = Dead("too_old")
        self._bury(
            [NewDeadLetter(record, dead.reason, dead.graph_error, segment.attempts) for segment, record in taken]
        )
        self.ledger.write(dead_row(record, dead, self._now(), segment.attempts) for segment, record in taken)
        return Counter(record.pixel for _, record in taken), more

    def oldest(self, pixels: Collection[str]) -> dict[str, Oldest]:
        """Say since when events of these pixels wait."""
        return {pixel: self._segments.oldest(pixel) for pixel in pixels}

    # -- dead letters

    def replay(self, ids: Sequence[int], not_before_s: int) -> int:
        """Put dead letters back into the queue."""
        taken = self._dead.take(ids, not_before_s)
        for pixel in {record.pixel for record in taken}:
            self._segments.insert(Remainder(pixel, 0, 0, tuple(record for record in taken if record.pixel == pixel)))
        self.counts.dead.add("", -len(taken))
        return len(taken)

    def discard(self, ids: Sequence[int]) -> int:
        """Remove dead letters."""
        count = self._dead.discard(ids)
        self.counts.dead.add("", -count)
        return count

    # -- people

    def erase_waiting(self, person_digests: Collection[bytes], after: int) -> tuple[int, int]:
        """Remove a slice of what waits; see ``Segments.erase``."""
        return self._segments.erase(person_digests, after)

    def erase_dead(self, person_digests: Collection[bytes], after: int) -> tuple[int, int]:
        """Remove a slice of the dead letters; see ``DeadLetters.erase``."""
        count, last = self._dead.erase(person_digests, after)
        self.counts.dead.add("", -count)
        return count, last

    def touch(self) -> None:
        """Write something small, as a sign of life."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES('alive', ?)", (self._now(),))

    # -- what can wait

    def tend(self) -> bool:
        """Look at the disk, write notes, checkpoint between commits, forget what is over: each a little, when due.

        What fails and leaves the file sound is told and tried again later.

        Raises:
            QueueBrokenError: when the disk failed, or the file is gone.
        """
        now, more = time.monotonic(), False
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            self._step("size", self._look)
        if self.notes and not self.room.full and now - self._noted_at >= _NOTE_EVERY_S:
            # With more notes than one transaction takes the next follows at once, after the calls that wait by then.
            again = self._step("notes", self._write_notes)
            self._noted_at = -math.inf if again else now
            more |= again
        if self._wal_pages >= _CHECKPOINT_PAGES:
            self._wal_pages = 0
            self._step("checkpoint", self._checkpoint)
        if now - self._tidied_at >= _TIDY_EVERY_S or self.ledger.grown >= self._growth:
            self.ledger.grown = 0
            again = self._step("retention", self._tidy)
            # A slice at a time, with commits in between, until nothing is left to forget.
            self._tidied_at = -math.inf if again else now
            more |= again
        self._tell_of_losses()
        return more

    def _tell_of_losses(self) -> None:
        lost = self.notes.lost
        if lost > self._told_lost:
            self._told_lost = lost
            self._troubles.begin(INCOMPLETE, "", "rows come faster than the disk takes them")
        elif not self.notes:
            self._troubles.end(INCOMPLETE, "")

    def _step(self, subject: str, step: Callable[[], bool]) -> bool:
        """Do a piece of housekeeping; tell whether there may be more of it."""
        try:
            more = step()
        except apsw.FullError:
            self.room.fill()
            return False
        except _PASSING as error:
            self._troubles.begin(HOUSEKEEPING, subject, str(error))
            return False
        except apsw.Error as error:
            raise self._broken(error) from error
        self._troubles.end(HOUSEKEEPING, subject)
        return more

    def _look(self) -> bool:
        if self._files.check():
            self._troubles.end(HOUSEKEEPING, "files")
        self.room.look()
        page, pages, free = (int(str(self._db.pragma(name))) for name in _SIZES)
        self.used_bytes = page * (pages - free)
        return False

    def _checkpoint(self) -> bool:
        self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        return False

    def _write_notes(self) -> bool:
        batch = self.notes.take(_NOTES)
        try:
            with self._transaction():
                left_out = self.ledger.write(batch.rows)
                own = [owned for update in batch.updates if (owned := self._owned(update))]
                self.ledger.write_updates(own)
        except BaseException:
            self.notes.give_back(batch)
            raise
        self.notes.written(batch, left_out)
        self.foreign_news += len(batch.updates) - len(own)
        return len(self.notes) >= _NOTES

    def _owned(self, update: CopyUpdate) -> tuple[int, bytes, bytes, BrowserCopy] | None:
        """Return an update as of the visitor who brought the event; None where only others did."""
        at, key, visitors, browser_copy = update
        pasts = {visitor: self._seen.past(key, visitor) for visitor in visitors}
        owner = next((visitor for visitor, past in pasts.items() if past is Past.REPEAT), visitors[0])
        return None if pasts[owner] is Past.REUSED else (at, key, owner, browser_copy)

    def _tidy(self) -> bool:
        """Forget a slice of what is over; tell whether there may be more."""
        now, retention = self._now(), self._retention
        with self._transaction():
            last_day = now // DAY_MS - retention.ledger_days
            rows = self.ledger.forget(last_day, most_bytes=retention.ledger_max_bytes)
            letters = self._dead.forget(now - retention.dead_days * DAY_MS)
            self.counts.dead.add("", -letters)
            marked = self.marks.forget(now, retention)
        return rows or letters > 0 or marked

    def close(self, *, in_order: bool) -> None:
        """Write the last notes and close the file, which checkpoints it; after a broken disk, just let go of it."""
        try:
            while in_order and self.notes:
                self._write_notes()
            self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, not in_order)
            self._db.close()
        except (apsw.Error, QueueError) as error:
            log.error("%s was not closed in order: %s", self._path, advice(error))  # noqa: TRY400 - one line will do
            self._db.close(True)


def _stored(met: Sequence[tuple[Record, Past]], refused: Sequence[tuple[Record, DropReason]]) -> Stored:
    by_past = {past: tuple(record for record, found in met if found is past) for past in Past}
    conflicts = by_past[Past.CONFLICT]
    reused = len(by_past[Past.REUSED]) + len(conflicts)
    return Stored(by_past[Past.REPEAT], reused, tuple(refused), conflicts)


def _doubted(record: Record) -> Record:
    return record._replace(findings=(*record.findings, "id:conflict"))

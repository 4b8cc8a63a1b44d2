"""Who opted out and who was erased: 16-byte keyed digests of people, each with a kind and a time.

The digests say nothing without the installation's secret. Almost no event is about a marked person, so a sieve in
memory (16 MiB, one byte for the first three of a digest) answers first; only what it lets through asks the table.
A million marks send every sixteenth digest there; the sieve never grows.
"""

from collections.abc import Iterable, Sequence

import apsw

from proxy.model import DAY_MS, DropReason, Record
from proxy.settings import Retention

SCHEMA = """
CREATE TABLE mark(digest BLOB, kind TEXT, at INTEGER NOT NULL, PRIMARY KEY(digest, kind)) WITHOUT ROWID;
CREATE INDEX mark_age ON mark(kind, at);
"""
_SIEVE_BYTES = 3
# Marks forgotten in one transaction.
_SLICE = 2000


class Marks:
    """Works on a connection it does not own, within transactions it does not start.

    A rollback may leave the sieve with a mark that the table lacks, which costs a look and changes no answer.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._sieve = bytearray(1 << 8 * _SIEVE_BYTES)
        for start, *_ in db.execute("SELECT substr(digest, 1, ?) FROM mark", (_SIEVE_BYTES,)):
            self._sieve[int.from_bytes(bytes(start), "big")] = 1

    def add(self, people: Iterable[bytes], kind: DropReason, at: int) -> None:
        """Mark people; of the same mark the later one counts."""
        sql = "INSERT INTO mark VALUES(?, ?, ?) ON CONFLICT DO UPDATE SET at=max(at, excluded.at)"
        for digest in people:
            self._db.execute(sql, (digest, kind, at))
            self._sieve[int.from_bytes(digest[:_SIEVE_BYTES], "big")] = 1

    def sift(self, records: Sequence[Record]) -> tuple[list[Record], list[tuple[Record, DropReason]]]:
        """Part new records into those that may be stored and those that a mark speaks against.

        One that ``agreed`` after an opt-out ends it for all its people.
        """
        taken, refused = [], []
        for record in records:
            if record.agreed:
                self._lift(record)
            if reason := self.refusal(record):
                refused.append((record, reason))
            else:
                taken.append(record)
        return taken, refused

    def refusal(self, record: Record) -> DropReason | None:
        """Return what speaks against a record: an opt-out always, an erasure if the event happened before it."""
        for digest in record.people:
            if not self._sieve[int.from_bytes(digest[:_SIEVE_BYTES], "big")]:
                continue
            for kind, at in self._db.execute("SELECT kind, at FROM mark WHERE digest=?", (digest,)).fetchall():
                if kind == DropReason.OPTED_OUT or record.time_s * 1000 <= int(str(at)):
                    return DropReason(str(kind))
        return None

    def _lift(self, record: Record) -> None:
        sql = "DELETE FROM mark WHERE digest=? AND kind=? AND at<=?"
        for digest in record.people:
            if self._sieve[int.from_bytes(digest[:_SIEVE_BYTES], "big")]:
                self._db.execute(sql, (digest, DropReason.OPTED_OUT, record.agreed))

    def forget(self, now: int, retention: Retention) -> bool:
        """Remove a slice of the marks whose time is over; tell whether there may be more."""
        days = {DropReason.OPTED_OUT: retention.opted_out_days, DropReason.ERASED: retention.erased_days}
        old = "SELECT digest, kind FROM mark WHERE kind=? AND at<? LIMIT ?"
        removed = 0
        for kind, most in days.items():
            self._db.execute(
                f"DELETE FROM mark WHERE (digest, kind) IN ({old})",  # noqa: S608 - our own text
                (kind, now - most * DAY_MS, _SLICE),
            )
            removed += self._db.changes()
        return removed > 0

"""Suppressions: who opted out, withdrew consent or was erased, as 16-byte keyed digests, each with a kind and a time.

The digests say nothing without the installation's secret. Almost no event is about a suppressed person, so a sieve in
memory answers first, and only what it lets through asks the table.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apsw

from proxy.config.schema import RetentionSettings
from proxy.model.event import DropReason
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.model.units import DAY_MS
from proxy.queue.contract import Suppression
from proxy.queue.refusal import refusal
from proxy.queue.sieve import PREFIX, Sieve
from proxy.queue.sqlite.counts import LiveCount

SCHEMA = """
CREATE TABLE mark(digest BLOB, kind TEXT, at INTEGER NOT NULL, PRIMARY KEY(digest, kind)) WITHOUT ROWID;
CREATE INDEX mark_age ON mark(kind, at);
"""
MOST = 2_000_000
"""So many opt-outs are kept, and as many withdrawals; beyond that the oldest are forgotten.

Each has about 100 bytes. There must be a bound, since somebody who takes new visitor cookies from the proxy again and
again can suppress as many visitors that do not exist. A browser that opted out also has the decision in its cookie.
"""
# Suppressions forgotten in one transaction.
_SLICE = 2000


class SuppressionTable:
    """The table of suppressions; works on a connection it does not own, within transactions it does not start.

    A rollback may leave the sieve with a digest that the table lacks, which costs a look and changes no answer.
    """

    def __init__(self, db: apsw.Connection, counts: LiveCount[SuppressionKind], sieve: Sieve) -> None:
        """Begin with what the file holds.

        Args:
            db: The connection that writes.
            counts: Is told how many there are.
            sieve: Is told of every suppressed person, so that other processes can read it without the table.
        """
        self._db = db
        self._counts = counts
        self.version = 0
        """How many suppressions were added since start; grows after the sieve knows of them."""
        self.has_any = False
        """Whether there may be a suppression of anybody."""
        self._sieve = sieve
        self.may_hold = sieve.may_hold
        """Tells whether a digest may be suppressed; safe to call from any thread."""
        for start, *_ in db.execute("SELECT substr(digest, 1, ?) FROM mark", (PREFIX,)):
            self._remember(bytes(start))

    @staticmethod
    def count(db: apsw.Connection) -> Mapping[SuppressionKind, int]:
        """Return how many there are of each kind."""
        counts: Counter[SuppressionKind] = Counter()
        for kind, count in db.execute("SELECT kind, count(*) FROM mark GROUP BY kind"):
            counts[SuppressionKind.stored(str(kind))] += int(str(count))
        return counts

    def _remember(self, digest: bytes) -> None:
        self.has_any = True
        self._sieve.remember(digest)

    def add(self, person_digests: Iterable[bytes], kind: SuppressionKind, at: int) -> None:
        """Suppress people; of two suppressions of one kind the later one counts.

        Args:
            person_digests: 16 bytes each.
            kind: Why they are suppressed.
            at: Server clock in milliseconds.
        """
        for digest in person_digests:
            self._db.execute("INSERT OR IGNORE INTO mark VALUES(?, ?, ?)", (digest, kind, at))
            self._counts.add(kind, self._db.changes())
            self._db.execute("UPDATE mark SET at=? WHERE digest=? AND kind=? AND at<?", (at, digest, kind, at))
            self._remember(digest)
            self.version += 1

    def lift(self, person_digests: Iterable[bytes], kinds: Iterable[SuppressionKind], at: int) -> list[SuppressionKind]:
        """End suppressions; return the kind of each that ended.

        Args:
            person_digests: 16 bytes each.
            kinds: Which kinds end.
            at: Server clock in milliseconds; younger suppressions stay.
        """
        lifted = []
        asked = [(digest, kind) for digest in person_digests if self.may_hold(digest) for kind in kinds]
        for digest, kind in asked:
            self._db.execute("DELETE FROM mark WHERE digest=? AND kind=? AND at<=?", (digest, kind, at))
            lifted += [kind] * self._db.changes()
        for kind in lifted:
            self._counts.add(kind, -1)
        return lifted

    @staticmethod
    def kinds_of(db: apsw.Connection, person_digests: Iterable[bytes]) -> set[SuppressionKind]:
        """Return the kinds of suppression that people have, read on any connection to the file."""
        return {kind for digest in person_digests for kind, _ in _rows(db, digest)}

    @staticmethod
    def newest(db: apsw.Connection, kind: SuppressionKind | None, limit: int) -> list[Suppression]:
        """Return suppressions of a kind, or of any, newest first.

        Args:
            db: Any connection to the file.
            kind: Only these; None: of all kinds.
            limit: How many at the most.
        """
        sql = "SELECT digest, at FROM mark WHERE kind=? ORDER BY at DESC LIMIT ?"
        found = [
            Suppression(bytes(digest), each, int(str(at)))
            for each in ([kind] if kind else SuppressionKind)
            for digest, at in db.execute(sql, (each, limit))
        ]
        return sorted(found, key=lambda suppression: suppression.at, reverse=True)[:limit]

    @staticmethod
    def after(db: apsw.Connection, digest: bytes, kind: SuppressionKind | None, limit: int) -> list[Suppression]:
        """Return suppressions of a kind, or of any, ordered by digest; of the last digest all.

        Args:
            db: Any connection to the file.
            digest: Only suppressions with a larger digest than this one.
            kind: Only these; None: of all kinds.
            limit: How many at the most; only those of the last digest may exceed it.
        """
        last = "SELECT digest FROM mark WHERE digest>?1 AND kind GLOB ?2 ORDER BY digest LIMIT ?3"
        sql = (
            "SELECT digest, kind, at FROM mark WHERE digest>?1 AND kind GLOB ?2"  # noqa: S608 - our own text
            f" AND digest<=(SELECT max(digest) FROM ({last})) ORDER BY digest, kind"
        )
        rows: Iterator[Any] = iter(db.execute(sql, (digest, kind or "*", limit)))
        return [Suppression(bytes(found), SuppressionKind.stored(each), at) for found, each, at in rows]

    def may_concern(self, records: Iterable[Record]) -> bool:
        """Tell whether a suppression may speak against any of these records, at little cost."""
        return self.has_any and any(self.may_hold(digest) for record in records for digest in record.person_digests)

    def split_refused(self, records: Sequence[Record]) -> tuple[list[Record], list[tuple[Record, DropReason]]]:
        """Return the records that may be sent, and those that a suppression speaks against with the reason."""
        judged = [(record, self.refusal(record)) for record in records]
        permitted = [record for record, reason in judged if not reason]
        return permitted, [(record, reason) for record, reason in judged if reason]

    def refusal(self, record: Record) -> DropReason | None:
        """Return why a record must not be sent, or None; an erasure covers only events that happened up to it."""
        return self.refusal_of(record.person_digests, record.time_s * 1000)

    def refusal_of(self, person_digests: Iterable[bytes], happened: int) -> DropReason | None:
        """Return why an event of these people must not be sent that happened at a moment (milliseconds), or None."""
        for digest in person_digests:
            if reason := refusal(self._found(digest), happened):
                return reason
        return None

    def _found(self, digest: bytes) -> list[tuple[SuppressionKind, int]]:
        return _rows(self._db, digest) if self.may_hold(digest) else []

    def forget(self, now: int, retention: RetentionSettings, most: int = MOST) -> bool:
        """Remove a slice of the suppressions whose time is over; tell whether there may be more.

        Args:
            now: Server clock in milliseconds.
            retention: For how many days each kind is kept.
            most: How many of each kind are kept, except erasures, which visitors cannot make.
        """
        days = dict.fromkeys(SuppressionKind, retention.opted_out_days)
        days[SuppressionKind.ERASURE] = retention.erased_days
        removed = 0
        for kind, most_days in days.items():
            removed += self._forget(kind, now - most_days * DAY_MS, _SLICE)
            if kind is not SuppressionKind.ERASURE and (beyond := self._counts.current_value(kind) - most) > 0:
                removed += self._forget(kind, now + DAY_MS, min(_SLICE, beyond))
        return removed > 0

    def _forget(self, kind: SuppressionKind, before: int, limit: int) -> int:
        old = "SELECT digest, kind FROM mark WHERE kind=? AND at<? ORDER BY at LIMIT ?"
        self._db.execute(f"DELETE FROM mark WHERE (digest, kind) IN ({old})", (kind, before, limit))  # noqa: S608 - our own text
        removed = self._db.changes()
        self._counts.add(kind, -removed)
        return removed


def _rows(db: apsw.Connection, digest: bytes) -> list[tuple[SuppressionKind, int]]:
    rows = db.execute("SELECT kind, at FROM mark WHERE digest=?", (digest,)).fetchall()
    return [(SuppressionKind.stored(str(kind)), int(str(at))) for kind, at in rows]

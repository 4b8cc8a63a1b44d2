"""Dead letters: events that Graph refused for good, kept with its error until replayed, discarded or too old."""

import logging
from array import array
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import apsw

from proxy.graph.age import aging_from_s
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.model.verdict import GraphError
from proxy.queue.codec import pack, unpack
from proxy.queue.contract import DeadLetter, Filter, NewDeadLetter, ended_row
from proxy.queue.seal import Sealer, SealError, UnlistedSecretError
from proxy.queue.sqlite.ledger_tables import where

log = logging.getLogger(__name__)

# Letters forgotten in one transaction: deleting a hundred thousand at once kept appends waiting for 0.3 s.
_SLICE = 1000
_LAST = (1 << 63) - 1

SCHEMA = """
CREATE TABLE dead(
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, pixel TEXT NOT NULL, name TEXT NOT NULL, event_id TEXT NOT NULL,
    time_s INTEGER NOT NULL, reason TEXT NOT NULL, code INTEGER, subcode INTEGER, message TEXT NOT NULL,
    fbtrace_id TEXT NOT NULL, attempts INTEGER NOT NULL, sealed BLOB NOT NULL
);
"""


class TakenLetter(NamedTuple):
    """A letter that is put back."""

    record: Record
    at: int
    """When it became a dead letter."""
    reason: str

    def row(self) -> LedgerRow:
        """Return the ledger row that was written when it became a dead letter, as far as the letter tells it."""
        return ended_row(self.record, Status.DEAD, self.reason, self.at)


class DeadLetters:
    """The table of dead letters; works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection, sealer: Sealer) -> None:
        """Work on a file for which ``start_numbers`` was called before.

        Raises:
            ValueError: when the file has lost the last number.
        """
        self._db = db
        self._sealer = sealer
        if not db.execute("SELECT 1 FROM meta WHERE key='dead_last'").fetchone():
            raise ValueError("it has lost the last number of a dead letter")

    @staticmethod
    def start_numbers(db: apsw.Connection) -> None:
        """Write down the last number of a letter, so that no number is ever used twice.

        SQLite itself gives the largest number again once its row is gone; then an operator's page that is minutes old
        would replay or discard another letter.
        """
        db.execute("INSERT OR IGNORE INTO meta VALUES('dead_last', (SELECT coalesce(max(id), 0) FROM dead))")

    def count(self) -> int:
        """Return how many letters there are."""
        ((count,),) = self._db.execute("SELECT count(*) FROM dead")
        return int(str(count))

    def bury(self, letter: NewDeadLetter, at: int) -> None:
        """Add a letter; ``at`` is the server's clock in milliseconds."""
        record, error = letter.record, letter.graph_error
        sealed = self._sealer.seal(pack([record]), record.pixel.encode())
        event = (record.pixel, record.name, record.id, record.time_s)
        refusal = (letter.reason, error.code, error.subcode, error.message, error.fbtrace_id, letter.attempts)
        row = (self._next_number(), at, *event, *refusal, sealed)
        self._db.execute(f"INSERT INTO dead VALUES({', '.join('?' * len(row))})", row)

    def _next_number(self) -> int:
        """Return a number that no letter ever had."""
        sql = "UPDATE meta SET value=value+1 WHERE key='dead_last' RETURNING value"
        ((number,),) = self._db.execute(sql).fetchall()
        return int(str(number))

    def read(self, wanted: Filter) -> list[DeadLetter]:
        """Return dead letters, newest first."""
        condition, texts = where(wanted, identity="event_id")
        sql = f"SELECT * FROM dead WHERE id<?{condition} ORDER BY id DESC LIMIT ?"  # noqa: S608
        return [self._letter(row) for row in self._db.execute(sql, (wanted.before or _LAST, *texts, wanted.limit))]

    def _letter(self, row: Sequence[Any]) -> DeadLetter:
        number, at, pixel, name, identity, time_s, reason, code, subcode, message, trace, attempts, sealed = row
        record = self._opened(number, pixel, sealed)
        graph_error = GraphError(code, subcode, message, trace)
        payload = record.whole if record else b""
        return DeadLetter(number, at, pixel, name, identity, time_s, reason, graph_error, attempts, payload)

    def _opened(self, number: int, pixel: Any, sealed: Any) -> Record | None:
        """Return the record of a letter, or None when it was damaged on disk, so that it hides no other letter."""
        try:
            return unpack(self._sealer.open(sealed, pixel.encode()), pixel)[0]
        except UnlistedSecretError:
            return None  # a caller that reads without the secret expects it; the proxy does not start without it
        except (SealError, ValueError, IndexError):
            log.exception("dead letter %d of pixel %s was damaged on disk", number, pixel)
            return None

    def take(self, ids: Sequence[int], not_before_s: int) -> list[TakenLetter]:
        """Remove and return letters, in the order of ``ids``; those whose events are too old stay.

        Too old are events that age from before ``not_before_s``. Letters that were damaged on disk stay, too.
        """
        sql = "SELECT at, reason, id, pixel, sealed FROM dead WHERE id IN carray(?)"
        rows: list[Any] = self._db.execute(sql, (apsw.carray(array("q", ids)),)).fetchall() if ids else []
        opened = ((at, reason, row[0], self._opened(*row)) for at, reason, *row in rows)
        letters = {
            number: TakenLetter(record, at, reason)
            for at, reason, number, record in opened
            if record and aging_from_s(record.time_s, record.action_source) >= not_before_s
        }
        self._remove([*letters])
        return [letters[number] for number in dict.fromkeys(ids) if number in letters]

    def discard(self, ids: Sequence[int]) -> int:
        """Remove letters; return how many of these there were."""
        return self._remove(ids)

    def _remove(self, ids: Sequence[int]) -> int:
        if not ids:
            return 0
        self._db.execute("DELETE FROM dead WHERE id IN carray(?)", (apsw.carray(array("q", ids)),))
        return self._db.changes()

    def erase(self, person_digests: Collection[bytes], after: int) -> tuple[int, int]:
        """Remove the letters about people from the next slice.

        Args:
            person_digests: Of the people.
            after: The number of the last letter of the slice before; 0 at first.

        Returns:
            How many letters were removed, and the number of the last one looked at; 0 when there are no more.
        """
        sql = "SELECT id, pixel, sealed FROM dead WHERE id>? ORDER BY id LIMIT ?"
        rows: list[Any] = self._db.execute(sql, (after, _SLICE)).fetchall()
        records = {row[0]: record for row in rows if (record := self._opened(*row))}
        digests = set(person_digests)
        about = [number for number, record in records.items() if not digests.isdisjoint(record.person_digests)]
        return self._remove(about), rows[-1][0] if rows else 0

    def forget(self, before: int) -> int:
        """Look at the oldest slice, remove the letters buried before a moment, and return how many."""
        oldest = "SELECT id FROM dead ORDER BY id LIMIT ?"
        self._db.execute(f"DELETE FROM dead WHERE id IN ({oldest}) AND at<?", (_SLICE, before))  # noqa: S608
        return self._db.changes()

"""Held segments: what waits but is not due yet. They are in no lane's index, so that no claim reads past them."""

from array import array
from collections.abc import Callable, Iterator
from typing import Any

import apsw

from proxy.queue.sqlite.counts import Counts

# If more were released at once, appends would wait, and on a full disk more space would be needed than the ballast
# frees: each row moves from one index to another, and is written again with its sealed bytes.
_SLICE = 500
_SLICE_RECORDS = 2000
# "not_before>0" is written exactly as in the partial index: the planner does not reason about numbers.
_DUE = "SELECT id, n FROM segment WHERE not_before>0 AND not_before<=? ORDER BY not_before LIMIT ?"
_NEXT = "SELECT min(not_before) FROM segment WHERE not_before>0"
_RELEASE = "UPDATE segment SET at=not_before, not_before=0 WHERE id IN carray(?) RETURNING pixel, fields, n"


class Holds:
    """Releases held segments; works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection, counts: Counts, now: Callable[[], int]) -> None:
        """Take the parts; nothing is read, since ``Counts.next_due`` was set from the file.

        Args:
            db: The connection that writes.
            counts: Knows when the next segment is due.
            now: The server's clock in milliseconds.
        """
        self._db = db
        self._counts = counts
        self._now = now

    def release_due(self) -> None:
        """Release a slice of the due segments, the earliest first, so that they can be claimed.

        Each then counts as arrived when it became due. Before ``Counts.next_due`` no statement is executed; that moment
        may be the one of a segment that is gone.
        """
        due = self._counts.next_due.current_value()
        if due is None or due > (now := self._now()):
            return
        if numbers := self._due(now):  # an empty array cannot be bound
            rows: Iterator[Any] = iter(self._db.execute(_RELEASE, (apsw.carray(array("q", numbers)),)).fetchall())
            for pixel, fields, events in rows:
                self._counts.release(pixel, fields, events)
        self._counts.next_due.put(next_due(self._db))

    def _due(self, now: int) -> list[int]:
        """Return the numbers of a slice of what is due, the earliest first."""
        numbers: list[int] = []
        records = 0
        rows: Iterator[Any] = iter(self._db.execute(_DUE, (now, _SLICE)))
        for number, n in rows:
            numbers.append(number)
            records += n
            if records >= _SLICE_RECORDS:
                break
        return numbers


def next_due(db: apsw.Connection) -> int | None:
    """Return when the next held segment is due, None where nothing is held."""
    ((moment,),) = db.execute(_NEXT).fetchall()
    return None if moment is None else int(str(moment))

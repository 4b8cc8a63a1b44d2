"""Searches of the table of what waits: which segments may be claimed or looked through, without opening them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import apsw

from proxy.queue.sqlite.claims import Claims
from proxy.queue.sqlite.counts import SegmentCounts

FACTS = "id, n, pixel, attempts, strikes, at, suspect"
SEALED_COLUMNS = "sealed, skip"
SealedColumns: TypeAlias = tuple[bytes, bytes]
_Waiting: TypeAlias = tuple[Sequence[Any], SealedColumns]


class SegmentSearch:
    """Searches the table of segments; works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection, claims: Claims) -> None:
        self._db = db
        self._claims = claims

    def suspects(self, pixel: str, fields: bytes, most: int) -> Iterator[_Waiting]:
        """Yield unclaimed suspects as ``claimable_segments`` does, the largest bound first, of a bound the youngest.

        Args:
            pixel: Its id.
            fields: Their ``keys.fields_key``.
            most: How many events are claimed at most.
        """
        # Two ranges of the index; "<> 0" would read the fresh segments too.
        for sign in (">", "<"):
            yield from self.claimable_segments(
                pixel, fields, f"suspect{sign}0 ORDER BY suspect DESC, at DESC, id DESC", most
            )

    def claimable_segments(self, pixel: str, fields: bytes, lane: str, most: int) -> Iterator[_Waiting]:
        """Yield unclaimed due segments of a pixel and fields: of each its facts, and its sealed bytes with its skips.

        The caller must claim each one before it takes the next.

        One statement reads as many segments as a claim takes, since each call into SQLite releases the interpreter's
        lock; there is a further one only if some are damaged. SQLite sorts just the segments' numbers, no sealed bytes.

        Args:
            pixel: Its id.
            fields: Their ``keys.fields_key``.
            lane: SQL that says which of them, and in which order.
            most: How many events are claimed at most.
        """
        free = "pixel=? AND fields=? AND not_before=0 AND id NOT IN carray(?)"
        chosen = f"SELECT id AS number FROM segment WHERE {free} AND {lane} LIMIT ?"  # noqa: S608 - our own text
        sql = f"SELECT {FACTS}, {SEALED_COLUMNS} FROM ({chosen}) CROSS JOIN segment ON id=number"  # noqa: S608 - our own text
        room = 0
        while room <= 0:
            room = most + 1
            rows: Iterator[Any] = iter(self._db.execute(sql, (pixel, fields, self._claims.array(pixel), room)))
            for *facts, sealed, skip in rows:
                room -= 1
                yield facts, (sealed, skip)

    def unclaimed(self, condition: str, *values: Any) -> Iterator[Any]:
        """Yield the facts of segments that are not claimed, for ``Segments.read``.

        Args:
            condition: The SQL that follows the table's name.
            *values: What its placeholders stand for.
        """
        rows: Iterator[Any] = iter(self._db.execute(f"SELECT {FACTS} FROM segment {condition}", values))  # noqa: S608
        return (row for row in rows if not self._claims.contains(row[2], row[0]))

    def segments_after(self, number: int, most: int) -> list[Any]:
        """Return the facts of up to ``most`` segments with larger numbers, claimed ones too, for ``Segments.read``."""
        sql = f"SELECT {FACTS} FROM segment WHERE id>? ORDER BY id LIMIT ?"  # noqa: S608 - our own text
        return self._db.execute(sql, (number, most)).fetchall()


def count(db: apsw.Connection) -> SegmentCounts:
    """Return how many events wait."""
    held: Counter[str] = Counter(dict(_rows(db, "SELECT pixel, sum(n) FROM segment WHERE not_before>0 GROUP BY pixel")))
    counts = SegmentCounts(held.copy(), held, Counter(), Counter())
    groups = "pixel, fields, suspect"
    due = f"SELECT {groups}, sum(n) FROM segment WHERE not_before=0 GROUP BY {groups}"  # noqa: S608 - our own text
    for pixel, fields, suspect, n in _rows(db, due):
        counts.waiting[pixel] += n
        if suspect:
            counts.suspects[pixel] += n
        if fields:
            counts.with_fields[pixel, fields, bool(suspect)] += n
    return counts


def _rows(db: apsw.Connection, sql: str) -> Iterator[Any]:
    return iter(db.execute(sql))

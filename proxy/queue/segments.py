"""The table of what waits: sealed segments, claimed by number, gone only by a settlement."""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import apsw

from proxy.model import Record
from proxy.queue.base import Remainder, Segment, Settlement
from proxy.queue.counts import Counts
from proxy.queue.seal import Sealer, SealError
from proxy.queue.segment import chunks, pack, unpack

log = logging.getLogger(__name__)

_MOST_CLAIMED_BYTES = 4 << 20
# Segments and records looked through in one transaction.
_SLICE = 500
_SLICE_RECORDS = 2000

SCHEMA = """
CREATE TABLE segment(
    id INTEGER PRIMARY KEY, pixel TEXT NOT NULL, n INTEGER NOT NULL,
    attempts INTEGER NOT NULL, strikes INTEGER NOT NULL, sealed BLOB NOT NULL
);
CREATE INDEX segment_lane ON segment(pixel);
"""


class Claims:
    """Which segments are claimed: in memory only, since a claim does not outlive the process."""

    def __init__(self) -> None:
        self._claimed: set[int] = set()
        self._changed: list[tuple[int, bool]] = []

    def __contains__(self, number: int) -> bool:
        return number in self._claimed

    def add(self, number: int) -> None:
        """Claim a segment."""
        if number not in self._claimed:
            self._claimed.add(number)
            self._changed.append((number, True))

    def remove(self, numbers: Iterable[int]) -> None:
        """Give claims up."""
        for number in self._claimed.intersection(numbers):
            self._claimed.remove(number)
            self._changed.append((number, False))

    def commit(self) -> None:
        """Let the changes of the transaction stand."""
        self._changed.clear()

    def rollback(self) -> None:
        """Take the changes of the transaction back, the last first."""
        while self._changed:
            number, added = self._changed.pop()
            (self._claimed.discard if added else self._claimed.add)(number)


class Segments:
    """Works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection, sealer: Sealer, counts: Counts) -> None:
        self._db = db
        self._sealer = sealer
        self._counts = counts
        self.claims = Claims()
        ((last,),) = db.execute("SELECT coalesce(max(id), 0) FROM segment")
        self._next = int(str(last)) + 1

    @staticmethod
    def count(db: apsw.Connection) -> dict[str, int]:
        """Return how many events of each pixel wait."""
        return {str(pixel): int(str(n)) for pixel, n in db.execute("SELECT pixel, sum(n) FROM segment GROUP BY pixel")}

    def insert(self, remainder: Remainder) -> None:
        """Store records of one pixel."""
        for records in chunks(remainder.records):
            sealed = self._sealer.seal(pack(records), remainder.pixel.encode())
            row = (self._next, remainder.pixel, len(records), remainder.attempts, remainder.strikes, sealed)
            self._db.execute("INSERT INTO segment VALUES(?, ?, ?, ?, ?, ?)", row)
            self._next += 1
            self._counts.waiting.add(remainder.pixel, len(records))

    def claim(self, pixel: str, most: int, *, newest: bool) -> tuple[Segment, ...]:
        """Claim the oldest unclaimed segments of a pixel, or the newest."""
        wanted: list[tuple[Any, ...]] = []
        events = size = 0
        order = "DESC" if newest else "ASC"
        sql = f"SELECT id, n, attempts, strikes, length(sealed) FROM segment WHERE pixel=? ORDER BY id {order}"  # noqa: S608
        for row in self._db.execute(sql, (pixel,)):
            number, n, _, _, length = row
            if number in self.claims:
                continue
            if wanted and (events + n > most or size + length > _MOST_CLAIMED_BYTES):
                break
            wanted.append(row)
            events, size = events + n, size + length
        segments = (self._read(number, pixel, attempts, strikes) for number, _, attempts, strikes, _ in wanted)
        return tuple(segment for segment in segments if segment)

    def _read(self, number: int, pixel: str, attempts: int, strikes: int) -> Segment | None:
        """Open a claimed segment; one that was damaged on disk stays claimed, so that it holds up no other."""
        self.claims.add(number)
        rows: list[Any] = self._db.execute("SELECT sealed FROM segment WHERE id=?", (number,)).fetchall()
        try:
            packed = self._sealer.open(rows[0][0], pixel.encode())
            return Segment(number, pixel, attempts, strikes, unpack(packed, pixel))
        except (SealError, ValueError):
            log.exception("segment %d of pixel %s was damaged on disk; it is kept and skipped", number, pixel)
            return None

    def keep(self, segment: Segment, survivors: Sequence[Record]) -> Segment | None:
        """Keep only these records of a claimed segment, or nothing of it."""
        if survivors:
            sealed = self._sealer.seal(pack(survivors), segment.pixel.encode())
            row = (len(survivors), sealed, segment.id)
            self._db.execute("UPDATE segment SET n=?, sealed=? WHERE id=?", row)
        else:
            self._db.execute("DELETE FROM segment WHERE id=?", (segment.id,))
            self.release([segment])
        self._counts.waiting.add(segment.pixel, len(survivors) - len(segment.records))
        return replace(segment, records=tuple(survivors)) if survivors else None

    def erase(self, people: Collection[bytes], after: int) -> tuple[int, int]:
        """Remove the records about people from unclaimed segments, a few at a time.

        Return how many were removed, and after which number to go on (0: no segment is left).
        """
        sql = "SELECT id, n, pixel, attempts, strikes FROM segment WHERE id>? ORDER BY id LIMIT ?"
        removed = last = seen = 0
        rows: list[Any] = self._db.execute(sql, (after, _SLICE)).fetchall()
        for last, n, *facts in rows:
            if last not in self.claims and (segment := self._read(last, *facts)):
                removed += self._strike(segment, people)
                self.release([segment])
            seen += n
            if seen >= _SLICE_RECORDS:
                break
        return removed, last

    def _strike(self, segment: Segment, people: Collection[bytes]) -> int:
        survivors = [record for record in segment.records if set(people).isdisjoint(record.people)]
        removed = len(segment.records) - len(survivors)
        if removed:
            self.keep(segment, survivors)
        return removed

    def release(self, segments: Sequence[Segment]) -> None:
        """Give up a claim."""
        self.claims.remove(segment.id for segment in segments)

    def settle(self, segments: Sequence[Segment], settlement: Settlement) -> None:
        """Write what becomes of claimed segments, and give up the claim."""
        sizes = {segment.id: segment for segment in segments}
        for number in settlement.done:
            self._db.execute("DELETE FROM segment WHERE id=?", (number,))
            self._counts.waiting.add(sizes[number].pixel, -len(sizes[number].records))
        sql = "UPDATE segment SET attempts=attempts+1, strikes=strikes+? WHERE id=?"
        self._db.executemany(sql, [(settlement.struck, number) for number in settlement.tried])
        for remainder in settlement.remainders:
            self.insert(remainder)
        self.release(segments)

"""The table of what waits: sealed segments, claimed by number, gone only by a settlement."""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import apsw

from proxy.model import Record
from proxy.queue.base import Remainder, Segment, Settlement
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


@dataclass(slots=True)
class Waiting:
    """What is known of the table without asking it; a rollback takes it back too."""

    events: Counter[str] = field(default_factory=Counter)
    """By pixel."""
    claimed: set[int] = field(default_factory=set)

    def copy(self) -> "Waiting":
        """Return what a rollback brings back."""
        return Waiting(Counter(self.events), set(self.claimed))


class Segments:
    """Works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection, sealer: Sealer) -> None:
        self._db = db
        self._sealer = sealer
        ((last,),) = db.execute("SELECT coalesce(max(id), 0) FROM segment")
        self._next = int(str(last)) + 1
        self.waiting = Waiting(Counter(dict(db.execute("SELECT pixel, sum(n) FROM segment GROUP BY pixel"))))

    def insert(self, remainder: Remainder) -> None:
        """Store records of one pixel."""
        for records in chunks(remainder.records):
            sealed = self._sealer.seal(pack(records), remainder.pixel.encode())
            row = (self._next, remainder.pixel, len(records), remainder.attempts, remainder.strikes, sealed)
            self._db.execute("INSERT INTO segment VALUES(?, ?, ?, ?, ?, ?)", row)
            self._next += 1
            self.waiting.events[remainder.pixel] += len(records)

    def claim(self, pixel: str, most: int, *, newest: bool) -> tuple[Segment, ...]:
        """Claim the oldest unclaimed segments of a pixel, or the newest."""
        wanted: list[tuple[Any, ...]] = []
        events = size = 0
        order = "DESC" if newest else "ASC"
        sql = f"SELECT id, n, attempts, strikes, length(sealed) FROM segment WHERE pixel=? ORDER BY id {order}"  # noqa: S608
        for row in self._db.execute(sql, (pixel,)):
            number, n, _, _, length = row
            if number in self.waiting.claimed:
                continue
            if wanted and (events + n > most or size + length > _MOST_CLAIMED_BYTES):
                break
            wanted.append(row)
            events, size = events + n, size + length
        segments = (self._read(number, pixel, attempts, strikes) for number, _, attempts, strikes, _ in wanted)
        return tuple(segment for segment in segments if segment)

    def _read(self, number: int, pixel: str, attempts: int, strikes: int) -> Segment | None:
        """Open a claimed segment; one that was damaged on disk stays claimed, so that it holds up no other."""
        self.waiting.claimed.add(number)
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
        self.waiting.events[segment.pixel] -= len(segment.records) - len(survivors)
        return replace(segment, records=tuple(survivors)) if survivors else None

    def erase(self, people: Collection[bytes], after: int) -> tuple[int, int]:
        """Remove the records about people from unclaimed segments, a few at a time.

        Return how many were removed, and after which number to go on (0: no segment is left).
        """
        sql = "SELECT id, n, pixel, attempts, strikes FROM segment WHERE id>? ORDER BY id LIMIT ?"
        before = self.waiting.events.total()
        last = seen = 0
        rows: list[Any] = self._db.execute(sql, (after, _SLICE)).fetchall()
        for last, n, *facts in rows:
            if last not in self.waiting.claimed and (segment := self._read(last, *facts)):
                self._strike(segment, people)
                self.release([segment])
            seen += n
            if seen >= _SLICE_RECORDS:
                break
        return before - self.waiting.events.total(), last

    def _strike(self, segment: Segment, people: Collection[bytes]) -> None:
        survivors = [record for record in segment.records if set(people).isdisjoint(record.people)]
        if len(survivors) < len(segment.records):
            self.keep(segment, survivors)

    def release(self, segments: Sequence[Segment]) -> None:
        """Give up a claim."""
        self.waiting.claimed.difference_update(segment.id for segment in segments)

    def settle(self, segments: Sequence[Segment], settlement: Settlement) -> None:
        """Write what becomes of claimed segments, and give up the claim."""
        sizes = {segment.id: segment for segment in segments}
        for number in settlement.done:
            self._db.execute("DELETE FROM segment WHERE id=?", (number,))
            self.waiting.events[sizes[number].pixel] -= len(sizes[number].records)
        sql = "UPDATE segment SET attempts=attempts+1, strikes=strikes+? WHERE id=?"
        self._db.executemany(sql, [(settlement.struck, number) for number in settlement.tried])
        for remainder in settlement.remainders:
            self.insert(remainder)
        self.release(segments)

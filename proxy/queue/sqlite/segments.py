"""The table of what waits: sealed segments, claimed by number, gone only by a settlement.

A batch that Graph refused makes its segments *suspects*: they are claimed apart from fresh ones, so that fresh events
never wait for the search for the bad one, and the bound of the batches they may ride in shrinks with each refusal.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import apsw

from proxy.model.record import Record
from proxy.queue.codec import chunks, pack, unpack, wire_size
from proxy.queue.contract import Oldest, Remainder, Segment, SegmentRef, Settlement
from proxy.queue.seal import Sealer, SealError
from proxy.queue.sqlite.counts import Counts

log = logging.getLogger(__name__)

# Bytes of payloads as Graph gets them; the last segment of a claim may pass them by what it has itself.
_MOST_CLAIMED_BYTES = 3 << 20
# Segments and records looked through in one transaction.
_SLICE = 500
_SLICE_RECORDS = 2000
# Each of these becomes a sealed row of its own.
_EXPIRED_RECORDS = 500

_INDEX_LANE = "CREATE INDEX segment_lane ON segment(pixel, suspect, at, not_before);"
_INDEX_OLDEST = "CREATE INDEX segment_oldest ON segment(oldest_s);"
SCHEMA = f"""
CREATE TABLE segment(
    id INTEGER PRIMARY KEY, pixel TEXT NOT NULL, n INTEGER NOT NULL,
    attempts INTEGER NOT NULL, strikes INTEGER NOT NULL, sealed BLOB NOT NULL,
    at INTEGER NOT NULL, suspect INTEGER NOT NULL, oldest_s INTEGER NOT NULL, not_before INTEGER NOT NULL
);
{_INDEX_LANE}
{_INDEX_OLDEST}
"""
_ABOVE_ALL = 1 << 62
_FACTS = "id, n, pixel, attempts, strikes, at, suspect"


def migrate(db: apsw.Connection, now: int) -> None:
    """Give the table of layout 3 what layout 4 added.

    When older events arrived was not written down: it counts as now, so that none is called late. An ``oldest_s`` of 0
    means that the segment must be opened to know.
    """
    db.execute(
        f"""
        ALTER TABLE segment ADD COLUMN at INTEGER NOT NULL DEFAULT {now:d};
        ALTER TABLE segment ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE segment ADD COLUMN oldest_s INTEGER NOT NULL DEFAULT 0;
        DROP INDEX segment_lane;
        CREATE INDEX segment_lane ON segment(pixel, suspect, at);
        {_INDEX_OLDEST}
        """
    )


def add_delay(db: apsw.Connection) -> None:
    """Give the table of layout 5 what layout 6 added; what waits may be claimed at once."""
    db.execute(
        f"""
        ALTER TABLE segment ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;
        DROP INDEX segment_lane;
        {_INDEX_LANE}
        """
    )


class Claims:
    """Which segments are claimed: in memory only, since a claim does not outlive the process."""

    def __init__(self) -> None:
        self._claimed: set[SegmentRef] = set()
        self._changed: list[tuple[SegmentRef, bool]] = []

    def __contains__(self, number: SegmentRef) -> bool:
        return number in self._claimed

    def add(self, number: SegmentRef) -> None:
        """Claim a segment."""
        if number not in self._claimed:
            self._claimed.add(number)
            self._changed.append((number, True))

    def remove(self, numbers: Iterable[SegmentRef]) -> None:
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

    def __init__(self, db: apsw.Connection, sealer: Sealer, counts: Counts, now: Callable[[], int]) -> None:
        self._db = db
        self._sealer = sealer
        self._counts = counts
        self._now = now
        self._damaged: set[int] = set()
        self.claims = Claims()
        ((last,),) = db.execute("SELECT coalesce(max(id), 0) FROM segment")
        self._next = int(str(last)) + 1

    @staticmethod
    def count(db: apsw.Connection) -> tuple[Counter[str], Counter[str]]:
        """Return how many events of each pixel wait, and how many of those are suspects."""
        waiting: Counter[str] = Counter()
        suspects: Counter[str] = Counter()
        for pixel, suspect, n in db.execute("SELECT pixel, suspect, sum(n) FROM segment GROUP BY pixel, suspect"):
            waiting[str(pixel)] += int(str(n))
            if suspect:
                suspects[str(pixel)] += int(str(n))
        return waiting, suspects

    def insert(self, remainder: Remainder, not_before: int = 0) -> None:
        """Store records of one pixel, not to be claimed before a moment (server clock in milliseconds)."""
        at = remainder.at or self._now()
        for records in chunks(remainder.records):
            sealed = self._sealer.seal(pack(records), remainder.pixel.encode())
            history = (
                remainder.attempts,
                remainder.strikes,
                sealed,
                at,
                remainder.suspect,
                _oldest(records),
                not_before,
            )
            row = (self._next, remainder.pixel, len(records), *history)
            self._db.execute("INSERT INTO segment VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            self._next += 1
            self._count(remainder.pixel, len(records), suspect=remainder.suspect)

    def _count(self, pixel: str, events: int, *, suspect: int) -> None:
        self._counts.waiting.add(pixel, events)
        if suspect:
            self._counts.suspects.add(pixel, events)

    def claim(self, pixel: str, most: int, *, newest: bool) -> tuple[Segment, ...]:
        """Claim the oldest unclaimed fresh segments of a pixel, or the newest."""
        way = "DESC" if newest else "ASC"
        order = f"WHERE pixel=? AND suspect=0 AND not_before<=? ORDER BY at {way}, id {way}"
        found: list[Segment] = []
        events = size = 0
        for row in self._unclaimed(order, pixel, self._now()):
            if found and (events + row[1] > most or size >= _MOST_CLAIMED_BYTES):
                break
            if segment := self._read(row):
                found.append(segment)
                events, size = events + row[1], size + _wire_size(segment)
        return tuple(found)

    def claim_suspects(self, pixel: str, most: int) -> tuple[Segment, ...]:
        """Claim what fills one batch of the largest bound there is, the newest first; the last may overfill it."""
        found: list[Segment] = []
        events = size = 0
        for row in self._suspects(pixel):
            suspect = row[-1]
            bound = min(most, abs(found[0].suspect if found else suspect))
            if found and (suspect != found[0].suspect or events >= bound or size >= _MOST_CLAIMED_BYTES):
                break
            if segment := self._read(row):
                found.append(segment)
                events, size = events + len(segment.records), size + _wire_size(segment)
        return tuple(found)

    def _suspects(self, pixel: str) -> Iterator[Any]:
        # Two ranges of the index; "<> 0" would read the fresh segments too.
        for sign in (">", "<"):
            yield from self._unclaimed(
                f"WHERE pixel=? AND suspect{sign}0 ORDER BY suspect DESC, at DESC, id DESC", pixel
            )

    def _unclaimed(self, condition: str, *values: Any) -> Iterator[Any]:
        rows: Iterator[Any] = iter(self._db.execute(f"SELECT {_FACTS} FROM segment {condition}", values))  # noqa: S608
        return (row for row in rows if row[0] not in self.claims)

    def _read(self, row: Sequence[Any]) -> Segment | None:
        """Open a segment and claim it; one that was damaged on disk stays claimed, so that it holds up no other."""
        number, _, pixel, attempts, strikes, at, suspect = row
        self.claims.add(number)
        rows: list[Any] = self._db.execute("SELECT sealed FROM segment WHERE id=?", (number,)).fetchall()
        try:
            packed = self._sealer.open(rows[0][0], pixel.encode())
            return Segment(number, pixel, attempts, strikes, unpack(packed, pixel), at, suspect)
        except (SealError, ValueError):
            log.exception("segment %d of pixel %s was damaged on disk; it is kept and skipped", number, pixel)
            self._damaged.add(number)
            return None

    def keep(self, segment: Segment, survivors: Sequence[Record]) -> Segment | None:
        """Keep only these records of a claimed segment, or nothing of it."""
        if survivors:
            sealed = self._sealer.seal(pack(survivors), segment.pixel.encode())
            row = (len(survivors), sealed, _oldest(survivors), segment.ref)
            self._db.execute("UPDATE segment SET n=?, sealed=?, oldest_s=? WHERE id=?", row)
        else:
            self._db.execute("DELETE FROM segment WHERE id=?", (segment.ref,))
            self.release([segment])
        self._count(segment.pixel, len(survivors) - len(segment.records), suspect=segment.suspect)
        return replace(segment, records=tuple(survivors)) if survivors else None

    def erase(self, person_digests: Collection[bytes], after: int) -> tuple[int, int]:
        """Remove the records about people from unclaimed segments, a few at a time.

        Return how many were removed, and after which number to go on (0: no segment is left).
        """
        removed = last = seen = 0
        sql = f"SELECT {_FACTS} FROM segment WHERE id>? ORDER BY id LIMIT ?"  # noqa: S608
        rows: list[Any] = self._db.execute(sql, (after, _SLICE)).fetchall()
        for row in rows:
            last = row[0]
            if last not in self.claims and (segment := self._read(row)):
                removed += self._strike(segment, person_digests)
                self.release([segment])
            seen += row[1]
            if seen >= _SLICE_RECORDS:
                break
        return removed, last

    def _strike(self, segment: Segment, person_digests: Collection[bytes]) -> int:
        survivors = [record for record in segment.records if set(person_digests).isdisjoint(record.person_digests)]
        removed = len(segment.records) - len(survivors)
        if removed:
            self.keep(segment, survivors)
        return removed

    def expire(self, before_s: int) -> tuple[list[tuple[Segment, Record]], bool]:
        """Take a slice of the events that happened before a moment out of unclaimed segments.

        Return them, and whether there may be more.
        """
        taken: list[tuple[Segment, Record]] = []
        looked = 0
        rows = list(islice(self._unclaimed("WHERE oldest_s<? ORDER BY oldest_s", before_s), _SLICE))
        for row in rows:
            if segment := self._read(row):
                taken += [(segment, record) for record in segment.records if record.time_s < before_s]
                self.keep(segment, [record for record in segment.records if record.time_s >= before_s])
                self.release([segment])
            looked += row[1]
            if looked >= _EXPIRED_RECORDS:
                return taken, True
        return taken, len(rows) == _SLICE

    def oldest(self, pixel: str) -> Oldest:
        """Say since when events of a pixel wait; what was damaged on disk is left out."""
        suspects = [at for bound in self._bounds(pixel) if (at := self._arrival(pixel, bound)) is not None]
        return Oldest(self._arrival(pixel, 0), min(suspects, default=None))

    def _bounds(self, pixel: str) -> Iterator[int]:
        """Yield the bounds that suspects of a pixel have; few, so the index is asked for each of them."""
        sql = "SELECT max(suspect) FROM segment WHERE pixel=? AND suspect<?"
        bound: Any = _ABOVE_ALL
        while (bound := self._db.execute(sql, (pixel, bound)).fetchall()[0][0]) is not None:
            if bound:
                yield int(bound)

    def _arrival(self, pixel: str, suspect: int) -> int | None:
        sql = "SELECT id, at FROM segment WHERE pixel=? AND suspect=? ORDER BY at"
        rows: Iterator[Any] = iter(self._db.execute(sql, (pixel, suspect)))
        return next((at for number, at in rows if number not in self._damaged), None)

    def release(self, segments: Sequence[Segment]) -> None:
        """Give up a claim."""
        self.claims.remove(segment.ref for segment in segments)

    def settle(self, segments: Sequence[Segment], settlement: Settlement) -> None:
        """Write what becomes of claimed segments, and give up the claim."""
        sizes = {segment.ref: segment for segment in segments}
        for number in settlement.done:
            gone = sizes[number]
            self._db.execute("DELETE FROM segment WHERE id=?", (number,))
            self._count(gone.pixel, -len(gone.records), suspect=gone.suspect)
        sql = "UPDATE segment SET attempts=attempts+1, strikes=strikes+? WHERE id=?"
        self._db.executemany(sql, [(settlement.struck, number) for number in settlement.tried])
        for number, bound in settlement.suspects:
            self._suspect(sizes[number], bound)
        for remainder in settlement.remainders:
            self.insert(remainder)
        self.release(segments)

    def _suspect(self, segment: Segment, bound: int) -> None:
        self._db.execute("UPDATE segment SET attempts=attempts+1, suspect=? WHERE id=?", (bound, segment.ref))
        if not segment.suspect:
            self._counts.suspects.add(segment.pixel, len(segment.records))


def _wire_size(segment: Segment) -> int:
    """Return the bytes of its payloads as Graph gets them: what its records share is sent with each."""
    return sum(map(wire_size, segment.records))


def _oldest(records: Sequence[Record]) -> int:
    return min(record.time_s for record in records)

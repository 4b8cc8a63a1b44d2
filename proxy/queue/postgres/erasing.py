"""Erasure of waiting events: segments are opened a slice at a time, and written again without the events of people.

Nothing is locked while a slice is opened. A segment that was changed meanwhile is read and opened again: it is gone if
it was delivered, and has other bytes if its leader completed its events. Events that a leader holds in memory go out
with the attempt under way. If that fails, the leader's next claim reads what was written here, or drops the events
because of the suppression, which was committed before.
"""

import logging
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, NamedTuple

from proxy.model.record import Record
from proxy.queue.codec import unpack
from proxy.queue.group import sealed_segment
from proxy.queue.postgres.database import Database, Role
from proxy.queue.seal import Sealer, SealError

log = logging.getLogger(__name__)

# Segments opened at a time, and their bytes.
SLICE, SLICE_BYTES = 500, 4 << 20
_FIRST = b"\0" * 16
_SLICE = f"""
SELECT lane, id, n, skip, sealed FROM (
  SELECT *, sum(length(sealed)) OVER (ORDER BY lane, id) - length(sealed) AS before FROM (
    SELECT lane, id, n, skip, sealed FROM segment WHERE (lane, id) > ($1, $2) ORDER BY lane, id LIMIT {SLICE}
  ) segments
) measured WHERE before < {SLICE_BYTES} ORDER BY lane, id
"""  # noqa: S608 - our own numbers
_AGAIN = "SELECT lane, id, n, skip, sealed FROM segment WHERE lane = $1 AND id = $2"
_SAME = "lane = $1 AND id = $2 AND n = $3 AND sealed = $4"
_REWRITE = f"UPDATE segment SET n = $5, sealed = $6, oldest_s = $7, skip = NULL WHERE {_SAME} RETURNING id"  # noqa: S608
_REMOVE = f"DELETE FROM segment WHERE {_SAME} RETURNING id"  # noqa: S608


class _Place(NamedTuple):
    """The segment behind which a slice begins."""

    lane: str = ""
    id: bytes = _FIRST


class Erasing:
    """Removes the events about people from the waiting segments."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        """Take the waiting segments.

        Args:
            database: Where they wait.
            sealer: Opens and seals them.
        """
        self._database = database
        self._sealer = sealer

    async def erase(self, person_digests: Collection[bytes]) -> int:
        """Remove all events about people; return how many waited.

        Raises:
            QueueError: when not all were removed.
        """
        about, removed, place = frozenset(person_digests), 0, _Place()
        while rows := await self._database.run(Role.BOOKS, _SLICE, *place):
            for row in rows:
                removed += await self._remove_people(row, about)
            place = _Place(rows[-1]["lane"], rows[-1]["id"])
        return removed

    async def _remove_people(self, row: Any, about: frozenset[bytes]) -> int:
        """Remove the events about people from a segment, repeats too; return how many of them were not repeats."""
        rows: Sequence[Any] = [row]
        while rows:
            (row,) = rows
            records = self._opened(row)
            left_out = frozenset(row["skip"] or ())
            if all(about.isdisjoint(record.person_digests) for record in records):
                return 0
            waiting = [record for position, record in enumerate(records) if position not in left_out]
            survivors = [record for record in waiting if about.isdisjoint(record.person_digests)]
            if await self._written(row, survivors):
                return len(waiting) - len(survivors)
            rows = await self._database.run(Role.BOOKS, _AGAIN, row["lane"], row["id"])
        return 0

    def _opened(self, row: Any) -> tuple[Record, ...]:
        """Return all records of a segment, with its repeats; none if it is damaged and cannot be opened."""
        lane = row["lane"]
        try:
            return unpack(self._sealer.open(row["sealed"], lane.encode()), lane)
        except (SealError, ValueError):
            log.exception("a segment of pixel %s was damaged; it is kept and skipped", lane)
            return ()

    async def _written(self, row: Any, survivors: Sequence[Record]) -> bool:
        """Write what is left of a segment, or remove it; tell whether it was still as it was read."""
        same = (row["lane"], row["id"], row["n"], row["sealed"])
        run = partial(self._database.run, Role.BOOKS)
        if not survivors:
            return bool(await run(_REMOVE, *same))
        written = sealed_segment(row["lane"], survivors, 0, self._sealer)
        return bool(await run(_REWRITE, *same, written.n, written.sealed, written.oldest_s))

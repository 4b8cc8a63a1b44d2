"""Searches through what waits, a slice of it at a time, so that no append waits long for one of them."""

from collections.abc import Collection
from itertools import islice

from proxy.graph.age import aging_from_s
from proxy.model.record import Record
from proxy.queue.contract import Segment
from proxy.queue.sqlite.segments import Segments

# Segments and records looked through in one transaction.
_SLICE = 500
_SLICE_RECORDS = 2000
# Each of these becomes a sealed row of its own.
_EXPIRED_RECORDS = 500


class Sweeps:
    """Takes records out of segments that nobody has claimed, within transactions it does not start."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments

    def erase(self, person_digests: Collection[bytes], after: int) -> tuple[int, int]:
        """Remove the records about people, a few at a time.

        Return how many were removed, and after which number to go on (0: no segment is left).
        """
        removed = last = seen = 0
        about = frozenset(person_digests)
        for row in self._segments.search.segments_after(after, _SLICE):
            last = row[0]
            if not self._segments.claims.contains(row[2], last) and (segment := self._segments.read(row)):
                removed += self._remove_people(segment, about)
                self._segments.release([segment])
            seen += row[1]
            if seen >= _SLICE_RECORDS:
                break
        return removed, last

    def _remove_people(self, segment: Segment, about: frozenset[bytes]) -> int:
        """Remove the records about people from a segment, skipped repeats too; return how many of them were waiting."""
        survivors = [record for record in segment.records if about.isdisjoint(record.person_digests)]
        sealed = self._segments.sealed_records(segment)
        if not all(about.isdisjoint(record.person_digests) for record in sealed):
            self._segments.keep(segment, survivors)
        return len(segment.records) - len(survivors)

    def expire(self, before_s: int) -> tuple[list[tuple[Segment, Record]], bool]:
        """Take the events that age from before a moment (``age.aging_from_s``), a few at a time.

        Return them, and whether there may be more.
        """
        taken: list[tuple[Segment, Record]] = []
        looked = 0
        rows = list(islice(self._segments.search.unclaimed("WHERE oldest_s<? ORDER BY oldest_s", before_s), _SLICE))
        for row in rows:
            if segment := self._segments.read(row):
                old = [record for record in segment.records if _aging_from_s(record) < before_s]
                taken += [(segment, record) for record in old]
                self._segments.keep(
                    segment, [record for record in segment.records if _aging_from_s(record) >= before_s]
                )
                self._segments.release([segment])
            looked += row[1]
            if looked >= _EXPIRED_RECORDS:
                return taken, True
        return taken, len(rows) == _SLICE


def _aging_from_s(record: Record) -> int:
    return aging_from_s(record.time_s, record.action_source)

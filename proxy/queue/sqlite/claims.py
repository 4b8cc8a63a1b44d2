"""Which segments are claimed: in memory only, since a claim does not outlive the process."""

from array import array
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import apsw

from proxy.queue.contract import SegmentRef

# No segment has this number, and an empty array cannot be bound.
_NO_NUMBER = 0


class Claims:
    """The segments that are claimed, by pixel, with the changes of the transaction under way."""

    def __init__(self) -> None:
        self._claimed: defaultdict[str, set[SegmentRef]] = defaultdict(set)
        self._changed: list[tuple[str, SegmentRef, bool]] = []

    def contains(self, pixel: str, number: SegmentRef) -> bool:
        """Tell whether a segment of a pixel is claimed."""
        return pixel in self._claimed and number in self._claimed[pixel]

    def array(self, pixel: str) -> Any:
        """Return the numbers of a pixel's claimed segments, to be bound to a statement."""
        return apsw.carray(array("q", (_NO_NUMBER, *self._claimed.get(pixel, ()))))

    def add(self, pixel: str, number: SegmentRef) -> None:
        """Claim a segment."""
        if number not in self._claimed[pixel]:
            self._claimed[pixel].add(number)
            self._changed.append((pixel, number, True))

    def remove(self, pixel: str, numbers: Iterable[SegmentRef]) -> None:
        """Give claims up."""
        for number in self._claimed[pixel].intersection(numbers):
            self._claimed[pixel].remove(number)
            self._changed.append((pixel, number, False))

    def commit(self) -> None:
        """Let the changes of the transaction stand."""
        self._changed.clear()

    def rollback(self) -> None:
        """Take the changes of the transaction back, the last first."""
        while self._changed:
            pixel, number, added = self._changed.pop()
            (self._claimed[pixel].discard if added else self._claimed[pixel].add)(number)

"""Which segments are claimed: in memory only, since a claim does not outlive the process."""

from collections.abc import Iterable

from proxy.queue.contract import SegmentRef


class Claims:
    """The segments that are claimed, with the changes of the transaction under way."""

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

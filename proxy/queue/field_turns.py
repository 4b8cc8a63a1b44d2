"""Turns among the waiting events of a pixel that may not share a request because their request fields differ.

Events without request fields, which include all events of browsers, get every second turn, so that no number of uploads
and test codes holds them up. The different request fields get the remaining turns, one after another.
"""

from bisect import bisect
from collections.abc import Callable, Collection, Iterator

NO_FIELDS = b""
"""The ``keys.fields_key`` of events without fields."""


class FieldTurns:
    """Remembers, in memory only, which request fields of each pixel had the last turn.

    There is one object for fresh events and another for suspects.
    """

    def __init__(self, waiting: Callable[[], Collection[tuple[str, bytes, bool]]], *, suspect: bool) -> None:
        """Take turns among what waits.

        Args:
            waiting: Returns what is due at this moment and has request fields: for each such group of events its pixel,
                its ``keys.fields_key``, and whether the events are suspects.
            suspect: Whether these are the turns of suspects.
        """
        self._waiting = waiting
        self._suspect = suspect
        self._last: dict[str, bytes] = {}
        self._plain_was_last: set[str] = set()

    def fields_in_turn(self, pixel: str) -> Iterator[bytes]:
        """Yield the ``keys.fields_key`` of a pixel's waiting events, in the order in which a claim shall try them."""
        if not (with_fields := sorted(self._with_fields(pixel))):
            yield NO_FIELDS
            return
        start = bisect(with_fields, self._last.get(pixel, NO_FIELDS))
        others = with_fields[start:] + with_fields[:start]
        yield from (*others, NO_FIELDS) if pixel in self._plain_was_last else (NO_FIELDS, *others)

    def _with_fields(self, pixel: str) -> Iterator[bytes]:
        return (fields for whose, fields, suspect in self._waiting() if (whose, suspect) == (pixel, self._suspect))

    def record_turn(self, pixel: str, fields: bytes) -> None:
        """Remember that these fields of a pixel had their turn."""
        if fields:
            self._last[pixel] = fields
            self._plain_was_last.discard(pixel)
        elif self._waiting():
            self._plain_was_last.add(pixel)

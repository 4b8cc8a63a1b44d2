"""What the leader of a lane remembers of its segments: which are claimed, and below which nothing is left.

Claims are in memory only: they write nothing, and end with the process. A *floor* stands behind what was claimed, so
that a claim never reads again past the segments that are gone: while a transaction elsewhere is open, say a dump, the
database keeps them all. What is given back lowers the floor, and so does a segment that was committed late, which
sweeps look for (look_out.py).
"""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from proxy.queue.contract import SegmentRef

Position: TypeAlias = tuple[int, bytes]
"""When a segment arrived, and its id: the order in which segments are claimed."""
BOTTOM: Position = (-1, bytes(16))
_LEAST, _MOST = 32, 1001
_TOP_ID = b"\xff" * 16


class ClaimMark(NamedTuple):
    """A segment that is claimed."""

    fields: bytes
    """See ``keys.fields_key``."""
    position: Position
    is_suspect: bool


class LaneMemory:
    """What is remembered of one lane."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        """Held from before a claim is read until it is remembered, so that no two claims read the same."""
        self.claims: dict[SegmentRef, ClaimMark] = {}
        """By id."""
        self.damaged: dict[SegmentRef, ClaimMark] = {}
        """Segments that nobody can open, which are left alone."""
        self.fields: dict[bool, frozenset[bytes]] = {False: frozenset(), True: frozenset()}
        """Request fields that what is due has, of fresh events (False) and of suspects; see ``keys.fields_key``."""
        self.fields_changed = True
        """Whether ``fields`` may be outdated."""
        self.reads = _LEAST
        """How many segments a claim reads at first."""
        self.next_due: int | None = 0
        """When the next held segment is due, or earlier."""
        self._floors: dict[bytes, Position] = {}
        self._tops: dict[bytes, Position] = {}
        """The last position that was ever taken, by fields."""
        self._arrived: list[tuple[int, bytes]] = []
        """What arrived since the last claim began to read."""

    def restart(self) -> None:
        """Forget how far the lane was read: another process led it meanwhile."""
        self._floors.clear()
        self.fields_changed = True
        self.next_due = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is claimed."""
        return not self.claims

    @property
    def floors(self) -> dict[bytes, Position]:
        """The position up to which nothing fresh is unclaimed, by fields."""
        return dict(self._floors)

    def floor(self, fields: bytes) -> Position:
        """Return the position up to which nothing fresh with these fields is unclaimed, but for what comes late."""
        return self._floors.get(fields, BOTTOM)

    def begin_read(self) -> None:
        """Say that a claim reads now: it may not see what arrives from here on."""
        self._arrived.clear()

    def arrived(self, at: int, fields: bytes) -> None:
        """Remember that a fresh segment arrived, stamped with a moment that claims may have passed already."""
        self._arrived.append((at, fields))
        self.fields_changed = self.fields_changed or bool(fields)
        self.lower(at, fields)

    def held(self, due: int) -> None:
        """Remember that a segment is held until a moment."""
        self.next_due = due if self.next_due is None else min(due, self.next_due)

    def lower(self, at: int, fields: bytes) -> None:
        """Let claims find fresh segments with these fields that arrived at a moment."""
        if fields in self._floors and self._floors[fields][0] >= at:
            self._floors[fields] = (at - 1, _TOP_ID)

    def excluded(self, fields: bytes, *, suspect: bool) -> list[SegmentRef]:
        """Return the ids that a claim must leave out of what it reads."""
        floor = BOTTOM if suspect else self.floor(fields)
        return [
            number
            for some in (self.claims, self.damaged)
            for number, each in some.items()
            if each.is_suspect is suspect and each.fields == fields and each.position > floor
        ]

    def has(self, number: SegmentRef) -> bool:
        """Tell whether a segment is claimed, or left alone."""
        return number in self.claims or number in self.damaged

    def take(self, number: SegmentRef, claimed: ClaimMark) -> None:
        """Remember a claim."""
        self.claims[number] = claimed
        if not claimed.is_suspect:
            self._tops[claimed.fields] = max(self._tops.get(claimed.fields, BOTTOM), claimed.position)

    def shun(self, number: SegmentRef) -> None:
        """Leave a claimed segment alone that nobody can open."""
        self.damaged[number] = self.claims.pop(number)

    def pass_over(self, fields: bytes, positions: Iterable[Position], *, exhausted: bool, now: int) -> None:
        """Raise the floor behind what a claim took.

        Never above this moment: a segment of a proxy whose clock is ahead would hide what all others store.

        Args:
            fields: Of what was claimed.
            positions: Those of its segments, if it began at the floor; none where it began at the top.
            exhausted: Whether it took all there was above the floor, so that nothing is left up to what was ever taken.
            now: Server clock in milliseconds.
        """
        if exhausted:
            positions = [self._tops.get(fields, BOTTOM)]
        self._floors[fields] = max(self.floor(fields), min(max(positions, default=BOTTOM), (now, _TOP_ID)))
        for arrival in self._arrived:
            self.lower(*arrival)

    def give_up(self, numbers: Iterable[SegmentRef], *, stay: bool) -> None:
        """End claims; segments that stay may be claimed again."""
        for number in numbers:
            claimed = self.claims.pop(number, None)
            if claimed is not None and stay:
                self.lower(claimed.position[0], claimed.fields)
                self.fields_changed = self.fields_changed or bool(claimed.fields)

    def adapt(self, taken: int) -> None:
        """Learn from a claim how many segments the next one reads."""
        self.reads = min(_MOST, max(_LEAST, 2 * taken))

"""What the leader of a lane remembers of its segments: which are claimed, and up to where no other is left to claim.

Claims are in memory only: they write nothing, and end with the process. The *floor* is the position up to which all
fresh segments with the same request fields were claimed; the next claim reads only above it. Otherwise each claim would
read past all deleted segments, which the database keeps while a transaction elsewhere is open, such as a dump. A
segment that is given back lowers the floor, and so does a segment that was committed late; sweeps look for those
(lane_poller.py).
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
        """Held while a claim is read and remembered, so that no two claims take the same segments."""
        self.claims: dict[SegmentRef, ClaimMark] = {}
        """Claimed segments, by id."""
        self.damaged: dict[SegmentRef, ClaimMark] = {}
        """Segments that cannot be opened, and are left out of all claims."""
        self.fields: dict[bool, frozenset[bytes]] = {False: frozenset(), True: frozenset()}
        """Request fields of due events, of fresh ones (False) and of suspects (True); see ``keys.fields_key``."""
        self.fields_changed = True
        """Whether ``fields`` may be outdated."""
        self.reads = _LEAST
        """How many segments a claim reads at first."""
        self.next_due: int | None = 0
        """When the next held segment is due, or a moment before that; None if none is held."""
        self._floors: dict[bytes, Position] = {}
        self._tops: dict[bytes, Position] = {}
        """The last position that was ever claimed, by fields."""
        self._arrived: list[tuple[int, bytes]] = []
        """Segments that arrived since the last claim began to read: moment and fields."""

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
        """The positions up to which no fresh segment is unclaimed, by fields."""
        return dict(self._floors)

    def floor(self, fields: bytes) -> Position:
        """Return the position up to which no fresh segment with these fields is unclaimed, unless it came late."""
        return self._floors.get(fields, BOTTOM)

    def begin_read(self) -> None:
        """Take note that a claim begins to read: it may miss segments that arrive from now on."""
        self._arrived.clear()

    def note_arrival(self, at: int, fields: bytes) -> None:
        """Remember that a fresh segment arrived, whose moment may be below the floor already."""
        self._arrived.append((at, fields))
        self.fields_changed = self.fields_changed or bool(fields)
        self.lower(at, fields)

    def note_held(self, due: int) -> None:
        """Remember that a segment is held until a moment."""
        self.next_due = due if self.next_due is None else min(due, self.next_due)

    def lower(self, at: int, fields: bytes) -> None:
        """Lower the floor, so that claims find fresh segments with these fields that arrived at this moment."""
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
        """Tell whether a segment is claimed, or damaged and left alone."""
        return number in self.claims or number in self.damaged

    def take(self, number: SegmentRef, claimed: ClaimMark) -> None:
        """Remember a claim."""
        self.claims[number] = claimed
        if not claimed.is_suspect:
            self._tops[claimed.fields] = max(self._tops.get(claimed.fields, BOTTOM), claimed.position)

    def mark_damaged(self, number: SegmentRef) -> None:
        """Leave a claimed segment, which cannot be opened, out of all further claims."""
        self.damaged[number] = self.claims.pop(number)

    def raise_floor(self, fields: bytes, positions: Iterable[Position], *, exhausted: bool, now: int) -> None:
        """Raise the floor to the last segment that a claim took.

        The floor is never raised beyond ``now``: otherwise a segment of a proxy whose clock is ahead would hide the
        segments that all others store.

        Args:
            fields: The request fields of the claim.
            positions: Of the segments that it took, if it began at the floor; empty if it took the newest first.
            exhausted: Whether it took all that was above the floor: then the floor rises to the last position that was
                ever claimed.
            now: Server clock in milliseconds.
        """
        if exhausted:
            positions = [self._tops.get(fields, BOTTOM)]
        self._floors[fields] = max(self.floor(fields), min(max(positions, default=BOTTOM), (now, _TOP_ID)))
        for arrival in self._arrived:
            self.lower(*arrival)

    def end_claims(self, numbers: Iterable[SegmentRef], *, stay: bool) -> None:
        """End claims; segments that stay may be claimed again."""
        for number in numbers:
            claimed = self.claims.pop(number, None)
            if claimed is not None and stay:
                self.lower(claimed.position[0], claimed.fields)
                self.fields_changed = self.fields_changed or bool(claimed.fields)

    def adapt(self, taken: int) -> None:
        """Set how many segments the next claim reads, from how many this one took."""
        self.reads = min(_MOST, max(_LEAST, 2 * taken))

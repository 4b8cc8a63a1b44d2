"""Claims in the lanes that this process leads: reads segments, opens them, and remembers which are claimed."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, TypeAlias

from proxy.model.record import Record
from proxy.queue.codec import unpack, wire_size
from proxy.queue.contract import Segment
from proxy.queue.field_turns import FieldTurns
from proxy.queue.postgres import claim_texts
from proxy.queue.postgres.claim_texts import MOST_BYTES
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.lane_memory import ClaimMark, LaneMemory
from proxy.queue.seal import Sealer, SealError

log = logging.getLogger(__name__)

_Row: TypeAlias = Any
# Held segments that one statement makes due, and their events, at most: it may write the sealed bytes again.
_SLICE, _SLICE_RECORDS = 500, 2000
# Records opened before other tasks get a turn of the event loop.
_AT_ONCE = 100


class ClaimedSegments(NamedTuple):
    """What a claim took."""

    segments: Sequence[Segment]
    version: int
    """The version of the suppressions when the claim was read; 0 if it found nothing."""


_NOTHING = ClaimedSegments((), 0)


class _ClaimRequest(NamedTuple):
    """What a claim reads."""

    lane: str
    fields: bytes
    most: int
    text: str
    suspect: bool
    newest: bool


class Claiming:
    """Claims segments of lanes; the caller must lead them."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        now: Callable[[], int],
        *,
        on_due: Callable[[str, int, int | None], None],
    ) -> None:
        """Remember nothing yet.

        Args:
            database: Where segments wait.
            sealer: Opens segments.
            now: The server's clock in milliseconds.
            on_due: Called with a lane, how many of its held events became due, and when the next held segment is due.
        """
        self._database = database
        self._sealer = sealer
        self._now = now
        self._on_due = on_due
        self.lanes: defaultdict[str, LaneMemory] = defaultdict(LaneMemory)
        self._turns = {suspect: FieldTurns(self._with_fields, suspect=suspect) for suspect in (False, True)}

    def _with_fields(self) -> Collection[tuple[str, bytes, bool]]:
        return [
            (lane, fields, suspect)
            for lane, memory in self.lanes.items()
            for suspect, some in memory.fields.items()
            for fields in some
        ]

    async def claim(self, lane: str, most: int, *, newest: bool = False, suspect: bool = False) -> ClaimedSegments:
        """Claim unclaimed segments of a lane that are due; see ``Outbox.claim``.

        Args:
            lane: Which lane.
            most: How many events, at most, unless the first segment has more.
            newest: Whether the youngest segments come first.
            suspect: Whether suspects are claimed instead of fresh events.

        Raises:
            QueueError: when there is no answer; nothing is claimed then.
        """
        memory, turns = self.lanes[lane], self._turns[suspect]
        text = claim_texts.SUSPECTS if suspect else claim_texts.NEWEST if newest else claim_texts.OLDEST
        async with memory.turn:
            if memory.fields_changed:
                await self._look_at_fields(lane, memory)
            for fields in list(turns.fields_in_turn(lane)):
                claim = await self._claim(_ClaimRequest(lane, fields, most, text, suspect, newest), memory)
                if claim.segments:
                    turns.record_turn(lane, fields)
                    return claim
                memory.fields_changed = memory.fields_changed or bool(fields)
        return _NOTHING

    async def release_due(self, lanes: Collection[str]) -> None:
        """Let held segments that are due now be claimed, as if they had arrived when they became due.

        Args:
            lanes: The lanes that this process leads.

        Raises:
            QueueError: when there is no answer.
        """
        now = self._now()
        for lane in lanes:
            memory = self.lanes[lane]
            if memory.next_due is not None and memory.next_due <= now:
                await self._release_due(lane, memory, now)

    async def _release_due(self, lane: str, memory: LaneMemory, now: int) -> None:
        memory.next_due = None  # a segment that is held from here on sets it again, by memory.held
        try:
            rows = await self._database.run(Role.DELIVER, claim_texts.DUE, lane, now, _SLICE, _SLICE_RECORDS)
            moment = (await self._database.run(Role.DELIVER, claim_texts.NEXT_DUE, lane))[0]["moment"]
        except BaseException:
            memory.note_held(now)
            raise
        for row in rows:
            memory.note_arrival(row["at"], row["fields"])
        if moment is not None:
            memory.note_held(moment)
        self._on_due(lane, sum(row["n"] for row in rows), memory.next_due)

    async def _look_at_fields(self, lane: str, memory: LaneMemory) -> None:
        memory.fields_changed = False
        rows = await self._database.run(Role.DELIVER, claim_texts.FIELDS, lane)
        memory.fields[False] = frozenset(row["fields"] for row in rows if row["fresh"])
        memory.fields[True] = frozenset(row["fields"] for row in rows if row["suspects"])

    async def _claim(self, wish: _ClaimRequest, memory: LaneMemory) -> ClaimedSegments:
        found: list[Segment] = []
        version = 0
        try:
            is_full = False
            while not is_full:
                rows, is_full = await self._read(wish, memory, found)
                version = rows[0]["marks"] if rows and not version else version
        except BaseException:
            memory.end_claims([segment.ref for segment in found], stay=True)
            raise
        memory.adapt(len(found))
        return ClaimedSegments(found, version or 0)

    async def _read(self, wish: _ClaimRequest, memory: LaneMemory, found: list[Segment]) -> tuple[Sequence[_Row], bool]:
        """Read and take more segments; return the rows read, and whether the claim is full or nothing is left."""
        lane, fields, most, text, suspect, newest = wish
        events = sum(len(segment.records) for segment in found)
        left_out = memory.excluded(fields, suspect=suspect)
        floor = () if suspect else memory.floor(fields)
        memory.begin_read()
        limit = memory.reads
        rows = await self._database.run(Role.DELIVER, text, lane, fields, most - events, left_out, limit, *floor)
        taken = _fitting(rows, most - events, is_first=not found)
        for row in taken:
            memory.take(row["id"], ClaimMark(fields, (row["at"], row["id"]), suspect))
        cut = len(taken) < (rows[0]["looked"] if rows else 0)
        is_last = not cut and (not rows or rows[0]["looked"] < limit)
        if not suspect:
            ends = () if newest else [(row["at"], row["id"]) for row in taken]
            memory.raise_floor(fields, ends, exhausted=is_last, now=self._now())
        await self._open(lane, taken, memory, found)
        # If all segments read were damaged, the next ones may be sound.
        return rows, (cut and bool(found)) or is_last or _is_full(found)

    async def _open(self, lane: str, rows: Sequence[_Row], memory: LaneMemory, found: list[Segment]) -> None:
        """Open segments that were taken, up to the size of one request, and give the others back.

        Damaged segments are left out of all further claims.
        """
        opened = 0
        size = sum(map(_wire_size, found))
        for number, row in enumerate(rows):
            if found and size >= MOST_BYTES:
                memory.end_claims([rest["id"] for rest in rows[number:]], stay=True)
                return
            if segment := self.open_segment(lane, row):
                found.append(segment)
                size += _wire_size(segment)
            opened += row["n"]
            if opened >= _AT_ONCE:
                opened = 0
                await asyncio.sleep(0)

    def open_segment(self, lane: str, row: _Row) -> Segment | None:
        """Return a segment of a lane without its repeats; None if it is damaged, and then it is never claimed again."""
        memory, number = self.lanes[lane], row["id"]
        try:
            records = unpack(self._sealer.open(row["sealed"], lane.encode()), lane)
        except (SealError, ValueError):
            log.exception("segment %s of pixel %s was damaged; it is kept and skipped", number.hex(), lane)
            memory.take(number, ClaimMark(row["fields"], (row["at"], number), bool(row["suspect"])))
            memory.mark_damaged(number)
            return None
        history = (row["attempts"], row["strikes"])
        return Segment(number, lane, *history, without_repeats(records, row["skip"]), row["at"], row["suspect"])


def without_repeats(records: tuple[Record, ...], skip: Sequence[int] | None) -> tuple[Record, ...]:
    """Return the records without those at the positions in ``skip``, which are repeats."""
    if not skip:
        return records
    left_out = frozenset(skip)
    return tuple(record for position, record in enumerate(records) if position not in left_out)


def _fitting(rows: Sequence[_Row], most: int, *, is_first: bool) -> Sequence[_Row]:
    """Return the rows that a claim takes: all; none if the first is too large and the claim has a segment already."""
    return rows if is_first or not rows or rows[0]["n"] <= most else ()


def _is_full(found: Sequence[Segment]) -> bool:
    return sum(map(_wire_size, found)) >= MOST_BYTES


def _wire_size(segment: Segment) -> int:
    return sum(map(wire_size, segment.records))

"""Appends to the shared database: a group of appends is stored, without repeats and without suppressed people.

A plain group is stored by one statement (plain_append.py). Any other group takes a transaction of several statements,
which write in a fixed order so that deadlocks are rare: duplicate memory, order memory, sightings, segments, witness.

A group may be stored a second time after the first answer was lost: its keys are then found in the duplicate memory,
and nothing is stored twice. Therefore no count of attempts is kept.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

from proxy.model.event import DropReason
from proxy.queue.admission import drop_reasons_of, positions_to_skip, records_to_seal, sightings_to_store
from proxy.queue.answers import answers
from proxy.queue.codec import chunks
from proxy.queue.contract import QueueError, Stored
from proxy.queue.group import UNSEALED, Append, Group, Member, SealedSegment, make_group, sealed_segment
from proxy.queue.order_copies import merge_pasts
from proxy.queue.past import BY_THIS, Past, classify_events
from proxy.queue.postgres import orders, seen
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.errors import DatabaseAwayError, DataRefusedError
from proxy.queue.postgres.plain_append import WITNESS, PlainGroup, StoredSegment
from proxy.queue.postgres.seen_slots import SeenSlots, slots_now
from proxy.queue.postgres.segment_table import new_id
from proxy.queue.postgres.sightings import SharedSightings
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer

log = logging.getLogger(__name__)

_WITNESS = WITNESS.format(replica="$1", where="")
_INSERT = """
INSERT INTO segment(lane, id, n, at, oldest_s, not_before, fields, skip, sealed)
SELECT lane, id, n, $9::int8, oldest_s, not_before, fields, string_to_array(nullif(skip, ''), ',')::int2[], sealed
FROM unnest($1::text[], $2::uuid[], $3::int4[], $4::int8[], $5::int8[], $6::bytea[], $7::text[], $8::bytea[])
  u(lane, id, n, oldest_s, not_before, fields, skip, sealed)"""
# How often a plain group is tried, since the duplicate memory may turn to its next table meanwhile.
_TURNS = 3


class _Outcome(NamedTuple):
    """What became of a group: refused records, by their numbers in it; records that are known; segments stored."""

    refused: Mapping[int, DropReason]
    pasts: Sequence[tuple[Member, Past]]
    segments: Sequence[StoredSegment]
    marks: int
    """The version of the suppressions."""


class SharedAppends:
    """Stores groups; used on the event loop only."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        suppressions: SharedSuppressions,
        now: Callable[[], int],
        *,
        on_stored: Callable[[Sequence[StoredSegment]], None] = lambda _segments: None,
    ) -> None:
        """Prepare to store groups.

        Args:
            database: Where groups are stored.
            sealer: Seals records and sightings that come unsealed.
            suppressions: What this process knows of the suppressions.
            now: The server's clock in milliseconds.
            on_stored: Called with new segments once they are durable.
        """
        self._database = database
        self._sealer = sealer
        self._suppressions = suppressions
        self._sightings = SharedSightings(sealer)
        self._now = now
        self._on_stored = on_stored
        self._slots: SeenSlots | None = None
        self._learning: asyncio.Task[None] | None = None

    def group(self, appends: Sequence[Append]) -> Group:
        """Make a group of the appends of several callers: compute the keys, and seal the records."""
        return make_group(appends, self._sealer, self._suppressions)

    async def store(
        self, group: Group, *, at: int | None = None, role: Role = Role.APPEND
    ) -> Sequence[Stored | QueueError]:
        """Store a group durably; return for each append what became of it.

        Args:
            group: What is stored.
            at: Server clock in milliseconds when the group came; None: now.
            role: On which connection.

        Raises:
            DatabaseAwayError: when no reliable answer came; the group may have been stored.
            QueueError: when nothing of the group was stored.
        """
        at = self._now() if at is None else at
        try:
            outcome = await self._stored(group, at, role)
        except (ArithmeticError, LookupError, TypeError, ValueError, DataRefusedError) as error:
            if len(group.calls) == 1:
                return [QueueError(f"{type(error).__name__} in the queue")]
            return await self._each_alone(group, at, role)
        self._on_stored(outcome.segments)
        self._catch_up_if_behind(outcome.marks, role)
        return answers(group, outcome.refused, outcome.pasts)

    async def append(self, appends: Sequence[Append], at: int) -> Sequence[Stored | QueueError]:
        """Store spooled appends, whose callers were answered long ago; see ``store``.

        Args:
            appends: In the order in which they came.
            at: Server clock in milliseconds when the first of them came.
        """
        await self._suppressions.catch_up(partial(self._database.run, Role.DRAIN))
        return await self.store(self.group(appends), at=at, role=Role.DRAIN)

    async def _each_alone(self, group: Group, at: int, role: Role) -> list[Stored | QueueError]:
        """Store each append by itself, so that an append that cannot be stored does not fail the others."""
        each = [await self.store(self.group([append]), at=at, role=role) for append in group.calls]
        return list(chain.from_iterable(each))

    async def _stored(self, group: Group, at: int, role: Role) -> _Outcome:
        if self._learning:
            await asyncio.wait((self._learning,))
        if self._slots is None:
            self._slots = await slots_now(partial(self._database.run, role))
        if self._is_clear(group) and PlainGroup.is_plain(group):
            plain = PlainGroup(group, at)
            for _ in range(_TURNS):
                told = await plain.store(partial(self._database.run, role), self._slots, self._database.replica)
                if told.is_stored:
                    return _Outcome({}, told.pasts, told.segments, told.marks)
                if told.slot == self._slots.slot:
                    break
                self._slots = await slots_now(partial(self._database.run, role))
        return await self._database.transact(role, lambda run: self._in_steps(run, group, at))

    def _is_clear(self, group: Group) -> bool:
        """Tell whether nothing that a group sealed is about a person suppressed since, as far as this process knows."""
        if group.suppressions_version == self._suppressions.version:
            return True
        people = [member.record.person_digests for member in group.members if member.segment != UNSEALED]
        people += [each.sighting.person_digests for each in group.sightings if each.sealed]
        return not any(map(self._suppressions.may_hold, chain.from_iterable(people)))

    def _catch_up_if_behind(self, marks: int, role: Role) -> None:
        """Read the suppressions that other proxies made, before the next group is stored."""
        if self._learning is None and self._suppressions.is_behind(marks):
            self._learning = asyncio.create_task(self._catch_up(marks, role))

    async def _catch_up(self, marks: int, role: Role) -> None:
        try:
            await self._suppressions.catch_up(partial(self._database.run, role), marks)
        except QueueError as error:
            log.debug("suppressions of others are not learnt yet: %s", error)
        finally:
            self._learning = None

    # -- storing by several statements

    async def _in_steps(self, run: Run, group: Group, at: int) -> _Outcome:
        """Store a group within a transaction."""
        is_clear = self._is_clear(group)
        refusals = await self._suppressions.refusals(run, self._doubtful(group, is_clear=is_clear))
        refused = drop_reasons_of(group, refusals.of_record, is_clear=is_clear)
        admitted = [member for number, member in enumerate(group.members) if number not in refused]
        known, marks = await self._check_and_remember(run, admitted, at)
        pasts = [(admitted[number], past) for number, past in known.items()]
        if group.sightings:
            left = sightings_to_store(group, refused, refusals.of_sighting, is_clear=is_clear)
            await self._sightings.store(run, left, at)
        segments = self._segments(group, admitted, known, {UNSEALED} | {group.members[n].segment for n in refused})
        stored = await _insert(run, segments, at)
        if not stored and not await run(_WITNESS, self._database.replica):
            raise DatabaseAwayError("this process is not registered, so that nothing was written")
        return _Outcome(refused, pasts, stored, marks)

    @staticmethod
    def _doubtful(group: Group, *, is_clear: bool) -> list[bytes]:
        """Return the digests of the people whose suppressions must be read from the table."""
        people = [m.record.person_digests for m in group.members if not is_clear or m.segment == UNSEALED]
        people += [each.sighting.person_digests for each in group.sightings if not is_clear or not each.sealed]
        return list(chain.from_iterable(people))

    async def _check_and_remember(self, run: Run, members: Sequence[Member], at: int) -> tuple[dict[int, Past], int]:
        """Look records up in both memories and remember them; return what was known, and the suppressions' version."""
        slots, answer = await self._find(run, members, at)
        found = classify_events(members, answer.stored_before, answer.contradicted)
        if at_once := await seen.remember(run, found.visits, slots.slot):
            stored_before = answer.stored_before | dict.fromkeys(at_once, BY_THIS)
            found = classify_events(members, stored_before, answer.contradicted)
        return merge_pasts(found.pasts, await orders.check_and_remember(run, members, found.pasts, at)), answer.marks

    async def _find(self, run: Run, members: Sequence[Member], at: int) -> tuple[SeenSlots, seen.SeenAnswer]:
        """Look records up in the duplicate memory, which cannot turn from then on until the transaction ends."""
        slots = self._slots or await slots_now(run)
        answer = await seen.find(run, seen.SeenLookup.of(members, slots, at), slots.slot)
        if answer.slot != slots.slot:
            slots = await slots_now(run)
            answer = await seen.find(run, seen.SeenLookup.of(members, slots, at), slots.slot)
        self._slots = slots
        return slots, answer

    def _segments(
        self, group: Group, admitted: Sequence[Member], known: Mapping[int, Past], spoiled: set[int]
    ) -> list[tuple[SealedSegment, Sequence[int]]]:
        """Return the segments to store: sealed ones as they came, and those that are sealed only now.

        Each with the positions of the records in it that are skipped as repeats.
        """
        skip = positions_to_skip([(admitted[number], past) for number, past in known.items()])
        segments: list[tuple[SealedSegment, Sequence[int]]] = [
            (segment, skip.get(number, ())) for number, segment in enumerate(group.segments) if number not in spoiled
        ]
        for (pixel, not_before), records in records_to_seal(group, admitted, known, spoiled).items():
            segments += [(sealed_segment(pixel, some, not_before, self._sealer), ()) for some in chunks(records)]
        return segments


async def _insert(run: Run, segments: Sequence[tuple[SealedSegment, Sequence[int]]], at: int) -> list[StoredSegment]:
    """Write the segments that have any record besides those skipped; return them."""
    left = [(segment, skip) for segment, skip in segments if len(skip) < segment.n]
    stored = [
        StoredSegment(s.pixel, s.n - len(skip), at, s.not_before if s.not_before > at else 0, s.fields)
        for s, skip in left
    ]
    if left:
        rows = [
            (to.lane, new_id(at), to.n, s.oldest_s, to.not_before, to.fields, _joined(skip), s.sealed)
            for to, (s, skip) in zip(stored, left, strict=True)
        ]
        await run(_INSERT, *map(list, zip(*rows, strict=True)), at)
    return stored


def _joined(skip: Sequence[int]) -> str:
    """Return positions as text, since the rows of a two-dimensional array cannot differ in length."""
    return ",".join(map(str, sorted(skip)))

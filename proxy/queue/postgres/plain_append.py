"""The one statement that stores a plain group: keys and segments; it returns which of the events were repeats.

This takes one round trip and one commit. It is possible because segments are sealed before their repeats are known: the
positions of the repeats are written into a column of the segment.

The statement writes nothing if the duplicate memory has turned to its next table meanwhile, or if a Purchase has
another value than another visitor's of the same id: such a Purchase gets a finding and must be sealed again, so the
group is stored by several statements (append.py). Keys are written in sorted order, whatever their segments, so that
no two groups deadlock. A group of which nothing is stored still writes a row (the *witness*): the answer would
otherwise rely on keys that another process wrote and that no standby may have yet.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from proxy.queue.group import UNSEALED, Group, Member
from proxy.queue.keys import PREFIX, SERVER
from proxy.queue.past import Past
from proxy.queue.postgres.errors import DatabaseAwayError
from proxy.queue.postgres.seen import ASKED, depth_of, known_text, worth_number
from proxy.queue.postgres.seen_slots import SEEN_TABLES, SeenSlots, place_text, table_of
from proxy.queue.postgres.segment_table import new_id
from proxy.queue.postgres.session import Row
from proxy.queue.postgres.transaction import Run

# Index of the argument that says, for each key, how many older tables may have it.
_BACK = 2
WITNESS = "UPDATE replica SET repeats = repeats + 1 WHERE id = {replica}{where} RETURNING 1"
_STORE = """
WITH {asked}, {known}, {place},
go AS MATERIALIZED (
  SELECT slot = $15::int8
    AND NOT EXISTS(SELECT FROM known WHERE differs AND NOT by_this AND NOT by_server AND NOT of_server) AS yes
  FROM place
),
fresh AS (
  INSERT INTO {table}(key, worth) SELECT key, worth FROM asked
  WHERE (SELECT yes FROM go) AND NOT nr IN (SELECT nr FROM known WHERE by_this)
  ON CONFLICT DO NOTHING RETURNING key
),
again AS MATERIALIZED (
  SELECT nr FROM asked WHERE (SELECT yes FROM go)
    AND (NOT key IN (SELECT key FROM fresh) OR nr IN (SELECT nr FROM known WHERE by_server OR of_server))
),
lost AS (
  SELECT seg, count(*)::int4 AS c, array_agg(pos ORDER BY pos) AS skip FROM (
    SELECT seg, pos FROM unnest($4::int2[], $5::int2[]) WITH ORDINALITY u(seg, pos, nr)
    WHERE nr IN (SELECT nr FROM again) OR nr > cardinality($1)
  ) repeats GROUP BY seg
),
stored AS (
  INSERT INTO segment(lane, id, n, at, oldest_s, not_before, fields, skip, sealed)
  SELECT s.lane, s.id, s.n - coalesce(l.c, 0), $13::int8, s.oldest_s, s.not_before, s.fields, l.skip, s.sealed
  FROM unnest($6::text[], $7::uuid[], $8::int4[], $9::int8[], $10::int8[], $11::bytea[], $12::bytea[])
    WITH ORDINALITY s(lane, id, n, oldest_s, not_before, fields, sealed, seg)
  LEFT JOIN lost l ON l.seg = s.seg
  WHERE (SELECT yes FROM go) AND s.n > coalesce(l.c, 0)
  ON CONFLICT DO NOTHING RETURNING 1
),
witness AS ({witness})
SELECT slot, marks, yes, (SELECT count(*) FROM stored) AS stored, (SELECT count(*) FROM witness) AS witnessed,
  (SELECT array_agg(nr) FROM again) AS again,
  (SELECT array_agg(nr) FROM known WHERE NOT by_this) AS others,
  (SELECT array_agg(nr) FROM known WHERE NOT by_this AND differs) AS differing
FROM place, go
"""


class StoredSegment(NamedTuple):
    """A segment that a group left in the table, as those who count waiting events need it."""

    lane: str
    n: int
    at: int
    not_before: int
    """Server clock in milliseconds until which it is held; 0 if it is not held."""
    fields: bytes


class StoreResult(NamedTuple):
    """What the statement returned."""

    is_stored: bool
    slot: int
    marks: int
    pasts: list[tuple[Member, Past]]
    segments: list[StoredSegment]


class PlainGroup:
    """A group as the arguments of the statement."""

    def __init__(self, group: Group, at: int) -> None:
        """Sort its keys.

        Args:
            group: One that ``is_plain``.
            at: Server clock in milliseconds when it came.
        """
        self._group = group
        self._at = at
        self._ids = [new_id(at) for _ in group.segments]
        self._first: dict[bytes, Member] = {}
        self._further: list[Member] = []
        for member in group.members:
            if self._first.setdefault(member.key, member) is not member:
                self._further.append(member)
        self._keys = sorted(self._first)
        self._members = [self._first[key] for key in self._keys]

    @staticmethod
    def is_plain(group: Group) -> bool:
        """Tell whether one statement can store a group: no open records, no sightings, no orders, no contested ids."""
        if group.sightings or not all(
            member.segment != UNSEALED and not member.record.order for member in group.members
        ):
            return False
        events = {member.key[:PREFIX] for member in group.members}
        return len(events) == len(group.members) or not _is_contested(group.members)

    async def store(self, run: Run, slots: SeenSlots, replica: bytes) -> StoreResult:
        """Run the statement.

        Args:
            run: Runs one statement as a transaction of its own.
            slots: Which table of the duplicate memory is written to, as far as this process knows.
            replica: The id of this process.

        Raises:
            QueueError: when no reliable answer came.
        """
        arguments = self._arguments(slots, replica)
        (row,) = await run(_text(slots.slot % SEEN_TABLES, depth_of(arguments[_BACK])), *arguments)
        if row["yes"] and not row["stored"] and not row["witnessed"]:
            raise DatabaseAwayError("this process is not registered, so that nothing was written")
        return self._result_of(row)

    def _arguments(self, slots: SeenSlots, replica: bytes) -> list[Any]:
        now, members, segments = self._at, self._members, self._group.segments
        first, last = slots.recent_birth_range(now)
        back = [
            0 if m.birth_s is not None and first <= m.birth_s <= last else slots.older_table_count(m.birth_s, now)
            for m in members
        ]
        placed = (*members, *self._further)
        return [
            self._keys,
            [worth_number(m.record.worth) for m in members] if any(m.record.worth for m in members) else [],
            back,
            [m.segment + 1 for m in placed],
            [m.position for m in placed],
            [s.pixel for s in segments],
            self._ids,
            [s.n for s in segments],
            [s.oldest_s for s in segments],
            [s.not_before if s.not_before > now else 0 for s in segments],
            [s.fields for s in segments],
            [s.sealed for s in segments],
            now,
            replica,
            slots.slot,
        ]

    def _result_of(self, row: Row) -> StoreResult:
        pasts = self._pasts(row) if row["yes"] else []
        return StoreResult(
            row["yes"], row["slot"], row["marks"], pasts, self._stored_segments(pasts) if row["yes"] else []
        )

    def _pasts(self, row: Row) -> list[tuple[Member, Past]]:
        """Return those of the group's records that were known before, in their order, each with what is known."""
        again, others, differing = (frozenset(row[name] or ()) for name in ("again", "others", "differing"))
        if not again and not others and not self._further and len(self._events()) == len(self._keys):
            return []
        by_key = {key: (nr in again, nr in others, nr in differing) for nr, key in enumerate(self._keys, 1)}
        return _pasts(self._group.members, by_key)

    def _events(self) -> set[bytes]:
        return {key[:PREFIX] for key in self._keys}

    def _stored_segments(self, pasts: Sequence[tuple[Member, Past]]) -> list[StoredSegment]:
        gone: dict[int, int] = {}
        for member, past in pasts:
            if past is not Past.REUSED:
                gone[member.segment] = gone.get(member.segment, 0) + 1
        at = self._at
        left = [(segment, segment.n - gone.get(number, 0)) for number, segment in enumerate(self._group.segments)]
        return [StoredSegment(s.pixel, n, at, s.not_before if s.not_before > at else 0, s.fields) for s, n in left if n]


def _pasts(members: Sequence[Member], by_key: Mapping[bytes, tuple[bool, bool, bool]]) -> list[tuple[Member, Past]]:
    pasts: list[tuple[Member, Past]] = []
    brought: set[bytes] = set()
    events: set[bytes] = set()
    for member in members:
        key = member.key
        is_again, has_others, differs = by_key[key]
        if key in brought or (is_again and not has_others):
            pasts.append((member, Past.REPEAT))
        elif is_again:
            of_server, of_page = (Past.COPY, Past.CONTRADICTION), (Past.SERVED, Past.SERVED_OTHERWISE)
            pasts.append((member, (of_server if key[PREFIX:] == SERVER else of_page)[differs]))
        elif has_others or key[:PREFIX] in events:
            pasts.append((member, Past.REUSED))
        brought.add(key)
        events.add(key[:PREFIX])
    return pasts


def _is_contested(members: Sequence[Member]) -> bool:
    """Tell whether two members have one event id from different sources, and more than a reused id may be behind it.

    That is so if one of them came from a server, or if they are Purchases of different values.
    """
    by_event: dict[bytes, dict[bytes, bytes]] = {}
    for member in members:
        by_event.setdefault(member.key[:PREFIX], {}).setdefault(member.key, member.record.worth)
    return any(
        len(some) > 1 and (any(key[PREFIX:] == SERVER for key in some) or len({*some.values()} - {b""}) > 1)
        for some in by_event.values()
    )


@lru_cache(maxsize=SEEN_TABLES**2)
def _text(table: int, depth: int) -> str:
    where = " AND (SELECT yes FROM go) AND NOT EXISTS(SELECT FROM stored)"
    return _STORE.format(
        asked=ASKED,
        known=known_text(table, depth),
        place=place_text(table),
        table=table_of(table),
        witness=WITNESS.format(replica="$14::uuid", where=where),
    )

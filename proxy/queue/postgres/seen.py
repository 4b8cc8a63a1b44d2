"""The shared duplicate memory: which events were met in the last 48 hours (at most 64), and of which visitor.

Four tables of 16 hours each, emptied whole in turn; what they are good for stands in sqlite/seen.py, and what follows
from their answers in past.py. Here is how they are asked.

One row of ``meta`` says which table is written to, and when each of the four began. Every statement that writes an
event compares it with what its text was made for, on the locks that it holds on all four tables; so no event goes into
a table that is about to be emptied, whatever the clocks of the proxies say. Only its holder turns the memory, on one
clock; while nobody does, it remembers for longer.

A key is looked for by the twelve bytes of its event, which are a range of the index: that finds the visitors of an id
and the servers that brought it. A timed id is looked for in the tables since its birth, usually the one it is written
to.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Self

from proxy.model.record import Record
from proxy.queue.group import Member
from proxy.queue.keys import PREFIX, event_key, server_key, visit_key
from proxy.queue.past import BY_SERVER, BY_THIS, owners
from proxy.queue.postgres.transaction import Run

_TABLES = 4
_SLOT_MS = 16 * 60 * 60 * 1000
# How far the clock of a browser may be behind ours, or ahead, for its ids to be looked for by their birth.
_CLOCK_MS = 60 * 60 * 1000
_AHEAD_MS = 5 * 60 * 1000
# An append waits behind whoever waits for the lock to empty a table.
_LOCK_MS = 200
_BEGINS = struct.Struct(f">{_TABLES}q")

TABLES = (
    *(
        f"CREATE TABLE IF NOT EXISTS seen_{number}(key uuid PRIMARY KEY, worth int4)"
        " WITH (autovacuum_vacuum_insert_scale_factor = 0.05)"
        for number in range(_TABLES)
    ),
    "INSERT INTO meta(key, number, bytes) VALUES('seen', 0, decode(repeat('00', 32), 'hex')) ON CONFLICT DO NOTHING",
)

ASKED = """
asked AS MATERIALIZED (
  SELECT key, worth, back, nr, (event || '00000000')::uuid AS lo, (event || 'ffffffff')::uuid AS hi
  FROM unnest($1::uuid[], $2::int4[], $3::int2[]) WITH ORDINALITY u(key, worth, back, nr), left(key::text, 28) event
)"""
"""The keys of a group in their order, each with its worth and how many older tables may know it."""
# Equality is written as a range, and IN as a lookup in what was found: nothing of it may become a hash of a table.
_IN_RANGE = "EXISTS(SELECT FROM {table} s WHERE s.key >= {low} AND s.key <= {high})"
_KNOWN = """
met AS MATERIALIZED (
  SELECT * FROM asked WHERE {met}
),
known AS MATERIALIZED (
  SELECT nr, key, key = hi AS of_server, {by_this} AS by_this, {by_server} AS by_server,
    worth IS NOT NULL AND ({differs}) AS differs
  FROM met
)"""
PLACE = """
place AS MATERIALIZED (SELECT (SELECT number FROM meta WHERE key = 'seen') AS slot,
  (SELECT number FROM meta WHERE key = 'marks') AS marks)"""
_WHERE_IT_STANDS = "SELECT number, bytes FROM meta WHERE key = 'seen'"
_INSERT = """
INSERT INTO {table}(key, worth) SELECT * FROM unnest($1::uuid[], $2::int4[]) ON CONFLICT DO NOTHING RETURNING key"""
_TURN = "UPDATE meta SET number = $1, bytes = $2 WHERE key = 'seen' AND number = $3 RETURNING 1"


class Slots(NamedTuple):
    """Where the memory stands."""

    slot: int
    begins: tuple[int, ...]
    """When the last four slots began, by the number of their table: server clock in milliseconds."""

    @classmethod
    def read(cls, number: int, begins: bytes) -> Self:
        """Return what a row of ``meta`` says."""
        return cls(number, _BEGINS.unpack(begins))

    def back(self, birth_s: int | None, now: int) -> int:
        """Return how many tables before the one that is written to may know an event; see ``keys.birth_s``."""
        if birth_s is None or birth_s * 1000 > now + _AHEAD_MS:
            return _TABLES - 1
        since = birth_s * 1000 - _CLOCK_MS
        return next((back for back in range(_TABLES - 1) if self.begins[(self.slot - back) % _TABLES] <= since), 3)

    def recent(self, now: int) -> tuple[int, int]:
        """Return the first and the last second of birth of which ``back`` is 0, so that nearly no event asks it."""
        first_ms = self.begins[self.slot % _TABLES] + _CLOCK_MS
        return -(-first_ms // 1000), (now + _AHEAD_MS) // 1000

    def is_over(self, now: int) -> bool:
        """Tell whether it is time for the next table; a clock that was far ahead when it began counts as that."""
        age = now - self.begins[self.slot % _TABLES]
        return not -_CLOCK_MS <= age < _SLOT_MS


async def slots_now(run: Run) -> Slots:
    """Return where the memory stands."""
    ((number, begins),) = await run(_WHERE_IT_STANDS)
    return Slots.read(number, begins)


async def turn(run: Run, now: int) -> bool:
    """Begin the next table if it is time, which empties the oldest; tell whether it was.

    Args:
        run: Within a transaction.
        now: Server clock in milliseconds.

    Raises:
        LockTimeoutError: when somebody reads the table for long, as a dump does; it is to be tried again in a minute.
    """
    slots = await slots_now(run)
    if not slots.is_over(now):
        return False
    begins = list(slots.begins)
    begins[(slots.slot + 1) % _TABLES] = now
    await run(f"SET LOCAL lock_timeout = {_LOCK_MS}")
    if not await run(_TURN, slots.slot + 1, _BEGINS.pack(*begins), slots.slot):
        return False
    await run(f"TRUNCATE {table_of(slots.slot + 1)}")
    return True


def table_of(slot: int) -> str:
    """Return the name of a slot's table."""
    return f"seen_{slot % _TABLES}"


@lru_cache(maxsize=_TABLES)
def known_text(table: int) -> str:
    """Return the parts of a statement that find what is known of the keys of ``asked``.

    ``known`` has those whose event anybody brought: whether this visitor did, whether a server did, and of a Purchase
    whether anybody brought it with another worth.
    """
    return _KNOWN.format(
        met=_in_any(table, "asked", "asked.lo", "asked.hi"),
        by_this=_in_any(table, "met", "met.key", "met.key"),
        by_server=_in_any(table, "met", "met.hi", "met.hi"),
        differs=_in_any(table, "met", "met.lo", "met.hi AND s.worth <> met.worth"),
    )


def _in_any(table: int, of: str, low: str, high: str) -> str:
    """Return a condition: whether a range of keys has any in the tables that may know them.

    Args:
        table: The number of the one that is written to.
        of: What has the range, and says how many older tables may know it.
        low: Its lowest key.
        high: Its highest key, and what else is to be true of a key in it.
    """
    older = [(back, f"seen_{(table - back) % _TABLES}") for back in range(_TABLES)]
    looks = [(back, _IN_RANGE.format(table=name, low=low, high=high)) for back, name in older]
    return " OR ".join(f"({of}.back >= {back} AND {look})" for back, look in looks)


@lru_cache(maxsize=_TABLES)
def _find(table: int) -> str:
    parts = f"{ASKED}, {known_text(table)}, {PLACE}"
    return f"WITH {parts} SELECT nr, by_this, by_server, differs, slot, marks FROM place LEFT JOIN known ON true"  # noqa: S608


class Answer(NamedTuple):
    """What the memory says of some keys."""

    stored_before: dict[bytes, int]
    """Those whose events anybody brought, each with who did; see past.py."""
    contradicted: set[bytes]
    """Keys of Purchases that somebody brought with another worth, each with its own worth."""
    slot: int
    """The one that is written to now."""
    marks: int
    """The version of the suppressions."""


class Asked(NamedTuple):
    """Keys that are looked for, in their order."""

    keys: Sequence[bytes]
    worths: Sequence[bytes]
    back: Sequence[int]

    @classmethod
    def of(cls, members: Iterable[Member], slots: Slots, now: int) -> Self:
        """Return what a group asks for.

        Args:
            members: Its records.
            slots: Where the memory stands.
            now: Server clock in milliseconds.
        """
        first: dict[bytes, Member] = {}
        for member in members:
            first.setdefault(member.key, member)
        keys = sorted(first)
        back = [slots.back(first[key].birth_s, now) for key in keys]
        return cls(keys, [first[key].record.worth for key in keys], back)


async def find(run: Run, asked: Asked, slot: int) -> Answer:
    """Ask for keys; within a transaction the memory is not turned from now on until its end.

    Args:
        run: Runs the statement.
        asked: The keys.
        slot: The one that is written to, as far as is known.
    """
    numbers = [worth_number(worth) for worth in asked.worths]
    rows = await run(_find(slot % _TABLES), asked.keys, numbers, asked.back)
    found = [row for row in rows if row["nr"] is not None]
    stored_before = {
        asked.keys[row["nr"] - 1]: BY_THIS * row["by_this"] + BY_SERVER * row["by_server"] for row in found
    }
    differing = [row["nr"] - 1 for row in found if row["differs"] and not row["by_this"]]
    contradicted = {asked.keys[nr] + asked.worths[nr] for nr in differing}
    return Answer(stored_before, contradicted, rows[0]["slot"], rows[0]["marks"])


async def remember(run: Run, visits: Mapping[bytes, bytes], slot: int) -> set[bytes]:
    """Remember keys, each with its worth; return those that somebody else brought in this very moment.

    Args:
        run: Within a transaction.
        visits: The keys.
        slot: The one that is written to.
    """
    if not visits:
        return set()
    keys = sorted(visits)
    rows = await run(_INSERT.format(table=table_of(slot)), keys, [worth_number(visits[key]) for key in keys])
    return set(visits) - {row["key"] for row in rows}


async def retract(run: Run, record: Record) -> None:
    """Forget that a server brought an event: it is not sent, so that a page's copy counts."""
    key = server_key(event_key(record.pixel, record.name, record.id))
    for number in range(_TABLES):
        await run(f"DELETE FROM seen_{number} WHERE key = $1", key)  # noqa: S608 - our own name


async def owners_of(run: Run, asked: Sequence[tuple[bytes, Sequence[bytes]]]) -> list[bytes | None]:
    """Return who speaks for events: of some visitors the first who brought one, or the first if nobody did.

    Where only others brought it, None. Each event is asked for by its key, with the visitors.
    """
    if not asked:
        return []
    keyed = [(visitors, [visit_key(key, visitor) for visitor in visitors]) for key, visitors in asked]
    keys = sorted({key for _, keys in keyed for key in keys})
    answer = await find(run, Asked(keys, [b""] * len(keys), [_TABLES - 1] * len(keys)), 0)
    return owners(keyed, answer.stored_before)


def worth_number(worth: bytes) -> int | None:
    """Return four bytes as the column has them."""
    return int.from_bytes(worth, "big", signed=True) if worth else None


def worth_bytes(number: int | None) -> bytes:
    """Return what ``worth_number`` was made of."""
    return b"" if number is None else number.to_bytes(4, "big", signed=True)


def event_of(key: bytes) -> bytes:
    """Return the part of a key that all its visitors share."""
    return key[:PREFIX]

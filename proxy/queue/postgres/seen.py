"""The shared duplicate memory: which events came in the last 48 hours (at most 64), and from which visitor.

It has four tables of 16 hours each, which are emptied in turn. What they are good for is explained in sqlite/seen.py,
and what follows from their answers in past.py. This module reads and writes them.

A key is looked for by its first twelve bytes, which stand for its event and are a range of the index: that finds all
visitors and servers that brought the event. A timed id is looked for only in the tables that were written to since its
birth: usually that is the current one.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Self

from proxy.model.record import Record
from proxy.queue.group import Member
from proxy.queue.keys import event_key, server_key, visit_key
from proxy.queue.past import BY_SERVER, BY_THIS, owners
from proxy.queue.postgres.seen_slots import SEEN_TABLES, SeenSlots, place_text, table_of
from proxy.queue.postgres.transaction import Run

ASKED = """
asked AS MATERIALIZED (
  SELECT key, worth, back, nr, (event || '00000000')::uuid AS lo, (event || 'ffffffff')::uuid AS hi
  FROM unnest($1::uuid[], $2::int4[], $3::int2[]) WITH ORDINALITY u(key, worth, back, nr), left(key::text, 28) event
)"""
"""The keys of a group in their order, each with its worth and how many older tables may have it."""
# Equality is written as a range, so that the planner always uses the index and never makes a hash of a whole table.
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
_INSERT = """
INSERT INTO {table}(key, worth) SELECT * FROM unnest($1::uuid[], $2::int4[]) ON CONFLICT DO NOTHING RETURNING key"""


@lru_cache(maxsize=SEEN_TABLES**2)
def known_text(table: int, depth: int) -> str:
    """Return the SQL of ``met`` and ``known``, which find what the memory knows of the keys in ``asked``.

    ``known`` has a row for each key whose event anybody brought before. It tells whether this visitor brought the event
    (``by_this``), whether a server did (``by_server``), whether the key itself is a server's (``of_server``), and for a
    Purchase whether anybody brought it with another worth (``differs``).

    Args:
        table: The number of the table that is written to.
        depth: How many tables may have any of the keys; others are not named, as each name costs the server time.
    """
    return _KNOWN.format(
        met=_in_any(table, depth, "asked", "asked.lo", "asked.hi"),
        by_this=_in_any(table, depth, "met", "met.key", "met.key"),
        by_server=_in_any(table, depth, "met", "met.hi", "met.hi"),
        differs=_in_any(table, depth, "met", "met.lo", "met.hi AND s.worth <> met.worth"),
    )


def _in_any(table: int, depth: int, of: str, low: str, high: str) -> str:
    """Return an SQL condition: whether any key of a range is in the tables that may have it.

    Args:
        table: The number of the table that is written to.
        depth: How many tables are asked.
        of: The relation whose column ``back`` says how many older tables may have the key.
        low: The lowest key of the range.
        high: The highest key of the range, and any further condition on a key in it.
    """
    older = [(back, f"seen_{(table - back) % SEEN_TABLES}") for back in range(depth)]
    looks = [(back, _IN_RANGE.format(table=name, low=low, high=high)) for back, name in older]
    return " OR ".join(f"({of}.back >= {back} AND {look})" for back, look in looks)


@lru_cache(maxsize=SEEN_TABLES**2)
def _find(table: int, depth: int) -> str:
    parts = f"{ASKED}, {known_text(table, depth)}, {place_text(table)}"
    return f"WITH {parts} SELECT nr, by_this, by_server, differs, slot, marks FROM place LEFT JOIN known ON true"  # noqa: S608


class SeenAnswer(NamedTuple):
    """What the memory says of some keys."""

    stored_before: dict[bytes, int]
    """Keys whose events anybody brought, each with who did: ``BY_THIS`` and ``BY_SERVER`` added up; see past.py."""
    contradicted: set[bytes]
    """Purchases that somebody else brought with another worth: of each its key followed by its own worth."""
    slot: int
    """The slot that is written to now."""
    marks: int
    """The version of the suppressions."""


class SeenLookup(NamedTuple):
    """Keys that are looked for, in sorted order, each with its worth and how many older tables may have it."""

    keys: Sequence[bytes]
    worths: Sequence[bytes]
    back: Sequence[int]

    @classmethod
    def of(cls, members: Iterable[Member], slots: SeenSlots, now: int) -> Self:
        """Return the keys of a group, each once.

        Args:
            members: The group's records.
            slots: The slots of the memory.
            now: Server clock in milliseconds.
        """
        first: dict[bytes, Member] = {}
        for member in members:
            first.setdefault(member.key, member)
        keys = sorted(first)
        back = [slots.older_table_count(first[key].birth_s, now) for key in keys]
        return cls(keys, [first[key].record.worth for key in keys], back)


async def find(run: Run, asked: SeenLookup, slot: int) -> SeenAnswer:
    """Look keys up; within a transaction, the memory cannot turn from now on until the transaction ends.

    Args:
        run: Runs the statement.
        asked: The keys.
        slot: The slot that is written to, as far as is known.
    """
    numbers = [worth_number(worth) for worth in asked.worths]
    rows = await run(_find(slot % SEEN_TABLES, depth_of(asked.back)), asked.keys, numbers, asked.back)
    found = [row for row in rows if row["nr"] is not None]
    stored_before = {
        asked.keys[row["nr"] - 1]: BY_THIS * row["by_this"] + BY_SERVER * row["by_server"] for row in found
    }
    differing = [row["nr"] - 1 for row in found if row["differs"] and not row["by_this"]]
    contradicted = {asked.keys[nr] + asked.worths[nr] for nr in differing}
    return SeenAnswer(stored_before, contradicted, rows[0]["slot"], rows[0]["marks"])


async def remember(run: Run, visits: Mapping[bytes, bytes], slot: int) -> set[bytes]:
    """Insert keys into the current table; return those that are there already, as another transaction was quicker.

    Args:
        run: Within a transaction.
        visits: The keys, each with its worth.
        slot: The slot that is written to.
    """
    if not visits:
        return set()
    keys = sorted(visits)
    rows = await run(_INSERT.format(table=table_of(slot)), keys, [worth_number(visits[key]) for key in keys])
    return set(visits) - {row["key"] for row in rows}


async def retract(run: Run, record: Record) -> None:
    """Forget that a server brought an event, since it is not sent: a page's copy of it is no repeat then."""
    key = server_key(event_key(record.pixel, record.name, record.id))
    for number in range(SEEN_TABLES):
        await run(f"DELETE FROM seen_{number} WHERE key = $1", key)  # noqa: S608 - our own name


async def owners_of(run: Run, asked: Sequence[tuple[bytes, Sequence[bytes]]]) -> list[bytes | None]:
    """Return, for each event, the visitor for whom updates of its browser copy count.

    That is the first of the event's candidates who brought it, or the first candidate if nobody brought it; None if
    only other visitors did.

    Args:
        run: Runs the statement.
        asked: The keys of the events, each with its candidates.
    """
    if not asked:
        return []
    keyed = [(visitors, [visit_key(key, visitor) for visitor in visitors]) for key, visitors in asked]
    keys = sorted({key for _, keys in keyed for key in keys})
    answer = await find(run, SeenLookup(keys, [b""] * len(keys), [SEEN_TABLES - 1] * len(keys)), 0)
    return owners(keyed, answer.stored_before)


def depth_of(back: Sequence[int]) -> int:
    """Return how many tables must be asked, from how many older tables may have each key."""
    return 1 + max(back, default=0)


def worth_number(worth: bytes) -> int | None:
    """Return a worth, which is four bytes or none, as the number in the column ``worth``."""
    return int.from_bytes(worth, "big", signed=True) if worth else None


def worth_bytes(number: int | None) -> bytes:
    """Return the worth of which ``worth_number`` made this number."""
    return b"" if number is None else number.to_bytes(4, "big", signed=True)

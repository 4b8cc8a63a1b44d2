"""The shared duplicate memory: which events were met in the last 48 hours (at most 64), and of which visitor.

Four tables of 16 hours each, emptied whole in turn; what they are good for stands in sqlite/seen.py, and what follows
from their answers in past.py. Here is how they are asked.

A key is looked for by the twelve bytes of its event, which are a range of the index: that finds the visitors of an id
and the servers that brought it. A timed id is looked for in the tables since its birth, usually the one it is written
to.
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
_INSERT = """
INSERT INTO {table}(key, worth) SELECT * FROM unnest($1::uuid[], $2::int4[]) ON CONFLICT DO NOTHING RETURNING key"""


@lru_cache(maxsize=SEEN_TABLES**2)
def known_text(table: int, depth: int) -> str:
    """Return the parts of a statement that find what is known of the keys of ``asked``.

    Every table that it names costs the server something, also where it is not asked.

    ``known`` has those whose event anybody brought: whether this visitor did, whether a server did, and of a Purchase
    whether anybody brought it with another worth.

    Args:
        table: The number of the one that is written to.
        depth: How many tables may know any of the keys.
    """
    return _KNOWN.format(
        met=_in_any(table, depth, "asked", "asked.lo", "asked.hi"),
        by_this=_in_any(table, depth, "met", "met.key", "met.key"),
        by_server=_in_any(table, depth, "met", "met.hi", "met.hi"),
        differs=_in_any(table, depth, "met", "met.lo", "met.hi AND s.worth <> met.worth"),
    )


def _in_any(table: int, depth: int, of: str, low: str, high: str) -> str:
    """Return a condition: whether a range of keys has any in the tables that may know them.

    Args:
        table: The number of the one that is written to.
        depth: How many tables are asked.
        of: What has the range, and says how many older tables may know it.
        low: Its lowest key.
        high: Its highest key, and what else is to be true of a key in it.
    """
    older = [(back, f"seen_{(table - back) % SEEN_TABLES}") for back in range(depth)]
    looks = [(back, _IN_RANGE.format(table=name, low=low, high=high)) for back, name in older]
    return " OR ".join(f"({of}.back >= {back} AND {look})" for back, look in looks)


@lru_cache(maxsize=SEEN_TABLES**2)
def _find(table: int, depth: int) -> str:
    parts = f"{ASKED}, {known_text(table, depth)}, {place_text(table)}"
    return f"WITH {parts} SELECT nr, by_this, by_server, differs, slot, marks FROM place LEFT JOIN known ON true"  # noqa: S608


class Recollection(NamedTuple):
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
    def of(cls, members: Iterable[Member], slots: SeenSlots, now: int) -> Self:
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


async def find(run: Run, asked: Asked, slot: int) -> Recollection:
    """Ask for keys; within a transaction the memory is not turned from now on until its end.

    Args:
        run: Runs the statement.
        asked: The keys.
        slot: The one that is written to, as far as is known.
    """
    numbers = [worth_number(worth) for worth in asked.worths]
    rows = await run(_find(slot % SEEN_TABLES, depth_of(asked.back)), asked.keys, numbers, asked.back)
    found = [row for row in rows if row["nr"] is not None]
    stored_before = {
        asked.keys[row["nr"] - 1]: BY_THIS * row["by_this"] + BY_SERVER * row["by_server"] for row in found
    }
    differing = [row["nr"] - 1 for row in found if row["differs"] and not row["by_this"]]
    contradicted = {asked.keys[nr] + asked.worths[nr] for nr in differing}
    return Recollection(stored_before, contradicted, rows[0]["slot"], rows[0]["marks"])


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
    for number in range(SEEN_TABLES):
        await run(f"DELETE FROM seen_{number} WHERE key = $1", key)  # noqa: S608 - our own name


async def owners_of(run: Run, asked: Sequence[tuple[bytes, Sequence[bytes]]]) -> list[bytes | None]:
    """Return who speaks for events: of some visitors the first who brought one, or the first if nobody did.

    Where only others brought it, None. Each event is asked for by its key, with the visitors.
    """
    if not asked:
        return []
    keyed = [(visitors, [visit_key(key, visitor) for visitor in visitors]) for key, visitors in asked]
    keys = sorted({key for _, keys in keyed for key in keys})
    answer = await find(run, Asked(keys, [b""] * len(keys), [SEEN_TABLES - 1] * len(keys)), 0)
    return owners(keyed, answer.stored_before)


def depth_of(back: Sequence[int]) -> int:
    """Return how many tables are to be asked where so many before the present one may know each key."""
    return 1 + max(back, default=0)


def worth_number(worth: bytes) -> int | None:
    """Return four bytes as the column has them."""
    return int.from_bytes(worth, "big", signed=True) if worth else None


def worth_bytes(number: int | None) -> bytes:
    """Return what ``worth_number`` was made of."""
    return b"" if number is None else number.to_bytes(4, "big", signed=True)

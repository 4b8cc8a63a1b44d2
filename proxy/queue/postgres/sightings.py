"""The shared table of sightings: what pages left of their visitors, until the servers' events of the same orders come.

As in sqlite/sightings.py, with slots that lead to sightings (../sightings.py). A sighting's number is made by the proxy
that stores it: milliseconds and a random part, so numbers are in the order of time and need no counter.
"""

import os
from collections.abc import Collection, Iterable, Sequence
from typing import TypeAlias

from proxy.model.join import Sighting
from proxy.model.units import DAY_MS
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer
from proxy.queue.sightings import forbid_sighting, open_sighting, person_key, seal_sighting, slots

MOST = 1_000_000
"""How many sightings are kept; beyond, the oldest are removed, so that a flood does not keep out later ones."""
# See sqlite/sightings.py.
_EACH_END = 6
_SLICE = 200
_NUMBER = 12
_RANDOM_BITS = 21
_ABOVE = b"\xff" * 13

TABLES = (
    "CREATE TABLE IF NOT EXISTS sighting(id int8 PRIMARY KEY, at int8 NOT NULL, sealed bytea NOT NULL)",
    "CREATE INDEX IF NOT EXISTS sighting_at ON sighting(at)",
    """CREATE TABLE IF NOT EXISTS sighting_slot(
        slot bytea PRIMARY KEY, number int8 NOT NULL, forbidden bool NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS sighting_slot_number ON sighting_slot(number)",
)
# In its certain slots the first sighting stays, unless it is forbidden and the new one is not, or the other way round.
_LEAVE = """
WITH first AS (
  INSERT INTO sighting_slot AS s SELECT slot, $3::int8, $4::bool FROM unnest($1::bytea[]) u(slot)
  ON CONFLICT (slot) DO UPDATE SET number = excluded.number, forbidden = excluded.forbidden
  WHERE s.forbidden <> excluded.forbidden RETURNING 1),
fresh AS MATERIALIZED (SELECT EXISTS(SELECT FROM first) OR cardinality($1::bytea[]) = 0 AS yes),
latest AS (
  INSERT INTO sighting_slot SELECT slot, $3::int8, $4::bool FROM unnest($2::bytea[]) u(slot)
  WHERE (SELECT yes FROM fresh)
  ON CONFLICT (slot) DO UPDATE SET number = excluded.number, forbidden = excluded.forbidden)
INSERT INTO sighting SELECT $3::int8, $5::int8, $6::bytea WHERE (SELECT yes FROM fresh)"""
_OF_KEY = "s.slot > u.key AND s.slot < u.key || $2::bytea"
_FIND = f"""
SELECT u.key, found.id, found.sealed FROM unnest($1::bytea[]) u(key),
LATERAL (
  (SELECT number FROM sighting_slot s WHERE {_OF_KEY} ORDER BY slot LIMIT $3)
  UNION (SELECT number FROM sighting_slot s WHERE {_OF_KEY} ORDER BY slot DESC LIMIT $3)) ends,
LATERAL (SELECT id, sealed FROM sighting WHERE id = ends.number LIMIT 1) found"""  # noqa: S608 - our own text
"""Without the last LIMIT the planner would turn the subquery into a join, and read all of a large table."""
_OF_PEOPLE = f"""
SELECT DISTINCT found.number FROM unnest($1::bytea[]) u(key),
LATERAL (SELECT number FROM sighting_slot s WHERE {_OF_KEY} LIMIT $3) found LIMIT $3"""  # noqa: S608 - our own text
_READ = "SELECT id, sealed FROM sighting WHERE id = ANY($1::int8[])"
_FORBID = """
WITH sealed AS (
  UPDATE sighting s SET sealed = u.sealed FROM unnest($1::int8[], $2::bytea[]) u(id, sealed) WHERE s.id = u.id),
people AS (DELETE FROM sighting_slot WHERE slot = ANY($3::bytea[]))
UPDATE sighting_slot SET forbidden = true WHERE number = ANY($1::int8[]) AND slot <> ALL($3::bytea[])"""
_REMOVE = """
WITH gone AS (DELETE FROM sighting WHERE id = ANY($1::int8[]))
DELETE FROM sighting_slot WHERE number = ANY($1::int8[])"""
_OLD = "SELECT id FROM sighting WHERE at < $1 ORDER BY at LIMIT $2"
_BEYOND = """
SELECT id FROM sighting WHERE id <= (SELECT id FROM sighting ORDER BY id DESC OFFSET $1 LIMIT 1) ORDER BY id LIMIT $2"""
Found: TypeAlias = dict[bytes, dict[int, Sighting]]


class SharedSightings:
    """Reads and writes sightings, within transactions that its callers start."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._last = 0

    async def store(self, run: Run, brought: Iterable[tuple[Sighting, bytes]], now: int) -> None:
        """Store sightings, except those of an order that the same visitor left before.

        Args:
            run: Within a transaction.
            brought: Each with its sealed bytes; empty bytes where it is still to be sealed.
            now: Server clock in milliseconds.
        """
        for sighting, sealed in brought:
            where, number = slots(sighting), self._new_number(now)
            people = [_of_person(digest, number) for digest in sighting.person_digests]
            certain, others = sorted({*where.certain}), sorted({*where.others, *people} - {*where.certain})
            if certain or where.others:
                facts = (number, bool(sighting.forbidden), sighting.at, sealed or self._seal(sighting))
                await run(_LEAVE, certain, others, *facts)

    async def find(self, run: Run, keys: Collection[bytes]) -> Found:
        """Return for each key the sightings that have it, by their numbers.

        If very many have a key, only some of them are returned, but always of several visitors if several have it.
        Sightings that no listed secret opens are left out: they are lost, and no event is held back for them.
        """
        found: Found = {}
        opened: dict[int, Sighting | None] = {}
        for row in await run(_FIND, sorted(keys), _ABOVE, _EACH_END) if keys else ():
            number = row["id"]
            if number not in opened:
                opened[number] = open_sighting(row["sealed"], self._sealer)
            if sighting := opened[number]:
                found.setdefault(row["key"], {})[number] = sighting
        return found

    async def forbid(self, run: Run, person_digests: Collection[bytes], reason: str) -> bool:
        """Turn a slice of people's sightings into forbidden ones; tell whether there may be more.

        Args:
            run: Within a transaction.
            person_digests: 16 bytes each.
            reason: A word of ``DropReason``.
        """
        numbers = await self._numbers_of_people(run, person_digests)
        rows = await run(_READ, numbers) if numbers else ()
        opened = {row["id"]: found for row in rows if (found := open_sighting(row["sealed"], self._sealer))}
        if opened:
            sealed = [self._seal(forbid_sighting(sighting, reason)) for sighting in opened.values()]
            people = [_of_person(digest, number) for number, each in opened.items() for digest in each.person_digests]
            await run(_FORBID, list(opened), sealed, people)
        await _remove(run, [number for number in numbers if number not in opened])
        return len(numbers) == _SLICE

    async def erase(self, run: Run, person_digests: Collection[bytes]) -> bool:
        """Remove a slice of people's sightings; tell whether there may be more."""
        numbers = await self._numbers_of_people(run, person_digests)
        await _remove(run, numbers)
        return len(numbers) == _SLICE

    async def _numbers_of_people(self, run: Run, person_digests: Collection[bytes]) -> list[int]:
        if not person_digests:
            return []
        people = sorted(map(person_key, person_digests))
        return [row["number"] for row in await run(_OF_PEOPLE, people, _ABOVE, _SLICE)]

    def _new_number(self, now: int) -> int:
        """Return a number that no other process gives, larger than all that this one gave."""
        random = int.from_bytes(os.urandom(3), "big") >> 24 - _RANDOM_BITS
        self._last = max(self._last + 1, now << _RANDOM_BITS | random)
        return self._last

    def _seal(self, sighting: Sighting) -> bytes:
        return seal_sighting(sighting, self._sealer)


async def forget(run: Run, now: int, days: int, most: int = MOST) -> bool:
    """Remove a slice of the sightings that are too old or too many; tell whether there may be more.

    Args:
        run: Within a transaction.
        now: Server clock in milliseconds.
        days: How long a sighting is kept.
        most: How many are kept.
    """
    old = [row["id"] for row in await run(_OLD, now - days * DAY_MS, _SLICE)]
    beyond = [row["id"] for row in await run(_BEYOND, most, _SLICE)]
    await _remove(run, sorted({*old, *beyond}))
    return max(len(old), len(beyond)) == _SLICE


async def _remove(run: Run, numbers: Sequence[int]) -> None:
    if numbers:
        await run(_REMOVE, numbers)


def _of_person(digest: bytes, number: int) -> bytes:
    return person_key(digest) + number.to_bytes(_NUMBER, "big")

"""What a file of the SQLite engine holds, written into the shared queue: each function writes one slice of one kind."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from proxy.queue.postgres import seen, seen_slots
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.ledger_rows import storable_text
from proxy.queue.postgres.old_file import OldSighting
from proxy.queue.postgres.transaction import Run

# The index of ``at`` among the columns of a segment's row between ``pixel`` and ``skip``.
_AT = 3
_PERSON = 16
_NUMBER_BITS, _NUMBER_BYTES = 21, 12
_SUPPRESS = """
WITH next AS (UPDATE meta SET number = number + 1 WHERE key = 'marks' RETURNING number)
INSERT INTO mark(digest, kind, at, version)
SELECT u.digest, u.kind, u.at, next.number FROM next, unnest($1::bytea[], $2::text[], $3::int8[]) u(digest, kind, at)
ORDER BY u.digest, u.kind
ON CONFLICT (digest, kind) DO UPDATE SET at = greatest(mark.at, excluded.at), version = excluded.version
"""
_ORDERS = """
INSERT INTO order_memory(key, worth, month) SELECT * FROM unnest($1::uuid[], $2::int4[], $3::int4[])
ON CONFLICT DO NOTHING
"""
_UNSENT = "INSERT INTO unsent_order SELECT * FROM unnest($1::uuid[], $2::int8[]) ON CONFLICT DO NOTHING"
_SIGHTINGS = "INSERT INTO sighting SELECT * FROM unnest($1::int8[], $2::int8[], $3::bytea[]) ON CONFLICT DO NOTHING"
# A slot that a page's event wrote meanwhile stays.
_SLOTS = "INSERT INTO sighting_slot SELECT * FROM unnest($1::bytea[], $2::int8[], $3::bool[]) ON CONFLICT DO NOTHING"
_SEGMENTS = """
INSERT INTO segment(lane, id, n, attempts, strikes, at, suspect, oldest_s, not_before, skip, fields, sealed)
SELECT lane, id, n, attempts, strikes, at, suspect, oldest_s, not_before, skip::int2[], fields, sealed
FROM unnest($1::text[], $2::uuid[], $3::int4[], $4::int4[], $5::int4[], $6::int8[], $7::int4[], $8::int8[], $9::int8[],
  $10::text[], $11::bytea[], $12::bytea[])
  u(lane, id, n, attempts, strikes, at, suspect, oldest_s, not_before, skip, fields, sealed)
ON CONFLICT DO NOTHING
"""


class OldRows:
    """Writes those rows that get a new number or id."""

    def __init__(self, file: bytes, dead: SharedDeadLetters) -> None:
        """Prepare to write the rows of one file.

        Args:
            file: The id of the file.
            dead: Where the dead letters go.
        """
        self._file = file
        self._dead = dead

    async def sightings(self, run: Run, rows: Sequence[OldSighting]) -> None:
        """Write sightings, with new numbers, which differ from those of other files."""
        numbers = [row.at << _NUMBER_BITS | self._hash(row.number, _NUMBER_BITS) for row in rows]
        await run(_SIGHTINGS, numbers, [row.at for row in rows], [row.sealed for row in rows])
        slots = {
            _renumbered(slot, row.number, number): (number, is_forbidden)
            for row, number in zip(rows, numbers, strict=True)
            for slot, is_forbidden in row.slots
        }
        ordered = sorted(slots)
        await run(_SLOTS, ordered, [slots[slot][0] for slot in ordered], [slots[slot][1] for slot in ordered])

    async def dead_letters(self, run: Run, rows: Sequence[Any]) -> None:
        """Write dead letters, with new numbers."""
        await self._dead.insert(run, [tuple(map(_held, row[1:])) for row in rows])

    async def segments(self, run: Run, rows: Sequence[Any]) -> None:
        """Write segments, with new ids, which are the same at each attempt."""
        written = []
        for number, pixel, *history, skip, fields, sealed in rows:
            name = self._segment_id(number, history[_AT])
            written.append((pixel, name, *history, _positions(skip), fields, sealed))
        await run(_SEGMENTS, *map(list, zip(*written, strict=True)))

    def _segment_id(self, number: int, at: int) -> bytes:
        """Return the id of a segment: a UUIDv8 that begins, as other ids do, with when it came; always the same one."""
        digest = bytearray(blake2b(self._file + number.to_bytes(8, "big"), digest_size=10).digest())
        digest[0] = 0x80 | digest[0] & 0x0F
        digest[2] = 0x80 | digest[2] & 0x3F
        return at.to_bytes(6, "big") + bytes(digest)

    def _hash(self, number: int, bits: int) -> int:
        digest = blake2b(self._file + number.to_bytes(8, "big"), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 64 - bits


async def write_suppressions(run: Run, rows: Sequence[Any]) -> None:
    """Suppress people; of two suppressions of one kind the later one counts."""
    await run(_SUPPRESS, *map(list, zip(*rows, strict=True)))


async def write_seen(run: Run, rows: Sequence[Any]) -> None:
    """Insert keys into the current table: every look-up reads it, whatever their age, and they stay long enough."""
    slots = await seen_slots.slots_now(run)
    await seen.remember(run, {key: bytes(worth) for key, worth in rows}, slots.slot)


async def write_orders(run: Run, rows: Sequence[Any]) -> None:
    """Remember events of orders."""
    keys, worths, months = zip(*rows, strict=True)
    await run(_ORDERS, list(keys), list(map(seen.worth_number, worths)), list(months))


async def write_unsent_orders(run: Run, rows: Sequence[Any]) -> None:
    """Remember orders of which no copy was sent."""
    await run(_UNSENT, *map(list, zip(*rows, strict=True)))


def _renumbered(slot: bytes, old: int, number: int) -> bytes:
    """Return a slot of a sighting that got a new number; the slots of its people end with the number."""
    is_persons = slot[_PERSON:] == old.to_bytes(_NUMBER_BYTES, "big")
    return slot[:_PERSON] + number.to_bytes(_NUMBER_BYTES, "big") if is_persons else slot


def _held(value: object) -> object:
    return storable_text(value) if isinstance(value, str) else value


def _positions(skip: bytes) -> str | None:
    """Return positions as the text of an array; None if there are none."""
    numbers = [int.from_bytes(skip[start : start + 2], "big") for start in range(0, len(skip), 2)]
    return f"{{{','.join(map(str, numbers))}}}" if numbers else None

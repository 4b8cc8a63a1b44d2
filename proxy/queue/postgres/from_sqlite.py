"""The move of a queue from SQLite: a start with the shared engine copies what the old file holds, then renames it.

Suppressions come first, then the memories by which repeats are recognised, sightings, dead letters, and at last what
waits. A slice is copied in one transaction, which also writes how far it came: whatever ends the process, and whichever
answer was lost, the next attempt goes on from there, and nothing is copied twice. Events are taken and delivered
meanwhile. The ledger stays in the old file, which ``capi-proxy export`` reads.

Segments and dead letters keep their bytes; what they wait for, how often they were tried and their keys are the same.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import apsw

from proxy.model.condition import ConditionBoard
from proxy.queue.contract import QueueError
from proxy.queue.postgres import seen, seen_slots
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.ledger_rows import text
from proxy.queue.postgres.old_file import FilePlace, OldFile, OldSighting, Slice
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.connection import advice

log = logging.getLogger(__name__)

MOVED = ".moved"
"""Behind the name of a file of which everything is in the database."""
_AGAIN_S = 1.0
# Where the moment stands in what a segment's row says of its history.
_AT = 3
_PERSON = 16
_NUMBER_BITS, _NUMBER_BYTES = 21, 12

_BEGIN = "INSERT INTO meta(key, number, bytes) VALUES($1, 0, '') ON CONFLICT DO NOTHING"
_PLACE = "SELECT number, bytes FROM meta WHERE key = $1 FOR UPDATE"
_GO_ON = "UPDATE meta SET number = $2, bytes = $3 WHERE key = $1"
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
# What a page left meanwhile stays.
_SLOTS = "INSERT INTO sighting_slot SELECT * FROM unnest($1::bytea[], $2::int8[], $3::bool[]) ON CONFLICT DO NOTHING"
_SEGMENTS = """
INSERT INTO segment(lane, id, n, attempts, strikes, at, suspect, oldest_s, not_before, skip, fields, sealed)
SELECT lane, id, n, attempts, strikes, at, suspect, oldest_s, not_before, skip::int2[], fields, sealed
FROM unnest($1::text[], $2::uuid[], $3::int4[], $4::int4[], $5::int4[], $6::int8[], $7::int4[], $8::int8[], $9::int8[],
  $10::text[], $11::bytea[], $12::bytea[])
  u(lane, id, n, attempts, strikes, at, suspect, oldest_s, not_before, skip, fields, sealed)
ON CONFLICT DO NOTHING
"""


class _Write(Protocol):
    async def __call__(self, run: Run, rows: Sequence[Any]) -> object:
        """Write a slice within a transaction."""


class _Part(NamedTuple):
    """One kind of thing that a file holds."""

    read: Callable[[FilePlace], Slice]
    write: _Write


class OldQueue:
    """Moves one file into the database."""

    def __init__(  # noqa: PLR0913 - whence, whereto, and who hears of it
        self,
        path: Path,
        sealer: Sealer,
        database: Database,
        dead: SharedDeadLetters,
        now: Callable[[], int],
        *,
        conditions: ConditionBoard | None = None,
    ) -> None:
        """Open the file.

        Args:
            path: The file of a locked data_dir in which no queue is open.
            sealer: Opens all that rests in it.
            database: Where it goes.
            dead: Where its dead letters go.
            now: The server's clock in milliseconds.
            conditions: Hears of what cannot be moved.

        Raises:
            QueueBrokenError: when the file cannot be used; the message says what to do.
        """
        self._path = path
        self._conditions = conditions
        self._database = database
        self._file = OldFile(path, sealer, now)
        self._dead = dead
        self._closing = asyncio.Event()
        file = self._file
        self._parts: Mapping[str, _Part] = {
            "suppressions": _Part(file.suppressions, _write_suppressions),
            "seen": _Part(file.seen, _write_seen),
            "orders": _Part(file.orders, _write_orders),
            "unsent_orders": _Part(file.unsent_orders, _write_unsent_orders),
            "sightings": _Part(file.sightings, self._write_sightings),
            "dead_letters": _Part(file.dead_letters, self._write_dead_letters),
            "segments": _Part(file.segments, self._write_segments),
        }

    async def run(self) -> None:
        """Copy until all is copied, whatever the database does meanwhile, then rename the file; or until closed."""
        log.info("%s is moved into the database", self._path)
        copied = 0
        while not self._closing.is_set():
            try:
                copied += await self._copied_rest()
            except QueueError as error:
                log.debug("the move waits: %s", error)
                await self._pause(_AGAIN_S)
            except apsw.Error as error:
                # The database has what could be read; the rest may be had from a copy of the file.
                why = f"{self._path} cannot be read any further, and stays where it is: {advice(error)}"
                log.error(why)  # noqa: TRY400 - where in our program says nothing
                if self._conditions:
                    self._conditions.report("housekeeping", self._path.name, why)
                self._closing.set()
            else:
                break
        self._file.close()
        if not self._closing.is_set():
            name = self._renamed()
            log.info("%d rows were moved into the database; the old file is %s now", copied, name)

    def close(self) -> None:
        """Let ``run`` end after the slice that it is at."""
        self._closing.set()

    async def _pause(self, seconds: float) -> None:
        waits = asyncio.ensure_future(self._closing.wait())
        await asyncio.wait((waits,), timeout=seconds)
        waits.cancel()

    async def _copied_rest(self) -> int:
        """Copy what is not copied yet; return how many rows."""
        total = 0
        for name, part in self._parts.items():
            work = partial(self._copy_slice, f"file:{self._file.id.hex()}:{name}", part)
            while not self._closing.is_set() and (rows := await self._database.transact(Role.DRAIN, work)) is not None:
                total += rows
        return total

    async def _copy_slice(self, key: str, part: _Part, run: Run) -> int | None:
        """Copy the next slice; return how many rows, or None where there is no more."""
        await run(_BEGIN, key)
        ((number, last),) = await run(_PLACE, key)
        place = FilePlace(number, last)
        rows, following = part.read(place)
        if following == place:
            return None
        if rows:
            await part.write(run, rows)
        await run(_GO_ON, key, *following)
        return len(rows)

    def _renamed(self) -> str:
        """Keep the file under another name, which no start looks for and no other file has; return the name."""
        names = (f"{self._path.name}{MOVED}{number or ''}" for number in count())
        moved = next(path for path in map(self._path.with_name, names) if not path.exists())
        self._path.rename(moved)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return moved.name

    async def _write_sightings(self, run: Run, rows: Sequence[OldSighting]) -> None:
        numbers = [row.at << _NUMBER_BITS | self._hash(row.number, _NUMBER_BITS) for row in rows]
        await run(_SIGHTINGS, numbers, [row.at for row in rows], [row.sealed for row in rows])
        slots = {
            _renumbered(slot, row.number, number): (number, is_forbidden)
            for row, number in zip(rows, numbers, strict=True)
            for slot, is_forbidden in row.slots
        }
        ordered = sorted(slots)
        await run(_SLOTS, ordered, [slots[slot][0] for slot in ordered], [slots[slot][1] for slot in ordered])

    async def _write_dead_letters(self, run: Run, rows: Sequence[Any]) -> None:
        await self._dead.insert(run, [tuple(map(_held, row[1:])) for row in rows])

    async def _write_segments(self, run: Run, rows: Sequence[Any]) -> None:
        written = []
        for number, pixel, *history, skip, fields, sealed in rows:
            name = self._segment_id(number, history[_AT])
            written.append((pixel, name, *history, _positions(skip), fields, sealed))
        await run(_SEGMENTS, *map(list, zip(*written, strict=True)))

    def _segment_id(self, number: int, at: int) -> bytes:
        """Return the name of a segment, a UUIDv8 that begins like others with when it came, the same each time."""
        digest = bytearray(blake2b(self._file.id + number.to_bytes(8, "big"), digest_size=10).digest())
        digest[0] = 0x80 | digest[0] & 0x0F
        digest[2] = 0x80 | digest[2] & 0x3F
        return at.to_bytes(6, "big") + bytes(digest)

    def _hash(self, number: int, bits: int) -> int:
        digest = blake2b(self._file.id + number.to_bytes(8, "big"), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 64 - bits


async def _write_suppressions(run: Run, rows: Sequence[Any]) -> None:
    await run(_SUPPRESS, *map(list, zip(*rows, strict=True)))


async def _write_seen(run: Run, rows: Sequence[Any]) -> None:
    """Remember keys in the present table: there they are found whenever they were met, and stay long enough."""
    slots = await seen_slots.slots_now(run)
    await seen.remember(run, {key: bytes(worth) for key, worth in rows}, slots.slot)


async def _write_orders(run: Run, rows: Sequence[Any]) -> None:
    keys, worths, months = zip(*rows, strict=True)
    await run(_ORDERS, list(keys), list(map(seen.worth_number, worths)), list(months))


async def _write_unsent_orders(run: Run, rows: Sequence[Any]) -> None:
    await run(_UNSENT, *map(list, zip(*rows, strict=True)))


def _renumbered(slot: bytes, old: int, number: int) -> bytes:
    """Return a slot of a sighting that has another number now, which stands in the slots of its people."""
    is_persons = slot[_PERSON:] == old.to_bytes(_NUMBER_BYTES, "big")
    return slot[:_PERSON] + number.to_bytes(_NUMBER_BYTES, "big") if is_persons else slot


def _held(value: object) -> object:
    return text(value) if isinstance(value, str) else value


def _positions(skip: bytes) -> str | None:
    """Return positions as the database reads an array."""
    numbers = [int.from_bytes(skip[start : start + 2], "big") for start in range(0, len(skip), 2)]
    return f"{{{','.join(map(str, numbers))}}}" if numbers else None

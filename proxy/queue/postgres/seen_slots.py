"""The slots of the shared duplicate memory: which of its four tables is written to, and when each of them began.

A slot is a period of 16 hours or more; its number modulo four is the number of its table. The memory *turns* when the
next slot begins. One row of ``meta`` has the current slot. Every statement that writes an event compares it with the
slot that its SQL was made for, and holds a lock on the table that the next turn empties; so no event goes into a table
that is about to be emptied, whatever the clocks of the proxies say. Only one proxy turns the memory (tending.py), by
its clock; while none does, the memory reaches further back.
"""

import struct
from typing import NamedTuple, Self

from proxy.queue.postgres.transaction import Run

SEEN_TABLES = 4
_SLOT_MS = 16 * 60 * 60 * 1000
# An id is looked for from one hour before its birth on, as the browser's clock may be ahead of ours. An id that was
# born more than five minutes in the future is looked for in all tables.
_CLOCK_MS = 60 * 60 * 1000
_AHEAD_MS = 5 * 60 * 1000
# Milliseconds that a turn waits for its lock: meanwhile every append waits behind it.
_LOCK_MS = 200
_BEGINS = struct.Struct(f">{SEEN_TABLES}q")

TABLES = (
    *(
        f"CREATE TABLE IF NOT EXISTS seen_{number}(key uuid PRIMARY KEY, worth int4)"
        " WITH (autovacuum_vacuum_insert_scale_factor = 0.05)"
        for number in range(SEEN_TABLES)
    ),
    "INSERT INTO meta(key, number, bytes) VALUES('seen', 0, decode(repeat('00', 32), 'hex')) ON CONFLICT DO NOTHING",
)

_PLACE = """
place AS MATERIALIZED (SELECT (SELECT number FROM meta WHERE key = 'seen') AS slot,
  (SELECT number FROM meta WHERE key = 'marks') AS marks
  WHERE NOT EXISTS(SELECT FROM {next} WHERE false))"""
_READ_SLOTS = "SELECT number, bytes FROM meta WHERE key = 'seen'"
_TURN = "UPDATE meta SET number = $1, bytes = $2 WHERE key = 'seen' AND number = $3 RETURNING 1"


class SeenSlots(NamedTuple):
    """The current slot, and when the last four began."""

    slot: int
    begins: tuple[int, ...]
    """When the last four slots began, by the number of their table: server clock in milliseconds."""

    @classmethod
    def read(cls, number: int, begins: bytes) -> Self:
        """Return what a row of ``meta`` says."""
        return cls(number, _BEGINS.unpack(begins))

    def older_table_count(self, birth_s: int | None, now: int) -> int:
        """Return how many tables before the current one may have an event, by its birth; see ``keys.birth_s``."""
        if birth_s is None or birth_s * 1000 > now + _AHEAD_MS:
            return SEEN_TABLES - 1
        since = birth_s * 1000 - _CLOCK_MS
        return next(
            (back for back in range(SEEN_TABLES - 1) if self.begins[(self.slot - back) % SEEN_TABLES] <= since), 3
        )

    def recent_birth_range(self, now: int) -> tuple[int, int]:
        """Return the first and the last second of birth for which ``back`` is 0, to spare a call for each event."""
        first_ms = self.begins[self.slot % SEEN_TABLES] + _CLOCK_MS
        return -(-first_ms // 1000), (now + _AHEAD_MS) // 1000

    def is_over(self, now: int) -> bool:
        """Tell whether it is time for the next slot: after 16 hours, or if this one began over an hour in the future.

        The latter comes from a clock that was ahead when the slot began.
        """
        age = now - self.begins[self.slot % SEEN_TABLES]
        return not -_CLOCK_MS <= age < _SLOT_MS


async def slots_now(run: Run) -> SeenSlots:
    """Read the current slot, and when the last four began."""
    ((number, begins),) = await run(_READ_SLOTS)
    return SeenSlots.read(number, begins)


async def rotate_tables(run: Run, now: int) -> bool:
    """Begin the next slot if it is time, and empty its table, which is the oldest; tell whether that was done.

    Args:
        run: Within a transaction.
        now: Server clock in milliseconds.

    Raises:
        LockTimeoutError: when another session reads the table for long, as a dump does; try again in a minute.
    """
    slots = await slots_now(run)
    if not slots.is_over(now):
        return False
    begins = list(slots.begins)
    begins[(slots.slot + 1) % SEEN_TABLES] = now
    await run(f"SET LOCAL lock_timeout = {_LOCK_MS}")
    if not await run(_TURN, slots.slot + 1, _BEGINS.pack(*begins), slots.slot):
        return False
    await run(f"TRUNCATE {table_of(slots.slot + 1)}")
    return True


def place_text(table: int) -> str:
    """Return the SQL of ``place``, which reads the current slot and the version of the suppressions.

    It names the table that the next turn empties, and so holds a lock on it from its start to its commit, though it
    reads nothing of it. Thus the memory does not turn while a commit waits for its standbys, and a statement with the
    same keys writes to the same table and waits there for that commit.

    Args:
        table: The number of the table that is written to.
    """
    return _PLACE.format(next=table_of(table + 1))


def table_of(slot: int) -> str:
    """Return the name of a slot's table."""
    return f"seen_{slot % SEEN_TABLES}"

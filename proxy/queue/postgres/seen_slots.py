"""Where the shared duplicate memory stands: which of its four tables is written to, and when each of them began.

One row of ``meta`` says so. Every statement that writes an event compares it with what its text was made for, under a
lock on the table that the next turn empties; so no event goes into a table that is about to be emptied, whatever the
clocks of the proxies say. Only one proxy turns the memory (tending.py), on its clock; while nobody does, it remembers
for longer.
"""

import struct
from typing import NamedTuple, Self

from proxy.queue.postgres.transaction import Run

SEEN_TABLES = 4
_SLOT_MS = 16 * 60 * 60 * 1000
# How far the clock of a browser may be behind ours, or ahead, for its ids to be looked for by their birth.
_CLOCK_MS = 60 * 60 * 1000
_AHEAD_MS = 5 * 60 * 1000
# An append waits behind whoever waits for the lock to empty a table.
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
_WHERE_IT_STANDS = "SELECT number, bytes FROM meta WHERE key = 'seen'"
_TURN = "UPDATE meta SET number = $1, bytes = $2 WHERE key = 'seen' AND number = $3 RETURNING 1"


class SeenSlots(NamedTuple):
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
            return SEEN_TABLES - 1
        since = birth_s * 1000 - _CLOCK_MS
        return next(
            (back for back in range(SEEN_TABLES - 1) if self.begins[(self.slot - back) % SEEN_TABLES] <= since), 3
        )

    def recent(self, now: int) -> tuple[int, int]:
        """Return the first and the last second of birth of which ``back`` is 0, so that nearly no event asks it."""
        first_ms = self.begins[self.slot % SEEN_TABLES] + _CLOCK_MS
        return -(-first_ms // 1000), (now + _AHEAD_MS) // 1000

    def is_over(self, now: int) -> bool:
        """Tell whether it is time for the next table; a clock that was far ahead when it began counts as that."""
        age = now - self.begins[self.slot % SEEN_TABLES]
        return not -_CLOCK_MS <= age < _SLOT_MS


async def slots_now(run: Run) -> SeenSlots:
    """Return where the memory stands."""
    ((number, begins),) = await run(_WHERE_IT_STANDS)
    return SeenSlots.read(number, begins)


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
    begins[(slots.slot + 1) % SEEN_TABLES] = now
    await run(f"SET LOCAL lock_timeout = {_LOCK_MS}")
    if not await run(_TURN, slots.slot + 1, _BEGINS.pack(*begins), slots.slot):
        return False
    await run(f"TRUNCATE {table_of(slots.slot + 1)}")
    return True


def place_text(table: int) -> str:
    """Return the part of a statement that says where the memory stands.

    It names the table that the next turn empties, and so has a lock on it from its start to its commit, though it
    reads nothing of it. While a commit waits for its standbys there is no turn: who brings its keys again waits
    behind it in the same table.

    Args:
        table: The number of the one that is written to.
    """
    return _PLACE.format(next=table_of(table + 1))


def table_of(slot: int) -> str:
    """Return the name of a slot's table."""
    return f"seen_{slot % SEEN_TABLES}"

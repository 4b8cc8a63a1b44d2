"""The duplicate memory: which events were met in the last 48 hours (at most 64), and of which visitor.

Four tables of 16 hours each, emptied whole in turn. A repeat by the same visitor is the tag's retry or a reload and
is not sent again. The same id from another visitor was frozen into a cached page: those are different actions, so
they are sent, and counted so that the owner learns of it. A key holds the event and the visitor, so that an event
keeps all its visitors and their own retries are recognised; beside it stand, of a Purchase, four bytes of its value:
the same order from two visitors with two values is a forgery, or a mistake of the shop's.

A timed id is looked for only in the tables since its birth, usually the one that it is written to. Its birth is what
a browser's clock said: an hour is allowed for, and an id from the future is looked for everywhere. Not recognised is a
repeat that comes after its table was turned, by a browser whose clock is more than an hour ahead.

Layouts up to 5 kept whole keys and visitors in tables of other names; those are read until their time is over.
"""

from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from typing import Any, NamedTuple

import apsw

from proxy.queue.group import Member
from proxy.queue.keys import PREFIX

_TABLES = 4
_SLOT_MS = 16 * 60 * 60 * 1000
# How far the clock of a browser may be behind ours, or ahead, for its ids to be looked for by their birth.
_CLOCK_MS = 60 * 60 * 1000
_AHEAD_MS = 5 * 60 * 1000
_VISITOR = 4

# Whatever begins with one of the prefixes of an array; joined blobs are text in SQLite.
_LOOK = """
    SELECT substr(key, 1, 12), {visitor}, worth FROM carray(?1) AS wanted CROSS JOIN {table}
    ON key > wanted.value AND key < CAST(wanted.value || x'ffffffffff' AS BLOB)
"""


class Past(Enum):
    """What the memory says of an event."""

    NEW = 0
    REUSED = 1
    REPEAT = 2
    CONFLICT = 3
    """As REUSED, and another visitor's value is another one."""


class _Met(NamedTuple):
    """One visitor's bringing of an event."""

    visitor: bytes
    worth: bytes


class Seen:
    """Works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._slot = 0
        self._old: set[str] = set()
        self.reload()

    @staticmethod
    def create(db: apsw.Connection) -> None:
        """Make the empty memory."""
        Seen.add_tables(db)
        db.execute("INSERT INTO meta VALUES('seen_slot', 0)")

    @staticmethod
    def add_tables(db: apsw.Connection) -> None:
        """Give the memory of layout 5 the tables of layout 6; its own are read until their time is over."""
        for number in range(_TABLES):
            db.execute(f"CREATE TABLE event_{number}(key BLOB PRIMARY KEY, worth BLOB) WITHOUT ROWID")

    @staticmethod
    def add_worth(db: apsw.Connection) -> None:
        """Give the tables of layout 4 what layout 5 has."""
        for number in range(_TABLES):
            db.execute(f"ALTER TABLE seen_{number} ADD COLUMN worth BLOB")

    def reload(self) -> None:
        """Learn where the memory stands, at start and after a rollback."""
        ((slot,),) = self._db.execute("SELECT value FROM meta WHERE key='seen_slot'")
        self._slot = int(str(slot))
        tables = self._db.execute("SELECT name FROM sqlite_schema WHERE type='table' AND name GLOB 'seen_[0-9]'")
        self._old = {str(name) for (name,) in tables}

    def turn(self, now: int) -> None:
        """Empty the tables whose time is over; a clock set back changes nothing."""
        slot = now // _SLOT_MS
        if slot <= self._slot:
            return
        for number in range(max(self._slot + 1, slot - _TABLES + 1), slot + 1):
            self._db.execute(f"DELETE FROM event_{number % _TABLES}")  # noqa: S608 - our own name
            self._db.execute(f"DROP TABLE IF EXISTS seen_{number % _TABLES}")
            self._old.discard(f"seen_{number % _TABLES}")
        self._db.execute("UPDATE meta SET value=? WHERE key='seen_slot'", (slot,))
        self._slot = slot

    def meet(self, members: Sequence[Member], now: int) -> list[Past]:
        """Return what is known of the events of a group, each after those before it, and remember them.

        Args:
            members: The group's records.
            now: Server clock in milliseconds.
        """
        met = self._met([(member.key, self._first_slot(member.birth_s, now)) for member in members])
        pasts: list[Past] = []
        new: list[tuple[bytes, bytes]] = []
        for member in members:
            prefix, visitor, worth = member.key[:PREFIX], padded(member.record.visitor), member.record.worth
            others = met.setdefault(prefix, [])
            past = _past(others, visitor, worth) if others else Past.NEW
            pasts.append(past)
            if past is not Past.REPEAT:
                others.append(_Met(visitor, worth))
                new.append((prefix + visitor, worth))
        # In the order of the keys, so that neighbours in the table are written together.
        self._db.executemany(f"INSERT INTO event_{self._slot % _TABLES} VALUES(?, ?)", sorted(new))
        return pasts

    def brought_by(self, keys: Sequence[bytes]) -> list[set[bytes]]:
        """Return the visitors who brought the events of these keys."""
        met = self._met([(key, self._slot - _TABLES + 1) for key in keys])
        return [{visitor for visitor, _ in met.get(key[:PREFIX], ())} for key in keys]

    def _first_slot(self, birth_s: int | None, now: int) -> int:
        """Return the first slot in which an event can have been met that is not forgotten yet."""
        earliest = self._slot - _TABLES + 1
        if birth_s is None or birth_s * 1000 > now + _AHEAD_MS:
            return earliest
        return min(self._slot, max(earliest, (birth_s * 1000 - _CLOCK_MS) // _SLOT_MS))

    def _met(self, wanted: Iterable[tuple[bytes, int]]) -> dict[bytes, list[_Met]]:
        """Return who brought events before, by the prefix of their keys.

        Each is wanted by its key and the first slot in which it can have been met.
        """
        keys_by_slot: dict[int, list[bytes]] = {}
        for key, first in wanted:
            for slot in range(first, self._slot + 1):
                keys_by_slot.setdefault(slot, []).append(key)
        met: dict[bytes, list[_Met]] = {}
        for slot, keys in keys_by_slot.items():
            number = slot % _TABLES
            for prefix, visitor, worth in self._look(
                f"event_{number}", "substr(key, 13)", {key[:PREFIX] for key in keys}
            ):
                met.setdefault(prefix, []).append(_Met(visitor, worth or b""))
            if f"seen_{number}" in self._old:
                # There a timed id has the key that it would have without its birth.
                prefixes = {old: key[:PREFIX] for key in keys for old in (key[:PREFIX], key[-PREFIX:])}
                for prefix, visitor, worth in self._look(f"seen_{number}", "visitor", prefixes):
                    met.setdefault(prefixes[prefix], []).append(_Met(padded(visitor), worth or b""))
        return met

    def _look(self, table: str, visitor: str, prefixes: Collection[bytes]) -> list[Any]:
        sql = _LOOK.format(table=table, visitor=visitor)
        return self._db.execute(sql, (apsw.carray(tuple(sorted(prefixes))),)).fetchall()


def _past(others: Sequence[_Met], visitor: bytes, worth: bytes) -> Past:
    if any(met.visitor == visitor for met in others):
        return Past.REPEAT
    if worth and any(met.worth and met.worth != worth for met in others):
        return Past.CONFLICT
    return Past.REUSED


def padded(visitor: bytes) -> bytes:
    """Return a visitor as it stands in a key; an event may have none."""
    return visitor.ljust(_VISITOR, b"\0")

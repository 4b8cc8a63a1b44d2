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

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

import apsw

from proxy.queue.group import Member
from proxy.queue.keys import PREFIX, event_digest

_TABLES = 4
_SLOT_MS = 16 * 60 * 60 * 1000
# How far the clock of a browser may be behind ours, or ahead, for its ids to be looked for by their birth.
_CLOCK_MS = 60 * 60 * 1000
_AHEAD_MS = 5 * 60 * 1000
_VISITOR = 4

# Of the keys in an array those that anybody brought, and whether the same visitor did. One id may have any number of
# visitors, so none of these reads more than one of them. Joined blobs are text in SQLite.
_RANGE = "key > substr({key}, 1, 12) AND key < CAST(substr({key}, 1, 12) || x'ffffffffff' AS BLOB)"
_LOOK = """
    SELECT value, EXISTS(SELECT 1 FROM {table} WHERE key=value)
    FROM carray(?1) WHERE EXISTS(SELECT 1 FROM {table} WHERE {range})
"""
_LOOK_OLD = """
    SELECT value, EXISTS(SELECT 1 FROM {table} WHERE key=substr(value, 1, 16) AND visitor=substr(value, 17))
    FROM carray(?1) WHERE EXISTS(SELECT 1 FROM {table} WHERE key=substr(value, 1, 16))
"""
_OTHER_WORTH = "SELECT EXISTS(SELECT 1 FROM {table} WHERE {range} AND length(worth) AND worth<>?2)"


class Past(Enum):
    """What the memory says of an event."""

    NEW = 0
    REUSED = 1
    REPEAT = 2
    CONFLICT = 3
    """As REUSED, and another visitor's value is another one."""


class _Wanted(NamedTuple):
    """An event and a visitor that are looked for."""

    key: bytes
    """As in the tables: 12 bytes of the event's key, 4 of the visitor."""
    old_key: bytes
    """As in the tables of layout 5: 16 bytes of the event, then the visitor."""
    first_slot: int
    """Before which nobody can have brought the event."""


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
        wanted = [self._wanted(member, now) for member in members]
        stored_before = self._stored_before(wanted)
        group: dict[bytes, dict[bytes, bytes]] = {}
        pasts: list[Past] = []
        for member, (key, old_key, _) in zip(members, wanted, strict=True):
            prefix, worth = key[:PREFIX], member.record.worth
            by_this, brought = stored_before.get(key), group.setdefault(prefix, {})
            if by_this or key in brought:
                pasts.append(Past.REPEAT)
                continue
            if by_this is None and not brought:
                pasts.append(Past.NEW)
            else:
                differs = worth and self._other_worth(key, old_key, worth, brought.values())
                pasts.append(Past.CONFLICT if differs else Past.REUSED)
            brought[key] = worth
        # In the order of the keys, so that neighbours in the table are written together.
        new = sorted(row for brought in group.values() for row in brought.items())
        self._db.executemany(f"INSERT INTO event_{self._slot % _TABLES} VALUES(?, ?)", new)
        return pasts

    def owners(self, asked: Sequence[tuple[bytes, Sequence[bytes]]]) -> list[bytes | None]:
        """Return who speaks for events: of some visitors the first who brought one, or the first if nobody did.

        Where only others brought it, None. Each event is asked for by its key, with the visitors.
        """
        earliest = self._slot - _TABLES + 1
        stored_before = self._stored_before(
            [
                _Wanted(key[:PREFIX] + padded(visitor), key + visitor, earliest)
                for key, visitors in asked
                for visitor in visitors
            ]
        )
        owners: list[bytes | None] = []
        for key, visitors in asked:
            found = {visitor: stored_before.get(key[:PREFIX] + padded(visitor)) for visitor in visitors}
            owner = next((visitor for visitor in visitors if found[visitor]), visitors[0])
            owners.append(None if found[owner] is False else owner)
        return owners

    def _wanted(self, member: Member, now: int) -> _Wanted:
        record = member.record
        old_key = event_digest(record.pixel, record.name, record.id) + record.visitor if self._old else b""
        key = member.key[:PREFIX] + padded(record.visitor)
        return _Wanted(key, old_key, self._first_slot(member.birth_s, now))

    def _first_slot(self, birth_s: int | None, now: int) -> int:
        """Return the first slot in which an event can have been met that is not forgotten yet."""
        earliest = self._slot - _TABLES + 1
        if birth_s is None or birth_s * 1000 > now + _AHEAD_MS:
            return earliest
        return min(self._slot, max(earliest, (birth_s * 1000 - _CLOCK_MS) // _SLOT_MS))

    def _stored_before(self, wanted: Sequence[_Wanted]) -> dict[bytes, bool]:
        """Return the keys of events that anybody brought before, and whether that visitor did."""
        stored_before: dict[bytes, bool] = {}
        for slot in range(min((item.first_slot for item in wanted), default=self._slot), self._slot + 1):
            number = slot % _TABLES
            asked = {item.key: item.key for item in wanted if item.first_slot <= slot}
            self._look(_LOOK.format(table=f"event_{number}", range=_RANGE.format(key="value")), asked, stored_before)
            if f"seen_{number}" in self._old:
                asked = {item.old_key: item.key for item in wanted if item.first_slot <= slot}
                self._look(_LOOK_OLD.format(table=f"seen_{number}"), asked, stored_before)
        return stored_before

    def _look(self, sql: str, asked: Mapping[bytes, bytes], stored_before: dict[bytes, bool]) -> None:
        if not asked:  # an empty array cannot be bound
            return
        rows: list[Any] = self._db.execute(sql, (apsw.carray(tuple(sorted(asked))),)).fetchall()
        for found, by_this in rows:
            stored_before[asked[found]] = stored_before.get(asked[found], False) or bool(by_this)

    def _other_worth(self, key: bytes, old_key: bytes, worth: bytes, in_group: Iterable[bytes]) -> bool:
        """Return whether somebody brought a Purchase with another value."""
        if any(earlier and earlier != worth for earlier in in_group):
            return True
        new = ((f"event_{number}", _RANGE.format(key="?1"), key) for number in range(_TABLES))
        old = ((table, "key=?1", old_key[:16]) for table in self._old)
        return any(
            self._db.execute(_OTHER_WORTH.format(table=table, range=condition), (value, worth)).fetchall()[0][0]
            for table, condition, value in (*new, *old)
        )


def padded(visitor: bytes) -> bytes:
    """Return a visitor as it stands in a key; an event may have none."""
    return visitor.ljust(_VISITOR, b"\0")

"""The duplicate memory: which events were met in the last 48 hours (at most 64), and of which visitor.

Four tables of 16 hours each, emptied whole in turn. A repeat by the same visitor is the tag's retry or a reload and
is not sent again. The same id from another visitor was frozen into a cached page: those are different actions, so
they are sent, and counted so that the owner learns of it. A key holds the event and the visitor, so that an event
keeps all its visitors and their own retries are recognised. For a Purchase, four bytes of its value are stored with the
key: the same order from two visitors with two values is a forgery, or a mistake of the shop's.

An event of a server (``keys.SERVER``) is about an order, a lead or a message, and its id says which: the same id is the
same event, also if a page or another server brings it, and is sent once. Its copies would be counted twice, as Meta
tells copies of one source apart only by what the browser sends itself (Meta, "deduplicate pixel and server events").

A timed id is looked up only in the tables since its birth, usually just the one that it is written to. The birth is
what a browser's clock said, which may be an hour ahead of ours; an id from the future is looked up in all tables. A
repeat is not recognised if the browser's clock is more than an hour ahead, and a new table has begun since the first.

Layouts up to 5 kept whole keys and visitors in tables of other names; those are read until their time is over.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import apsw

from proxy.model.record import Record
from proxy.queue.group import Member
from proxy.queue.keys import PREFIX, event_digest, event_key, server_key, visit_key
from proxy.queue.past import BY_THIS, Past, classify_events, owners
from proxy.queue.sqlite.visits import CONTRADICTED, CONTRADICTED_OLD, KNOWN, KNOWN_OLD, Question, Visits

_TABLES = 4
_SLOT_MS = 16 * 60 * 60 * 1000
# So far the clock of a browser may be ahead of ours: an id is looked up from this long before its birth on. If its
# birth lies further in the future than the second figure, it is looked up in all tables.
_CLOCK_MS = 60 * 60 * 1000
_AHEAD_MS = 5 * 60 * 1000


class _Wanted(NamedTuple):
    """An event and a visitor that are looked for."""

    key: bytes
    """See ``keys.visit_key``."""
    old_key: bytes
    """As in the tables of layout 5: 16 bytes of the event, then the visitor."""
    first_slot: int
    """The first slot (16 hours, see ``_SLOT_MS``) in which the event can have been brought."""


class DuplicateMemory:
    """The duplicate memory; works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._visits = Visits(db)
        self._slot = 0
        self._old: set[str] = set()
        self.reload()

    @staticmethod
    def create(db: apsw.Connection) -> None:
        """Make the empty memory."""
        DuplicateMemory.add_tables(db)
        db.execute("INSERT INTO meta VALUES('seen_slot', 0)")

    @staticmethod
    def add_tables(db: apsw.Connection) -> None:
        """Give the memory of layout 5 the tables of layout 6; its own are read until their time is over."""
        for number in range(_TABLES):
            db.execute(f"CREATE TABLE event_{number}(key BLOB PRIMARY KEY, worth BLOB) WITHOUT ROWID")

    @staticmethod
    def add_worth(db: apsw.Connection) -> None:
        """Give the tables of layout 4 the column that layout 5 added."""
        for number in range(_TABLES):
            db.execute(f"ALTER TABLE seen_{number} ADD COLUMN worth BLOB")

    def reload(self) -> None:
        """Read again the current slot, and which tables of layout 5 exist, at start and after a rollback."""
        ((slot,),) = self._db.execute("SELECT value FROM meta WHERE key='seen_slot'")
        self._slot = int(str(slot))
        tables = self._db.execute("SELECT name FROM sqlite_schema WHERE type='table' AND name GLOB 'seen_[0-9]'")
        self._old = {str(name) for (name,) in tables}

    def rotate_tables(self, now: int) -> None:
        """Empty the tables whose time is over; a clock set back changes nothing."""
        slot = now // _SLOT_MS
        if slot <= self._slot:
            return
        for number in range(max(self._slot + 1, slot - _TABLES + 1), slot + 1):
            self._db.execute(f"DELETE FROM {_table(number)}")  # noqa: S608 - our own name
            self._db.execute(f"DROP TABLE IF EXISTS {_old_table(number)}")
            self._old.discard(_old_table(number))
        self._db.execute("UPDATE meta SET value=? WHERE key='seen_slot'", (slot,))
        self._slot = slot

    def check_and_remember(self, members: Sequence[Member], now: int) -> dict[int, Past]:
        """Return what is known of the events of a group, given those before each in the group; remember all of them.

        The result is by number in the group; new events are left out.

        Args:
            members: The group's records.
            now: Server clock in milliseconds.
        """
        if not members:
            return {}
        events = {member.key[:PREFIX] for member in members}
        if len(events) == len(members) and not self._old and self._remember_if_new(members, now):
            return {}
        return self._classify_and_remember(members, now)

    def _remember_if_new(self, members: Sequence[Member], now: int) -> bool:
        """Remember events that differ from each other if none of them was brought before; tell whether that is so."""
        visits = sorted((member.key + member.record.worth, self._first_slot(member.birth_s, now)) for member in members)
        may_know = [(_table(slot), [key for key, first in visits if first <= slot]) for slot in self._slots()]
        return self._visits.add_if_new([(table, keys) for table, keys in may_know if keys])

    def _classify_and_remember(self, members: Sequence[Member], now: int) -> dict[int, Past]:
        """Return what is known of events some of which may have been brought before; remember the new visits."""
        wanted = [self._wanted(member, now) for member in members]
        stored_before = self._stored_before(wanted)
        contradicted = self._contradicted(members, wanted, stored_before)
        found = classify_events(members, stored_before, contradicted)
        self._visits.add(_table(self._slot), (key + worth for key, worth in found.visits.items()))
        return found.pasts

    def retract(self, record: Record) -> None:
        """Forget that a server brought an event that is not sent, so that a page's copy counts."""
        key = server_key(event_key(record.pixel, record.name, record.id))
        for number in range(_TABLES):
            self._db.execute(f"DELETE FROM {_table(number)} WHERE key=?", (key,))  # noqa: S608 - our own name

    def owners(self, asked: Sequence[tuple[bytes, Sequence[bytes]]]) -> list[bytes | None]:
        """Return for each event the visitor whose updates of its browser copy count; see ``past.owners``.

        Args:
            asked: For each event its key, and the visitors to choose from.
        """
        earliest = self._slot - _TABLES + 1
        stored_before = self._stored_before(
            [
                _Wanted(visit_key(key, visitor), key + visitor, earliest)
                for key, visitors in asked
                for visitor in visitors
            ]
        )
        keys = [(visitors, [visit_key(key, visitor) for visitor in visitors]) for key, visitors in asked]
        return owners(keys, stored_before)

    def _wanted(self, member: Member, now: int) -> _Wanted:
        record = member.record
        old_key = event_digest(record.pixel, record.name, record.id) + record.visitor if self._old else b""
        return _Wanted(member.key, old_key, self._first_slot(member.birth_s, now))

    def _slots(self) -> range:
        """Return the slots that are remembered, the youngest first."""
        return range(self._slot, self._slot - _TABLES, -1)

    def _first_slot(self, birth_s: int | None, now: int) -> int:
        """Return the first slot in which an event can have been met, of those that are not forgotten yet."""
        earliest = self._slot - _TABLES + 1
        if birth_s is None or birth_s * 1000 > now + _AHEAD_MS:
            return earliest
        return min(self._slot, max(earliest, (birth_s * 1000 - _CLOCK_MS) // _SLOT_MS))

    def _stored_before(self, wanted: Sequence[_Wanted]) -> dict[bytes, int]:
        """Return the keys of events that anybody brought before, each with who did, as ``visits.KNOWN`` says."""
        questions = []
        for slot in self._slots():
            asked = [item for item in wanted if item.first_slot <= slot]
            questions.append(Question(KNOWN, _table(slot), {item.key: item.key for item in asked}))
            if (old := _old_table(slot)) in self._old:
                questions.append(Question(KNOWN_OLD, old, {item.old_key: item.key for item in asked}))
        stored_before: dict[bytes, int] = {}
        for key, by_whom in self._visits.answers(questions):
            stored_before[key] = stored_before.get(key, 0) | by_whom
        return stored_before

    def _contradicted(
        self, members: Sequence[Member], wanted: Sequence[_Wanted], stored_before: Mapping[bytes, int]
    ) -> set[bytes]:
        """Return the Purchases that somebody brought with another worth: for each its key, then its worth here."""
        doubtful = [
            (item, member.record.worth)
            for member, item in zip(members, wanted, strict=True)
            if member.record.worth and not stored_before.get(item.key, 0) & BY_THIS
        ]
        asked = {item.key + worth: item.key + worth for item, worth in doubtful}
        asked_old = {item.old_key[:16] + worth: item.key + worth for item, worth in doubtful}
        questions = [Question(CONTRADICTED, _table(slot), asked) for slot in self._slots()]
        questions += [Question(CONTRADICTED_OLD, table, asked_old) for table in self._old]
        return {name for name, _ in self._visits.answers(questions)}


def _table(slot: int) -> str:
    return f"event_{slot % _TABLES}"


def _old_table(slot: int) -> str:
    """Return the table of layout 5."""
    return f"seen_{slot % _TABLES}"

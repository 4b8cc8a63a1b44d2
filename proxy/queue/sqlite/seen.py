"""The duplicate memory: which events were met in the last 48 hours (at most 64), and of which visitor.

Four tables of 16 hours each, emptied whole in turn. A repeat by the same visitor is the tag's retry or a reload and
is not sent again. The same id from another visitor was frozen into a cached page: those are different actions, so
they are sent, and counted so that the owner learns of it. A key keeps all its visitors, so that their own retries
are still known, and of a Purchase four bytes of its value: the same order from two visitors with two values is a
forgery, or a mistake of the shop's.
"""

from enum import Enum

import apsw

from proxy.model.record import Record
from proxy.queue.codec import event_key

_TABLES = [f"seen_{number}" for number in range(4)]
_SLOT_MS = 16 * 60 * 60 * 1000
_ANY = " OR ".join(f"EXISTS(SELECT 1 FROM {table} WHERE key=?1)" for table in _TABLES)  # noqa: S608 - our own names
_OTHER_WORTH = _ANY.replace("key=?1", "key=?1 AND length(worth) AND worth<>?2")
_SAME = _ANY.replace("key=?1", "key=?1 AND visitor=?2")


class Past(Enum):
    """What the memory knows of an event."""

    NEW = 0
    REUSED = 1
    REPEAT = 2
    CONFLICT = 3
    """As REUSED, and another visitor's value is another one."""


_PROBE = (
    f"SELECT CASE WHEN NOT ({_ANY}) THEN {Past.NEW.value}"
    f" WHEN {_SAME} THEN {Past.REPEAT.value} ELSE {Past.REUSED.value} END"
)


class Seen:
    """Works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._slot = 0
        self.reload()

    @staticmethod
    def create(db: apsw.Connection) -> None:
        """Make the empty memory."""
        for table in _TABLES:
            columns = "key BLOB, visitor BLOB, worth BLOB, PRIMARY KEY(key, visitor)"
            db.execute(f"CREATE TABLE {table}({columns}) WITHOUT ROWID")
        db.execute("INSERT INTO meta VALUES('seen_slot', 0)")

    @staticmethod
    def add_worth(db: apsw.Connection) -> None:
        """Give the tables of layout 4 what layout 5 has."""
        for table in _TABLES:
            db.execute(f"ALTER TABLE {table} ADD COLUMN worth BLOB")

    def reload(self) -> None:
        """Learn where the memory stands, at start and after a rollback."""
        ((slot,),) = self._db.execute("SELECT value FROM meta WHERE key='seen_slot'")
        self._slot = int(str(slot))

    def turn(self, now: int) -> None:
        """Empty the tables whose time is over; a clock set back changes nothing."""
        slot = now // _SLOT_MS
        if slot <= self._slot:
            return
        for number in range(max(self._slot + 1, slot - len(_TABLES) + 1), slot + 1):
            self._db.execute(f"DELETE FROM {_TABLES[number % len(_TABLES)]}")  # noqa: S608
        self._db.execute("UPDATE meta SET value=? WHERE key='seen_slot'", (slot,))
        self._slot = slot

    def meet(self, record: Record) -> Past:
        """Say what is known of an event, and remember it."""
        key = event_key(record.pixel, record.name, record.id)
        past = self.past(key, record.visitor)
        if past is Past.REPEAT:
            return past
        if past is Past.REUSED and record.worth and self._is_worth_another(key, record.worth):
            past = Past.CONFLICT
        table = _TABLES[self._slot % len(_TABLES)]
        self._db.execute(f"INSERT INTO {table} VALUES(?, ?, ?)", (key, record.visitor, record.worth))
        return past

    def _is_worth_another(self, key: bytes, worth: bytes) -> bool:
        ((found,),) = self._db.execute(f"SELECT {_OTHER_WORTH}", (key, worth))
        return bool(found)

    def past(self, key: bytes, visitor: bytes) -> Past:
        """Say what is known of an event and a visitor: NEW, REUSED (others brought it) or REPEAT."""
        ((known,),) = self._db.execute(_PROBE, (key, visitor))
        return Past(known)

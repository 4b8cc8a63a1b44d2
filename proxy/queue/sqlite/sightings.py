"""The table of sightings: what pages left of their visitors, until the servers' events of the same orders come.

Most sites have none, and then the file is not read. At most ``MOST`` are kept: beyond that the oldest are removed, so
that a flood of sightings does not keep out those that come after it.
"""

from array import array
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

import apsw

from proxy.model.join import Sighting
from proxy.model.units import DAY_MS
from proxy.queue.seal import Sealer
from proxy.queue.sightings import Slots, forbid_sighting, open_sighting, person_key, seal_sighting, slots

SCHEMA = """
CREATE TABLE sighting(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, sealed BLOB NOT NULL);
CREATE INDEX sighting_at ON sighting(at);
CREATE TABLE sighting_slot(slot BLOB PRIMARY KEY, number INTEGER NOT NULL, forbidden INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX sighting_slot_number ON sighting_slot(number);
"""
MOST = 1_000_000
# So many slots of a key are read from either end. They are in the order of their visitors, each of whom has at most
# five (one for each event name), so several visitors are never mistaken for one. A larger number would slow down claims
# whose keys strangers planted in many sightings.
_EACH_END = 6
# Sightings forbidden, erased or forgotten in one transaction.
_SLICE = 200
_NUMBER = 12
_LATEST = """
INSERT INTO sighting_slot SELECT value, ?, ? FROM carray(?) WHERE true
ON CONFLICT(slot) DO UPDATE SET number=excluded.number, forbidden=excluded.forbidden
"""
# The first sighting of a journey stays, unless its visitor refuses now but did not then, or the other way round.
_FIRST = _LATEST + "WHERE forbidden<>excluded.forbidden"
_OF_KEY = "slot>value AND slot<CAST(value || x'ffffffffffffffffffffffffff' AS BLOB)"
_NUMBERS = f"SELECT number FROM sighting_slot WHERE {_OF_KEY} ORDER BY slot"  # noqa: S608 - our own text
_ENDS = [f"(SELECT group_concat(number) FROM ({_NUMBERS} {way} LIMIT ?1))" for way in ("ASC", "DESC")]  # noqa: S608
_FIND = f"SELECT value, {', '.join(_ENDS)} FROM carray(?2)"  # noqa: S608 - our own text
_OF_PEOPLE = f"SELECT number FROM carray(?) CROSS JOIN sighting_slot ON {_OF_KEY} LIMIT ?"  # noqa: S608 - our own text
Found: TypeAlias = dict[bytes, dict[int, Sighting]]


class SightingTable:
    """The table of sightings; works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection, sealer: Sealer, most: int = MOST) -> None:
        """Begin with what the file holds.

        Args:
            db: The connection that writes.
            sealer: Seals and opens them.
            most: How many are kept.
        """
        self._db = db
        self._sealer = sealer
        self._most = most
        self._last = 0
        self.has_any = False
        """Whether there may be any."""
        self.reload()

    def reload(self) -> None:
        """Read again the last number, and whether there are any sightings, at start and after a rollback."""
        ((last,),) = self._db.execute("SELECT coalesce(max(id), 0) FROM sighting").fetchall()
        self._last, self.has_any = int(str(last)), bool(last)

    def seal(self, sighting: Sighting) -> bytes:
        """Return a sighting sealed, as it is stored."""
        return seal_sighting(sighting, self._sealer)

    def store(self, brought: Iterable[tuple[Sighting, bytes]]) -> None:
        """Store sightings, each with its sealed bytes (``seal``), except those that their visitor left before."""
        for sighting, sealed in brought:
            self._store_one(sighting, sealed, slots(sighting))
        if self._last > self._most:
            self._db.execute("DELETE FROM sighting WHERE id<=?", (self._last - self._most,))
            self._db.execute("DELETE FROM sighting_slot WHERE number<=?", (self._last - self._most,))

    def _store_one(self, sighting: Sighting, sealed: bytes, where: Slots) -> None:
        number = self._last + 1
        fact = (number, bool(sighting.forbidden))
        is_new = self._put(_FIRST, where.certain, fact) if where.certain else bool(where.others)
        if not is_new:
            return
        people = [person_key(digest) + number.to_bytes(_NUMBER, "big") for digest in sighting.person_digests]
        self._put(_LATEST, (*where.others, *people), fact)
        self._db.execute("INSERT INTO sighting VALUES(?, ?, ?)", (number, sighting.at, sealed))
        self._last, self.has_any = number, True

    def _put(self, sql: str, found_by: Sequence[bytes], fact: tuple[int, bool]) -> bool:
        """Let slots lead to a sighting; tell whether any slot was changed."""
        if not found_by:  # an empty array cannot be bound
            return False
        self._db.execute(sql, (*fact, _array(found_by)))
        return self._db.changes() > 0

    def find(self, keys: Collection[bytes]) -> Found:
        """Return for each key the sightings that have it, by their numbers.

        If very many sightings have a key, only some are returned, but always of several visitors if several have it.
        """
        if not self.has_any or not keys:
            return {}
        rows: list[Any] = self._db.execute(_FIND, (_EACH_END, _array(keys))).fetchall()
        numbers = {key: _numbers(first) | _numbers(last) for key, first, last in rows if first}
        opened = self._opened(set().union(*numbers.values()))
        return {key: {number: opened[number] for number in some if number in opened} for key, some in numbers.items()}

    def _opened(self, numbers: Collection[int]) -> dict[int, Sighting]:
        """Return those that a listed secret opens; the others are lost, which is no reason to hold back an event."""
        if not numbers:  # an empty array cannot be bound
            return {}
        rows: Any = self._db.execute("SELECT id, sealed FROM sighting WHERE id IN carray(?)", (_integers(numbers),))
        return {number: found for number, sealed in rows if (found := open_sighting(sealed, self._sealer))}

    def forbid(self, person_digests: Collection[bytes], reason: str) -> bool:
        """Turn a slice of people's sightings into forbidden ones; tell whether there may be more.

        Args:
            person_digests: 16 bytes each.
            reason: A word of ``DropReason``.
        """
        numbers = self._numbers_of_people(person_digests)
        opened = self._opened(numbers)
        for number, sighting in opened.items():
            sealed = self.seal(forbid_sighting(sighting, reason))
            self._db.execute("UPDATE sighting SET sealed=? WHERE id=?", (sealed, number))
            people = [person_key(digest) + number.to_bytes(_NUMBER, "big") for digest in sighting.person_digests]
            self._db.execute("DELETE FROM sighting_slot WHERE slot IN carray(?)", (_array(people),))
            self._db.execute("UPDATE sighting_slot SET forbidden=1 WHERE number=?", (number,))
        self._remove([number for number in numbers if number not in opened])
        return len(numbers) == _SLICE

    def erase(self, person_digests: Collection[bytes]) -> bool:
        """Remove a slice of people's sightings; tell whether there may be more."""
        numbers = self._numbers_of_people(person_digests)
        self._remove(numbers)
        return len(numbers) == _SLICE

    def _numbers_of_people(self, person_digests: Collection[bytes]) -> list[int]:
        if not self.has_any or not person_digests:
            return []
        rows: Any = self._db.execute(_OF_PEOPLE, (_array(map(person_key, person_digests)), _SLICE)).fetchall()
        return [number for (number,) in rows]

    def _remove(self, numbers: Collection[int]) -> None:
        if numbers:  # an empty array cannot be bound
            self._db.execute("DELETE FROM sighting WHERE id IN carray(?)", (_integers(numbers),))
            self._db.execute("DELETE FROM sighting_slot WHERE number IN carray(?)", (_integers(numbers),))

    def forget(self, now: int, days: int) -> bool:
        """Remove a slice of the sightings that are too old; tell whether there may be more.

        Args:
            now: Server clock in milliseconds.
            days: For how many days sightings are kept.
        """
        if not self.has_any:
            return False
        old = "SELECT id FROM sighting WHERE at<? ORDER BY at LIMIT ?"
        rows: Any = self._db.execute(old, (now - days * DAY_MS, _SLICE)).fetchall()
        self._remove([number for (number,) in rows])
        ((left,),) = self._db.execute("SELECT EXISTS(SELECT 1 FROM sighting)").fetchall()
        self.has_any = bool(left)
        return len(rows) == _SLICE


def _numbers(listed: str | None) -> set[int]:
    return set(map(int, str(listed).split(","))) if listed else set()


def _array(values: Iterable[bytes]) -> object:
    return apsw.carray(tuple(sorted(values)))


def _integers(numbers: Collection[int]) -> object:
    return apsw.carray(array("q", numbers))

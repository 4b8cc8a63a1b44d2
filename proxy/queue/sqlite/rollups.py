"""Tables of rollups: written in the transaction of the ledger rows that they count, read by rollup_pages.py.

``rollup_kind`` gives numbers to kinds: all fields of a rollup's key but the hour. ``rollup_hour`` and ``rollup_day``
hold the sums. ``rollup_open`` remembers, for three days, rows whose browser copy may still change: what each added, and
to which sum, so that an update of the copy moves exactly that to another.

For each pixel and day a bounded number of event names is counted separately, those that came first; so a name is
counted in one place all day. The memory is a cache of what was written last; a rollback empties it.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import apsw
import orjson

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow, Status
from proxy.model.rollup import OTHER, RollupKey, key_of
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.queue.rollup_counts import UNDECIDED, RollupShare, RollupSums, grouped, share_of

SCHEMA = """
CREATE TABLE rollup_kind(
    id INTEGER PRIMARY KEY, site TEXT NOT NULL, pixel TEXT NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL,
    reason TEXT NOT NULL, copy TEXT NOT NULL, UNIQUE(site, pixel, name, status, reason, copy)
);
CREATE TABLE rollup_hour(
    time INTEGER NOT NULL, kind INTEGER NOT NULL, events INTEGER NOT NULL, counts BLOB NOT NULL,
    PRIMARY KEY(time, kind)
) WITHOUT ROWID;
CREATE TABLE rollup_day(
    time INTEGER NOT NULL, kind INTEGER NOT NULL, events INTEGER NOT NULL, counts BLOB NOT NULL,
    PRIMARY KEY(time, kind)
) WITHOUT ROWID;
CREATE TABLE rollup_open(
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, copy INTEGER NOT NULL, hour INTEGER NOT NULL, kind INTEGER NOT NULL,
    events INTEGER NOT NULL, match_keys INTEGER NOT NULL, slot INTEGER NOT NULL, value INTEGER, currency TEXT NOT NULL
);
CREATE INDEX rollup_open_copy ON rollup_open(copy);
"""
NAMES = 100
"""How many event names of a pixel and a day are counted separately; further ones are counted together."""
OPEN_MS = 3 * DAY_MS
"""How long news of a browser copy moves what was counted."""
HOURS_OF_DAY = DAY_MS // HOUR_MS
# Rows removed in one transaction.
_FORGOTTEN = 1000
# Sums, kinds and days that are kept in memory.
_REMEMBERED = 2000
_TABLES = ("rollup_hour", "rollup_day")
# Each call into SQLite gives up the interpreter's lock, so all rows of a transaction are written by one.
_INSERT_OPEN = """
INSERT INTO rollup_open(at, copy, hour, kind, events, match_keys, slot, value, currency)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8
FROM json_each(?)
"""
_INSERT_SUMS = """
INSERT OR REPLACE INTO {} SELECT value->>0, value->>1, value->>2, unhex(value->>3) FROM json_each(?)
"""
# Stands for the kind of rows that change no more.
_DECIDED = 0
_Kind: TypeAlias = tuple[str, str, str, str, str, str]


class _SumPlace(NamedTuple):
    """A sum: of an hour or a day (``table``), and a kind."""

    table: str
    time: int
    kind: int


class Rollups:
    """The tables of rollups; works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._kinds: dict[_Kind, int] = {}
        self._fields: dict[int, _Kind] = {}
        self._names: dict[tuple[str, int], set[str]] = {}
        self._sums: dict[_SumPlace, RollupSums] = {}

    def _trim(self) -> None:
        """Empty the caches if they are large; called between two changes, when the tables have everything."""
        if max(len(self._kinds), len(self._fields), len(self._names), len(self._sums)) > _REMEMBERED:
            self.reload()

    def reload(self) -> None:
        """Empty the caches, also after a rollback."""
        self._kinds.clear()
        self._fields.clear()
        self._names.clear()
        self._sums.clear()

    def count(self, rows: Iterable[tuple[LedgerRow, bytes]], updates: Mapping[bytes, BrowserCopy]) -> None:
        """Count rows that were written just now, each with its ``copy_key``.

        Args:
            rows: The rows.
            updates: What is known already of browser copies, by ``copy_key``.
        """
        self._trim()
        added: defaultdict[tuple[int, int], RollupSums] = defaultdict(RollupSums)
        undecided = []
        for group in grouped(rows, updates):
            kind = self._kind(group.key)
            sums = added[group.key.hour, kind]
            for share, at, copy in group.undecided:
                undecided.append((at, _number(copy), group.key.hour, kind, *share))
            for share, times in group.shares.items():
                sums.add(share, times)
        self._add(added)
        if undecided:
            self._db.execute(_INSERT_OPEN, (orjson.dumps(undecided).decode(),))

    def move(self, updates: Mapping[bytes, BrowserCopy]) -> None:
        """Move rows to the kind with the new status of their browser copy; ``updates`` has it by ``copy_key``."""
        if not updates:
            return
        self._trim()
        news = {_number(copy): known for copy, known in updates.items()}
        sql = "SELECT * FROM rollup_open WHERE copy IN carray(?)"
        found: list[Any] = self._db.execute(sql, (apsw.carray(array("q", news)),)).fetchall()
        added: defaultdict[tuple[int, int], RollupSums] = defaultdict(RollupSums)
        changed: defaultdict[int, list[int]] = defaultdict(list)
        for number, _, copy, hour, kind, *share in found:
            *rest, before = self._kind_fields(kind)
            after = news[copy]
            if after == before:
                continue
            moved = self._kind(RollupKey(hour, rest[0], rest[1], rest[2], Status(rest[3]), rest[4], after))
            added[hour, kind].add(RollupShare(*share), -1)
            added[hour, moved].add(RollupShare(*share))
            changed[moved if after in UNDECIDED else _DECIDED].append(number)
        self._add(added)
        for kind, numbers in changed.items():
            change = "DELETE FROM rollup_open" if kind == _DECIDED else "UPDATE rollup_open SET kind=?2"
            values = (apsw.carray(array("q", numbers)), *(() if kind == _DECIDED else (kind,)))
            self._db.execute(f"{change} WHERE id IN carray(?1)", values)

    def uncount(self, row: LedgerRow, copy: bytes) -> None:
        """Take back what a row added to the sums; the row must have the latest status of its browser copy."""
        self._trim()
        key, share = key_of(row), share_of(row)
        kind = self._kind(key)
        added = RollupSums()
        added.add(share, -1)
        self._add({(key.hour, kind): added})
        wanted = "copy=? AND hour=? AND kind=? AND slot=? AND value IS ? LIMIT 1"
        sql = f"DELETE FROM rollup_open WHERE id=(SELECT id FROM rollup_open WHERE {wanted})"  # noqa: S608 - our own text
        self._db.execute(sql, (_number(copy), key.hour, kind, share.slot, share.value))

    def _add(self, added: Mapping[tuple[int, int], RollupSums]) -> None:
        """Add to the sums of hours, and of their days."""
        changed: dict[_SumPlace, RollupSums] = {}
        for (hour, kind), counts in added.items():
            for table, time in zip(_TABLES, (hour, hour // HOURS_OF_DAY), strict=True):
                place = _SumPlace(table, time, kind)
                changed[place] = sums = self._sum(place)
                sums.merge(counts)
        for table in _TABLES:
            rows = [
                (place.time, place.kind, sums.events, sums.packed().hex())
                for place, sums in changed.items()
                if place.table == table
            ]
            if rows:
                self._db.execute(_INSERT_SUMS.format(table), (orjson.dumps(rows).decode(),))

    def _sum(self, place: _SumPlace) -> RollupSums:
        found = self._sums.get(place)
        if found is None:
            sql = f"SELECT events, counts FROM {place.table} WHERE time=? AND kind=?"  # noqa: S608 - our own names
            rows: list[Any] = self._db.execute(sql, place[1:]).fetchall()
            found = self._sums[place] = RollupSums.unpacked(*rows[0]) if rows else RollupSums()
        return found

    def _kind(self, key: RollupKey) -> int:
        """Return the number of a key's kind, which has the key's name or OTHER (``_name``)."""
        name = self._name(key.pixel, key.name, key.hour // HOURS_OF_DAY)
        fields = (key.site, key.pixel, name, str(key.status), key.reason, key.browser_copy)
        found = self._kinds.get(fields)
        if found is None:
            found = self._kinds[fields] = self._kind_number(fields)
            self._fields[found] = fields
        return found

    def _kind_number(self, fields: _Kind) -> int:
        which = "site=? AND pixel=? AND name=? AND status=? AND reason=? AND copy=?"
        sql = f"SELECT id FROM rollup_kind WHERE {which}"  # noqa: S608 - our own text
        rows: list[Any] = self._db.execute(sql, fields).fetchall()
        if rows:
            return int(rows[0][0])
        columns = "(site, pixel, name, status, reason, copy)"
        self._db.execute(f"INSERT INTO rollup_kind{columns} VALUES(?, ?, ?, ?, ?, ?)", fields)
        return self._db.last_insert_rowid()

    def _kind_fields(self, kind: int) -> _Kind:
        if kind not in self._fields:
            sql = "SELECT site, pixel, name, status, reason, copy FROM rollup_kind WHERE id=?"
            ((*fields,),) = self._db.execute(sql, (kind,)).fetchall()
            site, pixel, name, status, reason, copy = map(str, fields)
            self._fields[kind] = (site, pixel, name, status, reason, copy)
        return self._fields[kind]

    def _name(self, pixel: str, name: str, day: int) -> str:
        """Return a name, or OTHER if as many names as are counted separately came before it on that day."""
        names = self._names.get((pixel, day))
        if names is None:
            sql = "SELECT DISTINCT name FROM rollup_day JOIN rollup_kind ON kind=id WHERE time=? AND pixel=?"
            names = self._names[pixel, day] = {str(found) for (found,) in self._db.execute(sql, (day, pixel))}
        if name in names:
            return name
        if len(names) >= NAMES:
            return OTHER
        names.add(name)
        return name

    def forget(self, now: int, days: int) -> bool:
        """Remove a slice of what is past its time; tell whether there may be more.

        Args:
            now: Server clock in milliseconds.
            days: How long rollups are kept.
        """
        last_day = now // DAY_MS - days
        removed = [
            self._remove("rollup_open", "id", "at<?", now - OPEN_MS),
            self._remove("rollup_hour", "time, kind", "time<?", last_day * HOURS_OF_DAY),
            self._remove("rollup_day", "time, kind", "time<?", last_day),
        ]
        if any(removed):
            self._sums.clear()
            self._names.clear()
        return any(count >= _FORGOTTEN for count in removed)

    def _remove(self, table: str, key: str, condition: str, value: int) -> int:
        oldest = f"SELECT {key} FROM {table} WHERE {condition} ORDER BY {key} LIMIT {_FORGOTTEN}"  # noqa: S608 - our own text
        self._db.execute(f"DELETE FROM {table} WHERE ({key}) IN ({oldest})", (value,))  # noqa: S608
        return self._db.changes()


def _number(copy: bytes) -> int:
    """Return the key of a browser copy as SQLite keeps it in eight bytes."""
    return int.from_bytes(copy, "big", signed=True)

"""Tables of finished events, one per day: written in batches, read and forgotten in slices.

``ledger_D`` holds one row per finished event of day D (days since 1970, UTC), ``fate_D`` later news of browser
copies by event key. They are joined when read, since news may come before its event is finished. What is over is
removed a slice at a time, oldest first, so that no append waits for it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from proxy.model import DAY_MS, Fate, LedgerRow, Status
from proxy.queue.base import Filter
from proxy.queue.segment import event_key

# A search looks at this many rows at a time, so that no append waits long for it.
SLICE = 20_000
# And forgets this many: about 2 ms.
_FORGOTTEN = 2000
# Measured on ledgers of browser events; only the bound on bytes relies on it.
_ROW_BYTES = 200
_COLUMNS = {
    "ledger": "(at, pixel, name, id, time_s, status, reason, fate, fbtrace_id, attempts, findings)",
    "fate": "(key BLOB PRIMARY KEY, fate TEXT) WITHOUT ROWID",
}


class Ledger:
    """Works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._tables: set[str] = set()
        self.reload()

    def reload(self) -> None:
        """Learn which tables there are, at start and after a rollback."""
        names = self._db.execute("SELECT name FROM sqlite_schema WHERE type='table'")
        self._tables = {str(name) for (name,) in names if str(name).startswith(tuple(f"{kind}_" for kind in _COLUMNS))}

    def migrate(self) -> None:
        """Give the tables of layout 1 what later layouts added."""
        for day in self.days():
            self._db.execute(f"ALTER TABLE ledger_{day} ADD COLUMN findings")

    def write(self, rows: Iterable[LedgerRow]) -> None:
        """Add finished events."""
        for row in rows:
            values = (row.at, row.pixel, row.name, row.id, row.time_s, row.status, row.reason, row.fate)
            sql = f"INSERT INTO {self._table('ledger', row.at)} VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            self._db.execute(sql, (*values, row.fbtrace_id, row.attempts, " ".join(row.findings)))

    def write_fates(self, fates: Iterable[tuple[int, bytes, Fate]]) -> None:
        """Add news of browser copies: when, of which event key, what."""
        for at, key, fate in fates:
            self._db.execute(f"INSERT OR REPLACE INTO {self._table('fate', at)} VALUES(?, ?)", (key, fate))

    def _table(self, kind: str, at: int) -> str:
        name = f"{kind}_{at // DAY_MS}"
        if name not in self._tables:
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {name}{_COLUMNS[kind]}")
            self._tables.add(name)
        return name

    def days(self, kind: str = "ledger") -> list[int]:
        """Return the days there is a table for, newest first."""
        names = (name.partition("_") for name in self._tables)
        return sorted((int(day) for start, _, day in names if start == kind), reverse=True)

    def read(self, day: int, before: int, wanted: Filter) -> tuple[list[LedgerRow], int]:
        """Return the wanted rows of one slice of a day, newest first, and where the next slice starts (0: nowhere)."""
        table = f"ledger_{day}"
        if table not in self._tables:
            return [], 0
        top = min(before, self._number(f"SELECT coalesce(max(rowid), 0) + 1 FROM {table}"))  # noqa: S608
        bottom = max(0, top - SLICE)
        condition, values = where(wanted, identity="id")
        sql = f"SELECT * FROM {table} WHERE rowid>=? AND rowid<?{condition} ORDER BY rowid DESC LIMIT ?"  # noqa: S608
        found = self._db.execute(sql, (bottom, top, *values, wanted.limit)).fetchall()
        return [self._row(row) for row in found], bottom

    def _row(self, row: Sequence[Any]) -> LedgerRow:
        at, pixel, name, identity, time_s, status, reason, fate, trace, attempts, findings = row
        news = self._news(event_key(pixel, name, identity)) or Fate(fate)
        facts = (at, pixel, name, identity, time_s, Status(status), reason, news, trace, attempts)
        return LedgerRow(*facts, tuple((findings or "").split()))

    def _news(self, key: bytes) -> Fate | None:
        for day in self.days("fate"):
            row = self._db.execute(f"SELECT fate FROM fate_{day} WHERE key=?", (key,)).fetchone()  # noqa: S608
            if row:
                return Fate(row[0])
        return None

    def forget(self, last_day: int, *, most_bytes: int) -> bool:
        """Remove a slice of what is over; tell whether there may be more.

        Over are the days up to ``last_day``, the oldest rows beyond ``most_bytes``, and news of days before both.
        """
        ledgers = self.days()
        if ledgers and (ledgers[-1] <= last_day or self._bytes(ledgers) > most_bytes):
            return self._forget("ledger", ledgers[-1], "rowid")
        fates = self.days("fate")
        if fates and fates[-1] < min([*ledgers[-1:], last_day + 1]):
            return self._forget("fate", fates[-1], "key")
        return False

    def _forget(self, kind: str, day: int, key: str) -> bool:
        table = f"{kind}_{day}"
        oldest = f"SELECT {key} FROM {table} ORDER BY {key} LIMIT {_FORGOTTEN}"  # noqa: S608 - our own names
        self._db.execute(f"DELETE FROM {table} WHERE {key} IN ({oldest})")  # noqa: S608
        if self._db.changes() < _FORGOTTEN:
            self._db.execute(f"DROP TABLE {table}")
            self._tables.discard(table)
        return True

    def _bytes(self, days: Iterable[int]) -> int:
        rows = "SELECT coalesce((SELECT max(rowid) FROM {0}) - (SELECT min(rowid) FROM {0}) + 1, 0)"
        return _ROW_BYTES * sum(self._number(rows.format(f"ledger_{day}")) for day in days)

    def _number(self, sql: str) -> int:
        row = self._db.execute(sql).fetchone()
        return int(row[0]) if row else 0


def where(wanted: Filter, *, identity: str) -> tuple[str, list[str]]:
    """Return the SQL conditions of a filter, and their values; ``identity`` names the column of event ids."""
    fields = {"pixel": wanted.pixel, "name": wanted.name, identity: wanted.id, "reason": wanted.reason}
    given = {column: value for column, value in (fields | {"status": wanted.status or ""}).items() if value}
    return "".join(f" AND {column}=?" for column in given), list(given.values())

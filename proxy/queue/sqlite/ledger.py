"""Tables of finished events, one per day: written in batches, read and forgotten in slices.

``ledger_D`` holds one row per finished event of day D (days since 1970, UTC), ``fate_D`` later news of browser
copies by event and visitor (``copy_key``), for an order's id can be guessed, and nobody shall speak for somebody else's
browser. They are joined when read, since news may come before its event is finished. What is over is removed a slice at
a time, oldest first, so that no append waits for it.

Each row has the bytes of all rows up to itself (``total``), so that the size of a table is the difference of its ends;
``meta`` counts the news of each table. Both are changed in the transaction of what they count.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow, Status
from proxy.model.units import DAY_MS
from proxy.queue.contract import Filter
from proxy.queue.keys import copy_key, event_key

# A search looks at so many rows at a time, and returns so many, so that no append waits long for it.
SLICE = 5000
FOUND = 100
# And forgets this many: about 2 ms.
_FORGOTTEN = 2000
# On disk, beside a row's texts and of one piece of news; measured with dbstat. A row of layout 1 or 2 in all.
_ROW_BYTES, _NEWS_BYTES, _OLD_ROW_BYTES = 49, 28, 200
_COLUMNS = {
    "ledger": "(at, pixel, name, id, time_s, status, reason, fate, fbtrace_id, attempts, findings, total, copy)",
    "fate": "(key BLOB PRIMARY KEY, fate TEXT) WITHOUT ROWID",
}
# What SQLite's binding says of half a surrogate pair, or of a number beyond 64 bits.
_UNWRITABLE = (ValueError, TypeError, OverflowError)


class Ledger:
    """Works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection, secret: bytes = b"") -> None:
        self._db = db
        self._secret = secret
        self._tables: set[str] = set()
        self._totals: dict[str, int] = {}
        self.grown = 0
        """Bytes written since somebody last set this to 0."""
        self.reload()

    def reload(self) -> None:
        """Learn which tables there are, at start and after a rollback."""
        names = self._db.execute("SELECT name FROM sqlite_schema WHERE type='table'")
        self._tables = {str(name) for (name,) in names if str(name).startswith(tuple(f"{kind}_" for kind in _COLUMNS))}
        self._totals.clear()

    def add_findings(self) -> None:
        """Give the tables of layout 1 what layout 2 has."""
        self._add_column("findings")

    def add_totals(self) -> None:
        """Give the tables of layout 2 what layout 3 has."""
        self._add_column("total")

    def add_copies(self) -> None:
        """Give the tables of layout 4 what layout 5 has."""
        self._add_column("copy")

    def _add_column(self, name: str) -> None:
        for day in self.days():
            self._db.execute(f"ALTER TABLE ledger_{day} ADD COLUMN {name}")

    def write(self, rows: Iterable[LedgerRow]) -> int:
        """Add finished events; return how many were left out since SQLite cannot hold what they say."""
        left_out = 0
        for row in rows:
            try:
                self._insert(row)
            except _UNWRITABLE:
                left_out += 1
        return left_out

    def _insert(self, row: LedgerRow) -> None:
        table = self._table("ledger", row.at)
        findings = " ".join(row.findings)
        texts = row.pixel, row.name, row.id, row.status, row.reason, row.browser_copy, row.fbtrace_id, findings
        size = _ROW_BYTES + len("".join(texts).encode())
        total = self._total(table) + size
        copy = copy_key(event_key(row.pixel, row.name, row.id), row.visitor, self._secret)
        values = (row.at, *texts[:3], row.time_s, *texts[3:7], row.attempts, findings, total, copy)
        self._db.execute(f"INSERT INTO {table} VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        self._totals[table] = total
        self.grown += size

    def _total(self, table: str) -> int:
        if table not in self._totals:
            self._totals[table] = self._end(table, "DESC")
        return self._totals[table]

    def _end(self, table: str, order: str) -> int:
        """Return the bytes up to the first or the last row of a table."""
        total = f"coalesce(total, {_OLD_ROW_BYTES} * rowid)"
        return self._number(f"SELECT {total} FROM {table} ORDER BY rowid {order} LIMIT 1")  # noqa: S608

    def write_news(self, news: Iterable[tuple[int, bytes, bytes, BrowserCopy]]) -> None:
        """Add news of browser copies: when, of which event key and visitor, what."""
        new: Counter[str] = Counter()
        for at, event, visitor, browser_copy in news:
            key = copy_key(event, visitor, self._secret)
            table = self._table("fate", at)
            self._db.execute(f"UPDATE {table} SET fate=? WHERE key=?", (browser_copy, key))  # noqa: S608
            if not self._db.changes():
                self._db.execute(f"INSERT INTO {table} VALUES(?, ?)", (key, browser_copy))
                new[table] += 1
        for table, count in new.items():
            self._count_news(table, self._news(table) + count)
        self.grown += _NEWS_BYTES * new.total()

    def _news(self, table: str) -> int:
        """Return how many pieces of news a table holds; in tables of older layouts nobody counted them."""
        row = self._db.execute("SELECT value FROM meta WHERE key=?", (table,)).fetchone()
        return int(row[0]) if row else self._number(f"SELECT count(*) FROM {table}")  # noqa: S608

    def _count_news(self, table: str, count: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (table, count))

    def _table(self, kind: str, at: int) -> str:
        name = f"{kind}_{at // DAY_MS}"
        if name not in self._tables:
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {name}{_COLUMNS[kind]}")
            if kind == "fate":
                self._count_news(name, 0)
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
        bottom, most = max(1, top - SLICE), min(wanted.limit, FOUND)
        condition, values = where(wanted, identity="id")
        sql = f"SELECT rowid, * FROM {table} WHERE rowid>=? AND rowid<?{condition} ORDER BY rowid DESC LIMIT ?"  # noqa: S608
        found: list[Any] = self._db.execute(sql, (bottom, top, *values, most)).fetchall()
        lowest = found[-1][0] if len(found) == most else bottom
        return self._joined([row for _, *row in found]), lowest if lowest > 1 else 0

    def _joined(self, rows: Sequence[Sequence[Any]]) -> list[LedgerRow]:
        # Rows of older layouts have news under the event's own key.
        keys = [copy or event_key(pixel, name, identity) for _, pixel, name, identity, *_, copy in rows]
        news = self._latest(keys)
        return [_row(row, news.get(key)) for row, key in zip(rows, keys, strict=True)]

    def _latest(self, keys: Sequence[bytes]) -> dict[bytes, BrowserCopy]:
        """Return the latest news of these events, in one statement for all days."""
        days = sorted(self.days("fate"))
        if not keys or not days:
            return {}
        sources = [f"SELECT {day} AS day, key, fate FROM fate_{day} WHERE key IN carray(?1)" for day in days]  # noqa: S608
        sql = " UNION ALL ".join(sources)
        found: list[Any] = self._db.execute(f"{sql} ORDER BY day", (apsw.carray(tuple(keys)),)).fetchall()
        return {key: BrowserCopy(browser_copy) for _, key, browser_copy in found}

    def forget(self, last_day: int, *, most_bytes: int) -> bool:
        """Remove a slice of what is over; tell whether there may be more.

        Over are the days up to ``last_day``, news of days before all events, and what is beyond ``most_bytes``: the
        oldest of events or of news, whichever take more, so that a flood of one leaves room for the other.
        """
        ledgers, copy_updates = self.days(), self.days("fate")
        if ledgers and ledgers[-1] <= last_day:
            return self._forget("ledger", ledgers[-1], "rowid")
        if copy_updates and copy_updates[-1] < min([*ledgers[-1:], last_day + 1]):
            return self._forget("fate", copy_updates[-1], "key")
        rows, news = self._bytes(ledgers), self._news_bytes(copy_updates)
        if rows + news <= most_bytes:
            return False
        return (
            self._forget("ledger", ledgers[-1], "rowid")
            if rows >= news
            else self._forget("fate", copy_updates[-1], "key")
        )

    def _forget(self, kind: str, day: int, key: str) -> bool:
        table = f"{kind}_{day}"
        oldest = f"SELECT {key} FROM {table} ORDER BY {key} LIMIT {_FORGOTTEN}"  # noqa: S608 - our own names
        self._db.execute(f"DELETE FROM {table} WHERE {key} IN ({oldest})")  # noqa: S608
        removed = self._db.changes()
        if kind == "fate":
            self._count_news(table, self._news(table) - removed)
        if removed < _FORGOTTEN:
            self._drop(table)
        return True

    def _drop(self, table: str) -> None:
        self._db.execute(f"DROP TABLE {table}")
        self._db.execute("DELETE FROM meta WHERE key=?", (table,))
        self._tables.discard(table)
        self._totals.pop(table, None)

    def size(self) -> int:
        """Return about how many bytes the ledger takes on disk."""
        return self._bytes(self.days()) + self._news_bytes(self.days("fate"))

    def _bytes(self, days: Iterable[int]) -> int:
        return sum(self._end(f"ledger_{day}", "DESC") - self._end(f"ledger_{day}", "ASC") for day in days)

    def _news_bytes(self, days: Iterable[int]) -> int:
        return _NEWS_BYTES * sum(self._news(f"fate_{day}") for day in days)

    def _number(self, sql: str) -> int:
        row = self._db.execute(sql).fetchone()
        return int(row[0]) if row else 0


def _row(row: Sequence[Any], news: BrowserCopy | None) -> LedgerRow:
    at, pixel, name, identity, time_s, status, reason, browser_copy, trace, attempts, findings, *_ = row
    facts = (
        at,
        pixel,
        name,
        identity,
        time_s,
        Status(status),
        reason,
        news or BrowserCopy(browser_copy),
        trace,
        attempts,
    )
    return LedgerRow(*facts, tuple((findings or "").split()))


def where(wanted: Filter, *, identity: str) -> tuple[str, list[str]]:
    """Return the SQL conditions of a filter, and their values; ``identity`` names the column of event ids."""
    fields = {"pixel": wanted.pixel, "name": wanted.name, identity: wanted.id, "reason": wanted.reason}
    given = {column: value for column, value in (fields | {"status": wanted.status or ""}).items() if value}
    return "".join(f" AND {column}=?" for column in given), list(given.values())

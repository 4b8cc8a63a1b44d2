"""Tables of finished events, one per day: written in batches, forgotten in slices; read by ledger_pages.py.

``ledger_D`` holds a row per finished event of day D (days since 1970, UTC), ``fate_D`` later updates of browser copies
by event and visitor (``copy_key``): since an order's id can be guessed, a visitor may report on no other visitor's
browser. They are joined when read, since an update may come before its event is finished. Old rows are removed a slice
at a time, oldest first, so that no append waits for it.

The rowid of a row is its number, which grows over all days, so that a reader can ask what is new since a number. The
last number is written down only before rows are removed (``meta``, ``ledger_last``); otherwise the largest rowid tells
it. Tables of layout 5 and before count their rowids by day: ``ledger_first`` is the first real number.

Each row has the bytes of all rows of its table up to itself (``total``), so that the size of a table is the difference
between its last and its first row; ``meta`` counts the updates of each table. Both change in the transaction of what
they count.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

import apsw

from proxy.config.schema import RetentionSettings
from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow
from proxy.model.units import DAY_MS
from proxy.queue.keys import copy_key
from proxy.queue.rollup_counts import UNDECIDED
from proxy.queue.sqlite import ledger_rows, rollups
from proxy.queue.sqlite.copy_updates import known_updates
from proxy.queue.sqlite.dead_letters import TakenLetter
from proxy.queue.sqlite.ledger_replays import mark_replayed
from proxy.queue.sqlite.ledger_tables import LEDGER, UPDATES, creation, day_tables, days_of, indexes

# Rows forgotten in one transaction: about 2 ms.
_FORGOTTEN = 1000
# Bytes on disk: of an update, and of a row of layout 1 or 2; measured with dbstat.
_UPDATE_BYTES, _OLD_ROW_BYTES = 28, 200
# The number of the first row that rollups count.
COUNTED_FROM = "rollup_first"
COUNTED_SINCE = "rollup_since"
"""Key in ``meta``: rollups count every event that arrived at this moment or later (server clock in milliseconds). It is
absent, which means 0, if no row was written before."""
_UPDATE = "UPDATE {} SET fate=CASE fate WHEN ?1 THEN fate ELSE ?2 END WHERE key=?3"
# The errors of SQLite's binding for half a surrogate pair, or for a number beyond 64 bits.
_UNWRITABLE = (ValueError, TypeError, OverflowError)


class Ledger:
    """The day tables of the ledger; works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection, secret: bytes = b"") -> None:
        self._db = db
        self._secret = secret
        self._tables: set[str] = set()
        self._totals: dict[str, int] = {}
        self._last = 0
        self.rollups = rollups.Rollups(db)
        self.grown = 0
        """Bytes written since somebody last set this to 0."""
        self.reload()

    def reload(self) -> None:
        """Read again which tables exist and the last row's number, at start and after a rollback."""
        self._tables = day_tables(self._db)
        self._totals.clear()
        self.rollups.reload()
        self._last = self._last_number()

    def _last_number(self) -> int:
        largest = [
            self._number(f"SELECT coalesce(max(rowid), 0) FROM {LEDGER}_{day}")  # noqa: S608 - our own names
            for day in self.days()
        ]
        return max([*largest, self._number("SELECT value FROM meta WHERE key='ledger_last'")])

    def add_columns(self, layout: int) -> None:
        """Add the columns that a layout introduced to the tables that exist."""
        for day in self.days():
            for name in ledger_rows.ADDED[layout]:
                self._db.execute(f"ALTER TABLE {LEDGER}_{day} ADD COLUMN {name}")

    def start_rollups(self) -> None:
        """Add what layout 9 has: indexes of arrival and id, and rollups, which count from the next row on."""
        self._db.execute(rollups.SCHEMA)
        for day in self.days():
            self._db.execute(indexes(f"{LEDGER}_{day}"))
        self._set(COUNTED_FROM, self._last + 1)
        if days := self.days():
            self._set(COUNTED_SINCE, (days[0] + 1) * DAY_MS)

    def start_numbers(self) -> None:
        """Begin the row numbers of layout 6: the next row is the first whose rowid is its number."""
        self._set("ledger_first", self._last + 1)

    def write(self, rows: Iterable[LedgerRow]) -> int:
        """Add finished events, and count them; return how many were left out since SQLite cannot hold their values."""
        left_out = 0
        written: list[tuple[LedgerRow, bytes]] = []
        for day, of_day in groupby(rows, key=lambda row: row.at // DAY_MS):
            table = self._table(LEDGER, day * DAY_MS)
            for together in ledger_rows.statement_batches(list(of_day)):
                left_out += self._insert(table, together, written)
        undecided = [copy for row, copy in written if row.browser_copy in UNDECIDED]
        self.rollups.count(written, known_updates(self._db, self._tables, undecided))
        return left_out

    def _insert(self, table: str, rows: Sequence[LedgerRow], written: list[tuple[LedgerRow, bytes]]) -> int:
        """Add rows of one day in one statement, or each alone where one of them cannot be written.

        Return how many were left out; the others are added to ``written``, each with the key of its browser copy.
        """
        before = self._total(table)
        try:
            copies = ledger_rows.copy_keys_of(rows, self._secret)
            values, total = ledger_rows.values(rows, copies, self._last, before)
            self._db.execute(ledger_rows.insertion(table, len(rows)), values)
        except _UNWRITABLE:
            return sum(self._insert(table, [row], written) for row in rows) if len(rows) > 1 else 1
        self._last += len(rows)
        self._totals[table] = total
        self.grown += total - before
        written += zip(rows, copies, strict=True)
        return 0

    def _total(self, table: str) -> int:
        if table not in self._totals:
            self._totals[table] = self._end(table, "DESC")
        return self._totals[table]

    def _end(self, table: str, order: str) -> int:
        """Return the bytes up to the first or the last row of a table."""
        total = f"coalesce(total, {_OLD_ROW_BYTES} * rowid)"
        return self._number(f"SELECT {total} FROM {table} ORDER BY rowid {order} LIMIT 1")  # noqa: S608

    def write_updates(self, updates: Iterable[tuple[int, bytes, bytes, BrowserCopy]]) -> None:
        """Add updates of browser copies: for each when it came, the event's key, the visitor, and the new status.

        FIRED is final; PENDING says nothing new and is ignored.
        """
        added: Counter[str] = Counter()
        news: dict[bytes, BrowserCopy] = {}
        for at, event, visitor, browser_copy in updates:
            if browser_copy is BrowserCopy.PENDING:
                continue
            key = copy_key(event, visitor, self._secret)
            table = self._table(UPDATES, at)
            self._db.execute(_UPDATE.format(table), (BrowserCopy.FIRED, browser_copy, key))
            if not self._db.changes():
                self._db.execute(f"INSERT INTO {table} VALUES(?, ?)", (key, browser_copy))
                added[table] += 1
            news[key] = browser_copy
        self.rollups.move(known_updates(self._db, self._tables, news))
        for table, count in added.items():
            self._set(table, self._updates(table) + count)
        self.grown += _UPDATE_BYTES * added.total()

    def mark_letters_replayed(self, letters: Iterable[TakenLetter]) -> None:
        """Mark the rows of dead letters that were put back as replayed, and take them out of the rollups."""
        counted_from = self._number(f"SELECT value FROM meta WHERE key='{COUNTED_FROM}'")  # noqa: S608 - our own names
        for letter in letters:
            marked = mark_replayed(self._db, self._tables, letter, self._secret)
            if marked.number is None or marked.number >= counted_from:
                self.rollups.uncount(marked.row, marked.copy)

    def _updates(self, table: str) -> int:
        """Return how many updates a table holds; those of tables of older layouts are counted now."""
        row = self._db.execute("SELECT value FROM meta WHERE key=?", (table,)).fetchone()
        return int(row[0]) if row else self._number(f"SELECT count(*) FROM {table}")  # noqa: S608

    def _set(self, key: str, value: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (key, value))

    def _table(self, kind: str, at: int) -> str:
        name = f"{kind}_{at // DAY_MS}"
        if name not in self._tables:
            self._db.execute(creation(kind, name))
            if kind == UPDATES:
                self._set(name, 0)
            self._tables.add(name)
        return name

    def days(self, kind: str = LEDGER) -> list[int]:
        """Return the days there is a table for, newest first."""
        return days_of(self._tables, kind)

    def forget(self, now: int, retention: RetentionSettings) -> bool:
        """Remove a slice of old rows or updates; tell whether there may be more.

        Removed are days past their retention, updates from before the first day of events, and what exceeds the bytes
        of the ledger: the oldest events or the oldest updates, whichever take more, so that a flood of one kind leaves
        room for the other.
        """
        last_day = now // DAY_MS - retention.ledger_days
        ledgers, updates = self.days(), self.days(UPDATES)
        if ledgers and ledgers[-1] <= last_day:
            return self._forget_rows(ledgers[-1])
        if updates and updates[-1] < min([*ledgers[-1:], last_day + 1]):
            return self._forget_updates(updates[-1])
        row_bytes, update_bytes = self._bytes(ledgers), self._update_bytes(updates)
        if row_bytes + update_bytes <= retention.ledger_max_bytes:
            return False
        return self._forget_rows(ledgers[-1]) if row_bytes >= update_bytes else self._forget_updates(updates[-1])

    def _forget_rows(self, day: int) -> bool:
        self._set("ledger_last", self._last)
        self._remove(f"{LEDGER}_{day}", "rowid")
        return True

    def _forget_updates(self, day: int) -> bool:
        table = f"{UPDATES}_{day}"
        left = self._updates(table) - self._remove(table, "key")
        if table in self._tables:
            self._set(table, left)
        return True

    def _remove(self, table: str, key: str) -> int:
        """Remove the first rows of a table, and the table once it is empty; return how many rows."""
        oldest = f"SELECT {key} FROM {table} ORDER BY {key} LIMIT {_FORGOTTEN}"  # noqa: S608 - our own names
        self._db.execute(f"DELETE FROM {table} WHERE {key} IN ({oldest})")  # noqa: S608
        removed = self._db.changes()
        if removed < _FORGOTTEN:
            self._drop(table)
        return removed

    def _drop(self, table: str) -> None:
        self._db.execute(f"DROP TABLE {table}")
        self._db.execute("DELETE FROM meta WHERE key=?", (table,))
        self._tables.discard(table)
        self._totals.pop(table, None)

    def size(self) -> int:
        """Return about how many bytes the ledger takes on disk."""
        return self._bytes(self.days()) + self._update_bytes(self.days(UPDATES))

    def _bytes(self, days: Iterable[int]) -> int:
        tables = [f"{LEDGER}_{day}" for day in days]
        return sum(self._end(table, "DESC") - self._end(table, "ASC") for table in tables)

    def _update_bytes(self, days: Iterable[int]) -> int:
        return _UPDATE_BYTES * sum(self._updates(f"{UPDATES}_{day}") for day in days)

    def _number(self, sql: str) -> int:
        row = self._db.execute(sql).fetchone()
        return int(row[0]) if row else 0

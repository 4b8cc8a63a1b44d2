"""Pages of the ledger: finished events with the latest status of their browser copies.

A page looks at a bounded number of rows and is read in one short transaction, so that it neither keeps the write-ahead
log from starting again nor sees half of a change; day tables may appear and disappear between two pages.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw

from proxy.model.ledger import LedgerRow
from proxy.queue.contract import Filter
from proxy.queue.sqlite.copy_updates import rows_with_copy_status
from proxy.queue.sqlite.ledger_rows import COLUMNS
from proxy.queue.sqlite.ledger_tables import LEDGER, day_tables, days_of, row_where

# How many rows a page looks at, and how many it returns at most.
SLICE = 5000
FOUND = 100
_ABOVE_ALL = (1 << 63) - 1


class Place(NamedTuple):
    """Where a page begins: in the table of a day, below a row."""

    day: int
    below: int


START = Place(_ABOVE_ALL, _ABOVE_ALL)
"""The newest row."""


class LedgerPages:
    """Reads on a connection it does not own, within one transaction: it looks up the tables when it is made."""

    def __init__(self, db: apsw.Connection, first_number: int = 1) -> None:
        """Look up which tables there are.

        Args:
            db: The connection, in the transaction of the page.
            first_number: The rowid from which on a rowid is a number; rows below it have none.
        """
        self._db = db
        self._first = first_number
        self._tables = day_tables(db)

    def newest(self, wanted: Filter, place: Place = START) -> tuple[list[LedgerRow], Place | None]:
        """Return the wanted rows of a page, newest first, and where the next page begins, if anywhere."""
        days = [day for day in days_of(self._tables, LEDGER) if day <= place.day]
        if not days:
            return [], None
        day, below = days[0], place.below if days[0] == place.day else _ABOVE_ALL
        table = f"{LEDGER}_{day}"
        top = self._number(f"SELECT coalesce(max(rowid), 0) FROM {table} WHERE rowid<?", below)  # noqa: S608 - our own names
        bottom, most = max(1, top - SLICE + 1), min(wanted.limit, FOUND)
        condition, texts = row_where(wanted)
        sql = f"SELECT rowid, {COLUMNS} FROM {table} WHERE rowid BETWEEN ? AND ?{condition} ORDER BY rowid DESC LIMIT ?"  # noqa: S608
        found: list[Any] = self._db.execute(sql, (bottom, top, *texts, most)).fetchall()
        lowest = found[-1][0] if len(found) == most else bottom
        following = Place(day, lowest) if lowest > 1 else Place(day - 1, _ABOVE_ALL)
        return self._rows_with_copy_status(found), following if lowest > 1 or days[1:] else None

    def since(self, wanted: Filter, number: int) -> tuple[list[LedgerRow], int | None]:
        """Return the wanted rows of a page above a number, in order, and the number above which the next begins."""
        tables = [f"{LEDGER}_{day}" for day in days_of(self._tables, LEDGER)]
        above = max(number, self._first - 1)
        lowest, last = self._ends(tables, above)
        if last <= above:
            return [], None
        bottom, most = max(above + 1, lowest), min(wanted.limit, FOUND)
        condition, texts = row_where(wanted)
        part = f"SELECT rowid AS number, {COLUMNS} FROM {{}} WHERE rowid BETWEEN ? AND ?{condition}"  # noqa: S608
        parts = map(part.format, tables)
        sql = f"{' UNION ALL '.join(parts)} ORDER BY number LIMIT ?"
        top = bottom + SLICE - 1
        found: list[Any] = self._db.execute(sql, (*(bottom, top, *texts) * len(tables), most)).fetchall()
        highest = found[-1][0] if len(found) == most else top
        return self._rows_with_copy_status(found), highest if highest < last else None

    def _ends(self, tables: Sequence[str], above: int) -> tuple[int, int]:
        """Return the lowest row number that is above ``above``, and the last number there is."""
        if not tables:
            return 0, 0
        end = "SELECT (SELECT min(rowid) FROM {0} WHERE rowid>?1) AS low, (SELECT max(rowid) FROM {0}) AS high"
        ends = " UNION ALL ".join(map(end.format, tables))
        sql = f"SELECT coalesce(min(low), 0), coalesce(max(high), 0) FROM ({ends})"  # noqa: S608
        ((low, high),) = self._db.execute(sql, (above,)).fetchall()
        return int(str(low)), int(str(high))

    def _rows_with_copy_status(self, rows: Sequence[Sequence[Any]]) -> list[LedgerRow]:
        return rows_with_copy_status(self._db, self._tables, rows, self._first)

    def _number(self, sql: str, *values: int) -> int:
        ((number,),) = self._db.execute(sql, values).fetchall()
        return int(str(number))

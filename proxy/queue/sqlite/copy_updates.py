"""Reads the later updates of browser copies, and joins them with the ledger rows of their events."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import apsw

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow
from proxy.queue.keys import event_key
from proxy.queue.sqlite.ledger_rows import row_of
from proxy.queue.sqlite.ledger_tables import UPDATES, days_of

_COPY = -6
"""Where the key of the browser copy stands among the columns of a row."""


def known_updates(db: apsw.Connection, tables: Iterable[str], keys: Collection[bytes]) -> dict[bytes, BrowserCopy]:
    """Return by ``copy_key`` the latest update of each browser copy, or FIRED if any says so; in one statement.

    Args:
        db: The connection.
        tables: The names of the day tables.
        keys: See ``copy_key``.
    """
    days = sorted(days_of(tables, UPDATES))
    if not keys or not days:
        return {}
    sources = [f"SELECT {day} AS day, key, fate FROM {UPDATES}_{day} WHERE key IN carray(?1)" for day in days]  # noqa: S608 - our own names
    sql = f"SELECT key, fate FROM ({' UNION ALL '.join(sources)}) ORDER BY fate='{BrowserCopy.FIRED}', day"  # noqa: S608
    found: list[Any] = db.execute(sql, (apsw.carray(tuple(keys)),)).fetchall()
    return {key: BrowserCopy(browser_copy) for key, browser_copy in found}


def rows_with_copy_status(
    db: apsw.Connection, tables: Iterable[str], rows: Sequence[Sequence[Any]], first_number: int
) -> list[LedgerRow]:
    """Return rows with the latest state of their browser copies.

    Args:
        db: The connection, in the transaction in which they were read.
        tables: The names of the day tables.
        rows: Their rowids and columns.
        first_number: See ``row_of``.
    """
    # Rows of older layouts have updates under the event's own key.
    keys = [row[_COPY] or event_key(row[2], row[3], row[4]) for row in rows]
    updates = known_updates(db, tables, keys)
    return [row_of(row, updates.get(key), first_number) for row, key in zip(rows, keys, strict=True)]

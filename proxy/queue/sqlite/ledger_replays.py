"""Marks the ledger rows of dead letters that were put back; how the event ends after that has a row of its own."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import apsw

from proxy.model.ledger import LedgerRow, Status
from proxy.queue.rollup_counts import latest_copy_status
from proxy.queue.sqlite import ledger_rows
from proxy.queue.sqlite.copy_updates import known_updates, rows_with_copy_status
from proxy.queue.sqlite.dead_letters import TakenLetter
from proxy.queue.sqlite.ledger_tables import LEDGER, days_of

_WHICH = "id=? AND pixel=? AND name=? AND copy=? AND status=? ORDER BY rowid DESC LIMIT 1"


class MarkedRow(NamedTuple):
    """The ledger row of a dead letter, as it was before it was marked."""

    number: int | None
    """Its rowid; None if the ledger has no such row any more, and the row here is made from the letter."""
    row: LedgerRow
    copy: bytes
    """See ``copy_key``."""


def mark_replayed(db: apsw.Connection, tables: Iterable[str], letter: TakenLetter, secret: bytes) -> MarkedRow:
    """Mark the ledger row of a dead letter as replayed.

    Args:
        db: The connection that writes, in a transaction.
        tables: The names of the day tables.
        letter: What was put back.
        secret: A key for ``copy_key``.
    """
    row = letter.row()
    (copy,) = ledger_rows.copy_keys_of([row], secret)
    for day in days_of(tables, LEDGER):
        table = f"{LEDGER}_{day}"
        sql = f"SELECT rowid, {ledger_rows.COLUMNS} FROM {table} WHERE {_WHICH}"  # noqa: S608 - our own names
        found: list[Any] = db.execute(sql, (row.id, row.pixel, row.name, copy, Status.DEAD)).fetchall()
        if found:
            number = int(found[0][0])
            (written,) = rows_with_copy_status(db, tables, found, 0)
            db.execute(f"UPDATE {table} SET status=? WHERE rowid=?", (Status.REPLAYED, number))  # noqa: S608
            return MarkedRow(number, written, copy)
    known = known_updates(db, tables, [copy]).get(copy)
    return MarkedRow(None, row._replace(browser_copy=latest_copy_status(row.browser_copy, known)), copy)

"""Names and conditions of the day tables of the ledger, for whoever reads or writes them."""

from collections.abc import Iterable

import apsw

from proxy.queue.contract import MOST_IDS, Filter
from proxy.queue.sqlite.ledger_rows import ARRIVED, INDEXES, NAMES, USUAL_SOURCE

LEDGER, UPDATES = "ledger", "fate"
"""Kinds of day tables: the first part of their names."""


def creation(kind: str, name: str) -> str:
    """Return the SQL that makes a day table, with its indexes."""
    if kind == UPDATES:
        return f"CREATE TABLE IF NOT EXISTS {name}(key BLOB PRIMARY KEY, fate TEXT) WITHOUT ROWID"
    return f"CREATE TABLE IF NOT EXISTS {name}({', '.join(NAMES)}); {indexes(name)}"


def indexes(table: str) -> str:
    """Return the SQL that makes the indexes of a table of rows."""
    return "; ".join(
        f"CREATE INDEX IF NOT EXISTS {table}_{name} ON {table}({columns})" for name, columns in INDEXES.items()
    )


def day_tables(db: apsw.Connection) -> set[str]:
    """Return the names of all day tables that a connection sees now."""
    names = db.execute("SELECT name FROM sqlite_schema WHERE type='table'")
    return {str(name) for (name,) in names if str(name).startswith((f"{LEDGER}_", f"{UPDATES}_"))}


def days_of(tables: Iterable[str], kind: str) -> list[int]:
    """Return the days of the tables of a kind, newest first."""
    names = (name.partition("_") for name in tables)
    return sorted((int(day) for start, _, day in names if start == kind), reverse=True)


def where(wanted: Filter, *, identity: str) -> tuple[str, list[str]]:
    """Return the SQL conditions of a filter that apply to ledger rows and dead letters alike, and their values.

    Args:
        wanted: The filter.
        identity: The name of the column of event ids.
    """
    fields = {"pixel": wanted.pixel, "name": wanted.name, identity: wanted.id, "reason": wanted.reason}
    texts = {column: text for column, text in (fields | {"status": wanted.status or ""}).items() if text}
    return "".join(f" AND {column}=?" for column in texts), list(texts.values())


def row_where(wanted: Filter) -> tuple[str, list[str | int]]:
    """Return the SQL conditions of a filter on rows, and their values; browser copies are not among them."""
    condition, texts = where(wanted, identity="id")
    more: list[tuple[str, str | int | None]] = [
        (f"coalesce(source, '{USUAL_SOURCE}')=?", wanted.action_source or None),
        ("site=?", wanted.site or None),
        (f"{ARRIVED}>=?", wanted.since_ms),
        (f"{ARRIVED}<?", wanted.until_ms),
    ]
    ids = wanted.ids[:MOST_IDS]
    listed = f" AND id IN ({', '.join('?' * len(ids))})" if ids else ""
    given = [(text, value) for text, value in more if value is not None]
    more_values = [value for _, value in given]
    return condition + "".join(f" AND {text}" for text, _ in given) + listed, [*texts, *more_values, *ids]

"""Rows of the ledger as statements bind them, many at a time.

Each call into SQLite gives up the interpreter's lock, which comes back late under load, so rows share statements. The
statements have few sizes, as each is prepared once.
"""

from collections.abc import Iterator, Sequence

from proxy.model.ledger import LedgerRow
from proxy.queue.keys import copy_key, event_key

_SIZES = (64, 8, 1)
# On disk, beside a row's texts; measured with dbstat.
_ROW_BYTES = 50
USUAL_SOURCE = "website"
"""The action source that is not written down, as nearly all events have it."""
_COLUMNS = (
    "(rowid, at, pixel, name, id, time_s, status, reason, fate, fbtrace_id, attempts, findings, total, copy, source)"
)
_PLACES = {size: ", ".join([f"({', '.join('?' * 15)})"] * size) for size in _SIZES}


def statements(rows: Sequence[LedgerRow]) -> Iterator[Sequence[LedgerRow]]:
    """Yield rows, in order, as many at a time as one statement adds."""
    start = 0
    while start < len(rows):
        size = next(size for size in _SIZES if size <= len(rows) - start)
        yield rows[start : start + size]
        start += size


def insertion(table: str, count: int) -> str:
    """Return the SQL that adds so many rows to a table; ``statements`` says how many there may be."""
    return f"INSERT INTO {table}{_COLUMNS} VALUES {_PLACES[count]}"  # noqa: S608 - our own names


def values(rows: Sequence[LedgerRow], last: int, total: int, secret: bytes) -> tuple[list[object], int]:
    """Return what ``insertion`` binds, and the bytes of the table's rows with these.

    Args:
        rows: What is added.
        last: The number of the row before.
        total: The bytes of the table's rows before.
        secret: A key for ``copy_key``.
    """
    bound: list[object] = []
    for number, row in enumerate(rows, last + 1):
        at, pixel, name, identity, time_s, status, reason, browser_copy, trace, attempts, found, visitor, *_ = row
        findings = " ".join(found)
        source = "" if row.action_source == USUAL_SOURCE else row.action_source
        texts = (pixel, name, identity, status, reason, browser_copy or "", trace, findings, source)
        total += _ROW_BYTES + len("".join(texts).encode())
        copy = copy_key(event_key(pixel, name, identity), visitor, secret)
        bound += (number, at, pixel, name, identity, time_s, status, reason, browser_copy, trace, attempts)
        bound += (findings, total, copy, source or None)
    return bound, total

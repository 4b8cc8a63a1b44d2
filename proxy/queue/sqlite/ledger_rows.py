"""Rows of the ledger as statements bind them, many at a time.

Each call into SQLite releases the interpreter's lock, and under load it takes long to get it back, so rows share
statements. The statements have only a few sizes, since a statement of each size is prepared once.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import orjson

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import NO_FACTS, EventFacts
from proxy.model.ledger import LedgerRow, Status
from proxy.queue.keys import copy_key, event_key
from proxy.queue.rollup_counts import latest_copy_status

_SIZES = (64, 8, 1)
# Bytes of a row on disk, without its texts; measured with dbstat.
_ROW_BYTES = 85
USUAL_SOURCE = "website"
"""The action source that is not written down, as nearly all events have it."""
ADDED = {2: ("findings",), 3: ("total",), 5: ("copy",), 7: ("source",), 9: ("arrived", "site", "facts", "error")}
"""Columns by the layout of the file that added them; they follow those that tables had from the beginning."""
NAMES = (
    *("at", "pixel", "name", "id", "time_s", "status", "reason", "fate", "fbtrace_id", "attempts"),
    *(name for names in ADDED.values() for name in names),
)
ARRIVED = "coalesce(arrived, at)"
"""SQL for when the event of a row arrived; a row without this (before layout 9) counts as arrived when it ended."""
INDEXES = {"arrived": f"{ARRIVED}, name, status", "id": f"id, {ARRIVED}"}
"""The columns in each index of a table, by the name of the index.

Since name and status follow the arrival, a search for a rare name or status reads no other rows. Tables that have an
index of this name already keep it.
"""
COLUMNS = ", ".join(NAMES)
_PLACES = {size: ", ".join([f"({', '.join('?' * (1 + len(NAMES)))})"] * size) for size in _SIZES}


def statement_batches(rows: Sequence[LedgerRow]) -> Iterator[Sequence[LedgerRow]]:
    """Yield rows, in order, as many at a time as one statement adds."""
    start = 0
    while start < len(rows):
        size = next(size for size in _SIZES if size <= len(rows) - start)
        yield rows[start : start + size]
        start += size


def insertion(table: str, count: int) -> str:
    """Return the SQL that adds ``count`` rows to a table, a count that ``statement_batches`` yields."""
    return f"INSERT INTO {table}(rowid, {COLUMNS}) VALUES {_PLACES[count]}"  # noqa: S608 - our own names


def copy_keys_of(rows: Sequence[LedgerRow], secret: bytes) -> list[bytes]:
    """Return the keys of browser copies of rows; ``secret`` is a key for ``copy_key``."""
    return [copy_key(event_key(row.pixel, row.name, row.id), row.visitor, secret) for row in rows]


def values(rows: Sequence[LedgerRow], copies: Sequence[bytes], last: int, total: int) -> tuple[list[object], int]:
    """Return the values that ``insertion`` binds, and the bytes of all rows of the table including these.

    Args:
        rows: What is added.
        copies: The ``copy_key`` of each row.
        last: The number of the row before.
        total: The bytes of all rows of the table before.
    """
    bound: list[object] = []
    for number, (row, copy) in enumerate(zip(rows, copies, strict=True), last + 1):
        at, pixel, name, identity, time_s, status, reason, browser_copy, trace, attempts, found, *_ = row
        findings = " ".join(found)
        source = "" if row.action_source == USUAL_SOURCE else row.action_source
        facts, error = _facts_text(row.facts), _error_text(row)
        indexed = (name, identity, status)  # these stand in the table and in an index
        texts = (*indexed, *indexed, pixel, reason, browser_copy or "", trace, findings, source)
        total += _ROW_BYTES + len("".join((*texts, row.facts.site, facts or "", error or "")).encode())
        bound += (number, at, pixel, name, identity, time_s, status, reason, browser_copy, trace, attempts)
        bound += (findings, total, copy, source or None, row.arrived or None, row.facts.site or None, facts, error)
    return bound, total


@lru_cache(maxsize=1024)
def _facts_text(facts: EventFacts) -> str | None:
    """Return all facts but the site, which has a column of its own."""
    return orjson.dumps(facts[1:]).decode() if facts[1:] != NO_FACTS[1:] else None


def _error_text(row: LedgerRow) -> str | None:
    told = (row.code, row.subcode, row.message)
    return orjson.dumps(told).decode() if any(told) else None


def row_of(found: Sequence[Any], update: BrowserCopy | None, first_number: int) -> LedgerRow:
    """Return a row from its rowid and columns.

    Args:
        found: What was read.
        update: What is known of its browser copy since.
        first_number: The rowid from which on a rowid is a number; rows below it have none.
    """
    rowid, at, pixel, name, identity, time_s, status, reason, browser_copy, trace, attempts, findings, *added = found
    _, _, source, arrived, site, facts, error = added
    event = (at, pixel, name, identity, time_s, Status(status), reason)
    copied = latest_copy_status(BrowserCopy(browser_copy) if browser_copy else None, update)
    delivery = (copied, trace, attempts, tuple((findings or "").split()), b"", source or USUAL_SOURCE)
    code, subcode, message = orjson.loads(error) if error else (0, 0, "")
    told = (arrived or 0, _facts(site or "", facts), code, subcode, message)
    return LedgerRow(*event, *delivery, *told, rowid if rowid >= first_number else 0)


def _facts(site: str, written: str | None) -> EventFacts:
    if not written:
        return EventFacts(site)
    match_keys, consent, source, redactions, value, currency = orjson.loads(written)
    return EventFacts(site, match_keys, consent, source, tuple(redactions), value, currency)

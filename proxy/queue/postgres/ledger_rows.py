"""Rows of the ledger as arguments of statements, one for each column, and the number that the database gives each row.

A row's number is the database's clock in microseconds when it is written, and never below what its table holds, so
that it grows whichever proxy writes and whatever the clocks of proxies say, without a sequence; it stays below 2⁵³,
which JSON readers can hold. Rows that several proxies write at one moment may share a number, and rows may become
visible in another order than that of their numbers: what reads by numbers allows for both (ledger_pages.py).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import EventFacts
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.queue.keys import copy_key, event_key
from proxy.queue.rollup_counts import UNDECIDED

COLUMNS = (
    ("at", "int8"),
    ("pixel", "text"),
    ("name", "text"),
    ("id", "text"),
    ("time_s", "int8"),
    ("status", "text"),
    ("reason", "text"),
    ("fate", "text"),
    ("fbtrace_id", "text"),
    ("attempts", "int4"),
    ("findings", "text"),
    ("copy", "int8"),
    ("source", "text"),
    ("movable", "bool"),
    ("arrived", "int8"),
    ("site", "text"),
    ("match_keys", "int8"),
    ("consent", "text"),
    ("consent_source", "text"),
    ("redactions", "text"),
    ("value", "int8"),
    ("currency", "text"),
    ("code", "int8"),
    ("subcode", "int8"),
    ("message", "text"),
)
"""All columns but the number. From ``movable`` on they are NULL in rows of layout 1, and where there is no value."""
FACTS = f"number, {', '.join(name for name, _ in COLUMNS)}, replayed"
"""The columns that ``row_of`` reads."""
CLOCK = "(extract(epoch FROM clock_timestamp()) * 1000000)::int8"
_NAMES = ", ".join(name for name, _ in COLUMNS)
# How many columns layout 1 has, with the number; and how many there are now, with the number and ``replayed``.
_OLD_COLUMNS, _ALL_COLUMNS = 14, len(COLUMNS) + 2
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_MOST_ATTEMPTS = (1 << 31) - 1
# True if there is no row of the same event and moment, which a statement whose answer was lost may have written.
_UNKNOWN = (
    "(SELECT count(*) FROM ledger_{day} o WHERE o.id = l.id AND o.at = l.at AND o.copy = l.copy"
    " AND o.status = l.status AND o.reason = l.reason) = 0"
)


_LIST = ", ".join(f"l.{name}" for name, _ in COLUMNS)


def unknown_of(day: int) -> str:
    """Return the SQL that finds which rows of one day are not in its table yet: their places, from 1."""
    arguments = ", ".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(COLUMNS, 1))
    return (
        f"SELECT ordinal FROM unnest({arguments}) WITH ORDINALITY l({_NAMES}, ordinal)"  # noqa: S608 - our own names
        f" WHERE {_UNKNOWN.format(day=day)} ORDER BY ordinal"
    )


def insertion(day: int, first: int = 1, *, condition: str = "true", more: Sequence[tuple[str, str]] = ()) -> str:
    """Return the SQL that adds rows of one day.

    Args:
        day: Of their table.
        first: The number of the first argument that ``values`` fills.
        condition: An SQL condition: which rows are added; ``l`` has their columns.
        more: Names and types of further arguments behind those, an element for each row.
    """
    columns = [*COLUMNS, *more]
    arguments = ", ".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(columns, first))
    names = ", ".join([*(name for name, _ in columns), "ordinal"])
    base = f"SELECT greatest({CLOCK}, coalesce(max(number), 0)) AS number FROM ledger_{day}"  # noqa: S608 - our own names
    return (
        f"INSERT INTO ledger_{day}(number, {_NAMES})"  # noqa: S608 - our own names
        f" SELECT base.number + l.ordinal, {_LIST}"
        f" FROM ({base}) base, unnest({arguments}) WITH ORDINALITY l({names}) WHERE {condition}"
    )


def writable(rows: Iterable[LedgerRow]) -> list[LedgerRow]:
    """Return those rows whose ``time_s`` and ``attempts`` the database can hold."""
    return [row for row in rows if _LEAST <= row.time_s <= _MOST and 0 <= row.attempts <= _MOST_ATTEMPTS]


def values(rows: Sequence[LedgerRow], secret: bytes) -> list[list[object]]:
    """Return what ``insertion`` takes: a list for each column.

    Args:
        rows: What is added.
        secret: A key for ``copy_key``.
    """
    return [list(column) for column in zip(*(_columns(row, secret) for row in rows), strict=True)]


def _columns(row: LedgerRow, secret: bytes) -> tuple[object, ...]:
    facts = row.facts
    # Whether the rollups may have to count it otherwise: when its browser copy becomes known, or it is replayed.
    is_movable = row.browser_copy in UNDECIDED or row.status is Status.DEAD or None
    event = (
        row.at,
        storable_text(row.pixel),
        storable_text(row.name),
        storable_text(row.id),
        row.time_s,
        row.status.value,
        storable_text(row.reason),
    )
    delivery = (row.browser_copy, storable_text(row.fbtrace_id), row.attempts, storable_text(" ".join(row.findings)))
    copy = (row_number(row, secret), storable_text(row.action_source), is_movable, row.arrived or None)
    consent = (storable_text(facts.consent) or None, storable_text(facts.consent_source) or None)
    about = (
        storable_text(facts.site) or None,
        facts.match_keys or None,
        *consent,
        storable_text(" ".join(facts.redactions)) or None,
    )
    told = (row.code or None, row.subcode or None, storable_text(row.message) or None)
    return (*event, *delivery, *copy, *about, facts.value, storable_text(facts.currency) or None, *told)


def row_of(found: Any) -> LedgerRow:
    """Return a row whose first columns are ``FACTS``; the visitor is left empty, since the table does not have it."""
    old, (*facts, replayed) = found[:_OLD_COLUMNS], found[_OLD_COLUMNS:_ALL_COLUMNS]
    number, at, pixel, name, identity, time_s, status, reason, browser_copy, trace, attempts, findings, _, source = old
    _, arrived, site, match_keys, consent, consent_source, redactions, value, currency, code, subcode, message = facts
    event = (at, pixel, name, identity, time_s, Status.REPLAYED if replayed else Status(status), reason)
    copied = BrowserCopy(browser_copy) if browser_copy else None
    delivery = (copied, trace, attempts, tuple(findings.split()), b"", source, arrived or 0)
    about = (site or "", match_keys or 0, consent or "", consent_source or "", tuple((redactions or "").split()))
    told_of = EventFacts(*about, value, currency or "")
    return LedgerRow(*event, *delivery, told_of, code or 0, subcode or 0, message or "", number)


def event_key_of(pixel: str, name: str, identity: str) -> bytes:
    """Return the key of an event, also if its texts have lone surrogates, which UTF-8 cannot encode.

    Args:
        pixel: Id of the pixel.
        name: The event's name.
        identity: The event's id.
    """
    try:
        return event_key(pixel, name, identity)
    except UnicodeEncodeError:
        return event_key(storable_text(pixel), storable_text(name), storable_text(identity))


def row_number(event: LedgerRow | Record, secret: bytes) -> int:
    """Return the ``copy_number`` of a row, or of a record that becomes one."""
    return copy_number(event_key_of(event.pixel, event.name, event.id), event.visitor, secret)


def copy_number(key: bytes, visitor: bytes, secret: bytes) -> int:
    """Return the ``copy_key`` of an event and visitor as the database's number of 8 bytes.

    Args:
        key: The event's ``event_key``.
        visitor: Four bytes that tell visitors apart.
        secret: A key for ``copy_key``.
    """
    return int.from_bytes(copy_key(key, visitor, secret), "big", signed=True)


def storable_text(value: str) -> str:
    """Return a text as the database can hold it: without NUL characters and lone surrogates."""
    if value.isascii():
        return value.replace("\0", "\ufffd") if "\0" in value else value
    return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")

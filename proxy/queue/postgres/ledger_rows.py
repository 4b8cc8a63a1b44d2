"""Rows of the ledger as statements take them: a column an argument, and the number that the database gives each.

A row's number is the database's clock in microseconds when it is written, and never below what its table holds, so
that it grows whichever proxy writes and whatever the clocks of proxies say, without a sequence; it stays below 2⁵³,
which JSON readers can hold. Rows that several proxies write at one moment may share a number, and rows may become
visible in another order than that of their numbers: what reads by numbers allows for both (ledger_pages.py).
"""

from collections.abc import Iterable, Sequence

from proxy.model.ledger import LedgerRow
from proxy.queue.keys import copy_key, event_key

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
)
"""All but the number."""
CLOCK = "(extract(epoch FROM clock_timestamp()) * 1000000)::int8"
_NAMES = ", ".join(name for name, _ in COLUMNS)
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_MOST_ATTEMPTS = (1 << 31) - 1
# Beside a row of the same event and moment, which a statement whose answer was lost may have written.
_UNKNOWN = (
    "(SELECT count(*) FROM ledger_{day} o WHERE o.id = l.id AND o.at = l.at AND o.copy = l.copy"
    " AND o.status = l.status AND o.reason = l.reason) = 0"
)


def insertion(day: int, first: int = 1, *, condition: str = "true", more: Sequence[tuple[str, str]] = ()) -> str:
    """Return the SQL that adds rows of one day.

    Args:
        day: Of their table.
        first: The number of the first argument that ``values`` fills.
        condition: Which of them are added; ``l`` has their columns.
        more: Names and types of further arguments behind those, an element for each row.
    """
    columns = [*COLUMNS, *more]
    arguments = ", ".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(columns, first))
    names = ", ".join([*(name for name, _ in columns), "ordinal"])
    base = f"SELECT greatest({CLOCK}, coalesce(max(number), 0)) AS number FROM ledger_{day}"  # noqa: S608 - our own names
    return (
        f"INSERT INTO ledger_{day}(number, {_NAMES})"  # noqa: S608 - our own names
        f" SELECT base.number + l.ordinal, {', '.join(f'l.{name}' for name, _ in COLUMNS)}"
        f" FROM ({base}) base, unnest({arguments}) WITH ORDINALITY l({names}) WHERE {condition}"
    )


def unknown(day: int) -> str:
    """Return the condition that a row is not in the table of a day yet."""
    return _UNKNOWN.format(day=day)


def writable(rows: Iterable[LedgerRow]) -> list[LedgerRow]:
    """Return those rows whose numbers the database can hold."""
    return [row for row in rows if _LEAST <= row.time_s <= _MOST and 0 <= row.attempts <= _MOST_ATTEMPTS]


def values(rows: Sequence[LedgerRow], secret: bytes) -> list[list[object]]:
    """Return what ``insertion`` takes: a list for each column.

    Args:
        rows: What is added.
        secret: A key for ``copy_key``.
    """
    return [list(column) for column in zip(*(_columns(row, secret) for row in rows), strict=True)]


def _columns(row: LedgerRow, secret: bytes) -> tuple[object, ...]:
    key = event_key_of(row.pixel, row.name, row.id)
    event = (row.at, text(row.pixel), text(row.name), text(row.id), row.time_s, row.status.value, text(row.reason))
    delivery = (row.browser_copy, text(row.fbtrace_id), row.attempts, text(" ".join(row.findings)))
    return (*event, *delivery, copy_number(key, row.visitor, secret), text(row.action_source))


def event_key_of(pixel: str, name: str, identity: str) -> bytes:
    """Return the key of an event, also where its texts have half a character.

    Args:
        pixel: Id of the pixel.
        name: The event's name.
        identity: The event's id.
    """
    try:
        return event_key(pixel, name, identity)
    except UnicodeEncodeError:
        return event_key(text(pixel), text(name), text(identity))


def copy_number(key: bytes, visitor: bytes, secret: bytes) -> int:
    """Return the ``copy_key`` of an event and visitor as the database's number of 8 bytes.

    Args:
        key: The event's ``event_key``.
        visitor: Four bytes that tell visitors apart.
        secret: A key for ``copy_key``.
    """
    return int.from_bytes(copy_key(key, visitor, secret), "big", signed=True)


def text(value: str) -> str:
    """Return a text as the database can hold it: without NUL, and without half a character."""
    if value.isascii():
        return value.replace("\0", "\ufffd") if "\0" in value else value
    return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")

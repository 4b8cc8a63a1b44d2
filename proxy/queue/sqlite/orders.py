"""The order memory: which events of orders were met in the last 90 days (at most 120), whatever their ids were.

Shops tell of an order again when it is edited or refunded weeks later, buyers open its thank-you page the next day, and
two programs may tell of it with unlike event ids. A table for each 30 days holds a key of 16 bytes for each event; it
is made with its first event and dropped whole. A record names its order itself (``Record.order``); those that name none
cost nothing here.
"""

from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import apsw

from proxy.model.order import ORDER_KEY
from proxy.model.record import Record
from proxy.model.units import DAY_MS
from proxy.queue.group import Member

_MONTH_MS = 30 * DAY_MS
# So many tables, the current one among them, are asked: an event of the first day of the oldest is 120 days old.
_MONTHS = 4
_PAGE = b"page"


class OrderMemory:
    """Works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._months: set[int] = set()
        self.reload()

    def reload(self) -> None:
        """Learn which tables there are, at start and after a rollback."""
        names = self._db.execute("SELECT name FROM sqlite_schema WHERE type='table' AND name GLOB 'order_[0-9]*'")
        self._months = {int(str(name).removeprefix("order_")) for (name,) in names}

    def repeats(self, members: Sequence[Member], now: int) -> list[int]:
        """Return which records are about orders that were met, before or in this group, and remember the others.

        Args:
            members: The group's records.
            now: Server clock in milliseconds.
        """
        orders = {number: _of(member.record) for number, member in enumerate(members) if member.record.order}
        if not orders:
            return []
        met = self._met({key for order in orders.values() for key in order.known_by}, now)
        new: set[bytes] = set()
        repeats = []
        for number, order in orders.items():
            if met.isdisjoint(order.known_by) and new.isdisjoint(order.known_by):
                new.update(order.told)
            else:
                repeats.append(number)
        self._remember(sorted(new), now)
        return repeats

    def _met(self, keys: set[bytes], now: int) -> set[bytes]:
        """Return those that are remembered."""
        months = [month for month in self._months if month > now // _MONTH_MS - _MONTHS]
        if not months:
            return set()
        known = " OR ".join(f"EXISTS(SELECT 1 FROM order_{month} WHERE key=value)" for month in sorted(months))  # noqa: S608
        rows: Any = self._db.execute(f"SELECT value FROM carray(?) WHERE {known}", (_array(keys),)).fetchall()  # noqa: S608
        return {key for (key,) in rows}

    def _remember(self, keys: Sequence[bytes], now: int) -> None:
        if not keys:  # an empty array cannot be bound
            return
        month = now // _MONTH_MS
        if month not in self._months:
            self._db.execute(f"CREATE TABLE IF NOT EXISTS order_{month}(key BLOB PRIMARY KEY) WITHOUT ROWID")
            self._months.add(month)
        # A clock that was set back may bring what a later table has; in one table a key stands once.
        self._db.execute(f"INSERT OR IGNORE INTO order_{month} SELECT value FROM carray(?)", (_array(keys),))  # noqa: S608

    def forget(self, now: int) -> bool:
        """Drop the oldest table if its time is over; tell whether another may be due."""
        over = [month for month in self._months if month <= now // _MONTH_MS - _MONTHS]
        if over:
            self._db.execute(f"DROP TABLE order_{min(over)}")
            self._months.remove(min(over))
        return len(over) > 1

    def met(self, pixel: str, orders: Collection[bytes], now: int) -> frozenset[bytes]:
        """Return which events of orders are remembered.

        Args:
            pixel: For which pixel.
            orders: Their keys.
            now: Server clock in milliseconds.
        """
        keys = {_key(order, pixel): order for order in orders}
        return frozenset(keys[key] for key in self._met(set(keys), now))


class _Order(NamedTuple):
    """By which keys an event of an order is known, and under which it is remembered.

    A page's copy is a repeat of a server's, and a server's of either. Pages among themselves are left to the duplicate
    memory: a page that names the same order for everybody, as templates do, would lose all its sales but the first.
    """

    known_by: tuple[bytes, ...]
    told: tuple[bytes, ...]


def _of(record: Record) -> _Order:
    order, size = record.order, ORDER_KEY
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    of_server = tuple(_key(part, record.pixel) for part in parts)
    of_page = tuple(_key(part, record.pixel, _PAGE) for part in parts)
    return _Order((*of_server, *of_page), of_server) if record.browser_copy is None else _Order(of_server, of_page)


def _key(order: bytes, pixel: str, whose: bytes = b"") -> bytes:
    """Return the key of an order's event for one pixel: each of a site's pixels gets a copy."""
    return blake2b(order + pixel.encode() + whose, digest_size=ORDER_KEY).digest()


def _array(keys: set[bytes] | Sequence[bytes]) -> object:
    return apsw.carray(tuple(sorted(keys)))

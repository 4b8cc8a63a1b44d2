"""The order memory: which events of orders were met in the last 90 days (at most 120), whatever their ids were.

Shops report an order again when it is edited or refunded weeks later, buyers open its thank-you page again the next
day, and two programs may report it with different event ids. A table for each 30 days holds a key of 16 bytes for each
event, and a hash of 4 bytes of the value of a Purchase; it is made with its first event and dropped whole. A record
names its order itself (``Record.order``); those that name none cost nothing here.

A page's copy may wait for a server's event of the same order (``Twin``). Until the page's copy is sent, a server's
event takes its place: the server's event is no repeat, and the page's copy becomes one when it is claimed. Whether the
page's copy was sent is looked up in a table (unsent.py), not concluded from a clock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import apsw

from proxy.model.order import ORDER_KEY
from proxy.model.record import Record
from proxy.model.units import DAY_MS
from proxy.queue.group import Member
from proxy.queue.order_copies import classify_orders, lookup_keys_of, order_of, orders_of, page_key, server_order_key
from proxy.queue.past import Past
from proxy.queue.sqlite.unsent import UnsentOrders

_MONTH_MS = 30 * DAY_MS
# So many tables are asked, the current one included: an event of the first day of the oldest is up to 120 days old.
_MONTHS = 4


class OrderMemory:
    """The order memory; works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._unsent = UnsentOrders(db)
        self._months: set[int] = set()
        self.reload()

    def reload(self) -> None:
        """Read again which tables exist, at start and after a rollback."""
        names = self._db.execute("SELECT name FROM sqlite_schema WHERE type='table' AND name GLOB 'order_[0-9]*'")
        self._months = {int(str(name).removeprefix("order_")) for (name,) in names}
        self._unsent.reload()

    def check_and_remember(self, members: Sequence[Member], seen: Mapping[int, Past], now: int) -> dict[int, Past]:
        """Return which records are repeats because their orders were met before, or in this group; remember them all.

        The result is by number in the group. A repeat is remembered too: if a server's event is a repeat of a page's
        copy, events of further pages are repeats of the server's.

        Args:
            members: The group's records.
            seen: What the duplicate memory says of them.
            now: Server clock in milliseconds.
        """
        orders = orders_of(members)
        if not orders:
            return {}
        stored_before = self._known_worths(lookup_keys_of(orders.values()), now)
        unsent = self._unsent.unsent_keys({key for order in orders.values() for key in order.others})
        found = classify_orders(members, seen, stored_before, unsent)
        self._remember(found.worths, now)
        self._unsent.add(found.waiting)
        return found.pasts

    def _known_worths(self, keys: Collection[bytes], now: int) -> dict[bytes, bytes]:
        """Return those of the keys that are remembered, each with its worth."""
        months = sorted(month for month in self._months if month > now // _MONTH_MS - _MONTHS)
        if not months or not keys:  # an empty array cannot be bound
            return {}
        known = ", ".join(f"(SELECT worth FROM order_{month} WHERE key=value)" for month in months)  # noqa: S608
        sql = f"SELECT value, coalesce({known}, NULL) FROM carray(?)"  # noqa: S608 - our own names
        rows: Any = self._db.execute(sql, (_array(keys),)).fetchall()
        return {key: worth for key, worth in rows if worth is not None}

    def _remember(self, worths: Mapping[bytes, bytes], now: int) -> None:
        if not worths:  # an empty array cannot be bound
            return
        month = now // _MONTH_MS
        if month not in self._months:
            columns = "key BLOB PRIMARY KEY, worth BLOB NOT NULL"
            self._db.execute(f"CREATE TABLE IF NOT EXISTS order_{month}({columns}) WITHOUT ROWID")
            self._months.add(month)
        # A table has each key once, with the worth that came first.
        parts = f"substr(value, 1, {ORDER_KEY}), substr(value, {ORDER_KEY + 1})"
        sql = f"INSERT OR IGNORE INTO order_{month} SELECT {parts} FROM carray(?)"  # noqa: S608 - our own text
        self._db.execute(sql, (_array(key + worth for key, worth in worths.items()),))

    def forget(self, now: int) -> bool:
        """Drop the oldest table if its time is over; tell whether another may be due."""
        over = [month for month in self._months if month <= now // _MONTH_MS - _MONTHS]
        if over:
            self._db.execute(f"DROP TABLE order_{min(over)}")
            self._months.remove(min(over))
        return self._unsent.forget(now - _MONTHS * _MONTH_MS) or len(over) > 1

    def known_server_orders(self, pixel: str, orders: Collection[bytes], now: int) -> dict[bytes, bytes]:
        """Return which of these events of orders servers brought, each with its worth.

        Args:
            pixel: For which pixel.
            orders: Their keys.
            now: Server clock in milliseconds.
        """
        keys = {server_order_key(order, pixel): order for order in orders}
        return {keys[key]: worth for key, worth in self._known_worths(keys, now).items()}

    def end_wait(self, pixel: str, orders: Collection[bytes]) -> None:
        """Remember that pages' copies of orders no longer wait: from now on no server's event takes their place.

        Args:
            pixel: For which pixel.
            orders: Their keys.
        """
        self._unsent.remove({page_key(order, pixel) for order in orders})

    def retract(self, record: Record) -> None:
        """Forget the order of a server's event that is not sent, so that a page's copy counts."""
        keys = order_of(record).own if record.order else ()
        for month in self._months if keys else ():
            self._db.execute(f"DELETE FROM order_{month} WHERE key IN carray(?)", (_array(keys),))  # noqa: S608


def _array(values: Iterable[bytes]) -> object:
    return apsw.carray(tuple(sorted(values)))

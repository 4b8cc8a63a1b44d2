"""Orders that pages brought and of which no page's copy has been sent yet: till then a server's takes its place."""

from collections.abc import Collection, Mapping
from typing import Any

import apsw

SCHEMA = """
CREATE TABLE unsent_order(key BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX unsent_order_until ON unsent_order(until);
"""
# Keys forgotten in one transaction.
_SLICE = 1000


class UnsentOrders:
    """The table of unsent orders; works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._has_any = False
        self.reload()

    def reload(self) -> None:
        """Read again whether there are any, at start and after a rollback."""
        ((has_any,),) = self._db.execute("SELECT EXISTS(SELECT 1 FROM unsent_order)").fetchall()
        self._has_any = bool(has_any)

    def add(self, waiting: Mapping[bytes, int]) -> None:
        """Remember keys of pages' copies, each with the moment until which it waits."""
        for key, until in waiting.items():
            self._db.execute("INSERT OR IGNORE INTO unsent_order VALUES(?, ?)", (key, until))
            self._has_any = True

    def unsent_keys(self, keys: Collection[bytes]) -> set[bytes]:
        """Return those of the keys that are in the table."""
        if not self._has_any or not keys:  # an empty array cannot be bound
            return set()
        sql = "SELECT key FROM unsent_order WHERE key IN carray(?)"
        rows: Any = self._db.execute(sql, (apsw.carray(tuple(sorted(keys))),)).fetchall()
        return {key for (key,) in rows}

    def remove(self, keys: Collection[bytes]) -> None:
        """Forget the keys of copies that are sent, or whose place a server's event took."""
        if self._has_any and keys:  # an empty array cannot be bound
            self._db.execute("DELETE FROM unsent_order WHERE key IN carray(?)", (apsw.carray(tuple(sorted(keys))),))

    def forget(self, before: int) -> bool:
        """Forget a slice of those that waited until before a moment; tell whether there may be more."""
        if not self._has_any:
            return False
        old = "SELECT key FROM unsent_order WHERE until<? ORDER BY until LIMIT ?"
        self._db.execute(f"DELETE FROM unsent_order WHERE key IN ({old})", (before, _SLICE))  # noqa: S608 - our own text
        removed = self._db.changes()
        self.reload()
        return removed == _SLICE

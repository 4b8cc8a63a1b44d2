"""How many events wait, and how many dead letters and suppressions there are, without asking the tables.

The writer thread notes changes within a transaction; they count once it is committed, and a rollback forgets them.
So a change costs the same however many pixels there are, and other threads never see what may be taken back.
"""

from collections.abc import Hashable, Mapping
from threading import Lock
from typing import Any, Generic, TypeVar

from proxy.model.event import DropReason
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Stats

K = TypeVar("K", bound=Hashable)


class Tally(Generic[K]):
    """Numbers by key, apart from the changes of the transaction that is under way."""

    def __init__(self, values: Mapping[K, int] | None = None) -> None:
        self.values: dict[K, int] = dict(values or {})
        self.changes: dict[K, int] = {}

    def add(self, key: K, number: int) -> None:
        """Change a number within a transaction; a negative one makes it smaller."""
        self.changes[key] = self.changes.get(key, 0) + number

    def now(self, key: K) -> int:
        """Return a number as the transaction that is under way sees it."""
        return self.values.get(key, 0) + self.changes.get(key, 0)

    def apply(self) -> None:
        """Make the changes count; a key whose number comes to 0 is removed."""
        for key, number in self.changes.items():
            if value := self.values.get(key, 0) + number:
                self.values[key] = value
            else:
                self.values.pop(key, None)
        self.changes.clear()


class Counts:
    """Changed by the writer thread, read by any."""

    def __init__(
        self,
        waiting: Mapping[str, int],
        dead: int,
        suspects: Mapping[str, int],
        suppressions: Mapping[SuppressionKind, int] | None = None,
        with_fields: Mapping[tuple[str, bytes, bool], int] | None = None,
    ) -> None:
        """Begin with what the file holds."""
        self.waiting: Tally[str] = Tally(waiting)
        """Events, by pixel."""
        self.suspects: Tally[str] = Tally(suspects)
        """Those of them that are suspects."""
        self.with_fields: Tally[tuple[str, bytes, bool]] = Tally(with_fields)
        """Those of all that have request fields, by pixel, ``keys.fields_key`` and whether they are suspects."""
        self.withheld: Tally[DropReason] = Tally()
        """Events that waited and were dropped."""
        self.dead: Tally[str] = Tally({"": dead})
        """Dead letters, all under one key."""
        self.suppressions: Tally[SuppressionKind] = Tally(suppressions)
        self.total = sum(waiting.values())
        """Events that wait, of all pixels."""
        self._tallies: tuple[Tally[Any], ...] = (
            self.waiting,
            self.suspects,
            self.with_fields,
            self.withheld,
            self.dead,
            self.suppressions,
        )
        self._lock = Lock()
        self._snapshot: Stats | None = None

    def commit(self) -> None:
        """Make the changes of the transaction count."""
        if changed := [tally for tally in self._tallies if tally.changes]:
            with self._lock:
                self.total += sum(self.waiting.changes.values())
                for tally in changed:
                    tally.apply()
                self._snapshot = None

    def rollback(self) -> None:
        """Forget the changes of the transaction."""
        for tally in self._tallies:
            tally.changes.clear()

    def stats(self) -> Stats:
        """Return what is committed; copied only after a change, and only when somebody asks."""
        with self._lock:
            if self._snapshot is None:
                dead = self.dead.values.get("", 0)
                self._snapshot = Stats(
                    dict(self.waiting.values),
                    dead,
                    dict(self.withheld.values),
                    suppressions=dict(self.suppressions.values),
                    suspects=dict(self.suspects.values),
                )
            return self._snapshot

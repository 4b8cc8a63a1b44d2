"""How many events wait, and how many dead letters and suppressions there are, without asking the tables.

The writer thread notes changes within a transaction; they count once it is committed, and a rollback forgets them.
So a change costs the same however many pixels there are, and other threads never see what may be taken back.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Mapping
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar

from proxy.model.event import DropReason
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Stats

K = TypeVar("K", bound=Hashable)


class SegmentCounts(NamedTuple):
    """How many events wait; see ``Counts`` for each."""

    waiting: Counter[str]
    held: Counter[str]
    suspects: Counter[str]
    with_fields: Counter[tuple[str, bytes, bool]]


class LiveCount(Generic[K]):
    """Numbers by key, kept apart from the changes of the transaction that is under way."""

    def __init__(self, values: Mapping[K, int] | None = None) -> None:
        self.values: dict[K, int] = dict(values or {})
        self.changes: dict[K, int] = {}

    def add(self, key: K, number: int) -> None:
        """Change a number within a transaction; a negative one makes it smaller."""
        self.changes[key] = self.changes.get(key, 0) + number

    def current_value(self, key: K) -> int:
        """Return a number as the transaction that is under way sees it."""
        return self.values.get(key, 0) + self.changes.get(key, 0)

    def nonzero_keys(self) -> Collection[K]:
        """Return the keys whose number is not 0 as the transaction that is under way sees it."""
        return (
            [key for key in self.values | self.changes if self.current_value(key)]
            if self.changes
            else self.values.keys()
        )

    def apply(self) -> None:
        """Make the changes count; a key whose number comes to 0 is removed."""
        for key, number in self.changes.items():
            if value := self.values.get(key, 0) + number:
                self.values[key] = value
            else:
                self.values.pop(key, None)
        self.changes.clear()


class Moment:
    """A moment or None, kept apart from the change of the transaction that is under way."""

    def __init__(self, value: int | None = None) -> None:
        self.value = value
        self.changes: list[int | None] = []
        """Empty without a change, else one element: the moment, or None, that counts after the commit."""

    def current_value(self) -> int | None:
        """Return the moment as the transaction that is under way sees it."""
        return self.changes[0] if self.changes else self.value

    def put(self, moment: int | None) -> None:
        """Change the moment within a transaction."""
        self.changes[:] = [moment]

    def advance(self, moment: int) -> None:
        """Replace the moment by this one within a transaction, if this one is earlier."""
        if (now := self.current_value()) is None or moment < now:
            self.put(moment)

    def apply(self) -> None:
        """Make the change count."""
        (self.value,) = self.changes
        self.changes.clear()


class Counts:
    """The numbers of the queue; changed by the writer thread, read by any thread."""

    def __init__(
        self,
        segments: SegmentCounts,
        dead: int,
        suppressions: Mapping[SuppressionKind, int] | None = None,
        next_due: int | None = None,
    ) -> None:
        """Begin with what the file holds.

        Args:
            segments: What waits.
            dead: How many dead letters there are.
            suppressions: How many there are of each kind.
            next_due: When the next held segment is due: server clock in milliseconds.
        """
        self.waiting: LiveCount[str] = LiveCount(segments.waiting)
        """Events, by pixel."""
        self.held: LiveCount[str] = LiveCount(segments.held)
        """Those of them that are not due yet."""
        self.suspects: LiveCount[str] = LiveCount(segments.suspects)
        """Those of them that are suspects."""
        self.with_fields: LiveCount[tuple[str, bytes, bool]] = LiveCount(segments.with_fields)
        """Those that are due and have request fields, by pixel, ``keys.fields_key`` and whether they are suspects."""
        self.next_due = Moment(next_due)
        """When the next held segment is due, or too early a moment: then nothing is found due, and it is corrected."""
        self.withheld: LiveCount[DropReason] = LiveCount()
        """Events that waited and were dropped."""
        self.dead: LiveCount[str] = LiveCount({"": dead})
        """Dead letters, all under one key."""
        self.suppressions: LiveCount[SuppressionKind] = LiveCount(suppressions)
        self.total = sum(segments.waiting.values())
        """Events that wait, of all pixels."""
        self._tallies: tuple[LiveCount[Any] | Moment, ...] = (
            self.waiting,
            self.held,
            self.suspects,
            self.with_fields,
            self.withheld,
            self.dead,
            self.suppressions,
            self.next_due,
        )
        self._lock = Lock()
        self._snapshot: Stats | None = None

    def release(self, pixel: str, fields: bytes, events: int) -> None:
        """Note within a transaction that a held segment became due.

        Args:
            pixel: Its pixel.
            fields: Its ``keys.fields_key``.
            events: How many it holds.
        """
        self.held.add(pixel, -events)
        if fields:
            self.with_fields.add((pixel, fields, False), events)

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
                    held=dict(self.held.values),
                    next_due=self.next_due.value,
                )
            return self._snapshot

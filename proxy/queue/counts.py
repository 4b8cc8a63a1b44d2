"""How many events wait and how many dead letters there are, without asking the tables.

The writer thread notes changes within a transaction; they count once it is committed, and a rollback forgets them.
So a change costs the same however many pixels there are, and other threads never see what may be taken back.
"""

from collections import Counter
from collections.abc import Mapping
from threading import Lock

from proxy.model import DropReason
from proxy.queue.base import Stats


class Counts:
    """Changed by the writer thread, read by any."""

    def __init__(self, waiting: Mapping[str, int], dead: int) -> None:
        self._lock = Lock()
        self._waiting = dict(waiting)
        self._withheld: dict[DropReason, int] = {}
        self._dead = dead
        self._snapshot: Stats | None = None
        self.total = sum(waiting.values())
        """Events that wait, of all pixels."""
        self.rollback()

    def wait(self, pixel: str, events: int) -> None:
        """Note within a transaction that so many more (or fewer) events of a pixel wait."""
        self._more_waiting[pixel] += events

    def bury(self, letters: int) -> None:
        """Note within a transaction that there are so many more (or fewer) dead letters."""
        self._more_dead += letters

    def withhold(self, reason: DropReason) -> None:
        """Note within a transaction that a waiting event was dropped."""
        self._more_withheld[reason] += 1

    def commit(self) -> None:
        """Let the changes of the transaction count."""
        if self._more_waiting or self._more_dead or self._more_withheld:
            with self._lock:
                self._apply()
        self.rollback()

    def _apply(self) -> None:
        self._dead += self._more_dead
        for reason, events in self._more_withheld.items():
            self._withheld[reason] = self._withheld.get(reason, 0) + events
        for pixel, events in self._more_waiting.items():
            self._waiting[pixel] = self._waiting.get(pixel, 0) + events
            if not self._waiting[pixel]:
                del self._waiting[pixel]
        self.total += self._more_waiting.total()
        self._snapshot = None

    def rollback(self) -> None:
        """Forget the changes of the transaction."""
        self._more_waiting: Counter[str] = Counter()
        self._more_withheld: Counter[DropReason] = Counter()
        self._more_dead = 0

    def stats(self) -> Stats:
        """Return what is committed; copied only after a change, and only when somebody asks."""
        with self._lock:
            if self._snapshot is None:
                self._snapshot = Stats(dict(self._waiting), self._dead, dict(self._withheld))
            return self._snapshot

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

    def __init__(self, waiting: Mapping[str, int], dead: int, suspects: Mapping[str, int]) -> None:
        self._lock = Lock()
        self._waiting = Counter(waiting)
        self._suspects = +Counter(suspects)
        self._withheld: Counter[DropReason] = Counter()
        self._dead = dead
        self._snapshot: Stats | None = None
        self.total = sum(waiting.values())
        """Events that wait, of all pixels."""
        self.rollback()

    def wait(self, pixel: str, events: int, *, suspects: int = 0) -> None:
        """Note within a transaction that so many more (or fewer) events of a pixel wait, and suspects among them."""
        self._more_waiting[pixel] += events
        self._more_suspects[pixel] += suspects

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
        self._withheld += self._more_withheld
        _add(self._waiting, self._more_waiting)
        _add(self._suspects, self._more_suspects)
        self.total += self._more_waiting.total()
        self._snapshot = None

    def rollback(self) -> None:
        """Forget the changes of the transaction."""
        self._more_waiting: Counter[str] = Counter()
        self._more_suspects: Counter[str] = Counter()
        self._more_withheld: Counter[DropReason] = Counter()
        self._more_dead = 0

    def stats(self) -> Stats:
        """Return what is committed; copied only after a change, and only when somebody asks."""
        with self._lock:
            if self._snapshot is None:
                self._snapshot = Stats(dict(self._waiting), self._dead, dict(self._withheld), dict(self._suspects))
            return self._snapshot


def _add(counts: Counter[str], more: Counter[str]) -> None:
    """Add up what changed only, and leave out what came to nothing."""
    for pixel, events in more.items():
        counts[pixel] += events
        if not counts[pixel]:
            del counts[pixel]

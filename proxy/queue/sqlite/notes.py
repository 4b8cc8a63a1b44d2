"""Ledger rows and news of browser copies that nobody waits for, until the writer thread has written them.

Bounded in bytes, so that a flood of drops, or a disk that is full for hours, costs the ledger rows and not the memory.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow

News: TypeAlias = tuple[int, bytes, Sequence[bytes], BrowserCopy]
"""When it came, of which event key, from which visitor (of several the first who brought the event), what."""

MOST_BYTES = 32 << 20
# In memory, beside a row's texts, and of one piece of news; measured.
_ROW_BYTES, _NEWS_BYTES = 500, 200


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written in one transaction."""

    rows: list[LedgerRow]
    news: list[News]
    bytes: int


class Notes:
    """Added to by the event loop, taken from by the writer thread; each counter is changed by one of them only."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._rows: deque[LedgerRow] = deque()
        self._news: deque[News] = deque()
        self._added = self._written = 0
        self._refused = self._unwritable = 0

    def __len__(self) -> int:
        return len(self._rows) + len(self._news)

    @property
    def lost(self) -> int:
        """How many rows and pieces of news since start were left out of the ledger."""
        return self._refused + self._unwritable

    def add(self, rows: Iterable[LedgerRow], news: Iterable[News]) -> None:
        """Add what there is room for; the rest is counted as lost."""
        self._rows.extend(row for row in rows if self._fits(_row_bytes(row)))
        self._news.extend(one for one in news if self._fits(_NEWS_BYTES))

    def _fits(self, size: int) -> bool:
        fits = self._added - self._written + size <= self._most_bytes
        if fits:
            self._added += size
        else:
            self._refused += 1
        return fits

    def take(self, most: int) -> Batch:
        """Take the oldest, ``most`` of them at the most."""
        rows = [self._rows.popleft() for _ in range(min(most, len(self._rows)))]
        news = [self._news.popleft() for _ in range(min(most - len(rows), len(self._news)))]
        return Batch(rows, news, sum(map(_row_bytes, rows)) + _NEWS_BYTES * len(news))

    def written(self, batch: Batch, unwritable: int) -> None:
        """Give the room of a batch free; so many of it could not be written for what they hold."""
        self._written += batch.bytes
        self._unwritable += unwritable

    def give_back(self, batch: Batch) -> None:
        """Put a batch back that could not be written now."""
        self._rows.extendleft(reversed(batch.rows))
        self._news.extendleft(reversed(batch.news))


def _row_bytes(row: LedgerRow) -> int:
    return _ROW_BYTES + len(row.name) + len(row.id) + len(row.reason) + len(row.fbtrace_id)

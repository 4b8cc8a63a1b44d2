"""Ledger rows and updates of browser copies, which no caller waits for, until the engine has written them.

They are bounded in bytes: if dropped events flood in, or the disk or the database takes nothing for hours, ledger rows
are lost, but the memory does not fill up.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from proxy.model.event import BrowserCopy
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow
from proxy.queue.keys import event_key

CopyUpdate: TypeAlias = tuple[int, bytes, Sequence[bytes], BrowserCopy]
"""When it came, the event's key, the visitors (the first of them who brought the event counts), the new status."""

MOST_BYTES = 32 << 20
# Bytes in memory: of a row without its texts, and of an update; measured.
_ROW_BYTES, _UPDATE_BYTES = 500, 200


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written in one transaction."""

    rows: list[LedgerRow]
    updates: list[CopyUpdate]
    bytes: int
    """What it takes in memory."""


def keyed_updates(
    now: int, copy_updates: Iterable[BrowserCopyUpdate], pixels: Sequence[str], visitors: Sequence[bytes]
) -> Iterator[CopyUpdate]:
    """Yield each update of a browser copy once for each pixel, with the key that its event has there.

    Args:
        now: When they came: server clock in milliseconds.
        copy_updates: The updates.
        pixels: Ids of the pixels whose events they may be about.
        visitors: Who brought them; see ``Intake.note``.
    """
    for update in copy_updates:
        for pixel in pixels:
            yield now, event_key(pixel, update.name, update.id), visitors, update.browser_copy


class Notes:
    """The notes that wait: the event loop adds, one writer takes; each counter is changed by only one of the two."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._rows: deque[LedgerRow] = deque()
        self._updates: deque[CopyUpdate] = deque()
        self._added_bytes = self._written_bytes = 0
        self._refused = self._unwritable = 0

    def __len__(self) -> int:
        return len(self._rows) + len(self._updates)

    @property
    def lost(self) -> int:
        """How many rows and updates since start were left out of the ledger."""
        return self._refused + self._unwritable

    def add(self, rows: Iterable[LedgerRow], updates: Iterable[CopyUpdate]) -> None:
        """Add what fits into the bound; the rest is counted as lost."""
        self._rows.extend(row for row in rows if self._fits(_row_bytes(row)))
        self._updates.extend(update for update in updates if self._fits(_UPDATE_BYTES))

    def _fits(self, size: int) -> bool:
        fits = self._added_bytes - self._written_bytes + size <= self._most_bytes
        if fits:
            self._added_bytes += size
        else:
            self._refused += 1
        return fits

    def take(self, most: int) -> Batch:
        """Take the oldest rows, then the oldest updates, ``most`` of them together."""
        rows = [self._rows.popleft() for _ in range(min(most, len(self._rows)))]
        updates = [self._updates.popleft() for _ in range(min(most - len(rows), len(self._updates)))]
        return Batch(rows, updates, sum(map(_row_bytes, rows)) + _UPDATE_BYTES * len(updates))

    def mark_written(self, batch: Batch, unwritable: int) -> None:
        """Forget a batch that was written; ``unwritable`` of its rows could not be, and count as lost."""
        self._written_bytes += batch.bytes
        self._unwritable += unwritable

    def give_back(self, batch: Batch) -> None:
        """Put a batch that could not be written now back at the front."""
        self._rows.extendleft(reversed(batch.rows))
        self._updates.extendleft(reversed(batch.updates))


def _row_bytes(row: LedgerRow) -> int:
    return _ROW_BYTES + len(row.name) + len(row.id) + len(row.reason) + len(row.fbtrace_id)

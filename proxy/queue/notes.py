"""Ledger rows and updates of browser copies that nobody waits for, until the engine has written them.

Bounded in bytes, so that a flood of drops, or a disk or a database that takes nothing for hours, costs the ledger rows
and not the memory.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from proxy.model.event import BrowserCopy
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow
from proxy.queue.keys import event_key

CopyUpdate: TypeAlias = tuple[int, bytes, Sequence[bytes], BrowserCopy]
"""When it came, of which event key, from which visitor (of several the first who brought the event), the new status."""

MOST_BYTES = 32 << 20
# In memory, beside a row's texts, and of one update; measured.
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
    """Yield updates of browser copies by the keys of their events, for each pixel.

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
    """Added to by the event loop, taken from by one writer; each counter is changed by only one of them."""

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

    def written(self, batch: Batch, unwritable: int) -> None:
        """Forget a batch that is written, but for ``unwritable`` of its rows, which count as lost."""
        self._written_bytes += batch.bytes
        self._unwritable += unwritable

    def give_back(self, batch: Batch) -> None:
        """Put a batch back to the front that could not be written now."""
        self._rows.extendleft(reversed(batch.rows))
        self._updates.extendleft(reversed(batch.updates))


def _row_bytes(row: LedgerRow) -> int:
    return _ROW_BYTES + len(row.name) + len(row.id) + len(row.reason) + len(row.fbtrace_id)

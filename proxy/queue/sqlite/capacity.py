"""Whether the queue takes more: bounds of the settings, free space on the disk, and a disk that answers."""

import time

from proxy.config.schema import QueueSettings
from proxy.queue.contract import QueueFullError
from proxy.queue.sqlite.store import SqliteStore
from proxy.queue.sqlite.writer import Writer

# If a step of the writer thread takes longer, the disk is slow, and the health check says so.
SLOW_S = 1.5
# If a step takes this long, the disk hangs: callers are refused at once instead of waiting for it.
_HANGS_S = 8.0


class Capacity:
    """Tells whether the queue is full from numbers that other parts keep; costs next to nothing."""

    def __init__(self, store: SqliteStore, writer: Writer, limits: QueueSettings) -> None:
        """Compare a queue with its limits.

        Args:
            store: Knows how much there is.
            writer: Knows for how long the disk has not answered.
            limits: How much there may be.
        """
        self._store = store
        self._writer = writer
        self._limits = limits

    def fullness(self) -> float:
        """Return which part of the bounds is filled, 0 to 1."""
        waiting = self._store.tables.counts.total / self._limits.max_events
        return max(waiting, self._store.housekeeping.used_bytes / self._limits.max_bytes)

    def require(self) -> None:
        """Refuse an append while the queue is full.

        Raises:
            QueueFullError: with the reason.
        """
        if why := self.full_reason():
            raise QueueFullError(why)

    def full_reason(self) -> str:
        """Return why appends are refused, an empty text if they are not; a slow disk is no reason, a hanging one is."""
        return self._refusal_reason(most_busy_s=_HANGS_S)

    def refusal_reason(self) -> str:
        """Return why nothing new is accepted now, or not in time (a slow disk is a reason); an empty text otherwise."""
        return self._refusal_reason(most_busy_s=SLOW_S)

    def busy(self, most_s: float = SLOW_S) -> str:
        """Return a text that says how long the disk has not answered; empty if not longer than ``most_s`` seconds."""
        since = self._writer.busy_since  # read once, since the thread may end its step at any moment
        busy = 0.0 if since is None else time.monotonic() - since
        return f"the disk of data_dir has not answered for {busy:.0f} seconds" if busy > most_s else ""

    def _refusal_reason(self, *, most_busy_s: float) -> str:
        limits, store = self._limits, self._store
        if why := self.busy(most_busy_s):
            return why
        if store.disk_space.short:
            return store.disk_space.short
        if store.housekeeping.used_bytes > limits.max_bytes:
            return f"the file holds {limits.max_bytes} bytes already (queue.max_bytes)"
        if store.tables.counts.total >= limits.max_events:
            return f"{limits.max_events} events wait already (queue.max_events)"
        return ""

"""Whether the queue takes more: bounds of the settings, free space on the disk, and a disk that answers."""

import time

from proxy.config.schema import QueueSettings
from proxy.queue.contract import QueueFullError
from proxy.queue.sqlite.store import SqliteStore
from proxy.queue.sqlite.writer import Writer

# A step of the writer thread that takes longer is a disk that is slow, and health says so.
SLOW_S = 1.5
# One that takes this long is a disk that hangs: whoever comes is refused at once instead of waiting for it.
_HANGS_S = 8.0


class Capacity:
    """Looks at numbers that others keep; costs next to nothing."""

    def __init__(self, store: SqliteStore, writer: Writer, limits: QueueSettings) -> None:
        """Hold a queue against its limits.

        Args:
            store: Knows how much there is.
            writer: Knows for how long the disk has not answered.
            limits: How much there may be.
        """
        self._store = store
        self._writer = writer
        self._limits = limits

    def used(self) -> float:
        """Return which part of the bounds is filled, 0 to 1."""
        waiting = self._store.tables.counts.total / self._limits.max_events
        return max(waiting, self._store.housekeeping.used_bytes / self._limits.max_bytes)

    def require(self) -> None:
        """Refuse an append while the queue is full.

        Raises:
            QueueFullError: with the reason.
        """
        if why := self.overfull():
            raise QueueFullError(why)

    def overfull(self) -> str:
        """Return why appends are refused; empty while they are taken, however slow the disk is."""
        return self._full(most_busy_s=_HANGS_S)

    def refuses(self) -> str:
        """Return why nothing new is taken now, or not in time; empty while it is."""
        return self._full(most_busy_s=SLOW_S)

    def busy(self, most_s: float = SLOW_S) -> str:
        """Return that the disk has not answered for longer than so many seconds; empty if it has."""
        since = self._writer.busy_since  # the thread ends its step whenever it likes
        busy = 0.0 if since is None else time.monotonic() - since
        return f"the disk of data_dir has not answered for {busy:.0f} seconds" if busy > most_s else ""

    def _full(self, *, most_busy_s: float) -> str:
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

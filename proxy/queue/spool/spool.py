"""The spool as the event loop sees it: one thread owns the file, and every change is on the disk when it returns."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from proxy.queue.contract import QueueBrokenError, QueueFullError
from proxy.queue.spool.spool_file import FILE, SpoolFile, SpoolKind, SpoolRow

log = logging.getLogger(__name__)

T = TypeVar("T")

# A disk that takes this long hangs: callers are refused.
_HANGS_S = 8.0
_SLOW_S = 1.5
# Bytes of a group of usual size: a spool without room for it is full.
_LITTLE = 1 << 16


class Spool:
    """The open spool; used on the event loop only."""

    def __init__(self, file: SpoolFile, now: Callable[[], int], on_broken: Callable[[QueueBrokenError], None]) -> None:
        """Take an open file.

        Args:
            file: The file, which nobody else uses from now on.
            now: The server's clock in milliseconds.
            on_broken: Called when the disk failed, and nothing of the file may be relied on.
        """
        self._file = file
        self._now = now
        self._on_broken = on_broken
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._busy_since: float | None = None
        self._broken: QueueBrokenError | None = None
        self.filled = asyncio.Event()
        """Set whenever something was put."""

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        most_bytes: int,
        min_free_bytes: int,
        now: Callable[[], int],
        on_broken: Callable[[QueueBrokenError], None],
    ) -> Self:
        """Open the spool of a locked ``data_dir``.

        Args:
            directory: The ``data_dir``.
            most_bytes: How many bytes all rows together may have.
            min_free_bytes: How many bytes of the disk stay free.
            now: The server's clock in milliseconds.
            on_broken: Called when the disk failed, and nothing of the file may be relied on.

        Raises:
            QueueBrokenError: when the file cannot be used.
        """
        return cls(SpoolFile(directory, most_bytes=most_bytes, min_free_bytes=min_free_bytes), now, on_broken)

    @staticmethod
    def holds_anything(directory: Path) -> bool:
        """Tell whether the spool of a locked directory, that is not open, has anything the database lacks.

        Raises:
            QueueBrokenError: when the file cannot be used.
        """
        if not (directory / FILE).exists():
            return False
        file = SpoolFile(directory, most_bytes=0, min_free_bytes=0)
        file.close()
        return file.totals.bytes > 0

    @property
    def events(self) -> int:
        """How many events the database does not have yet."""
        return self._file.totals.events

    @property
    def suppressions(self) -> int:
        """How many suppressions the database does not have yet."""
        return self._file.totals.suppressions

    @property
    def empty(self) -> bool:
        """Whether the spool has no row at all."""
        return not self._file.totals.bytes

    def refusal_reason(self) -> str:
        """Return why nothing is accepted now; an empty text while it is."""
        if self._broken:
            return str(self._broken)
        if self._busy_since is not None and time.monotonic() - self._busy_since > _SLOW_S:
            return "the disk of data_dir does not answer"
        return self._file.no_room(_LITTLE)

    async def put(self, kind: SpoolKind, body: bytes, *, events: int = 0, in_doubt: bool = False) -> None:
        """Store something durably.

        Args:
            kind: What it is.
            body: Its bytes; what is about people must be sealed.
            events: How many events it has.
            in_doubt: Whether the database may have it already.

        Raises:
            QueueFullError: when it does not fit, or the disk does not answer.
            QueueBrokenError: when the disk failed.
        """
        row = SpoolRow(0, kind, self._now(), events, in_doubt, body)
        await self._do(partial(self._file.put, row))
        self.filled.set()

    async def oldest(self, most_events: int) -> Sequence[SpoolRow]:
        """Return the oldest rows of the kind that goes first, up to ``most_events`` events; at least one row if any.

        Raises:
            QueueFullError: when the disk does not answer.
            QueueBrokenError: when the disk failed.
        """
        return await self._do(lambda: self._file.oldest(most_events))

    async def remove(self, rows: Collection[SpoolRow]) -> None:
        """Remove rows that the database has.

        Raises:
            QueueFullError: when the disk is too full for it, or does not answer.
            QueueBrokenError: when the disk failed.
        """
        await self._do(lambda: self._file.remove(rows))

    async def set_aside(self, row: SpoolRow) -> None:
        """Keep a row, but do not bring it again before the next start.

        Raises:
            QueueFullError: when the disk is too full for it, or does not answer.
            QueueBrokenError: when the disk failed.
        """
        await self._do(lambda: self._file.set_aside(row))

    async def close(self) -> None:
        """Finish what was asked, then close the file."""
        if self.events:
            log.warning("%d events are still in the spool; the next start with this data_dir stores them", self.events)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
        self._thread.shutdown()

    async def _do(self, work: Callable[[], T]) -> T:
        if self._broken:
            raise self._broken
        if self._busy_since is not None and time.monotonic() - self._busy_since > _HANGS_S:
            raise QueueFullError("the disk of data_dir does not answer")
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._timed, work)
        await asyncio.wait((done,), timeout=_HANGS_S)
        if not done.done():
            done.add_done_callback(lambda late: late.exception())
            raise QueueFullError("the disk of data_dir does not answer")
        try:
            return done.result()
        except QueueBrokenError as error:
            if self._broken is None:
                # After a failed fsync nobody knows what the disk has, whatever it says later.
                self._broken = error
                self._on_broken(error)
            raise

    def _timed(self, work: Callable[[], T]) -> T:
        self._busy_since = time.monotonic()
        try:
            return work()
        finally:
            self._busy_since = None

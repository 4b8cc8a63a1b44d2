"""Reads that change nothing, on a connection and a thread of their own: they see whatever was committed before.

The thread that writes takes no part in a read, however long a search is. A search is read page by page, each page in a
transaction of its own, and searches that run at the same time take turns.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw

from proxy.model.ledger import LedgerRow
from proxy.model.pixel_order import PixelOrder
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import (
    DeadLetter,
    DeliveryState,
    Filter,
    Oldest,
    QueueBrokenError,
    QueueError,
    QueueFullError,
    Suppression,
)
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.arrivals import oldest
from proxy.queue.sqlite.connection import FATAL, advice
from proxy.queue.sqlite.dead_letters import DeadLetters
from proxy.queue.sqlite.figures import LocalFigures
from proxy.queue.sqlite.lanes import Lanes
from proxy.queue.sqlite.ledger_pages import START, LedgerPages, Place
from proxy.queue.sqlite.pixel_orders import read_orders
from proxy.queue.sqlite.suppressions import SuppressionTable

T = TypeVar("T")

# Dead letters on a page.
_LETTERS = 100
_LOOK_EVERY_S = 0.5
# If the thread used no processor time between so many looks, the disk hangs, and the caller that waits is told so. Time
# alone says nothing: the whole process may have been stalled, or the page may take much computing on a busy machine.
_IDLE_LOOKS = 3


class Reader:
    """Answers searches; used from the event loop."""

    def __init__(self, db: apsw.Connection, sealer: Sealer) -> None:
        """Read from a connection, which is the reader's from now on.

        Raises:
            ValueError: when the file has lost the last number of a dead letter.
        """
        self._db = db
        self._path = Path(db.filename)
        self.on_broken: Callable[[QueueBrokenError], None] = lambda _error: None
        """Called on the event loop when the file cannot be trusted any more."""
        self._dead = DeadLetters(db, sealer)
        self._first_number = _first_number(db)
        self._clock: int | None = None
        """The clock of the thread's processor time, while it reads a page."""
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "queue-reader")
        figures = LocalFigures(db, sealer, self._read, self._first_number)
        self.event_page, self.waiting_events = figures.event_page, figures.waiting_events
        self.rollups, self.tallies = figures.rollups, figures.tallies
        self.event_counts, self.period_sums = figures.event_counts, figures.period_sums

    async def events(self, wanted: Filter) -> AsyncIterator[LedgerRow]:
        """Yield finished events: newest first, or above the number ``wanted.since`` in the order of their numbers.

        Raises:
            QueueError: when they cannot be read.
        """
        left, pages = wanted.limit, self._above(wanted) if wanted.since is not None else self._newest(wanted)
        async for page in pages:
            for row in page[:left]:
                yield row
            left -= len(page[:left])
            if not left:
                return

    async def _newest(self, wanted: Filter) -> AsyncIterator[list[LedgerRow]]:
        place: Place | None = START
        while place:
            rows, place = await self._read(partial(self._newest_page, wanted, place))
            yield rows

    async def _above(self, wanted: Filter) -> AsyncIterator[list[LedgerRow]]:
        number = wanted.since
        while number is not None:
            rows, number = await self._read(partial(self._page_above, wanted, number))
            yield rows

    async def dead_letters(self, wanted: Filter) -> list[DeadLetter]:
        """Return dead letters, newest first.

        Raises:
            QueueError: when they cannot be read.
        """
        letters: list[DeadLetter] = []
        while (left := wanted.limit - len(letters)) > 0:
            before = letters[-1].id if letters else wanted.before
            page = replace(wanted, before=before, limit=min(left, _LETTERS))
            found = await self._read(partial(self._dead.read, page))
            letters += found
            if len(found) < page.limit:
                break
        return letters

    async def suppressions(
        self, kind: SuppressionKind | None = None, *, limit: int = 100, after: bytes | None = None
    ) -> list[Suppression]:
        """Return suppressions, newest first; see ``Archive``.

        Args:
            kind: Only these; None: of all kinds.
            limit: How many at the most.
            after: Only those with larger digests than this one, in the order of digests.

        Raises:
            QueueError: when they cannot be read.
        """
        if after is not None:
            return await self._read(partial(SuppressionTable.after, self._db, after, kind, limit))
        return await self._read(partial(SuppressionTable.newest, self._db, kind, limit))

    async def suppressed(self, person_digests: Collection[bytes]) -> set[SuppressionKind]:
        """Return the kinds of suppression that people have.

        Raises:
            QueueError: when they cannot be read.
        """
        return await self._read(partial(SuppressionTable.kinds_of, self._db, person_digests))

    async def oldest(self, pixels: Collection[str], damaged: Collection[int]) -> dict[str, Oldest]:
        """Return since when events of these pixels wait, without segments that were found damaged.

        Raises:
            QueueError: when it cannot be read.
        """
        return await self._read(partial(oldest, self._db, pixels, damaged))

    async def lane_state(self, pixel: str) -> DeliveryState:
        """Return how delivery of a pixel stands.

        Raises:
            QueueError: when it cannot be read.
        """
        return await self._read(partial(Lanes(self._db).read, pixel))

    async def pixel_orders(self) -> dict[str, PixelOrder]:
        """Return what the operator ordered, by pixel.

        Raises:
            QueueError: when it cannot be read.
        """
        return await self._read(partial(read_orders, self._db))

    async def close(self) -> None:
        """Finish the page that is being read, then close the connection."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        self._db.close()

    async def _read(self, look: Callable[[], T]) -> T:
        """Read a page on the thread; wait as long as the disk makes progress.

        Raises:
            QueueError: when it could not be read, or the disk hangs.
        """
        if self._closed:
            raise QueueBrokenError("the queue is closed")
        page = asyncio.get_running_loop().run_in_executor(self._thread, self._look, look)
        try:
            await self._finish(page)
            return page.result()
        except FATAL as error:
            broken = QueueBrokenError(f"{self._path}: {advice(error)}")
            self.on_broken(broken)
            raise broken from error
        except QueueError:
            raise
        except Exception as error:
            raise QueueError(f"{type(error).__name__} in the queue") from error
        finally:
            page.cancel()

    async def _finish(self, page: asyncio.Future[Any]) -> None:
        idle, used = 0, self._processor_ns()
        while not (await asyncio.wait({page}, timeout=_LOOK_EVERY_S))[0]:
            before, used = used, self._processor_ns()
            idle = idle + 1 if used is not None and used == before else 0
            if idle >= _IDLE_LOOKS:
                raise QueueFullError(f"the disk of data_dir has not answered for {idle * _LOOK_EVERY_S:.1f} seconds")

    def _processor_ns(self) -> int | None:
        clock = self._clock
        return None if clock is None else time.clock_gettime_ns(clock)

    # -- on the thread

    def _look(self, look: Callable[[], T]) -> T:
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        try:
            self._db.execute("BEGIN")
            try:
                return look()
            finally:
                if self._db.in_transaction:  # an error of the disk ended it already
                    self._db.execute("COMMIT")
        finally:
            self._clock = None

    def _newest_page(self, wanted: Filter, place: Place) -> tuple[list[LedgerRow], Place | None]:
        return LedgerPages(self._db, self._first_number).newest(wanted, place)

    def _page_above(self, wanted: Filter, number: int) -> tuple[list[LedgerRow], int | None]:
        return LedgerPages(self._db, self._first_number).since(wanted, number)


def _first_number(db: apsw.Connection) -> int:
    row = db.execute("SELECT value FROM meta WHERE key='ledger_first'").fetchone()
    return int(str(row[0])) if row else 1

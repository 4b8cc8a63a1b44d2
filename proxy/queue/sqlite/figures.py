"""Figures of the ledger: rollups, tallies, pages by arrival, and what waits."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

import apsw

from proxy.model.rollup import Rollup, RollupQuery, Tally
from proxy.model.rollup_sums import PeriodQuery, PeriodSums
from proxy.queue.contract import EventPage, Filter, WaitingEvent
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.event_pages import EventPages
from proxy.queue.sqlite.ledger import COUNTED_SINCE
from proxy.queue.sqlite.rollup_pages import event_counts, rollups
from proxy.queue.sqlite.rollup_sums import period_sums
from proxy.queue.sqlite.tallies import Tallies
from proxy.queue.sqlite.waiting import waiting_events

T = TypeVar("T")


class Read(Protocol):
    """Reads on the reading thread, within a transaction."""

    def __call__(self, look: Callable[[], T]) -> Awaitable[T]:
        """Call ``look`` there and return its result; raise QueueError when it cannot be read."""


class LocalFigures:
    """Reads that return the whole result at once, not page by page."""

    def __init__(self, db: apsw.Connection, sealer: Sealer, read: Read, first_number: int) -> None:
        """Take the reader's parts.

        Args:
            db: Its connection.
            sealer: Opens what waits.
            read: Reads on its thread.
            first_number: See ``row_of``.
        """
        self._db = db
        self._sealer = sealer
        self._read = read
        self._first = first_number

    async def event_page(self, wanted: Filter) -> EventPage:
        """See ``Books``."""
        return await self._read(partial(self._page, wanted))

    def _page(self, wanted: Filter) -> EventPage:
        rows: list[Any] = self._db.execute("SELECT value FROM meta WHERE key=?", (COUNTED_SINCE,)).fetchall()
        return EventPages(self._db, self._first, int(rows[0][0]) if rows else 0).page(wanted)

    async def waiting_events(self, wanted: Filter) -> list[WaitingEvent]:
        """See ``Books``."""
        return await self._read(partial(waiting_events, self._db, self._sealer, wanted))

    async def rollups(self, wanted: RollupQuery) -> list[Rollup]:
        """See ``Books``."""
        return await self._read(partial(rollups, self._db, wanted))

    async def event_counts(self, wanted: RollupQuery) -> list[Rollup]:
        """See ``Books``."""
        return await self._read(partial(event_counts, self._db, wanted))

    async def period_sums(self, wanted: PeriodQuery) -> PeriodSums:
        """See ``Books``."""
        return await self._read(partial(period_sums, self._db, wanted))

    async def tallies(self, since_hour: int, until_hour: int) -> list[Tally]:
        """See ``Books``."""
        return await self._read(partial(Tallies(self._db).read, since_hour, until_hour))

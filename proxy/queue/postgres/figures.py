"""Figures of the shared ledger: pages by arrival, what waits, rollups and tallies."""

import asyncio
from collections.abc import Sequence
from functools import partial

from proxy.model.rollup import Rollup, RollupQuery, Tally
from proxy.model.rollup_sums import PeriodQuery, PeriodSums
from proxy.queue.contract import EventPage, Filter, WaitingEvent
from proxy.queue.postgres import arrival_pages, rollup_sums, rollups, tallies, waiting_events
from proxy.queue.postgres.books_reader import BooksReader
from proxy.queue.postgres.database import Database, Role
from proxy.queue.seal import Sealer


class SharedFigures:
    """The part of ``Archive`` that is about figures."""

    def __init__(self, database: Database, sealer: Sealer, reader: BooksReader) -> None:
        """Take the parts that answer.

        Args:
            database: Where tallies are written.
            sealer: Opens waiting segments.
            reader: Reads pages.
        """
        self._database = database
        self._sealer = sealer
        self._reader = reader

    async def event_page(self, wanted: Filter) -> EventPage:
        """See ``Books``."""
        return await self._reader.page(partial(arrival_pages.page, wanted=wanted))

    async def waiting_events(self, wanted: Filter) -> list[WaitingEvent]:
        """See ``Books``."""
        rows = await self._reader.page(partial(waiting_events.segments, wanted=wanted))
        # In a thread: thousands of events may be in the segments, and must not hold up the event loop.
        return await asyncio.to_thread(waiting_events.events, rows, self._sealer, wanted)

    async def rollups(self, wanted: RollupQuery) -> list[Rollup]:
        """See ``Books``."""
        rows = await self._reader.page(partial(rollups.read_rows, wanted=wanted))
        return await asyncio.to_thread(rollups.rollups_of, rows)

    async def event_counts(self, wanted: RollupQuery) -> list[Rollup]:
        """See ``Books``."""
        return await self._reader.page(partial(rollups.event_counts, wanted=wanted))

    async def period_sums(self, wanted: PeriodQuery) -> PeriodSums:
        """See ``Books``."""
        found = await self._reader.page(partial(rollup_sums.read_sums, wanted=wanted))
        return await asyncio.to_thread(rollup_sums.sums_of, found, wanted)

    async def tallies(self, since_hour: int, until_hour: int) -> list[Tally]:
        """See ``Books``.

        Args:
            since_hour: The first hour.
            until_hour: The first that is not wanted.
        """
        return await self._reader.page(partial(tallies.read, since_hour=since_hour, until_hour=until_hour))

    async def add_tallies(self, counts: Sequence[Tally]) -> None:
        """See ``Archive``."""
        await self._database.transact(Role.BOOKS, partial(tallies.add, tallies=counts))

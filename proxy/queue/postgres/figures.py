"""Figures of the ledger: rollups, tallies, pages by arrival, and what waits."""

from collections.abc import Sequence

from proxy.model.rollup import Rollup, RollupQuery, Tally
from proxy.queue.contract import EventPage, Filter, WaitingEvent


class Figures:
    """The part of ``Archive`` that is about figures."""

    async def event_page(self, wanted: Filter) -> EventPage:
        """See ``Books``."""
        raise NotImplementedError

    async def waiting(self, wanted: Filter) -> list[WaitingEvent]:
        """See ``Books``."""
        raise NotImplementedError

    async def rollups(self, wanted: RollupQuery) -> list[Rollup]:
        """See ``Books``."""
        raise NotImplementedError

    async def tallies(self, since_hour: int, until_hour: int) -> list[Tally]:
        """See ``Books``."""
        raise NotImplementedError

    async def add_tallies(self, tallies: Sequence[Tally]) -> None:
        """See ``Archive``."""
        raise NotImplementedError

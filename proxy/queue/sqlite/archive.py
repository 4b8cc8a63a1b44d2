"""The operator's side of the queue: every read happens on the reading thread, every change on the writing thread."""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from proxy.model.ledger import LedgerRow
from proxy.model.pixel_order import PixelOrder
from proxy.model.rollup import Rollup, RollupQuery, Tally
from proxy.model.rollup_sums import PeriodQuery, PeriodSums
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import (
    DeadLetter,
    Erased,
    EventPage,
    Filter,
    LaneReport,
    Oldest,
    Replica,
    Stats,
    Suppression,
    WaitingEvent,
)
from proxy.queue.sqlite.pixel_orders import keep_order
from proxy.queue.sqlite.reader import Reader
from proxy.queue.sqlite.store import SqliteStore
from proxy.queue.sqlite.writer import Writer

# Dead letters that are put back or removed at a time, so that no append waits long for it.
_LETTERS = 100


class LocalArchive:
    """Implements ``Archive``, and with it ``Backlog`` and ``Suppressing``."""

    def __init__(self, store: SqliteStore, writer: Writer, reader: Reader) -> None:
        """Take the parts of an open queue.

        Args:
            store: The file.
            writer: The thread that writes it.
            reader: The thread that reads it.
        """
        self._store = store
        self._writer = writer
        self._reader = reader

    def stats(self) -> Stats:
        """See ``Backlog``."""
        store = self._store
        return replace(
            store.tables.counts.stats(), lost_notes=store.notes.lost, foreign_updates=store.housekeeping.foreign_updates
        )

    async def replicas(self) -> Sequence[Replica]:
        """See ``Replicas``: this process has the file to itself."""
        return ()

    async def lane_reports(self) -> Mapping[str, LaneReport]:
        """See ``Replicas``."""
        return {}

    async def pixel_orders(self) -> Mapping[str, PixelOrder]:
        """See ``PixelOrders``."""
        return await self._readable().pixel_orders()

    async def order_pixel(self, pixel: str, order: PixelOrder) -> None:
        """See ``PixelOrders``."""
        await self._writer.do(lambda: keep_order(self._store.tables.db, pixel, order))

    async def oldest(self, pixels: Collection[str]) -> dict[str, Oldest]:
        """See ``Backlog``."""
        return await self._readable().oldest(pixels, self._store.tables.segments.damaged)

    def _readable(self) -> Reader:
        if self._writer.broken:
            raise self._writer.broken
        return self._reader

    async def events(self, wanted: Filter) -> AsyncIterator[LedgerRow]:
        """See ``Archive``."""
        async for row in self._readable().events(wanted):
            yield row

    async def event_page(self, wanted: Filter) -> EventPage:
        """See ``Archive``."""
        return await self._readable().event_page(wanted)

    async def waiting_events(self, wanted: Filter) -> list[WaitingEvent]:
        """See ``Archive``."""
        return await self._readable().waiting_events(wanted)

    async def rollups(self, wanted: RollupQuery) -> list[Rollup]:
        """See ``Archive``."""
        return await self._readable().rollups(wanted)

    async def event_counts(self, wanted: RollupQuery) -> list[Rollup]:
        """See ``Archive``."""
        return await self._readable().event_counts(wanted)

    async def period_sums(self, wanted: PeriodQuery) -> PeriodSums:
        """See ``Archive``."""
        return await self._readable().period_sums(wanted)

    async def tallies(self, since_hour: int, until_hour: int) -> list[Tally]:
        """See ``Archive``."""
        return await self._readable().tallies(since_hour, until_hour)

    async def add_tallies(self, tallies: Sequence[Tally]) -> None:
        """See ``Archive``."""
        await self._writer.do(partial(self._store.tables.tallies.add, tallies))

    async def dead_letters(self, wanted: Filter) -> list[DeadLetter]:
        """See ``Archive``."""
        return await self._readable().dead_letters(wanted)

    async def replay(self, ids: Sequence[int], *, not_before_s: int) -> int:
        """See ``Archive``; done in slices."""
        return sum(
            [
                await self._writer.do(partial(self._store.corrections.replay, letters, not_before_s))
                for letters in _slices(ids)
            ]
        )

    async def discard(self, ids: Sequence[int]) -> int:
        """See ``Archive``; done in slices."""
        return sum(
            [await self._writer.do(partial(self._store.corrections.discard, letters)) for letters in _slices(ids)]
        )

    async def suppress(self, person_digests: Collection[bytes], kind: SuppressionKind, at: int) -> None:
        """See ``Suppressing``; sightings are forbidden in slices, so that no append waits for very many of them."""
        corrections = self._store.corrections
        more = await self._writer.do(lambda: corrections.suppress(person_digests, kind, at))
        while more:
            more = await self._writer.do(lambda: corrections.forbid(person_digests, kind))

    async def lift(
        self, person_digests: Collection[bytes], kinds: Collection[SuppressionKind], at: int
    ) -> list[SuppressionKind]:
        """See ``Suppressing``."""
        suppressions = self._store.tables.suppressions
        if not suppressions.has_any or not any(map(suppressions.may_hold, person_digests)):
            return []
        return await self._writer.do(lambda: suppressions.lift(person_digests, kinds, at))

    async def suppressed(self, person_digests: Collection[bytes]) -> set[SuppressionKind]:
        """See ``Suppressing``."""
        possible = list(filter(self._store.tables.suppressions.may_hold, person_digests))
        return await self._readable().suppressed(possible) if possible else set()

    async def suppressions(
        self, kind: SuppressionKind | None = None, *, limit: int = 100, after: bytes | None = None
    ) -> list[Suppression]:
        """See ``Archive``.

        Args:
            kind: Only these; None: of all kinds.
            limit: How many at the most.
            after: Only those with larger digests than this one, in the order of digests.
        """
        return await self._readable().suppressions(kind, limit=limit, after=after)

    async def erase(self, person_digests: Collection[bytes], at: int) -> Erased:
        """See ``Archive``; in slices, so that no append waits for a long search."""
        await self.suppress(person_digests, SuppressionKind.ERASURE, at)
        return Erased(
            waiting=await self._erase_in_slices(self._store.corrections.erase_waiting, person_digests),
            dead=await self._erase_in_slices(self._store.corrections.erase_dead, person_digests),
        )

    async def _erase_in_slices(
        self, erase: Callable[[Collection[bytes], int], tuple[int, int]], person_digests: Collection[bytes]
    ) -> int:
        total, last = await self._writer.do(partial(erase, person_digests, 0))
        while last:
            count, last = await self._writer.do(partial(erase, person_digests, last))
            total += count
        return total


def _slices(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + _LETTERS] for start in range(0, len(ids), _LETTERS))

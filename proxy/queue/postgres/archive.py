"""The archive of the shared queue: what any proxy can look up in it, and change for the operator."""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

from proxy.model.ledger import LedgerRow
from proxy.model.suppression import SuppressionKind
from proxy.queue.codec import chunks
from proxy.queue.contract import DeadLetter, Erased, Filter, LaneReport, Replica, Suppression
from proxy.queue.group import sealed_segment
from proxy.queue.postgres import segment_table
from proxy.queue.postgres.books_reader import BooksReader
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.erasing import Erasing
from proxy.queue.postgres.figures import SharedFigures
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.pixel_orders import SharedPixelOrders
from proxy.queue.postgres.replicas import SharedReplicas
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer

# Dead letters that are put back or removed in one transaction.
_LETTERS = 100


class _Act(Protocol):
    """Changes some dead letters within a transaction."""

    async def __call__(self, run: Run, ids: Sequence[int]) -> int:
        """Return how many letters were changed."""


class Suppress(Protocol):
    """Suppresses people, and forbids or removes their sightings; see ``Suppressing``."""

    async def __call__(self, person_digests: Collection[bytes], kind: SuppressionKind, at: int) -> None:
        """Suppress these people durably."""


class SharedArchive(SharedFigures):
    """The part of ``Archive`` that is about the books: ledger, dead letters, lists and erasures."""

    def __init__(  # noqa: PLR0913 - all that it shows and changes
        self,
        database: Database,
        sealer: Sealer,
        *,
        ledger: SharedLedger,
        dead: SharedDeadLetters,
        suppress: Suppress,
        now: Callable[[], int],
    ) -> None:
        """Take what is shown and changed.

        Args:
            database: Where the books are.
            sealer: Opens and seals what is stored there.
            ledger: Where finished events are written.
            dead: The dead letters.
            suppress: Suppresses the people who are erased.
            now: The server's clock in milliseconds.
        """
        super().__init__(database, sealer, BooksReader(database, ledger, dead))
        self._dead = dead
        self._suppress = suppress
        self._now = now
        self._ledger = ledger
        self._erasing = Erasing(database, sealer)
        self._replicas = SharedReplicas(database)
        orders = SharedPixelOrders(database)
        self.pixel_orders, self.order_pixel = orders.pixel_orders, orders.order_pixel

    async def replicas(self) -> Sequence[Replica]:
        """See ``Replicas``."""
        return await self._replicas.replicas()

    async def lane_reports(self) -> Mapping[str, LaneReport]:
        """See ``Replicas``."""
        return await self._replicas.lane_reports()

    async def events(self, wanted: Filter) -> AsyncIterator[LedgerRow]:
        """See ``Archive``."""
        async for row in self._reader.events(wanted):
            yield row

    async def dead_letters(self, wanted: Filter) -> list[DeadLetter]:
        """See ``Archive``."""
        return await self._reader.dead_letters(wanted)

    async def suppressions(
        self, kind: SuppressionKind | None = None, *, limit: int = 100, after: bytes | None = None
    ) -> list[Suppression]:
        """See ``Archive``.

        Args:
            kind: Only these; None: of all kinds.
            limit: How many at the most.
            after: Only those with larger digests than this one, in the order of digests.
        """
        return await self._reader.suppressions(kind, limit=limit, after=after)

    async def replay(self, ids: Sequence[int], *, not_before_s: int) -> int:
        """See ``Archive``; done in slices."""
        return await self._in_slices(ids, partial(self._replay, not_before_s=not_before_s))

    async def _replay(self, run: Run, ids: Sequence[int], *, not_before_s: int) -> int:
        records = await self._dead.take(run, ids, not_before_s)
        at = self._now()
        rows = [
            segment_table.row_of(sealed_segment(pixel, some, 0, self._sealer), at)
            for pixel in {record.pixel for record in records}
            for some in chunks([record for record in records if record.pixel == pixel])
        ]
        if rows:
            await run(segment_table.INSERT, *segment_table.columns(rows))
            await self._ledger.mark_letters_replayed(run, records)
        return len(records)

    async def discard(self, ids: Sequence[int]) -> int:
        """See ``Archive``; done in slices."""
        return await self._in_slices(ids, self._dead.discard)

    async def _in_slices(self, ids: Sequence[int], act: _Act) -> int:
        """Change dead letters, each slice in a transaction of its own; return how many were changed."""
        total = 0
        for some in _slices(ids):
            total += await self._database.transact(Role.BOOKS, partial(act, ids=some))
        return total

    async def erase(self, person_digests: Collection[bytes], at: int) -> Erased:
        """See ``Archive``; people are suppressed first, so that events which arrive meanwhile meet the suppression."""
        await self._suppress(person_digests, SuppressionKind.ERASURE, at)
        waiting = await self._erasing.erase(person_digests)
        return Erased(waiting=waiting, dead=await self._erase_dead(person_digests))

    async def _erase_dead(self, person_digests: Collection[bytes]) -> int:
        total = last = 0
        while True:
            erase = partial(self._dead.erase, person_digests=person_digests, after=last)
            count, last = await self._database.transact(Role.BOOKS, erase)
            total += count
            if not last:
                return total


def _slices(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + _LETTERS] for start in range(0, len(ids), _LETTERS))

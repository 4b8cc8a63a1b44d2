"""The default queue: one SQLite file in ``data_dir``, written by one thread and read for people by another.

More than 250 lines: it has each method of the contract once, and says where it is done.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import apsw

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.condition import ConditionBoard
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import (
    DeadLetter,
    DeliveryState,
    Erased,
    Filter,
    Oldest,
    QueueBrokenError,
    QueueFullError,
    Segment,
    SegmentRef,
    Settlement,
    Stats,
    Stored,
    Suppression,
)
from proxy.queue.grouper import Grouper
from proxy.queue.keys import event_key
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.capacity import Capacity
from proxy.queue.sqlite.connection import advice, open_reader
from proxy.queue.sqlite.data_dir import DATABASE_FILE
from proxy.queue.sqlite.reader import Reader
from proxy.queue.sqlite.store import SqliteStore
from proxy.queue.sqlite.troubles import Troubles
from proxy.queue.sqlite.writer import Writer

T = TypeVar("T")

_READY_S = 1.0
# Dead letters that are put back or removed at a time, so that no append waits long for it.
_LETTERS = 100


class LocalQueue:
    """Implements the whole contract on this machine's disk."""

    def __init__(
        self, store: SqliteStore, writer: Writer, reader: Reader, limits: QueueSettings, now: Callable[[], int]
    ) -> None:
        """Put the parts together; ``open`` makes them.

        Args:
            store: The file.
            writer: The thread that writes it.
            reader: The thread that reads it for people.
            limits: How much may wait.
            now: The server's clock in milliseconds.
        """
        self._store = store
        self._writer = writer
        self._grouper = Grouper(store.group, writer.store)
        self._reader = reader
        self._capacity = Capacity(store, writer, limits)
        self._now = now
        self._lane_states: dict[str, DeliveryState] = {}

    @classmethod
    def open(  # noqa: PLR0913 - the one place where all of it meets
        cls,
        directory: Path,
        sealer: Sealer,
        *,
        limits: QueueSettings,
        retention: RetentionSettings,
        now: Callable[[], int],
        on_broken: Callable[[QueueBrokenError], None],
        conditions: ConditionBoard | None = None,
    ) -> Self:
        """Open the queue of a locked ``data_dir``; call it within the event loop.

        Args:
            directory: The ``data_dir``.
            sealer: Seals what rests there.
            limits: How much may wait.
            retention: How long what is over stays.
            now: The server's clock in milliseconds.
            on_broken: Called on the event loop, once, when nothing is stored any more.
            conditions: Hears, on the event loop, of what is wrong with the queue though it goes on.

        Raises:
            QueueBrokenError: when the file cannot be used.
        """
        troubles = Troubles(conditions, asyncio.get_running_loop())
        path = directory / DATABASE_FILE
        path.touch(mode=0o600)
        store = SqliteStore(path, sealer, retention, now, reserve=limits.min_free_bytes, troubles=troubles)
        try:
            reader = Reader(open_reader(path), sealer)
        except apsw.Error as error:
            store.close(in_order=True)
            raise QueueBrokenError(f"{path}: {advice(error)}") from error
        writer = Writer(store, on_broken=on_broken)
        reader.on_broken = writer.fail
        return cls(store, writer, reader, limits, now)

    async def append(self, records: Sequence[Record], *, not_before: int = 0) -> Stored:
        """See ``Intake``."""
        self._capacity.require()
        return await self._grouper.append(records, not_before)

    def note(
        self,
        rows: Sequence[LedgerRow],
        copy_updates: Sequence[BrowserCopyUpdate] = (),
        pixels: Sequence[str] = (),
        visitors: Sequence[bytes] = (b"",),
    ) -> None:
        """See ``Intake``.

        Args:
            rows: Finished events.
            copy_updates: Later states of browser copies.
            pixels: Of whose events.
            visitors: Who brought the updates, 4 bytes each.
        """
        now = self._now()
        keyed = (
            (now, event_key(pixel, update.name, update.id), visitors, update.browser_copy)
            for update in copy_updates
            for pixel in pixels
        )
        self._store.notes.add(rows, keyed)

    async def claim(self, pixel: str, *, most: int, newest: bool = False, suspect: bool = False) -> tuple[Segment, ...]:
        """See ``Outbox``.

        Args:
            pixel: Its id.
            most: How many events.
            newest: The youngest come first.
            suspect: Claim suspects.
        """
        return await self._writer.do(lambda: self._store.deliveries.claim(pixel, most, newest=newest, suspect=suspect))

    async def release(self, segments: Sequence[Segment]) -> None:
        """See ``Outbox``."""
        await self._writer.do(lambda: self._store.deliveries.release(segments))

    async def settle(self, segments: Sequence[Segment], settlement: Settlement) -> frozenset[SegmentRef]:
        """See ``Outbox``."""
        return await self._writer.do(lambda: self._store.deliveries.settle(segments, settlement))

    async def lane_state(self, pixel: str) -> DeliveryState:
        """See ``Outbox``."""
        if pixel not in self._lane_states:
            self._lane_states[pixel] = await self._look_up(lambda: self._store.tables.lanes.read(pixel))
        return self._lane_states[pixel]

    async def keep_lane_state(self, pixel: str, state: DeliveryState) -> None:
        """See ``Outbox``."""
        if state != self._lane_states.get(pixel):
            await self._writer.do(lambda: self._store.tables.lanes.keep(pixel, state))
            self._lane_states[pixel] = state

    async def events(self, wanted: Filter) -> AsyncIterator[LedgerRow]:
        """See ``Archive``."""
        async for row in self._readable().events(wanted):
            yield row

    async def dead(self, wanted: Filter) -> list[DeadLetter]:
        """See ``Archive``."""
        return await self._readable().dead(wanted)

    def _readable(self) -> Reader:
        if self._writer.broken:
            raise self._writer.broken
        return self._reader

    async def replay(self, ids: Sequence[int], *, not_before_s: int) -> int:
        """See ``Archive``; done in slices."""
        return sum(
            [
                await self._writer.do(partial(self._store.corrections.replay, some, not_before_s))
                for some in _slices(ids)
            ]
        )

    async def discard(self, ids: Sequence[int]) -> int:
        """See ``Archive``; done in slices."""
        return sum([await self._writer.do(partial(self._store.corrections.discard, some)) for some in _slices(ids)])

    async def suppress(self, person_digests: Collection[bytes], kind: SuppressionKind, at: int) -> None:
        """See ``Suppressing``.

        Args:
            person_digests: 16 bytes each.
            kind: Who asked for it.
            at: Server clock in milliseconds.
        """
        await self._writer.do(lambda: self._store.tables.suppressions.add(person_digests, kind, at))

    async def lift(
        self, person_digests: Collection[bytes], kinds: Collection[SuppressionKind], at: int
    ) -> list[SuppressionKind]:
        """See ``Suppressing``.

        Args:
            person_digests: 16 bytes each.
            kinds: Which kinds end.
            at: Server clock in milliseconds; younger suppressions stay.
        """
        suppressions = self._store.tables.suppressions
        if not suppressions.has_any or not any(map(suppressions.may_hold, person_digests)):
            return []
        return await self._writer.do(lambda: suppressions.lift(person_digests, kinds, at))

    async def suppressed(self, person_digests: Collection[bytes]) -> set[SuppressionKind]:
        """See ``Suppressing``."""
        if not any(map(self._store.tables.suppressions.may_hold, person_digests)):
            return set()
        return await self._look_up(lambda: self._store.tables.suppressions.of(person_digests))

    async def suppressions(self, kind: SuppressionKind | None = None, *, limit: int = 100) -> list[Suppression]:
        """See ``Archive``."""
        return await self._readable().suppressions(kind, limit=limit)

    async def erase(self, person_digests: Collection[bytes], at: int) -> Erased:
        """See ``Archive``; in slices, so that no append waits for a long search."""
        await self.suppress(person_digests, SuppressionKind.ERASURE, at)
        return Erased(
            waiting=await self._removed(self._store.corrections.erase_waiting, person_digests),
            dead=await self._removed(self._store.corrections.erase_dead, person_digests),
        )

    async def _removed(
        self, erase: Callable[[Collection[bytes], int], tuple[int, int]], person_digests: Collection[bytes]
    ) -> int:
        total, last = await self._writer.do(partial(erase, person_digests, 0))
        while last:
            count, last = await self._writer.do(partial(erase, person_digests, last))
            total += count
        return total

    async def expire(self, *, before_s: int) -> tuple[dict[str, int], bool]:
        """See ``Outbox``."""
        return await self._writer.do(lambda: self._store.deliveries.expire(before_s))

    async def oldest(self, pixels: Collection[str]) -> dict[str, Oldest]:
        """See ``Backlog``."""
        return await self._look_up(lambda: self._store.deliveries.oldest(pixels))

    async def _look_up(self, work: Callable[[], T]) -> T:
        """Look something up on the writer thread; wait as long as the disk does something.

        Raises:
            QueueError: when it could not be read, or the disk hangs.
        """
        found = asyncio.ensure_future(self._writer.look_up(work))
        try:
            while not (await asyncio.wait({found}, timeout=_READY_S))[0]:
                if why := self._capacity.busy():
                    raise QueueFullError(why)
            return found.result()
        finally:
            found.cancel()

    def stats(self) -> Stats:
        """See ``Backlog``."""
        store = self._store
        return replace(
            store.tables.counts.stats(), lost_notes=store.notes.lost, foreign_updates=store.housekeeping.foreign_updates
        )

    def fullness(self) -> float:
        """See ``Intake``."""
        return self._capacity.used()

    def refuses(self) -> str:
        """See ``Intake``."""
        return str(self._writer.broken) if self._writer.broken else self._capacity.refuses()

    async def ready(self) -> None:
        """See ``Lifetime``; what waits for a slow disk that makes progress counts as committed after a second."""
        if self._writer.broken:
            raise self._writer.broken
        if why := self._capacity.refuses():
            raise QueueFullError(why)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._writer.do(self._store.touch), _READY_S)
        if why := self._capacity.refuses():
            raise QueueFullError(why)

    async def close(self) -> None:
        """See ``Lifetime``; the connection that writes closes last, so that it can end the log."""
        await self._grouper.close()
        await self._reader.close()
        await self._writer.close()


def _slices(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + _LETTERS] for start in range(0, len(ids), _LETTERS))

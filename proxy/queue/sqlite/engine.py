"""The default queue: one SQLite file in ``data_dir``, written by one thread and read by another."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

import apsw

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.condition import ConditionBoard
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow
from proxy.queue.contract import (
    DeliveryState,
    QueueBrokenError,
    QueueError,
    QueueFullError,
    Segment,
    SegmentRef,
    Settlement,
)
from proxy.queue.group import Group
from proxy.queue.grouper import Grouper, Outcome
from proxy.queue.notes import keyed_updates
from proxy.queue.seal import Sealer
from proxy.queue.sieve import Sieve
from proxy.queue.sqlite.archive import LocalArchive
from proxy.queue.sqlite.capacity import Capacity
from proxy.queue.sqlite.connection import advice, open_reader
from proxy.queue.sqlite.data_dir import DATABASE_FILE
from proxy.queue.sqlite.reader import Reader
from proxy.queue.sqlite.store import SqliteStore
from proxy.queue.sqlite.troubles import Troubles
from proxy.queue.sqlite.writer import Writer

_READY_S = 1.0
# So many claims and settlements, each of up to a batch, may share a commit with appends: no append waits for more.
_BATCHES = 2


class LocalQueue(LocalArchive):
    """Implements the whole contract on this machine's disk: an archive that takes events and gives them out."""

    def __init__(
        self, store: SqliteStore, writer: Writer, reader: Reader, limits: QueueSettings, now: Callable[[], int]
    ) -> None:
        """Put the parts together; ``open`` makes them.

        Args:
            store: The file.
            writer: The thread that writes it.
            reader: The thread that reads it.
            limits: How much may wait.
            now: The server's clock in milliseconds.
        """
        super().__init__(store, writer, reader)
        self._capacity = Capacity(store, writer, limits)
        self._grouper = Grouper(store.group, writer.store, require=self._capacity.require)
        self.append = self._grouper.append
        """See ``Intake``."""
        self._now = now
        self._batches = asyncio.Semaphore(_BATCHES)
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
        join_days: int = 7,
        conditions: ConditionBoard | None = None,
        sieve: Sieve | None = None,
    ) -> Self:
        """Open the queue of a locked ``data_dir``; call it within the event loop.

        Args:
            directory: The ``data_dir``.
            sealer: Seals what rests there.
            limits: How much may wait.
            retention: How long finished events and other old data are kept.
            now: The server's clock in milliseconds.
            on_broken: Called on the event loop, once, when nothing is stored any more.
            join_days: For how many days sightings are kept: the largest ``join_days`` of any site.
            conditions: Is told, on the event loop, what is wrong with the queue while it goes on working.
            sieve: Is told who is suppressed, for processes that share its memory.

        Raises:
            QueueBrokenError: when the file cannot be used.
        """
        troubles = Troubles(conditions, asyncio.get_running_loop())
        path = directory / DATABASE_FILE
        path.touch(mode=0o600)
        reserve = limits.min_free_bytes
        store = SqliteStore(
            path, sealer, retention, now, reserve=reserve, join_days=join_days, troubles=troubles, sieve=sieve
        )
        try:
            reader = Reader(open_reader(path), sealer)
        except apsw.Error as error:
            store.close(in_order=True)
            raise QueueBrokenError(f"{path}: {advice(error)}") from error
        writer = Writer(store, on_broken=on_broken)
        reader.on_broken = writer.fail
        return cls(store, writer, reader, limits, now)

    def suppressions_version(self) -> int:
        """See ``GroupTaker``."""
        return self._store.tables.suppressions.version

    def take(self, group: Group, tell: Callable[[Outcome], None]) -> None:
        """See ``GroupTaker``."""
        self._capacity.require()
        self._writer.store(group, tell)

    def full_reason(self) -> str:
        """See ``GroupTaker``."""
        return self._capacity.full_reason()

    def note(
        self,
        rows: Sequence[LedgerRow],
        copy_updates: Sequence[BrowserCopyUpdate] = (),
        pixels: Sequence[str] = (),
        visitors: Sequence[bytes] = (b"",),
    ) -> None:
        """See ``Intake``."""
        self._store.notes.add(rows, keyed_updates(self._now(), copy_updates, pixels, visitors))

    def register_lanes(self, wakes: Mapping[str, Callable[[], None]]) -> None:
        """See ``Outbox``; this process always leads, and no other brings events."""

    def term(self, pixel: str) -> int:  # noqa: ARG002 - of all pixels
        """See ``Outbox``."""
        return 1

    async def claim(self, pixel: str, *, most: int, newest: bool = False, suspect: bool = False) -> tuple[Segment, ...]:
        """See ``Outbox``."""
        claim = partial(self._store.deliveries.claim, pixel, most, newest=newest, suspect=suspect)
        claimed: tuple[Segment, ...] = ()
        has_more = True
        while has_more:
            try:
                async with self._batches:
                    more, has_more = await self._writer.do(partial(claim, begun=claimed))
            except QueueError:
                if not claimed:
                    raise
                break  # what is claimed already can be sent
            claimed += more
        return claimed

    async def release(self, segments: Sequence[Segment]) -> None:
        """See ``Outbox``."""
        await self._writer.do(lambda: self._store.deliveries.release(segments))

    async def settle(self, segments: Sequence[Segment], settlement: Settlement) -> frozenset[SegmentRef]:
        """See ``Outbox``."""
        async with self._batches:
            return await self._writer.do(lambda: self._store.deliveries.settle(segments, settlement))

    async def lane_state(self, pixel: str) -> DeliveryState:
        """See ``Outbox``."""
        if pixel not in self._lane_states:
            self._lane_states[pixel] = await self._readable().lane_state(pixel)
        return self._lane_states[pixel]

    async def keep_lane_state(self, pixel: str, state: DeliveryState) -> None:
        """See ``Outbox``."""
        if state != self._lane_states.get(pixel):
            await self._writer.do(lambda: self._store.tables.lanes.keep(pixel, state))
            self._lane_states[pixel] = state

    async def expire(self, *, before_s: int) -> tuple[dict[str, int], bool]:
        """See ``Outbox``."""
        return await self._writer.do(lambda: self._store.deliveries.expire(before_s))

    async def known_server_orders(self, pixel: str, orders: Collection[bytes]) -> frozenset[bytes]:
        """See ``Intake``."""
        return frozenset(
            await self._writer.do(lambda: self._store.tables.orders.known_server_orders(pixel, orders, self._now()))
        )

    def fullness(self) -> float:
        """See ``Intake``."""
        return self._capacity.fullness()

    def refusal_reason(self) -> str:
        """See ``Intake``."""
        return str(self._writer.broken) if self._writer.broken else self._capacity.refusal_reason()

    async def ready(self) -> None:
        """See ``Lifetime``; a commit that still waits after a second counts as done if the disk makes progress."""
        if self._writer.broken:
            raise self._writer.broken
        if why := self._capacity.refusal_reason():
            raise QueueFullError(why)
        with suppress(TimeoutError):
            async with asyncio.timeout(_READY_S):
                await self._writer.do(self._store.touch)
        if why := self._capacity.refusal_reason():
            raise QueueFullError(why)

    async def close(self) -> None:
        """See ``Lifetime``; the connection that writes closes last, so that it can end the log."""
        await self._grouper.close()
        await self._reader.close()
        await self._writer.close()

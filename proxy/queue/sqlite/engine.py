"""The default queue: one SQLite file in ``data_dir``, driven by one writer thread."""

import asyncio
import fcntl
import os
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
from proxy.queue.codec import event_key
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
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.connection import advice, open_reader
from proxy.queue.sqlite.reader import Reader
from proxy.queue.sqlite.store import SqliteStore
from proxy.queue.sqlite.troubles import Troubles
from proxy.queue.sqlite.writer import Writer

T = TypeVar("T")

DATABASE_FILE, LOCK_FILE = "queue.db", "lock"
# A step of the writer thread that takes longer is a disk that is slow, and health says so.
_SLOW_S = 1.5
# One that takes this long is a disk that hangs: whoever comes is refused at once instead of waiting for it.
_HANGS_S = 8.0
_READY_S = 1.0
# Dead letters that are put back or removed at a time, so that no append waits long for it.
_LETTERS = 100


class DataDirBusyError(Exception):
    """Another process works in this data_dir."""


class DataDirLock:
    """Holds a data_dir for this process alone, until closed or dead."""

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Raises:
            DataDirBusyError: when another process holds it.
            OSError: when the directory cannot be made or written.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise DataDirBusyError(f"{directory}: another capi-proxy works here; stop it first") from None

    def close(self) -> None:
        """Give the directory back."""
        os.close(self._file)


class LocalQueue:
    """Implements ``base.Queue`` on this machine's disk."""

    def __init__(
        self, store: SqliteStore, writer: Writer, reader: Reader, limits: QueueSettings, now: Callable[[], int]
    ) -> None:
        self._store = store
        self._writer = writer
        self._reader = reader
        self._limits = limits
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
        """See ``base.Queue``."""
        if why := self._full(most_busy_s=_HANGS_S):
            raise QueueFullError(why)
        return await self._writer.append(records, not_before)

    def note(
        self,
        rows: Sequence[LedgerRow],
        copy_updates: Sequence[BrowserCopyUpdate] = (),
        pixels: Sequence[str] = (),
        visitors: Sequence[bytes] = (b"",),
    ) -> None:
        """See ``base.Queue``."""
        now = self._now()
        keyed = (
            (now, event_key(pixel, update.name, update.id), visitors, update.browser_copy)
            for update in copy_updates
            for pixel in pixels
        )
        self._store.notes.add(rows, keyed)

    async def claim(self, pixel: str, *, most: int, newest: bool = False, suspect: bool = False) -> tuple[Segment, ...]:
        """See ``base.Queue``."""
        return await self._writer.do(lambda: self._store.claim(pixel, most, newest=newest, suspect=suspect))

    async def release(self, segments: Sequence[Segment]) -> None:
        """See ``base.Queue``."""
        await self._writer.do(lambda: self._store.release(segments))

    async def settle(self, segments: Sequence[Segment], settlement: Settlement) -> frozenset[SegmentRef]:
        """See ``Outbox``."""
        return await self._writer.do(lambda: self._store.settle(segments, settlement))

    async def lane_state(self, pixel: str) -> DeliveryState:
        """See ``Outbox``."""
        if pixel not in self._lane_states:
            self._lane_states[pixel] = await self._look_up(lambda: self._store.lanes.read(pixel))
        return self._lane_states[pixel]

    async def keep_lane_state(self, pixel: str, state: DeliveryState) -> None:
        """See ``Outbox``."""
        if state != self._lane_states.get(pixel):
            await self._writer.do(lambda: self._store.lanes.keep(pixel, state))
            self._lane_states[pixel] = state

    async def events(self, wanted: Filter) -> AsyncIterator[LedgerRow]:
        """See ``base.Queue``."""
        async for row in self._readable().events(wanted):
            yield row

    async def dead(self, wanted: Filter) -> list[DeadLetter]:
        """See ``base.Queue``."""
        return await self._readable().dead(wanted)

    def _readable(self) -> Reader:
        if self._writer.broken:
            raise self._writer.broken
        return self._reader

    async def replay(self, ids: Sequence[int], *, not_before_s: int) -> int:
        """See ``base.Queue``; done in slices."""
        return sum([await self._writer.do(partial(self._store.replay, some, not_before_s)) for some in _slices(ids)])

    async def discard(self, ids: Sequence[int]) -> int:
        """See ``base.Queue``; done in slices."""
        return sum([await self._writer.do(partial(self._store.discard, some)) for some in _slices(ids)])

    async def suppress(self, person_digests: Collection[bytes], kind: SuppressionKind, at: int) -> None:
        """See ``base.Queue``."""
        await self._writer.do(lambda: self._store.marks.add(person_digests, kind, at))

    async def lift(
        self, person_digests: Collection[bytes], kinds: Collection[SuppressionKind], at: int
    ) -> list[SuppressionKind]:
        """See ``base.Queue``."""
        if not any(map(self._store.marks.may_hold, person_digests)):
            return []
        return await self._writer.do(lambda: self._store.marks.lift(person_digests, kinds, at))

    async def suppressed(self, person_digests: Collection[bytes]) -> set[SuppressionKind]:
        """See ``base.Queue``."""
        if not any(map(self._store.marks.may_hold, person_digests)):
            return set()
        return await self._look_up(lambda: self._store.marks.of(person_digests))

    async def suppressions(self, kind: SuppressionKind | None = None, *, limit: int = 100) -> list[Suppression]:
        """See ``base.Queue``."""
        return await self._readable().suppressions(kind, limit=limit)

    async def erase(self, person_digests: Collection[bytes], at: int) -> Erased:
        """See ``base.Queue``; in slices, so that no append waits for a long search."""
        await self.suppress(person_digests, SuppressionKind.ERASURE, at)
        return Erased(
            waiting=await self._removed(self._store.erase_waiting, person_digests),
            dead=await self._removed(self._store.erase_dead, person_digests),
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
        """See ``base.Queue``."""
        return await self._writer.do(lambda: self._store.expire(before_s))

    async def oldest(self, pixels: Collection[str]) -> dict[str, Oldest]:
        """See ``base.Queue``."""
        return await self._look_up(lambda: self._store.oldest(pixels))

    async def _look_up(self, work: Callable[[], T]) -> T:
        """Look something up on the writer thread; wait as long as the disk does something.

        Raises:
            QueueError: when it could not be read, or the disk hangs.
        """
        found = asyncio.ensure_future(self._writer.look_up(work))
        try:
            while not (await asyncio.wait({found}, timeout=_READY_S))[0]:
                if why := self._busy(_SLOW_S):
                    raise QueueFullError(why)
            return found.result()
        finally:
            found.cancel()

    def stats(self) -> Stats:
        """See ``base.Queue``."""
        store = self._store
        return replace(store.counts.stats(), lost_notes=store.notes.lost, foreign_news=store.foreign_news)

    def fullness(self) -> float:
        """See ``base.Queue``."""
        waiting = self._store.counts.total / self._limits.max_events
        return max(waiting, self._store.used_bytes / self._limits.max_bytes)

    def refuses(self) -> str:
        """See ``base.Queue``."""
        return str(self._writer.broken) if self._writer.broken else self._full(most_busy_s=_SLOW_S)

    def _busy(self, most_s: float) -> str:
        busy = self._writer.busy_s
        return f"the disk of data_dir has not answered for {busy:.0f} seconds" if busy > most_s else ""

    def _full(self, *, most_busy_s: float) -> str:
        limits = self._limits
        if why := self._busy(most_busy_s):
            return why
        if self._store.room.short:
            return self._store.room.short
        if self._store.used_bytes > limits.max_bytes:
            return f"the file holds {limits.max_bytes} bytes already (queue.max_bytes)"
        if self._store.counts.total >= limits.max_events:
            return f"{limits.max_events} events wait already (queue.max_events)"
        return ""

    async def ready(self) -> None:
        """See ``base.Queue``; what waits for a slow disk that makes progress counts as committed after a second."""
        if self._writer.broken:
            raise self._writer.broken
        if why := self._full(most_busy_s=_SLOW_S):
            raise QueueFullError(why)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._writer.do(self._store.touch), _READY_S)
        if why := self._full(most_busy_s=_SLOW_S):
            raise QueueFullError(why)

    async def close(self) -> None:
        """See ``base.Queue``; the connection that writes closes last, so that it can end the log."""
        await self._reader.close()
        await self._writer.close()


def _slices(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + _LETTERS] for start in range(0, len(ids), _LETTERS))

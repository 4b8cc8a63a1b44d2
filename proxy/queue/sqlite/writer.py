"""One thread that owns the one database connection and commits in groups.

Whoever waits shares a commit. A lone call is committed at once; only when the last group had company does the thread
linger for a moment, so that the next group is larger and the hand-over between threads is paid for by more callers.
Lookups take turns with the groups, one at a time, so that no append waits for more than one of them.

Whatever goes wrong on the thread, every caller gets an answer: an error that nobody foresaw breaks the queue, and from
then on the thread only answers that it is broken.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from proxy.model.record import Record
from proxy.queue.contract import QueueBrokenError, QueueError, QueueFullError, Stored

log = logging.getLogger(__name__)

T = TypeVar("T")

_LINGER_S = 0.0015
_IDLE_S = 0.25
_MOST_CALLS = 512
# Of a record in memory, beside its payload: measured with names and ids of usual length.
_RECORD_BYTES = 500


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may wait for the disk; beyond, callers are refused."""

    calls: int = 20_000
    bytes: int = 32 << 20
    """Of the records of waiting appends. One append is taken however large it is if no other waits."""


@dataclass(frozen=True, slots=True)
class Append:
    """Records to store; all of a group are stored together."""

    records: Sequence[Record]
    not_before: int = 0
    """Server clock in milliseconds; not claimed before."""


Work: TypeAlias = Append | Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One thing to do within the shared transaction, and who waits for it."""

    work: Work
    done: asyncio.Future[Any]
    bytes: int = 0


@dataclass(slots=True)
class _Waiting:
    """Calls that were not started yet."""

    calls: deque[Call] = field(default_factory=deque)
    lookups: deque[Call] = field(default_factory=deque)

    def __bool__(self) -> bool:
        return bool(self.calls or self.lookups)


class Store(Protocol):
    """What the thread drives: a database with one connection, used from this thread only."""

    def commit(self, works: Sequence[Work]) -> list[Any]:
        """Do the works in one durable transaction; a result per work is a value or the QueueError it failed with.

        Raises:
            QueueError: when nothing of the group was stored.
        """

    def look_up(self, work: Callable[[], Any]) -> Any:
        """Return what a work that changes nothing finds, outside any transaction.

        Raises:
            QueueError: when it could not be read.
        """

    def tend(self) -> bool:
        """Do a piece of what can wait: notes, checkpoints, retention; tell whether more of it is due at once.

        Raises:
            QueueBrokenError: when the file must not be trusted any more.
        """

    def close(self, *, in_order: bool) -> None:
        """Close the database; not ``in_order`` when its disk failed, and nothing more may be written."""


class Writer:
    """Takes calls from the event loop, hands their results back to it."""

    def __init__(
        self, store: Store, *, on_broken: Callable[[QueueBrokenError], None], bounds: Bounds | None = None
    ) -> None:
        self._store = store
        self._bounds = bounds or Bounds()
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._waiting = _Waiting()
        self._bytes = 0
        self._wake = threading.Event()
        self._company = False
        self._closing = False
        self._busy_since: float | None = None
        self._broken: QueueBrokenError | None = None
        self._found: QueueBrokenError | None = None
        self._thread = threading.Thread(target=self._run, name="queue-writer")
        self._thread.start()

    @property
    def broken(self) -> QueueBrokenError | None:
        """Why nothing is stored any more, once the disk has failed."""
        return self._broken

    @property
    def busy_s(self) -> float:
        """For how many seconds the thread has been at one and the same step; 0 when it is idle."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def fail(self, error: QueueBrokenError) -> None:
        """Let the thread break the queue, for what was found outside of it."""
        self._found = error
        self._wake.set()

    async def append(self, records: Sequence[Record], not_before: int = 0) -> Stored:
        """Store records durably.

        Raises:
            QueueError: when they were not stored.
        """
        size = sum(len(record.payload) + _RECORD_BYTES for record in records)
        size += sum({record.pixel: len(record.shared) for record in records}.values())
        if self._bytes and self._bytes + size > self._bounds.bytes:
            raise QueueFullError(f"events of {self._bytes} bytes wait for the disk already")
        stored: Stored = await self._submit(self._waiting.calls, Append(records, not_before), size)
        return stored

    async def do(self, work: Callable[[], T]) -> T:
        """Do ``work`` on the thread within a durable transaction and return its result.

        Raises:
            QueueError: when it was not stored.
        """
        result: T = await self._submit(self._waiting.calls, work)
        return result

    async def look_up(self, work: Callable[[], T]) -> T:
        """Do ``work``, which changes nothing, on the thread between two groups and return its result.

        Raises:
            QueueError: when it could not be read.
        """
        result: T = await self._submit(self._waiting.lookups, work)
        return result

    async def _submit(self, line: deque[Call], work: Work, size: int = 0) -> Any:
        if self._broken or self._closing:
            raise self._broken or QueueBrokenError("the queue is closed")
        if len(line) >= self._bounds.calls:
            raise QueueFullError(f"{self._bounds.calls} calls wait for the disk already")
        done: asyncio.Future[Any] = self._loop.create_future()
        line.append(Call(work, done, size))
        self._bytes += size
        self._wake.set()
        return await done

    async def close(self) -> None:
        """Finish every call made so far, then close the store."""
        self._closing = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join)

    # -- on the thread

    def _run(self) -> None:
        while not self._closing or self._waiting:
            try:
                self._turn()
            except BaseException as error:  # noqa: BLE001 - a thread that ended here would leave its callers waiting
                self._break(error)
        try:
            self._store.close(in_order=self._broken is None)
        except Exception:
            log.exception("the queue was not closed in order")

    def _turn(self) -> None:
        """Serve a group and a lookup, then tend the store."""
        self._busy_since = None
        self._wake.wait(_IDLE_S)
        if self._company and not self._closing:
            time.sleep(_LINGER_S)
        self._wake.clear()
        if self._found:
            self._break(self._found)
        calls, lookups = self._waiting.calls, self._waiting.lookups
        group = [calls.popleft() for _ in range(min(len(calls), _MOST_CALLS))]
        self._company = len(group) > 1
        if group:
            self._serve(group, lambda: self._store.commit([call.work for call in group]))
        if lookups:
            self._look_up(lookups.popleft())
        if self._tend() or self._waiting:
            self._wake.set()

    def _look_up(self, call: Call) -> None:
        work = call.work
        if not isinstance(work, Append):
            self._serve([call], lambda: [self._store.look_up(work)])

    def _serve(self, calls: Sequence[Call], work: Callable[[], Sequence[Any]]) -> None:
        self._busy_since = time.monotonic()
        try:
            results = [self._broken] * len(calls) if self._broken else work()
            answers = list(zip(calls, results, strict=True))
        except BaseException as error:  # noqa: BLE001 - whatever it is, every caller gets an answer
            failure = error if _leaves_sound(error) else self._break(error)
            answers = [(call, failure) for call in calls]
        self._tell(self._resolve, answers)

    def _tend(self) -> bool:
        if self._broken:
            return False
        self._busy_since = time.monotonic()
        return self._store.tend()

    def _break(self, error: BaseException) -> QueueBrokenError:
        """Remember the first error after which nothing may be stored, and say so; return it."""
        if self._broken is None:
            if isinstance(error, QueueBrokenError):
                self._broken = error
            else:
                log.error("a fault of ours in the queue", exc_info=error)
                self._broken = QueueBrokenError(f"a fault of ours in the queue: {type(error).__name__}")
            self._tell(self._on_broken, self._broken)
        return self._broken

    def _tell(self, hear: Callable[[T], None], news: T) -> None:
        try:
            self._loop.call_soon_threadsafe(hear, news)
        except RuntimeError:
            # The event loop is closed, and with it everybody who could ask or wait.
            self._closing = True

    # -- on the event loop

    def _resolve(self, answers: Sequence[tuple[Call, Any]]) -> None:
        for call, result in answers:
            self._bytes -= call.bytes
            if call.done.done():
                continue
            if isinstance(result, QueueError):
                call.done.set_exception(result)
            else:
                call.done.set_result(result)


def _leaves_sound(error: BaseException) -> bool:
    """Tell whether an error concerns only those it is answered to."""
    return isinstance(error, QueueError) and not isinstance(error, QueueBrokenError)

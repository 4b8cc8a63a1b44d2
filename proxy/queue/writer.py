"""One thread that owns the one database connection and commits in groups.

Whoever waits shares a commit. A lone call is committed at once; only when the last group had company does the thread
linger for a moment, so that the next group is larger and the hand-over between threads is paid for by more callers.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from proxy.model import Record
from proxy.queue.base import QueueBrokenError, QueueError, QueueFullError, Stored

T = TypeVar("T")

_LINGER_S = 0.0015
_IDLE_S = 0.25
_MOST_CALLS = 512


@dataclass(frozen=True, slots=True)
class Append:
    """Records to store; all of a group are stored together."""

    records: Sequence[Record]


Work: TypeAlias = Append | Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One thing to do within the shared transaction, and who waits for it."""

    work: Work
    done: asyncio.Future[Any]


class Store(Protocol):
    """What the thread drives: a database with one connection, used from this thread only."""

    def commit(self, works: Sequence[Work]) -> list[Any]:
        """Do the works in one durable transaction; a result per work is a value or the QueueError it failed with.

        Raises:
            QueueError: when nothing of the group was stored.
        """

    def tend(self) -> None:
        """Do what can wait: notes, checkpoints, retention."""

    def close(self, *, in_order: bool) -> None:
        """Close the database; not ``in_order`` when its disk failed, and nothing more may be written."""


class Writer:
    """Takes calls from the event loop, hands their results back to it."""

    def __init__(self, store: Store, *, most_waiting: int, on_broken: Callable[[QueueBrokenError], None]) -> None:
        self._store = store
        self._most_waiting = most_waiting
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._calls: deque[Call] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._broken: QueueBrokenError | None = None
        self._thread = threading.Thread(target=self._run, name="queue-writer")
        self._thread.start()

    @property
    def broken(self) -> QueueBrokenError | None:
        """Why nothing is stored any more, once the disk has failed."""
        return self._broken

    async def append(self, records: Sequence[Record]) -> Stored:
        """Store records durably.

        Raises:
            QueueError: when they were not stored.
        """
        stored: Stored = await self._submit(Append(records))
        return stored

    async def do(self, work: Callable[[], T]) -> T:
        """Do ``work`` on the thread within a durable transaction and return its result.

        Raises:
            QueueError: when it was not stored.
        """
        result: T = await self._submit(work)
        return result

    async def _submit(self, work: Work) -> Any:
        if self._broken or self._closing:
            raise self._broken or QueueBrokenError("the queue is closed")
        if len(self._calls) >= self._most_waiting:
            raise QueueFullError(f"{self._most_waiting} calls wait for the disk already")
        done: asyncio.Future[Any] = self._loop.create_future()
        self._calls.append(Call(work, done))
        self._wake.set()
        return await done

    async def close(self) -> None:
        """Finish every call made so far, then close the store."""
        self._closing = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        company = False
        while not (self._closing and not self._calls):
            self._wake.wait(_IDLE_S)
            if company and not self._closing:
                time.sleep(_LINGER_S)
            self._wake.clear()
            group = [self._calls.popleft() for _ in range(min(len(self._calls), _MOST_CALLS))]
            if self._calls:
                self._wake.set()
            company = len(group) > 1
            if group:
                self._serve(group)
            self._tend()
        self._store.close(in_order=self._broken is None)

    def _serve(self, group: list[Call]) -> None:
        try:
            results = self._broken_results(group) or self._store.commit([call.work for call in group])
        except QueueError as error:
            if isinstance(error, QueueBrokenError):
                self._break(error)
            results = [error] * len(group)
        self._answer([(call.done, result) for call, result in zip(group, results, strict=True)])

    def _broken_results(self, group: list[Call]) -> list[QueueError] | None:
        return [self._broken] * len(group) if self._broken else None

    def _tend(self) -> None:
        if self._broken:
            return
        try:
            self._store.tend()
        except QueueBrokenError as error:
            self._break(error)

    def _break(self, error: QueueBrokenError) -> None:
        self._broken = error
        self._loop.call_soon_threadsafe(self._on_broken, error)

    def _answer(self, answers: list[tuple[asyncio.Future[Any], Any]]) -> None:
        self._loop.call_soon_threadsafe(_resolve, answers)


def _resolve(answers: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for done, result in answers:
        if done.done():
            continue
        if isinstance(result, QueueError):
            done.set_exception(result)
        else:
            done.set_result(result)

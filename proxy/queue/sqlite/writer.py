"""One thread that owns the connection that writes, and commits together what waits at the same time.

Groups of appends arrive ready-made (``Grouper``), and never wait for more. Other calls share a commit with groups and
with each other. A lone call is committed at once; only if the last commit had several calls does the thread wait a
moment, so that the next commit, and with it one hand-over between threads, serves more callers. Reads never come here
(reader.py).

Whatever goes wrong on the thread, every caller gets an answer: an error that nobody foresaw breaks the queue, and from
then on the thread only answers that it is broken.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar

from proxy.queue.contract import QueueBrokenError, QueueError, QueueFullError
from proxy.queue.group import Group
from proxy.queue.grouper import Outcome
from proxy.queue.sqlite.work import Store, Work

log = logging.getLogger(__name__)

T = TypeVar("T")

_LINGER_S = 0.0015
_IDLE_S = 0.25
_MOST_CALLS = 512
_MOST_WAITING = 20_000


class Call(NamedTuple):
    """One thing to do within the shared transaction, and who waits for it."""

    work: Work
    tell: Callable[[Any], None]
    """Called on the event loop with the result, or with a QueueError."""


class _WakeSignal:
    """Wakes the thread: once, however often it was rung since. A lock, since that costs less than an Event."""

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def ring(self) -> None:
        """Wake the thread if it waits; otherwise its next wait ends at once."""
        with suppress(RuntimeError):  # it was rung before
            self._silent.release()

    def wait(self, seconds: float) -> None:
        """Return when it is rung, or after so many seconds."""
        self._silent.acquire(timeout=seconds)


@dataclass(slots=True)
class _PendingCalls:
    """Calls that were not started yet."""

    groups: deque[Call] = field(default_factory=deque)
    calls: deque[Call] = field(default_factory=deque)

    def __bool__(self) -> bool:
        return bool(self.groups or self.calls)


class Writer:
    """Takes calls from the event loop, hands their results back to it."""

    def __init__(
        self, store: Store, *, on_broken: Callable[[QueueBrokenError], None], most_calls: int = _MOST_WAITING
    ) -> None:
        """Start the thread; call it within the event loop.

        Args:
            store: The database.
            on_broken: Called on the event loop, once, when nothing is stored any more.
            most_calls: How many may wait for the disk; beyond, callers are refused.
        """
        self._store = store
        self._most_calls = most_calls
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._waiting = _PendingCalls()
        self._bell = _WakeSignal()
        self._company = False
        self._closing = False
        self.busy_since: float | None = None
        """When the thread's current step began, by the monotonic clock; None between steps."""
        self._broken: QueueBrokenError | None = None
        self._found: QueueBrokenError | None = None
        self._thread = threading.Thread(target=self._run, name="queue-writer")
        self._thread.start()

    @property
    def broken(self) -> QueueBrokenError | None:
        """Why nothing is stored any more, once the disk has failed."""
        return self._broken

    def fail(self, error: QueueBrokenError) -> None:
        """Let the thread declare the queue broken, because of an error that was found elsewhere."""
        self._found = error
        self._bell.ring()

    def store(self, group: Group, tell: Callable[[Outcome], None]) -> None:
        """Begin to store a group durably; ``tell`` is called with the outcome.

        Raises:
            QueueError: when storing is not even begun.
        """
        self._submit(self._waiting.groups, Call(group, tell))

    async def do(self, work: Callable[[], T]) -> T:
        """Do ``work`` on the thread within a durable transaction and return its result.

        Raises:
            QueueError: when it was not stored.
        """
        done: asyncio.Future[T] = self._loop.create_future()
        self._submit(self._waiting.calls, Call(work, partial(_resolve, done)))
        return await done

    def _submit(self, line: deque[Call], call: Call) -> None:
        if self._broken or self._closing:
            raise self._broken or QueueBrokenError("the queue is closed")
        if len(line) >= self._most_calls:
            raise QueueFullError(f"{self._most_calls} calls wait for the disk already")
        line.append(call)
        self._bell.ring()

    async def close(self) -> None:
        """Finish every call made so far, then close the store."""
        self._closing = True
        self._bell.ring()
        await asyncio.to_thread(self._thread.join)

    # -- on the thread

    def _run(self) -> None:
        while not self._closing or self._waiting:
            try:
                self._run_cycle()
            except BaseException as error:  # noqa: BLE001 - a thread that ended here would leave its callers waiting
                self._break(error)
        try:
            self._store.close(in_order=self._broken is None)
        except Exception:
            log.exception("the queue was not closed in order")

    def _run_cycle(self) -> None:
        """Commit what waits, then tend the store."""
        self.busy_since = None
        self._bell.wait(_IDLE_S)
        if self._company and not self._closing and not self._waiting.groups:
            time.sleep(_LINGER_S)
        if self._found:
            self._break(self._found)
        groups, calls = self._waiting.groups, self._waiting.calls
        together = [line.popleft() for line in (groups, calls) for _ in range(min(len(line), _MOST_CALLS))]
        self._company = len(together) > 1
        if together:
            self._serve(together, lambda: self._store.commit([call.work for call in together]))
        if self._tend() or self._waiting:
            self._bell.ring()

    def _serve(self, calls: Sequence[Call], work: Callable[[], Sequence[Any]]) -> None:
        self.busy_since = time.monotonic()
        try:
            results = [self._broken] * len(calls) if self._broken else work()
            answers = list(zip(calls, results, strict=True))
        except BaseException as error:  # noqa: BLE001 - whatever it is, every caller gets an answer
            failure = error if _is_recoverable(error) else self._break(error)
            answers = [(call, failure) for call in calls]
        self._tell(_tell_all, answers)

    def _tend(self) -> bool:
        if self._broken:
            return False
        self.busy_since = time.monotonic()
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

    def _tell(self, hear: Callable[[T], None], result: T) -> None:
        try:
            self._loop.call_soon_threadsafe(hear, result)
        except RuntimeError:
            # The event loop is closed, and with it everybody who could ask or wait.
            self._closing = True


# -- on the event loop


def _tell_all(answers: Sequence[tuple[Call, Any]]) -> None:
    for call, result in answers:
        call.tell(result)


def _resolve(done: asyncio.Future[Any], result: Any) -> None:
    if done.done():
        return
    if isinstance(result, QueueError):
        done.set_exception(result)
    else:
        done.set_result(result)


def _is_recoverable(error: BaseException) -> bool:
    """Tell whether an error concerns only the callers that get it, and the queue can go on."""
    return isinstance(error, QueueError) and not isinstance(error, QueueBrokenError)

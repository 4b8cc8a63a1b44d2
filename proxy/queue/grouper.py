"""Callers that wait at the same time are stored together: their appends become groups, one at a time.

A lone append goes out in the next turn of the event loop. Only when the last group had company does the next one wait
a moment for more, so that it is larger and its commit is paid for by more callers. While a group is being stored, the
next one collects.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from proxy.model.record import Record
from proxy.queue.contract import QueueBrokenError, QueueError, QueueFullError, Stored
from proxy.queue.group import Append, Group

_LINGER_S = 0.0015
_MOST_CALLS = 512
# Of a record in memory, beside its payload: measured with names and ids of usual length.
_RECORD_BYTES = 500


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may wait to be stored; beyond, callers are refused."""

    calls: int = 20_000
    bytes: int = 32 << 20
    """Of the records of waiting appends. One append is taken however large it is if no other waits."""


@dataclass(frozen=True, slots=True)
class _Caller:
    """An append, and who waits for it."""

    append: Append
    done: asyncio.Future[Stored]
    bytes: int


class Grouper:
    """Used on the event loop only."""

    def __init__(
        self,
        make: Callable[[Sequence[Append]], Group],
        store: Callable[[Group], Awaitable[Sequence[Stored | QueueError]]],
        bounds: Bounds | None = None,
    ) -> None:
        """Group for an engine.

        Args:
            make: Keys and seals appends.
            store: Stores a group durably in one transaction; returns for each append what became of it, or why it
                alone was not stored. Raises QueueError when nothing of the group was stored.
            bounds: How much may wait.
        """
        self._make = make
        self._store = store
        self._bounds = bounds or Bounds()
        self._callers: deque[_Caller] = deque()
        self._bytes = 0
        self._company = False
        self._closing = False
        self._work: asyncio.Task[None] | None = None

    async def append(self, records: Sequence[Record], not_before: int = 0) -> Stored:
        """Store records durably, together with those of other callers.

        Raises:
            QueueError: when they were not stored.
        """
        size = _bytes_of(records)
        if self._closing:
            raise QueueBrokenError("the queue is closed")
        if self._bytes and self._bytes + size > self._bounds.bytes:
            raise QueueFullError(f"events of {self._bytes} bytes wait for the disk already")
        if len(self._callers) >= self._bounds.calls:
            raise QueueFullError(f"{self._bounds.calls} calls wait for the disk already")
        done: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._callers.append(_Caller(Append(records, not_before), done, size))
        self._bytes += size
        if self._work is None:
            self._work = asyncio.create_task(self._run(), name="queue-groups")
        return await done

    async def close(self) -> None:
        """Finish every append made so far."""
        self._closing = True
        if self._work:
            await self._work

    async def _run(self) -> None:
        try:
            while self._callers:
                if self._company and not self._closing:
                    await asyncio.sleep(_LINGER_S)
                group = [self._callers.popleft() for _ in range(min(len(self._callers), _MOST_CALLS))]
                self._company = len(group) > 1
                self._answer(group, await self._stored(group))
        finally:
            self._work = None

    async def _stored(self, group: Sequence[_Caller]) -> Sequence[Stored | QueueError]:
        try:
            made = self._make([caller.append for caller in group])
        except Exception as error:  # noqa: BLE001 - whatever one caller brought must not cost its neighbours
            if len(group) == 1:
                return [QueueError(f"{type(error).__name__} in the queue")]
            return [(await self._stored([caller]))[0] for caller in group]
        try:
            return await self._store(made)
        except QueueError as error:
            return [error] * len(group)

    def _answer(self, group: Sequence[_Caller], answers: Sequence[Stored | QueueError]) -> None:
        for caller, answer in zip(group, answers, strict=True):
            self._bytes -= caller.bytes
            if caller.done.done():
                continue
            if isinstance(answer, QueueError):
                caller.done.set_exception(answer)
            else:
                caller.done.set_result(answer)


def _bytes_of(records: Sequence[Record]) -> int:
    size = sum(len(record.payload) + _RECORD_BYTES for record in records)
    return size + sum({record.pixel: len(record.shared) for record in records}.values())

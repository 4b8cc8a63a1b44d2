"""Makes groups: the appends of callers that wait at the same time are stored together, one group at a time.

A lone append is handed over in the next round of the event loop. Only if the last group had several callers does the
next one wait a moment for more: the more callers the last group had, the longer it waits, so that one commit serves
more callers. While a group is being stored, the next one collects appends.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

from proxy.model.join import Sighting
from proxy.model.record import Record
from proxy.queue.contract import QueueBrokenError, QueueError, QueueFullError, Stored
from proxy.queue.group import Append, Group

Outcome: TypeAlias = Sequence[Stored | QueueError] | QueueError
"""For each append of a group its result, or why that append was not stored; or why nothing of the group was stored."""

# How long a group waits for more callers: per caller of the last group, and at most. uvloop's clock knows whole
# milliseconds.
_LINGER_S, _MOST_LINGER_S = 0.0002, 0.005
_MOST_CALLS = 512
# Bytes of a record in memory, without its payload: measured with names and ids of usual length.
_RECORD_BYTES = 500
# Bytes of a sighting in memory, sealed and unsealed together.
_SIGHTING_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait to be stored; beyond that, callers are refused."""

    calls: int = 20_000
    bytes: int = 32 << 20
    """Bytes of the records of all waiting appends. An append of any size is taken if no other waits."""


class _Caller(NamedTuple):
    """An append, and who waits for it."""

    append: Append
    done: asyncio.Future[Stored]
    bytes: int


class Grouper:
    """Collects appends and hands them to an engine as groups; used on the event loop only.

    Handing a group to the engine takes a single round of the event loop, and so does answering its callers, since a
    round takes long under heavy load.
    """

    def __init__(
        self,
        make: Callable[[Sequence[Append]], Group],
        store: Callable[[Group, Callable[[Outcome], None]], None],
        bounds: Bounds | None = None,
        *,
        require: Callable[[], None] = lambda: None,
    ) -> None:
        """Group for an engine.

        Args:
            make: Makes a group of appends.
            store: Begins to store a group durably in one transaction, and calls its second argument with the outcome,
                later and on the event loop. Raises QueueError when it takes no group now.
            bounds: How much may wait.
            require: Raises QueueError while the engine takes nothing new.
        """
        self._require = require
        self._make = make
        self._store = store
        self._bounds = bounds or Bounds()
        self._callers: deque[_Caller] = deque()
        self._bytes = 0
        self._last = 0
        """How many callers the last group had."""
        self._apart = 0
        """How many of the next callers get a group each, since one of them brought what no group can be made of."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False

    async def append(
        self, records: Sequence[Record], *, not_before: int = 0, sightings: Sequence[Sighting] = ()
    ) -> Stored:
        """Store records durably, together with those of other callers; see ``Intake.append``.

        Args:
            records: Events of any pixels.
            not_before: Server clock in milliseconds; none of them is claimed before that moment.
            sightings: What the records leave of their visitors.

        Raises:
            QueueError: when they were not stored.
        """
        self._require()
        size = _bytes_of(records)
        if sightings:
            size += len(sightings) * _SIGHTING_BYTES
        if self._closing:
            raise QueueBrokenError("the queue is closed")
        if self._bytes and self._bytes + size > self._bounds.bytes:
            raise QueueFullError(f"events of {self._bytes} bytes wait for the disk already")
        if len(self._callers) >= self._bounds.calls:
            raise QueueFullError(f"{self._bounds.calls} calls wait for the disk already")
        done: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._callers.append(_Caller(Append(records, not_before, sightings), done, size))
        self._bytes += size
        if self._idle.is_set():
            self._idle.clear()
            self._schedule_next_group()
        return await done

    async def close(self) -> None:
        """Finish every append made so far."""
        self._closing = True
        await self._idle.wait()

    def _schedule_next_group(self) -> None:
        """Schedule the next group: in the next round of the event loop, or later if the last had several callers."""
        loop = asyncio.get_running_loop()
        if self._last > 1 and not self._closing:
            loop.call_later(min(self._last * _LINGER_S, _MOST_LINGER_S), self._store_next_group)
        else:
            loop.call_soon(self._store_next_group)

    def _store_next_group(self) -> None:
        """Hand the next group to the engine, if anybody waits."""
        while self._callers:
            most = 1 if self._apart else _MOST_CALLS
            group = [self._callers.popleft() for _ in range(min(len(self._callers), most))]
            self._last = len(group)
            self._apart = max(0, self._apart - 1)
            if self._try_store(group):
                return
        self._idle.set()

    def _try_store(self, group: Sequence[_Caller]) -> bool:
        try:
            made = self._make([caller.append for caller in group])
        except Exception as error:  # noqa: BLE001 - whatever one caller brought must not cost its neighbours
            self._split_group(group, error)
            return False
        try:
            self._store(made, partial(self._finish_group, group))
        except QueueError as error:
            self._answer(group, error)
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may be left waiting
            self._answer(group, QueueError(f"{type(error).__name__} in the queue"))
            return False
        return True

    def _split_group(self, group: Sequence[_Caller], error: Exception) -> None:
        """Give each caller of a group that could not be made a group of its own; a lone caller gets the error."""
        if len(group) == 1:
            self._answer(group, QueueError(f"{type(error).__name__} in the queue"))
        else:
            self._apart = len(group)
            self._callers.extendleft(reversed(group))

    def _finish_group(self, group: Sequence[_Caller], outcome: Outcome) -> None:
        """Answer the callers of a group whose outcome the engine tells, and go on with those that came meanwhile."""
        self._answer(group, outcome)
        if self._last > 1 and self._callers:
            self._schedule_next_group()
        else:
            self._store_next_group()

    def _answer(self, group: Sequence[_Caller], outcome: Outcome) -> None:
        if not isinstance(outcome, QueueError) and len(outcome) != len(group):
            outcome = QueueError("the engine lost an answer")
        answers = [outcome] * len(group) if isinstance(outcome, QueueError) else outcome
        for caller, answer in zip(group, answers, strict=True):
            self._bytes -= caller.bytes
            if caller.done.done():
                continue
            if isinstance(answer, QueueError):
                caller.done.set_exception(answer)
            else:
                caller.done.set_result(answer)


def _bytes_of(records: Sequence[Record]) -> int:
    size = 0
    shared: dict[str, int] = {}
    for record in records:
        size += len(record.payload) + _RECORD_BYTES
        shared[record.pixel] = len(record.shared)
    return size + sum(shared.values())

"""The writer thread: every caller gets an answer, also when the disk fails."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from proxy.queue.base import QueueBrokenError, QueueFullError
from proxy.queue.writer import Work, Writer


class FakeStore:
    """Fails as told, from the next commit on."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.closed = ""
        self.tending: Exception | None = None

    def commit(self, works: Sequence[Work]) -> list[Any]:
        if self.failure:
            raise self.failure
        return [work() if callable(work) else None for work in works]

    def tend(self) -> None:
        if self.tending:
            raise self.tending

    def close(self, *, in_order: bool) -> None:
        self.closed = "in order" if in_order else "let go"


class Broken:
    """Remembers that the queue broke."""

    def __init__(self) -> None:
        self.errors: list[QueueBrokenError] = []

    def __call__(self, error: QueueBrokenError) -> None:
        self.errors.append(error)


async def test_a_failed_disk_fails_every_caller_and_stays_failed() -> None:
    """After an I/O error all who wait get it, so does whoever comes later, and the owner is told once."""
    store, broken = FakeStore(), Broken()
    writer = Writer(store, most_waiting=100, on_broken=broken)
    store.failure = QueueBrokenError("fsync failed")
    results = await asyncio.gather(*(writer.do(lambda: 1) for _ in range(20)), return_exceptions=True)
    store.failure = None
    with pytest.raises(QueueBrokenError):
        await writer.do(lambda: 1)
    await writer.close()

    assert [type(result) for result in results] == [QueueBrokenError] * 20
    assert (len(broken.errors), store.closed) == (1, "let go")


async def test_a_full_disk_fails_only_that_group() -> None:
    """When the disk is full the waiting callers get it, and later ones are served."""
    store, broken = FakeStore(), Broken()
    writer = Writer(store, most_waiting=100, on_broken=broken)
    store.failure = QueueFullError("full")
    with pytest.raises(QueueFullError):
        await writer.do(lambda: 1)
    store.failure = None
    served = await writer.do(lambda: 7)
    await writer.close()

    assert (served, broken.errors) == (7, [])


async def test_a_crowd_beyond_the_bound_is_refused_at_once() -> None:
    """More waiting callers than the bound are refused; those within it are served."""
    writer = Writer(FakeStore(), most_waiting=10, on_broken=Broken())
    results = await asyncio.gather(*(writer.do(lambda: 1) for _ in range(50)), return_exceptions=True)
    await writer.close()

    assert set(map(type, results)) == {int, QueueFullError}
    assert sum(result == 1 for result in results) >= 10


async def test_closing_serves_everybody_first() -> None:
    """What was asked before closing is done before closing."""
    store = FakeStore()
    writer = Writer(store, most_waiting=100, on_broken=Broken())
    asked = [asyncio.ensure_future(writer.do(lambda: 1)) for _ in range(50)]
    await asyncio.wait(asked, timeout=0)
    await writer.close()

    assert await asyncio.gather(*asked) == [1] * 50
    assert store.closed == "in order"


async def test_a_caller_that_gave_up_disturbs_nobody() -> None:
    """A cancelled caller's work is done all the same, and the others get their answers."""
    writer = Writer(FakeStore(), most_waiting=100, on_broken=Broken())
    impatient = asyncio.ensure_future(writer.do(lambda: 1))
    await asyncio.wait([impatient], timeout=0)
    impatient.cancel()
    patient = await writer.do(lambda: 2)
    await writer.close()

    assert patient == 2


async def test_a_disk_that_fails_while_tending_is_told() -> None:
    """An I/O error of a checkpoint is as final as one of a commit."""
    store, broken = FakeStore(), Broken()
    store.tending = QueueBrokenError("checkpoint failed")
    writer = Writer(store, most_waiting=100, on_broken=broken)
    await writer.do(lambda: 1)
    await writer.close()

    assert len(broken.errors) == 1

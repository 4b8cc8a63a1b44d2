"""The writer thread: every caller gets an answer, also if the disk fails."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from support import until

from proxy.queue.contract import QueueBrokenError, QueueFullError
from proxy.queue.sqlite.work import Work
from proxy.queue.sqlite.writer import Writer


class FakeStore:
    """A store that fails with the given errors."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.closed = ""
        self.tending: BaseException | None = None

    def commit(self, works: Sequence[Work]) -> list[Any]:
        if self.failure:
            raise self.failure
        return [work() if callable(work) else None for work in works]

    def tend(self) -> bool:
        if self.tending:
            raise self.tending
        return False

    def close(self, *, in_order: bool) -> None:
        self.closed = "in order" if in_order else "let go"


class Broken:
    """Records the errors with which the queue broke."""

    def __init__(self) -> None:
        self.errors: list[QueueBrokenError] = []

    def __call__(self, error: QueueBrokenError) -> None:
        self.errors.append(error)


async def test_a_failed_disk_fails_every_caller_and_stays_failed() -> None:
    """After an I/O error, waiting and later callers get that error, and the owner is told once."""
    store, broken = FakeStore(), Broken()
    writer = Writer(store, on_broken=broken)
    store.failure = QueueBrokenError("fsync failed")
    results = await asyncio.gather(*(writer.do(lambda: 1) for _ in range(20)), return_exceptions=True)
    store.failure = None
    with pytest.raises(QueueBrokenError):
        await writer.do(lambda: 1)
    await writer.close()

    assert [type(result) for result in results] == [QueueBrokenError] * 20
    assert (len(broken.errors), store.closed) == (1, "let go")


async def test_a_full_disk_fails_only_that_group() -> None:
    """A full disk fails the group in question, and later calls are served."""
    store, broken = FakeStore(), Broken()
    writer = Writer(store, on_broken=broken)
    store.failure = QueueFullError("full")
    with pytest.raises(QueueFullError):
        await writer.do(lambda: 1)
    store.failure = None
    served = await writer.do(lambda: 7)
    await writer.close()

    assert (served, broken.errors) == (7, [])


async def test_a_crowd_beyond_the_bound_is_refused_at_once() -> None:
    """Callers beyond the bound are refused; those within it are served."""
    writer = Writer(FakeStore(), on_broken=Broken(), most_calls=10)
    results = await asyncio.gather(*(writer.do(lambda: 1) for _ in range(50)), return_exceptions=True)
    await writer.close()

    assert set(map(type, results)) == {int, QueueFullError}
    assert sum(result == 1 for result in results) >= 10


async def test_closing_serves_everybody_first() -> None:
    """Calls made before closing are served first."""
    store = FakeStore()
    writer = Writer(store, on_broken=Broken())
    asked = [asyncio.ensure_future(writer.do(lambda: 1)) for _ in range(50)]
    await asyncio.wait(asked, timeout=0)
    await writer.close()

    assert await asyncio.gather(*asked) == [1] * 50
    assert store.closed == "in order"


async def test_a_caller_that_gave_up_disturbs_nobody() -> None:
    """The work of a cancelled caller is still done, and the other callers get their answers."""
    writer = Writer(FakeStore(), on_broken=Broken())
    impatient = asyncio.ensure_future(writer.do(lambda: 1))
    await asyncio.wait([impatient], timeout=0)
    impatient.cancel()
    patient = await writer.do(lambda: 2)
    await writer.close()

    assert patient == 2


async def test_a_disk_that_fails_while_tending_is_told() -> None:
    """An I/O error of a checkpoint breaks the queue like one of a commit."""
    store, broken = FakeStore(), Broken()
    store.tending = QueueBrokenError("checkpoint failed")
    writer = Writer(store, on_broken=broken)
    await writer.do(lambda: 1)
    await writer.close()

    assert len(broken.errors) == 1


@pytest.mark.parametrize(
    "error", [RuntimeError("unforeseen"), OSError(24, "no descriptor"), MemoryError(), SystemExit()]
)
async def test_an_unforeseen_error_while_tending_breaks_the_queue(error: BaseException) -> None:
    """After any error of housekeeping all callers get an answer, and the owner is told once."""
    store, broken = FakeStore(), Broken()
    writer = Writer(store, on_broken=broken)
    store.tending = error
    calls = [asyncio.ensure_future(writer.do(lambda: 1)) for _ in range(20)]
    await asyncio.wait(calls, timeout=60)
    await until(lambda: _is_broken(writer), what="the break")
    with pytest.raises(QueueBrokenError):
        await asyncio.wait_for(writer.do(lambda: 1), 60)
    await writer.close()

    assert all(call.done() for call in calls)
    assert (len(broken.errors), store.closed) == (1, "let go")


async def _is_broken(writer: Writer) -> bool:
    return writer.broken is not None


@pytest.mark.parametrize("error", [RuntimeError("unforeseen"), MemoryError(), SystemExit()])
async def test_an_unforeseen_error_of_a_commit_breaks_the_queue(error: BaseException) -> None:
    """Callers of the failed group and later ones get an answer, and none waits for ever."""
    store, broken = FakeStore(), Broken()
    writer = Writer(store, on_broken=broken)
    store.failure = error
    calls = [asyncio.wait_for(writer.do(lambda: 1), 60) for _ in range(20)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    await writer.close()

    assert {type(result) for result in results} == {QueueBrokenError}
    assert (len(broken.errors), store.closed) == (1, "let go")


async def test_a_store_that_loses_a_result_breaks_the_queue() -> None:
    """A group whose results do not match its calls fails instead of waiting for ever."""
    store = FakeStore()
    writer = Writer(store, on_broken=Broken())
    store.commit = lambda works: list(works)[1:]  # type: ignore[method-assign]
    with pytest.raises(QueueBrokenError):
        await asyncio.wait_for(writer.do(lambda: 1), 60)
    await writer.close()


async def test_a_store_that_cannot_be_closed_keeps_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    """An error while closing is logged, and closing ends."""
    store = FakeStore()
    writer = Writer(store, on_broken=Broken())

    def failing(*, in_order: bool) -> None:
        raise OSError(in_order)

    store.close = failing  # type: ignore[method-assign]
    await asyncio.wait_for(writer.close(), 60)

    assert "was not closed in order" in caplog.text

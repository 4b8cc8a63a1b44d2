"""Background tasks: an error does not end one, but the end of its context does."""

import asyncio

import pytest
from polling import until

from proxy.background import cancel_and_wait, repeat_forever, run_in_background


async def test_an_error_that_nobody_foresaw_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The error is logged with the task's name, and the task goes on."""
    times: list[int] = []

    async def step() -> None:
        times.append(1)
        if len(times) == 1:
            raise ZeroDivisionError

    async with run_in_background(repeat_forever(step, every_s=0.001, what="the counting"), "counting"):
        await until(lambda: len(times) > 2)

    assert caplog.text.count("a fault of ours in the counting") == 1


@pytest.mark.parametrize("fails", [False, True])
async def test_the_end_of_the_context_is_the_end_of_the_work(fails: bool) -> None:  # noqa: FBT001
    """The task ends whether its context ends normally or by an error, and the error is raised."""
    begun, never = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        await never.wait()

    async def use() -> None:
        async with run_in_background(repeat_forever(wait, every_s=0.001, what="waiting"), "waiting"):
            await begun.wait()
            if fails:
                raise LookupError

    (raised,) = await asyncio.gather(use(), return_exceptions=True)

    assert isinstance(raised, LookupError) == fails
    assert [task for task in asyncio.all_tasks() if task.get_name() == "waiting"] == []


async def test_who_waits_for_the_end_of_work_can_be_cancelled() -> None:
    """A cancellation of the caller that waits is not mistaken for the task's own."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow_to_end() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await may_end.wait()

    work = asyncio.create_task(slow_to_end())
    await begun.wait()
    waiting = asyncio.create_task(cancel_and_wait(work))
    await until(lambda: work.cancelling() > 0)

    waiting.cancel()
    await asyncio.wait([waiting])
    may_end.set()
    await asyncio.wait([work])

    assert (waiting.cancelled(), work.cancelled()) == (True, True)


async def test_an_error_of_work_is_raised_at_its_end() -> None:
    """An error that a task raises before or while it ends is raised to the caller that ends it."""

    async def fail() -> None:
        raise LookupError

    work = asyncio.create_task(fail())
    await asyncio.wait([work])

    with pytest.raises(LookupError):
        await cancel_and_wait(work)

"""Background tasks of a process: repeated despite errors, and ended with their context."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

log = logging.getLogger(__name__)


async def repeat_forever(step: Callable[[], Awaitable[None]], *, every_s: float, what: str) -> None:
    """Call ``step`` again and again until cancelled; an error that it raises is logged and does not end the loop.

    Args:
        step: The work.
        every_s: How many seconds to wait after each call.
        what: The name of the work in the log.
    """
    while True:
        try:
            await step()
        except Exception:
            # Otherwise the task would end, and nobody would notice.
            log.exception("a fault of ours in %s", what)
        await asyncio.sleep(every_s)


@asynccontextmanager
async def run_in_background(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run a coroutine, as a task called ``name``, until the context ends; then cancel it."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        await cancel_and_wait(task)


async def cancel_and_wait(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has ended; raise the error that it ended with, if any.

    A caller that is cancelled meanwhile gets its own ``CancelledError``. ``await task`` would raise one in either case,
    and the caller could not tell whether it or the task was cancelled.
    """
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()

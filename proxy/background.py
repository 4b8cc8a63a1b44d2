"""Work beside the requests of a process: again and again, whatever goes wrong in between, until its context ends."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

log = logging.getLogger(__name__)


async def repeated(step: Callable[[], Awaitable[None]], *, every_s: float, what: str) -> None:
    """Do something again and again until cancelled; an error that nobody foresaw is logged, and ends nothing.

    Args:
        step: What is done.
        every_s: How long to wait after each time, in seconds.
        what: What it is called in the log.
    """
    while True:
        try:
            await step()
        except Exception:
            # A task that ends would be silent for ever.
            log.exception("a fault of ours in %s", what)
        await asyncio.sleep(every_s)


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run something until the context ends, then end it; ``name`` is that of its task."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        await end(task)


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task, and return when it has ended; its error, if it has one, is raised.

    Whoever is cancelled while waiting for it is told so: ``await task`` could not tell which of the two was meant.
    """
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()

"""Work in a process of its own, so that it takes no time from the process that measures.

A client that sends 7 MB at a time must not share an interpreter with the client that measures latencies: its own work
would count as latency of the proxy. Both run on the core for the load, and the measuring one has priority.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_SPAWN = get_context("spawn")
_LOWEST = 19


class Apart(Generic[R]):
    """Work that is under way in a process of its own; its result has the type ``R``."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    async def end(self) -> R:
        """Tell the work to end, and return its result."""
        self._pipe.send(None)
        result: R = await asyncio.to_thread(self._pipe.recv)
        return result


@asynccontextmanager
async def apart(work: Callable[..., Awaitable[R]], *arguments: object) -> AsyncIterator[Apart[R]]:
    """Run ``work`` in a process of its own until the context ends.

    Args:
        work: A coroutine function at the top of a module. It gets a function to call once it is ready, an event that is
            set when it must end, and then ``arguments``.
        arguments: Must be picklable, and so must the result.

    Raises:
        EOFError: when the process fails; it prints why.
    """
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_child, args=(theirs, work, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        await asyncio.to_thread(ours.recv)
        yield Apart(ours)
    finally:
        ours.close()
        await asyncio.to_thread(process.join)


def _child(pipe: Connection, work: Callable[..., Awaitable[Any]], arguments: tuple[object, ...]) -> None:
    os.nice(_LOWEST)
    asyncio.run(_worked(pipe, work, arguments))


async def _worked(pipe: Connection, work: Callable[..., Awaitable[Any]], arguments: tuple[object, ...]) -> None:
    loop, end = asyncio.get_running_loop(), asyncio.Event()

    def told() -> None:
        loop.remove_reader(pipe.fileno())
        end.set()

    loop.add_reader(pipe.fileno(), told)
    result = await work(partial(pipe.send, None), end, *arguments)
    pipe.send(result)

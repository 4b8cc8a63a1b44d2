"""The polling that all tests share; it imports nothing of the proxy, so that benches can use it with another copy."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any


async def until(condition: Callable[[], Any], *, seconds: float = 120.0, what: str = "condition") -> Any:
    """Poll until the condition is truthy and return its value.

    Args:
        condition: asked every 20 ms; it may be a coroutine function.
        seconds: the longest wait. It ends only tests that fail, so it allows for a machine with much else to do.
        what: names the condition in the error.

    Raises:
        TimeoutError: when the condition stays false.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        await asyncio.sleep(0.02)

"""Requests under way, and the wait for their end."""

import asyncio
from contextlib import suppress


class UnderWay:
    """Counts requests, each as a context; made within the event loop."""

    def __init__(self) -> None:
        self._requests = 0
        self._none_left = asyncio.Event()
        self._none_left.set()

    def __enter__(self) -> None:
        if not self._requests:
            self._none_left.clear()
        self._requests += 1

    def __exit__(self, *_: object) -> None:
        self._requests -= 1
        if not self._requests:
            self._none_left.set()

    async def drain(self, seconds: float) -> None:
        """Wait until no request is in progress, at most ``seconds``.

        aiohttp drops what arrives once its shutdown began, so a body still on its way must come in before that.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none_left.wait()

"""Requests under way, and the wait for their end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class UnderWay:
    """Counts requests; made within the event loop."""

    def __init__(self) -> None:
        self._requests = 0
        self._none_left = asyncio.Event()
        self._none_left.set()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a request until the context ends."""
        self._requests += 1
        self._none_left.clear()
        try:
            yield
        finally:
            self._requests -= 1
            if not self._requests:
                self._none_left.set()

    async def drain(self, seconds: float) -> None:
        """Wait until no request is in progress, at most ``seconds``.

        aiohttp drops what arrives once its shutdown began, so a body still on its way must come in before that.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._none_left.wait(), seconds)

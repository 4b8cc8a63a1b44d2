"""Bodies of refused requests: the rest of such a body is dropped unread, and the connection ends.

aiohttp would parse the rest for seconds, as fast as it arrives, and a client that announces 64 MB sends some of them
before it sees the answer. Closing at once would lose the answer: systems discard it while sent bytes are unread.
"""

import asyncio
import math
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.web_protocol import RequestHandler

LINGER_S = 2.0
_KEPT = 256 * 1024
"""How many bytes of a refused body are read to keep its connection; with more to come the connection ends."""
_EVERY_S, _EACH = 0.025, 512 * 1024
"""Every so many seconds, so many bytes are dropped. A client that reads no answer before it has sent everything can
thus send as much as the longest body may have.
"""


class BodyDropper(RequestHandler):
    """A connection that does not parse the rest of a body that it refused."""

    __slots__ = ("_allowed", "_dropping", "_got")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._got = 0
        """How many bytes have come of the body that is arriving."""
        self._dropping = 0.0
        """How many bytes of a refused body may still come; 0 when nothing is being dropped."""
        self._allowed = 0
        """How many of those bytes are read before reading pauses."""

    def is_dropped(self, data: bytes) -> bool:
        """Drop ``data`` and return True if a refused body is being dropped; the connection then serves nothing more."""
        if not self._dropping:
            return False
        self._dropping = max(self._dropping - len(data), 0.0)
        self._allowed -= len(data)
        if self._allowed <= 0:
            self._pause_transport_reading()
        return True

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write an answer; end the connection with it where much of the body is still to come.

        Args:
            request: The request that is answered.
            resp: The answer.
            start_time: When the request came, for aiohttp.
        """
        left = self._still_to_come(request)
        if left <= _KEPT:
            return await super().finish_response(request, resp, start_time)
        resp.force_close()
        written = await super().finish_response(request, resp, start_time)
        await self._drop(left)
        return written

    def _still_to_come(self, request: web.BaseRequest) -> float:
        """Return how many bytes of a request's body may still come; 0 when reading the body failed."""
        if request.content.is_eof() or request.content.exception() is not None:
            return 0.0
        length = request.content_length
        return math.inf if length is None else float(max(length - self._got, 0))

    async def _drop(self, left: float) -> None:
        """Give the client time to read the answer, and drop what it sends meanwhile, a little at a time."""
        self._lingering_time = 0.0  # otherwise aiohttp would read the rest
        ends = self._loop.time() + LINGER_S
        self._pause_transport_reading()
        self._dropping = left
        while self._dropping and self.transport is not None and self._loop.time() < ends:
            self._allowed = _EACH
            self._resume_transport_reading()
            await asyncio.sleep(_EVERY_S)


def fail_body(body: StreamReader, error: BaseException) -> None:
    """Make the reader of a body fail with an error; call it on the event loop."""
    body.set_exception(error)
    # Set again later: a reader just woken by the end of a chunk looks only for bytes, finds none, and waits again.
    asyncio.get_running_loop().call_soon(body.set_exception, error)

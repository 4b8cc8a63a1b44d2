"""Bodies that end early. What is still to come of one behind its refusal is dropped unread, and the connection ends.

aiohttp parses it for seconds, as fast as it comes, and a client that announces 64 MB sends some of them before it sees
the answer. To close at once would tell it nothing: systems throw an answer away when what its reader sent is not taken.
"""

import asyncio
import math
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.web_protocol import RequestHandler

LINGER_S = 2.0
_KEPT = 256 * 1024
"""Bytes of a refused body that are read for the sake of its connection; with more to come the connection ends."""
_EVERY_S, _EACH = 0.025, 512 * 1024
"""How often how many bytes are dropped: a client that reads no answer before all is sent can send as much as any body
may have.
"""


class BodyDropper(RequestHandler):
    """A connection that does not read what it refused."""

    __slots__ = ("_allowed", "_dropping", "_got")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._got = 0
        """Bytes of a body whose end has not come."""
        self._dropping = 0.0
        """Bytes of a refused body that may still come."""
        self._allowed = 0
        """How many of them are taken without a pause."""

    def is_dropped(self, data: bytes) -> bool:
        """Tell whether bytes that came belong to a refused body, after which nothing comes on the connection."""
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
            request: What is answered.
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
        """Return how many bytes of a request's body are still to come, at most; none where it came too slowly."""
        if request.content.is_eof() or request.content.exception() is not None:
            return 0.0
        length = request.content_length
        return math.inf if length is None else float(max(length - self._got, 0))

    async def _drop(self, left: float) -> None:
        """Give the client time to read the answer, and drop what it sends meanwhile, a little at a time."""
        self._lingering_time = 0.0  # in which aiohttp would read it
        ends = self._loop.time() + LINGER_S
        self._pause_transport_reading()
        self._dropping = left
        while self._dropping and self.transport is not None and self._loop.time() < ends:
            self._allowed = _EACH
            self._resume_transport_reading()
            await asyncio.sleep(_EVERY_S)


def fail_body(body: StreamReader, error: BaseException) -> None:
    """Let whoever reads a body meet an error, on the event loop."""
    body.set_exception(error)
    # A reader that the end of a chunk has just woken looks for bytes alone, finds none, and waits once more.
    asyncio.get_running_loop().call_soon(body.set_exception, error)

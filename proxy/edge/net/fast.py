"""The fast way: a plain POST is answered without aiohttp, whose parser takes all other requests of the connection.

Only a request that came whole, alone and plain (``plain_http.py``) is answered here. The bytes of every other request
go to aiohttp unchanged. So that no client can make the two disagree on where a request begins, this code counts where a
request that aiohttp reads must end; once that is uncertain, aiohttp gets everything that follows on the connection.
"""

import asyncio
import math

from aiohttp import hdrs, web
from aiohttp.http import RawRequestMessage

from proxy.edge.net.connections import Connection
from proxy.edge.net.http import HttpConnection, closing_answer
from proxy.edge.net.plain_http import PlainPost, answer_bytes
from proxy.edge.net.terms import FastWay, Terms
from proxy.telemetry.faults import FaultReporter

_UNKNOWN = -1


class FastConnection(HttpConnection):
    """One connection, whose plain requests go the fast way."""

    __slots__ = ("_ahead", "_fast", "_left", "_task")

    def __init__(
        self, server: web.Server, connection: Connection, terms: Terms, faults: FaultReporter, fast: FastWay
    ) -> None:
        """Take a connection.

        Args:
            server: Answers the requests that aiohttp reads.
            connection: The record of the connection.
            terms: The limits and settings of the listener.
            faults: Is told of errors of ours.
            fast: Reads and answers the requests that go the fast way.
        """
        super().__init__(server, connection, terms, faults)
        self._fast = fast
        self._left = 0
        """Bytes until the next request begins, or ``_UNKNOWN``."""
        self._task: asyncio.Task[None] | None = None
        """Answers the request that goes the fast way; None when there is none."""
        self._ahead = b""
        """What the client sent after that request."""

    def data_received(self, data: bytes) -> None:
        """Answer a plain request, or pass the bytes to aiohttp; keep what comes before the answer is sent for later."""
        if self._task:
            self._ahead += data
            self._connection.touch()
            self._pause_transport_reading()
        elif self._is_between_requests() and (post := self._fast.posts.read(data, self._connection.peer[0])):
            self._begin(post)
        else:
            self._leave_to_aiohttp(data)

    def resume_writing(self) -> None:
        """End the time limit for reading, since the client has read."""
        super().resume_writing()
        if self._connection.spoke and self._is_between_requests():
            self._start_time_limit(self._limits.keep_alive_seconds)

    def is_waiting_for_client(self) -> bool:
        """Tell whether the connection waits for its client, not for an answer of the proxy."""
        return self._task is None and super().is_waiting_for_client()

    def expire(self) -> None:
        """End what exceeded its time limit; a connection between two requests is closed without an answer."""
        if self._connection.spoke and self._is_between_requests():
            self.force_close()
        else:
            super().expire()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - aiohttp's own
        """End the connection, and cancel the request that is still being answered on it."""
        await super().shutdown(timeout)
        if self._task:
            self._task.cancel()

    def _is_between_requests(self) -> bool:
        is_at_work = self._task or self._paused or self._close or self._force_close
        return self._left == 0 and not is_at_work and not self._body_is_coming() and self._has_answered()

    def _begin(self, post: PlainPost) -> None:
        self.keep_alive(False)  # ends aiohttp's timer; ``_end`` has one of its own
        self._connection.touch()
        self._connection.spoke = True
        self._connection.deadline = math.inf
        self._task = self._loop.create_task(self._answered(post))

    async def _answered(self, post: PlainPost) -> None:
        closes = False
        try:
            head_and_body = answer_bytes(await self._fast.answer(post))
        except Exception as error:  # noqa: BLE001 - as aiohttp does: the client gets an answer after any error
            self._faults.report(error)
            head_and_body, closes = closing_answer(500, "a fault of ours; try again"), True
        finally:
            self._task = None
        if self.transport is not None:
            self.transport.write(head_and_body)
            self._end(closes=closes or self._close)

    def _end(self, *, closes: bool) -> None:
        """Close the connection, or start the limit of its silence and read what came meanwhile."""
        if closes:
            self.force_close()
            return
        self._start_time_limit(self._limits.keep_alive_seconds)
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            self._resume_transport_reading()
            self.data_received(ahead)

    def _leave_to_aiohttp(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._left > 0:
            self._left = max(self._left - len(data), _UNKNOWN)
        elif self._left == 0 and data:
            is_one = self._request_count == before + 1
            self._left = _bytes_left(data, self._messages[-1][0]) if is_one else _UNKNOWN


def _bytes_left(data: bytes, message: object) -> int:
    """Return how many bytes of a request are missing, or ``_UNKNOWN``.

    Args:
        data: The first bytes of the request, with its whole head; they may go beyond the request.
        message: The head as aiohttp parsed it.
    """
    if not isinstance(message, RawRequestMessage) or message.upgrade or hdrs.TRANSFER_ENCODING in message.headers:
        return _UNKNOWN
    # Line breaks before a request are skipped by the parser; with them its head would seem to end too early.
    if data.startswith((b"\r", b"\n")):
        return _UNKNOWN
    whole = data.index(b"\r\n\r\n") + 4 + int(message.headers.get(hdrs.CONTENT_LENGTH, 0))
    return whole - len(data) if len(data) <= whole else _UNKNOWN

"""HTTP on one connection: aiohttp's, with the time limits and bounds that it lacks.

aiohttp limits neither the time for the first byte, the headers or the body of a request, nor the bytes of the headers
together (128 fields of 8 KiB each). It logs a client's mistakes with a traceback and the client's address.
"""

import asyncio
import math
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from proxy.edge.answers import error_body
from proxy.edge.net.connections import Connection
from proxy.edge.net.dropping import LINGER_S, BodyDropper, fail_body
from proxy.edge.net.plain_http import answer_bytes
from proxy.edge.net.terms import Terms
from proxy.edge.server.answers import unreadable_request
from proxy.rules.limits import BODY
from proxy.telemetry.faults import FaultReporter

MOST_HEADERS = 16 * 1024
"""How many bytes all headers of a request may have together."""
BODY_RATE = 2000
"""For each so many bytes of a body, its client gets a second more: a phone at the edge of its network is so slow."""
WRITE_SECONDS = 10.0
"""How many seconds a client may leave an answer unread once the write buffer is full."""
PIPELINED = 8
"""How many requests may wait on a connection for earlier answers. Browsers and proxies do not pipeline."""
_PIECE = 2048
"""How many bytes are parsed before their requests are counted: a few requests of the tag, or forty tiny ones."""
_BODILESS = (b"GET ", b"HEAD ")
_READ_BYTES = 1 << 16


class HttpConnection(BodyDropper):
    """One connection; ``Connection.deadline`` says until when its client may stay silent or slow."""

    __slots__ = ("_connection", "_faults", "_head", "_is_public", "_limits", "_payload", "_since")

    def __init__(self, server: web.Server, connection: Connection, terms: Terms, faults: FaultReporter) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=terms.limits.keep_alive_seconds,
            lingering_time=LINGER_S,
            read_bufsize=_READ_BYTES,
        )
        self._connection = connection
        self._limits = terms.limits
        self._faults = faults
        self._is_public = terms.name == "public"
        self._payload: Any = None
        """The body of the last request; bytes of it may still be missing."""
        self._head = 0
        """How many bytes have come of headers that are not complete."""
        self._since = 0.0
        """When the last body began to arrive, by the clock of the event loop."""
        self._cache["peername"] = connection.peer
        connection.protocol = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first byte."""
        super().connection_made(transport)
        self._connection.transport = self.transport
        self._start_time_limit(self._limits.first_byte_seconds)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free the place of the connection."""
        self._connection.free_place()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on in pieces too small to exceed the limits of headers and requests before these are checked."""
        if self.is_dropped(data):
            return
        if len(data) <= _PIECE:
            self._take(data)
            return
        if not self._body_is_coming() and data.startswith(_BODILESS) and data.count(b"\r\n\r\n") > PIPELINED:
            self._connection.count_end("pipelining")
            self._connection.abort()
            return
        start = 0
        while start < len(data):
            size = MOST_HEADERS if self._body_is_coming() else _PIECE
            self._take(data[start : start + size])
            start += size

    def pause_writing(self) -> None:
        """Give the client time to read."""
        super().pause_writing()
        self._connection.deadline = self._loop.time() + WRITE_SECONDS

    def resume_writing(self) -> None:
        """End the time limit for reading, since the client has read."""
        super().resume_writing()
        self._set_deadline(self._since + self._limits.body_seconds if self._body_is_coming() else math.inf)

    def is_waiting_for_client(self) -> bool:
        """Tell whether the connection waits for its client, not for an answer of the proxy."""
        return self._paused or self._body_is_coming() or self._has_answered()

    def expire(self) -> None:
        """End the request or connection whose limit has passed, with an answer where one can still be sent."""
        if self._paused:
            self._connection.count_end("write")
            self._connection.abort()
        elif self._body_is_coming():
            self._expire_body()
        elif self.is_waiting_for_client():
            self._connection.count_end("header" if self._head else "first_byte")
            self._answer_and_close(408, "the request came too slowly")
        else:
            self._connection.deadline = math.inf

    def listening_ended(self) -> None:
        """Do nothing: aiohttp ends its connections itself, each after its request."""

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer a failed request in JSON; a client's mistake is only counted, a fault of ours is reported too.

        Args:
            request: The request, if it could be read.
            status: The status that aiohttp would answer with.
            exc: What went wrong.
            message: aiohttp's description of it; unused.
        """
        del message  # quotes the request
        self._report(exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        if isinstance(exc, web.RequestPayloadError):
            status = 400
        why = "not as HTTP asks" if status == 400 else "a fault of ours; try again"
        body = (
            unreadable_request(status, why).body if self._is_public else error_body(why)
        )  # the operator's API has sentences
        response = web.Response(status=status, body=body, content_type="application/json")
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Report in place of aiohttp, which would log a traceback."""
        del args
        self._report(kw.get("exc_info"))

    def _take(self, data: bytes) -> None:
        if self._close or self._force_close:
            return
        was_coming = self._body_is_coming()
        if not was_coming and self._is_over_long(data):
            self._refuse_headers()
            return
        before, body = self._request_count, self._payload
        super().data_received(data)
        if self._request_count != before:
            if was_coming and not body.is_eof():
                # The parser gave up within the body, and aiohttp would let the body's reader wait forever.
                fail_body(body, body.exception() or web.RequestPayloadError("its framing is broken"))
            self._request_came()
        elif was_coming:
            self._body_came(len(data))
        elif data:
            self._headers_came(len(data))
        self._connection.touch()

    def _request_came(self) -> None:
        self._payload = self._messages[-1][1]
        self._head = self._got = 0
        self._connection.spoke = True
        if len(self._messages) > PIPELINED:
            self._connection.count_end("pipelining")
            self.close()
        if self._payload.is_eof():
            self._set_deadline(math.inf)
        else:
            self._got = self._payload.total_bytes  # those that came with the head
            self._since = self._loop.time()
            self._set_deadline(self._since + self._limits.body_seconds)

    def _is_over_long(self, data: bytes) -> bool:
        left = max(MOST_HEADERS - self._head, 0)
        return len(data) > left and b"\r\n\r\n" not in data[:left]

    def _refuse_headers(self) -> None:
        self._connection.count_end("headers")
        if self.is_waiting_for_client():
            self._answer_and_close(431, f"headers: too long; accepted: {MOST_HEADERS} bytes")
        else:
            self.close()

    def _body_came(self, size: int) -> None:
        if self._payload.is_eof():
            self._set_deadline(math.inf)
            return
        self._got += size
        more = min(self._got, BODY) / BODY_RATE
        self._set_deadline(self._since + self._limits.body_seconds + more)

    def _headers_came(self, size: int) -> None:
        if not self._head:
            self._start_time_limit(self._limits.header_seconds)
        self._head += size

    def _has_answered(self) -> bool:
        """Tell whether aiohttp has answered every request that came whole."""
        waiter = self._waiter
        return not self._request_count or (waiter is not None and not waiter.done())

    def _body_is_coming(self) -> bool:
        return self._payload is not None and not self._payload.is_eof()

    def _expire_body(self) -> None:
        self._connection.count_end("body")
        self._connection.deadline = math.inf
        self._lingering_time = 0.0  # otherwise aiohttp would wait for the rest of the body
        fail_body(self._payload, web.HTTPRequestTimeout())

    def _start_time_limit(self, seconds: float) -> None:
        self._set_deadline(self._loop.time() + seconds)

    def _set_deadline(self, deadline: float) -> None:
        """Set the time limit, unless the client leaves an answer unread: sending more does not extend that limit."""
        if not self._paused:
            self._connection.deadline = deadline

    def _answer_and_close(self, status: int, why: str) -> None:
        """Answer and close a connection on which no other answer is under way."""
        if self.transport is not None:
            self.transport.write(closing_answer(status, why))
        self.force_close()

    def _report(self, error: BaseException | None) -> None:
        if isinstance(error, HttpProcessingError | web.RequestPayloadError):
            self._connection.count_end("malformed")
        elif isinstance(error, OSError) and self.transport is None:
            self._connection.count_end("hang_up")
        elif not isinstance(error, web.HTTPRequestTimeout):
            self._faults.report(error)


def closing_answer(status: int, why: str) -> bytes:
    """Return a refusal in JSON after which the connection closes."""
    return answer_bytes(unreadable_request(status, why), closes=True)

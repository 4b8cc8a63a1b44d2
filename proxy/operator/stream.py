"""Server-sent events: passes the messages of the live feed to each page that listens."""

import asyncio

from aiohttp import hdrs, web
from aiohttp_sse import EventSourceResponse, sse_response

from proxy.operator.documents import BadQueryError, json_response, whole_number
from proxy.operator.feed import LiveFeed, Subscriber
from proxy.operator.gate import Gate

PING_S = 15.0
_SEND_S = 10.0
_RETRY_SECONDS = "10"


class StreamApi:
    """Answers pages that listen to the live feed."""

    def __init__(self, feed: LiveFeed, gate: Gate) -> None:
        """Take the feed, and the gate, which knows whether a page is still logged in."""
        self._feed = feed
        self._gate = gate

    def add_to(self, app: web.Application) -> None:
        """Add the route of this part, and let its connections end when the application shuts down."""
        app.router.add_get("/api/stream", self._stream)
        app.on_shutdown.append(self._close)

    async def _close(self, _app: web.Application) -> None:
        await self._feed.close()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        last = _last(request)
        if self._feed.is_full:
            return json_response({"error": "too many listen"}, 503, {hdrs.RETRY_AFTER: _RETRY_SECONDS})
        subscriber = Subscriber(
            lambda: _is_lost(request) or self._gate.has_lost_session(request), lambda: _cut(request)
        )
        self._feed.join(subscriber)
        greeting = asyncio.create_task(self._feed.catch_up(subscriber, last), name="greeting")
        response: web.StreamResponse = web.Response()
        try:
            async with sse_response(request, send_timeout=_SEND_S, ping_interval=PING_S) as response:
                await _send(response, subscriber)
        except (ConnectionError, TimeoutError):
            _cut(request)
        finally:
            greeting.cancel()
            self._feed.leave(subscriber)
        return response


async def _send(response: EventSourceResponse, subscriber: Subscriber) -> None:
    while message := await subscriber.next():
        await response.send(message.data, id=message.id, event=message.event)


def _last(request: web.Request) -> int | None:
    text = request.headers.get("Last-Event-ID") or request.query.get("last", "")
    if not text:
        return None
    number = whole_number(text)
    if number is None:
        raise BadQueryError(f"Last-Event-ID: {text[:20]!r}; accepted: the number of an event")
    return number


def _is_lost(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()

"""The two ways for requests, past aiohttp and through it, with a door that answers with what it read."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import orjson

from proxy.config.address import Address
from proxy.config.schema import LimitSettings
from proxy.edge.exchange import BodyTooLargeError, BodyTooSlowError, HttpAnswer, HttpRequest
from proxy.edge.net.application import application
from proxy.edge.net.listener import listen
from proxy.edge.net.plain_http import PlainPosts
from proxy.edge.net.terms import FastWay, Terms
from proxy.rules.request.client_address import Networks
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

PATH = "/shop/e"
READ = ("host", "origin", "referer", "cookie", "user-agent", "x-forwarded-for", "x-a", "content-type")
"""The headers that the door answers with."""


async def told(request: HttpRequest) -> HttpAnswer:
    """Answer with what was read of a request."""
    try:
        body = await request.body()
    except BodyTooLargeError:
        return HttpAnswer(413)
    except BodyTooSlowError:
        return HttpAnswer(408)
    read = {
        "method": request.method,
        "path": request.path,
        "peer": request.peer,
        "secure": request.is_secure,
        "size": request.size,
        "headers": {name: request.headers.get(name, "") for name in READ},
        "body": body.decode("latin-1"),
    }
    return HttpAnswer(200, orjson.dumps(read), {"Content-Type": "application/json"})


class Front:
    """A listener, and how many requests took each way."""

    def __init__(self) -> None:
        self.address = ("", 0)
        self.fast = self.slow = 0
        self.metrics = Metrics()

    def ended(self, reason: str) -> float:
        """Return how many connections were ended for a reason."""
        labels = {"listener": "public", "reason": reason}
        return self.metrics.registry.get_sample_value("capi_proxy_connections_ended_total", labels) or 0.0

    async def fast_door(self, request: HttpRequest) -> HttpAnswer:
        self.fast += 1
        return await told(request)

    async def slow_door(self, request: HttpRequest) -> HttpAnswer:
        self.slow += 1
        return await told(request)


@asynccontextmanager
async def front(limits: LimitSettings, *, fast: bool) -> AsyncIterator[Front]:
    """Listen on a free port of loopback; ``fast`` allows the way past aiohttp."""
    made = Front()
    way = FastWay(PlainPosts([PATH]), made.fast_door) if fast else None
    terms = Terms("public", limits, Conditions(lambda: 0), made.metrics, Networks(), fast=way)
    async with AsyncExitStack() as stack:
        made.address = await listen(stack, application(made.slow_door), Address("127.0.0.1", 0), terms)
        yield made


async def conversation(address: tuple[str, int], pieces: Iterable[bytes]) -> bytes:
    """Send pieces one by one; return all answers until the connection ends, without their dates."""
    reader, writer = await asyncio.open_connection(*address)
    answered = asyncio.create_task(_read(reader))
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return await asyncio.wait_for(answered, 60)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    read = b""
    try:
        while piece := await reader.read(65536):
            read += piece
    except ConnectionError:
        pass
    return b"\r\n".join(line for line in read.split(b"\r\n") if not line.startswith(b"Date: "))


def post(body: bytes = b"{}", *lines: str, path: str = PATH) -> bytes:
    """Return a plain request; ``lines`` are further headers."""
    headers = ("Host: a.example", *lines, f"Content-Length: {len(body)}")
    return f"POST {path} HTTP/1.1\r\n{_lines(headers)}\r\n".encode("latin-1") + body


def _lines(headers: Sequence[str]) -> str:
    return "".join(f"{header}\r\n" for header in headers)

"""The doctor's HTTP client and servers with harmful answers, or without any."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from name_server import name_server

from proxy.doctor.web.network_access import NetworkAccess, own_addresses
from proxy.doctor.web.visitor import Unreached, Visitor, WebAnswer, tls_context, visiting

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
Saying = Callable[[asyncio.StreamWriter], Awaitable[None]]


def say(*pieces: bytes, then_hang: bool = False) -> Saying:
    async def saying(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if then_hang:
            await asyncio.Event().wait()

    return saying


async def endlessly(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


@asynccontextmanager
async def visitor_of(saying: Saying, seconds: float = 5.0) -> AsyncIterator[Visitor]:
    """Yield a visitor whose requests all go to a server that answers with ``saying``."""
    tasks = set[asyncio.Task[None] | None]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            await reader.readuntil(b"\r\n\r\n")
            await saying(writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    end = ("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        async with (
            name_server({}) as names,
            visiting(NetworkAccess({("shop.example", 80): end}, names, seconds=seconds)) as visitor,
        ):
            yield visitor
    finally:
        for task in filter(None, tasks):
            task.cancel()
        server.close()


BAD: dict[str, Saying] = {
    "no answer": say(),
    "no HTTP": say(b"220 mail.example ESMTP\r\n"),
    "a head without end": say(HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n"),
    "a body that breaks off": say(HEAD + b"Content-Length: 100\r\n\r\nhalf"),
    "an encoding that is none": say(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone"),
    "another HTTP": say(b"HTTP/9.9 200 OK\r\n\r\n"),
}


@pytest.mark.parametrize("saying", BAD.values(), ids=BAD)
async def test_what_is_no_answer_is_told_and_not_raised(saying: Saying) -> None:
    """Whatever a server sends, or leaves out, becomes an error text or a readable answer, never an exception."""
    async with visitor_of(saying) as visitor:
        got = await visitor.get("http://shop.example/")

    assert isinstance(got, Unreached)
    assert got.why


@pytest.mark.parametrize("saying", [say(then_hang=True), say(HEAD, then_hang=True)], ids=["head", "body"])
async def test_a_server_that_hangs_costs_its_time_alone(saying: Saying) -> None:
    """A server that hangs is given up after the time for one request."""
    async with visitor_of(saying, seconds=0.3) as visitor:
        assert await visitor.get("http://shop.example/") == Unreached("http://shop.example/", "no answer in time")


@pytest.mark.parametrize(
    "saying",
    [endlessly, say(HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(bytes(30_000_000)))],
    ids=["without end", "small until it is unpacked"],
)
async def test_a_large_body_is_cut(saying: Saying) -> None:
    """A large body is cut, since it would fill the memory of the proxy that examines itself."""
    async with visitor_of(saying) as visitor:
        got = await visitor.get("http://shop.example/")

    assert isinstance(got, WebAnswer)
    assert len(got.body) < 2_000_000


@pytest.mark.parametrize("url", ["http://nowhere.invalid:1/", "http://[/", "nothing", ""])
async def test_an_address_that_leads_nowhere_is_told(url: str) -> None:
    """An address from a page or redirect that leads nowhere becomes an error text, not an exception."""
    async with visitor_of(say()) as visitor:
        assert isinstance(await visitor.get(url), Unreached)


def test_this_machines_addresses_are_known_without_a_packet() -> None:
    """This machine's address is the one from which it would connect; without a route the set is empty."""
    assert own_addresses([("127.0.0.1", 443)]) == {"127.0.0.1"}
    assert own_addresses([("not an address", 443)]) == frozenset()


def test_browsers_verify_certificates() -> None:
    """The visitor verifies certificates, as browsers do."""
    context = tls_context(NetworkAccess())

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)

"""The visitor's address from a balancer that speaks the PROXY protocol, on real sockets."""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path

import aiohttp
import orjson
import pytest
import support
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from servers import simulator
from support import VISITOR_ADDRESS, browser_headers, page_views, raw_config, until

from proxy.app import run_proxy
from proxy.config import load
from proxy.config.address import Address
from proxy.config.schema import LimitSettings
from proxy.edge.net import connections, proxy_protocol
from proxy.edge.net.listener import Listener
from proxy.edge.net.plain_http import PlainPosts
from proxy.edge.net.proxy_protocol import Header, MalformedHeaderError, parse
from proxy.edge.net.terms import FastWay, Terms
from proxy.rules.request.client_address import Networks
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

pytestmark = pytest.mark.usefixtures("front")

NEVER = FastWay(PlainPosts(["/e"]), lambda _: pytest.fail("a GET went the short way"))
LOOPBACK = Networks([ip_network("127.0.0.0/8")])
NOBODY_HERE = Networks([ip_network("10.0.0.0/8")])
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
VISITOR_6 = "2606:2800:220:1::34"


def version_2(command: int, family: int, addresses: bytes, size: int | None = None) -> bytes:
    length = len(addresses) if size is None else size
    return SIGNATURE + bytes((command, family)) + length.to_bytes(2, "big") + addresses


def packed_addresses(source: str, destination: str) -> bytes:
    ports = (4711).to_bytes(2, "big") + (443).to_bytes(2, "big")
    return ip_address(source).packed + ip_address(destination).packed + ports


V4, V6 = packed_addresses(VISITOR_ADDRESS, "10.0.0.1"), packed_addresses(VISITOR_6, "fd00::1")
HEADERS = {
    "v1-tcp4": (f"PROXY TCP4 {VISITOR_ADDRESS} 10.0.0.1 4711 443\r\n".encode(), VISITOR_ADDRESS),
    "v1-tcp6": (f"PROXY TCP6 {VISITOR_6} fd00::1 4711 443\r\n".encode(), VISITOR_6),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "v1-unknown-with-more": (b"PROXY UNKNOWN ffff:f... x 1 2\r\n", "127.0.0.1"),
    "v2-tcp4": (version_2(0x21, 0x11, V4), VISITOR_ADDRESS),
    "v2-tcp6": (version_2(0x21, 0x21, V6), VISITOR_6),
    "v2-tcp4-with-more": (version_2(0x21, 0x11, V4 + b"\x04\x00\x03abc"), VISITOR_ADDRESS),
    "v2-local": (version_2(0x20, 0x00, b""), "127.0.0.1"),
    "v2-local-with-addresses": (version_2(0x20, 0x11, V4), "127.0.0.1"),
    "v2-unspecified": (version_2(0x21, 0x00, b"anything"), "127.0.0.1"),
    "v2-socket-file": (version_2(0x21, 0x31, b"\x00" * 216), "127.0.0.1"),
}
MALFORMED = {
    "http": REQUEST,
    "tls": b"\x16\x03\x01\x02\x00",
    "v1-lower-case": b"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
    "v1-too-long": b"PROXY UNKNOWN " + b"x" * 100,
    "v1-other-protocol": b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
    "v1-other-family": b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
    "v1-mixed-families": b"PROXY TCP4 1.1.1.1 fd00::1 1 2\r\n",
    "v1-no-address": b"PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n",
    "v1-port": b"PROXY TCP4 1.1.1.1 2.2.2.2 70000 2\r\n",
    "v1-blanks": b"PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n",
    "v1-without-ports": b"PROXY TCP4 1.1.1.1 2.2.2.2\r\n",
    "v2-other-version": version_2(0x11, 0x11, V4),
    "v2-other-command": version_2(0x22, 0x11, V4),
    "v2-datagram": version_2(0x21, 0x12, V4),
    "v2-other-family": version_2(0x21, 0x41, V4),
    "v2-too-short": version_2(0x21, 0x11, V4[:-1]),
    "v2-endless": version_2(0x21, 0x11, V4, size=65535),
}


@asynccontextmanager
async def listening(
    trusted: Networks = LOOPBACK, limits: LimitSettings | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Serve an application that answers with its client's address."""

    async def peer_address(request: web.Request) -> web.Response:
        return web.Response(text=request.remote)

    app = web.Application()
    app.router.add_get("/", peer_address)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    fast = NEVER if support.FAST_INGEST else None
    terms = Terms("public", limits or LimitSettings(), Conditions(lambda: 0), Metrics(), trusted, True, fast)
    site = Listener(runner, Address("127.0.0.1", 0), terms)
    await site.start()
    try:
        yield runner.addresses[0][:2]
    finally:
        await runner.cleanup()


async def answer_to(address: tuple[str, int], *pieces: bytes) -> bytes:
    """Send pieces, each once the one before has left, and return all bytes until the server closes."""
    reader, writer = await asyncio.open_connection(*address)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return await asyncio.wait_for(reader.read(), 60)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(("header", "remote"), HEADERS.values(), ids=HEADERS.keys())
async def test_the_announced_client_is_the_peer(header: bytes, remote: str) -> None:
    """In one piece with the request or byte by byte, the header's source is the client; without one, the peer is."""
    async with listening() as address:
        whole = await answer_to(address, header + REQUEST)
        pieces = await answer_to(address, *(bytes((byte,)) for byte in header), REQUEST)

    assert [answer.rpartition(b"\r\n\r\n")[2].decode() for answer in (whole, pieces)] == [remote, remote]


@pytest.mark.parametrize("header", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_header_closes_the_connection(header: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A malformed header gets no answer and at most one log line, and the next connection is served."""
    async with listening() as address:
        answers = [await answer_to(address, header + REQUEST) for _ in range(2)]
        good = await answer_to(address, HEADERS["v1-tcp4"][0], REQUEST)

    assert (answers, good[:15]) == ([b"", b""], b"HTTP/1.1 200 OK")
    assert [(record.levelno, record.exc_info) for record in caplog.records] == [(logging.WARNING, None)]


async def test_a_slow_header_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that does not finish its header in time is disconnected."""
    monkeypatch.setattr(proxy_protocol, "HEADER_SECONDS", 0.05)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.02)
    async with listening() as address:
        assert [await answer_to(address, start) for start in (b"", b"PROXY TCP4 ", SIGNATURE)] == [b"", b"", b""]


async def test_the_header_has_to_come_once_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is kept longer than the time for the header keeps its client, without a second header."""
    monkeypatch.setattr(proxy_protocol, "HEADER_SECONDS", 0.05)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.02)
    keeping = REQUEST.replace(b"Connection: close\r\n", b"")
    async with listening() as address:
        reader, writer = await asyncio.open_connection(*address)
        for message in (HEADERS["v2-tcp4"][0] + keeping, keeping):
            writer.write(message)
            answer = await asyncio.wait_for(reader.readuntil(VISITOR_ADDRESS.encode()), 60)
            assert answer.startswith(b"HTTP/1.1 200")
            assert await answer_to(address, b"PROXY ") == b""  # a later connection is out of time by now
        writer.close()


async def test_strangers_speak_http_alone() -> None:
    """A header from a peer that is not trusted is a bad request; without one the peer itself is the client."""
    async with listening(NOBODY_HERE) as address:
        plain, forged = [await answer_to(address, start + REQUEST) for start in (b"", HEADERS["v1-tcp4"][0])]

    assert plain.endswith(b"127.0.0.1")
    assert forged.split()[1] == b"400"


@pytest.mark.parametrize("start", [b"", b"PROXY ", SIGNATURE], ids=["at once", "within version 1", "within version 2"])
async def test_a_health_check_that_resets_is_nothing_to_tell(start: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A balancer that connects and resets, as HAProxy's plain check does, causes no log line; others are served."""
    caplog.set_level(logging.INFO)
    async with listening() as address:
        for _ in range(20):
            with socket.create_connection(address) as check:
                check.sendall(start)
                check.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await asyncio.sleep(0)
        good = await answer_to(address, HEADERS["v1-tcp4"][0], REQUEST)

    assert good[:15] == b"HTTP/1.1 200 OK"
    assert [record.getMessage() for record in caplog.records] == []


async def test_announced_clients_have_their_own_limit() -> None:
    """Behind one balancer a client beyond its limit loses its longest silent connection; others lose none."""
    head = HEADERS["v1-tcp4"][0]
    keeping = REQUEST.replace(b"Connection: close\r\n", b"")
    async with listening(limits=LimitSettings(connections_per_address=2)) as address:
        streams = [await asyncio.open_connection(*address) for _ in range(4)]
        for (reader, writer), start in zip(streams, (HEADERS["v2-tcp6"][0], head, head, head), strict=True):
            writer.write(start + keeping)
            assert (await asyncio.wait_for(reader.readline(), 60)).split()[1] == b"200"
        lost = await asyncio.wait_for(streams[1][0].read(), 60)
        answer_counts = []
        for reader, writer in (streams[0], *streams[2:]):
            writer.write(REQUEST)
            answer_counts.append((await asyncio.wait_for(reader.read(), 60)).count(b"HTTP/1.1 200"))
        for _, writer in streams:
            writer.close()

    assert b"HTTP/1.1" not in lost
    assert answer_counts == [1, 1, 1]


async def test_stopping_sends_away_who_announced_nobody() -> None:
    """A stop does not wait for the header of a connection."""
    async with listening() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"PROXY ")
        await answer_to(address, HEADERS["v1-unknown"][0], REQUEST)  # the first connection is accepted by now

    with pytest.raises((ConnectionError, EOFError)):
        await asyncio.wait_for(reader.readexactly(1), 60)
    writer.close()


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda tail: SIGNATURE + b"\x21\x11" + tail))
def test_any_bytes_are_a_header_no_header_or_not_yet_one(head: bytes) -> None:
    """Any bytes are a header, no header or an incomplete one, and further bytes do not change that.

    A header is never longer than its bytes, and no other error is raised.
    """
    try:
        header = parse(head)
    except MalformedHeaderError:
        with pytest.raises(MalformedHeaderError):
            parse(head + b"more")
        return

    assert header is None or (header.length <= len(head) and parse(head + b"more") == header)


@pytest.mark.parametrize(("whole", "remote"), HEADERS.values(), ids=HEADERS.keys())
def test_a_header_is_complete_with_its_last_byte(whole: bytes, remote: str) -> None:
    """No prefix of a header is one, and bytes after it are not part of it."""
    source = None if remote == "127.0.0.1" else (remote, 4711)

    assert {parse(whole[:length]) for length in range(len(whole))} == {None}
    assert parse(whole + REQUEST) == Header(len(whole), source)


async def test_an_event_carries_the_announced_address(tmp_path: Path) -> None:
    """In the whole proxy the announced address becomes client_ip_address, and a visitor's own headers do not."""
    body = orjson.dumps(page_views(["p1"]))
    headers = browser_headers(Content_Length=str(len(body)), X_Forwarded_For="8.8.8.8", Connection="close")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"POST /shop-tools/e HTTP/1.1\r\n{lines}\r\n".encode() + body
    async with simulator() as graph, aiohttp.ClientSession() as session:
        raw = raw_config(graph, tmp_path / "data")
        raw["server"]["proxy_protocol"] = True
        async with run_proxy(load.parse(raw, {}, base=tmp_path)) as proxy:
            answer = await answer_to((proxy.public.host, proxy.public.port), HEADERS["v2-tcp4"][0] + request)

            async def arrived() -> list[dict[str, dict[str, str]]]:
                async with session.get(f"{graph}/sim/events") as found:
                    events: list[dict[str, dict[str, str]]] = (await found.json())["events"]
                    return events

            (event,) = await until(arrived)

    assert answer.startswith(b"HTTP/1.1 204")
    assert VISITOR_ADDRESS in str(event)
    assert "8.8.8.8" not in str(event)

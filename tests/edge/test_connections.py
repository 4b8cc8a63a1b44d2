"""Silent, slow, greedy and broken clients on real sockets: they get an answer, and no other client has to wait."""

import asyncio
import logging
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import orjson
import pytest
from support import ORIGIN, Installation, get_json, installation, page_views, until

from proxy.edge.net import connections, http

pytestmark = pytest.mark.usefixtures("front")

ADDRESSES = [f"127.0.0.{number}" for number in range(2, 30)]
"""Loopback addresses that are no trusted proxies here, so each of them is a client of its own."""
HEAD = f"POST /shop-tools/e HTTP/1.1\r\nHost: t.shop.example\r\nOrigin: {ORIGIN}\r\n"
TAG = b"GET /shop-tools/m.js HTTP/1.1\r\nHost: t.shop.example\r\n\r\n"
CLOSING = TAG.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.fixture(name="quick")
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(connections, "_SILENT_S", 0.0)


@asynccontextmanager
async def shop_with(directory: Path, **limits: float) -> AsyncIterator[Installation]:
    async with installation(directory, more={"limits": limits, "server": {"trusted_proxies": []}}) as shop:
        yield shop


class Client:
    """A raw connection from an address of loopback."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> bytes:
        """Return all bytes until the proxy closes the connection."""
        try:
            return await asyncio.wait_for(self.reader.read(), 60)
        except ConnectionError:
            return b""

    async def ask(self, request: bytes) -> bytes:
        """Send a request and read the first line of its answer."""
        self.writer.write(request)
        try:
            return await asyncio.wait_for(self.reader.readline(), 60)
        except ConnectionError:
            return b""


@asynccontextmanager
async def clients(shop: Installation) -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    opened: list[Client] = []

    async def connect(address: str = ADDRESSES[0]) -> Client:
        streams = await asyncio.open_connection(shop.proxy.public.host, shop.proxy.public.port, local_addr=(address, 0))
        opened.append(Client(*streams))
        return opened[-1]

    try:
        yield connect
    finally:
        for client in opened:
            client.writer.close()


async def ended(shop: Installation, reason: str, *, listener: str = "public") -> float:
    async with shop.session.get(f"{shop.operator}/metrics") as answer:
        text = await answer.text()
    start = f'capi_proxy_connections_ended_total{{listener="{listener}",reason="{reason}"}} '
    return next((float(line[len(start) :]) for line in text.splitlines() if line.startswith(start)), 0.0)


async def conditions(shop: Installation) -> list[str]:
    return [
        f"{condition['code']} {condition['subject']}".rstrip()
        for condition in (await get_json(shop.session, f"{shop.operator}/api/status"))["conditions"]
    ]


@pytest.mark.usefixtures("quick")
async def test_a_crowd_that_runs_out_of_time_together_ends_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If many connections time out together, each turn of the event loop ends only some; visitors come between."""
    loop, expire = asyncio.get_running_loop(), http.HttpConnection.expire
    turn, turns = 0, list[int]()

    def count_turns() -> None:
        nonlocal turn
        turn += 1
        if len(turns) < 100:
            loop.call_soon(count_turns)

    def expiring(connection: http.HttpConnection) -> None:
        if not turns:
            count_turns()
        turns.append(turn)
        expire(connection)

    monkeypatch.setattr(http.HttpConnection, "expire", expiring)
    async with shop_with(tmp_path, first_byte_seconds=1.0) as shop, clients(shop) as connect:
        crowd = [await connect() for _ in range(100)]
        answers = [await client.answer() for client in crowd]

    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 408"}
    assert max(Counter(turns).values()) <= 16


@pytest.mark.usefixtures("quick")
async def test_a_fault_in_a_sweep_is_not_the_end_of_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error in a sweep, the next sweep runs all the same, and ends the connections that took too long."""
    expire, faults = http.HttpConnection.expire, [RuntimeError("of the test")]

    def expiring(connection: http.HttpConnection) -> None:
        if faults:
            raise faults.pop()
        expire(connection)

    monkeypatch.setattr(http.HttpConnection, "expire", expiring)
    async with shop_with(tmp_path, first_byte_seconds=0.2) as shop, clients(shop) as connect:
        answer = await (await connect()).answer()

    assert answer.startswith(b"HTTP/1.1 408")


SLOW = {
    "nothing": (b"", {"first_byte_seconds": 0.2}, "first_byte"),
    "one byte": (b"P", {"header_seconds": 0.2}, "header"),
    "headers without an end": (HEAD.encode(), {"header_seconds": 0.2}, "header"),
    "no body": (f"{HEAD}Content-Length: 9\r\n\r\n".encode(), {"body_seconds": 0.2}, "body"),
    "half a body": (f"{HEAD}Content-Length: 9\r\n\r\n{{".encode(), {"body_seconds": 0.2}, "body"),
    "half a chunk": (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n{{".encode(), {"body_seconds": 0.2}, "body"),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("start", "limits", "reason"), SLOW.values(), ids=SLOW)
async def test_a_client_that_stops_gets_408(
    tmp_path: Path, start: bytes, limits: dict[str, float], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that falls silent anywhere within a request gets 408 in JSON; nothing is logged as a problem."""
    async with shop_with(tmp_path, **limits) as shop, clients(shop) as connect:
        client = await connect()
        client.writer.write(start)
        head, _, body = (await client.answer()).partition(b"\r\n\r\n")
        count = await ended(shop, reason)

    assert head.split()[1] == b"408"
    assert orjson.loads(body)["error"]
    assert (f"Access-Control-Allow-Origin: {ORIGIN}".encode() in head) is (reason == "body")
    assert count == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.usefixtures("quick")
async def test_a_dripping_client_is_not_waited_for(tmp_path: Path) -> None:
    """Single bytes now and then extend no limit: it counts from the first byte of the headers."""
    async with shop_with(tmp_path, header_seconds=0.3) as shop, clients(shop) as connect:
        client = await connect()
        answer = asyncio.create_task(client.answer())
        for byte in HEAD.encode() * 100:
            if answer.done():
                break
            client.writer.write(bytes((byte,)))
            await asyncio.sleep(0.01)

        # If a byte arrives after the answer, the connection may be reset, and the answer is lost then.
        assert (await answer).split()[1:2] in ([], [b"408"])
        assert await ended(shop, "header") == 1


@pytest.mark.usefixtures("quick")
async def test_a_slow_but_steady_body_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that takes longer than the time limit is accepted as long as it arrives at the least rate or faster."""
    monkeypatch.setattr(http, "BODY_RATE", 20)
    body = orjson.dumps(page_views(["steady"]))
    head = f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode()
    async with shop_with(tmp_path, body_seconds=1) as shop, clients(shop) as connect:
        client = await connect()
        client.writer.write(head)
        step = len(body) // 14
        for start in range(0, len(body), step):
            client.writer.write(body[start : start + step])
            await asyncio.sleep(0.1)

        assert (await client.ask(b"")).split()[1] == b"204"


@pytest.mark.usefixtures("quick")
async def test_a_kept_connection_ends_after_its_silence(tmp_path: Path) -> None:
    """A kept connection may be silent for longer than a new one before its first byte; then it ends unanswered."""
    async with shop_with(tmp_path, first_byte_seconds=1, keep_alive_seconds=2) as shop, clients(shop) as connect:
        client = await connect()
        assert (await client.ask(TAG)).split()[1] == b"200"
        rest = await client.answer()

    assert rest.count(b"HTTP/1.1") == 0


FILLER = b"X-Filler: " + b"y" * 4000 + b"\r\n"
LONG = {
    "one piece": [b"GET /shop-tools/m.js HTTP/1.1\r\nHost: t.shop.example\r\n" + FILLER * 5 + b"\r\n"],
    "many pieces": [b"GET /shop-tools/m.js HTTP/1.1\r\nHost: t.shop.example\r\n", *[FILLER] * 5],
    "a piece of 200 KB": [b"GET /shop-tools/m.js HTTP/1.1\r\nHost: t.shop.example\r\n" + FILLER * 50],
    "behind a request": [TAG + b"GET / HTTP/1.1\r\nHost: a\r\n" + FILLER * 40],
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("pieces", LONG.values(), ids=LONG)
async def test_headers_together_are_bounded(tmp_path: Path, pieces: list[bytes]) -> None:
    """More than 16 KiB of headers, in whatever pieces, end the connection with 431; 15 KiB are accepted."""
    async with shop_with(tmp_path) as shop, clients(shop) as connect:
        fine, client = await connect(), await connect()
        allowed = await fine.ask(TAG[:-2] + FILLER * 3 + b"X: " + b"z" * 3000 + b"\r\n\r\n")
        for piece in pieces:
            client.writer.write(piece)
            await asyncio.sleep(0.01)
        answer = await client.answer()
        count = await ended(shop, "headers")

    assert allowed.split()[1] == b"200"
    assert count == 1
    if sum(map(len, pieces)) < 30_000:  # with more bytes the answer may be lost, as the proxy leaves them unread
        assert answer.startswith(b"HTTP/1.1 431")


@pytest.mark.usefixtures("quick")
async def test_what_follows_an_upgrade_is_bounded(tmp_path: Path) -> None:
    """If a client asks for another protocol and goes on sending, its bytes are not kept, and its connection ends."""
    upgrade = TAG[:-2] + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    async with shop_with(tmp_path) as shop, clients(shop) as connect:
        client = await connect()
        client.writer.write(upgrade + (b"z" * 6000 + b"\r\n\r\n") * 100)
        await client.answer()
        told = await (await connect()).ask(TAG)

    assert told.split()[1] == b"200"


@pytest.mark.usefixtures("quick")
async def test_pipelining_is_bounded(tmp_path: Path) -> None:
    """A few pipelined requests are answered in order; four hundred at once end the connection unread."""
    async with shop_with(tmp_path) as shop, clients(shop) as connect:
        few, many = await connect(), await connect()
        few.writer.write(TAG * (http.PIPELINED - 1) + CLOSING)
        many.writer.write(TAG * 400)
        answers = [(await client.answer()).count(b"HTTP/1.1 200") for client in (few, many)]
        count = await ended(shop, "pipelining")

    assert answers == [http.PIPELINED, 0]
    assert count >= 1


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("requests", [[TAG] * 30, [*[TAG] * 12, CLOSING]], ids=["open", "closing"])
async def test_a_client_that_does_not_read_is_cut_off(
    tmp_path: Path, requests: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that does not read its answers is disconnected, whether the connection is open or already closing."""

    def narrow(*args: object, **kwargs: object) -> socket.socket:
        listening: socket.socket = create(*args, **kwargs)  # type: ignore[arg-type]
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # accepted connections inherit it
        return listening

    create = socket.create_server
    monkeypatch.setattr(socket, "create_server", narrow)
    monkeypatch.setattr(http, "WRITE_SECONDS", 0.1)
    async with shop_with(tmp_path) as shop:
        loop = asyncio.get_running_loop()
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            await loop.sock_connect(deaf, (shop.proxy.public.host, shop.proxy.public.port))
            with suppress(ConnectionError):
                for request in requests:
                    await loop.sock_sendall(deaf, request)
                    await asyncio.sleep(0.01)
            count = await until(partial(ended, shop, "write"), what="the end of a connection that is not read")

    assert count == 1


@pytest.mark.usefixtures("quick")
async def test_one_address_cannot_hold_all_connections(tmp_path: Path) -> None:
    """At its limit an address loses its longest silent connection, never one with a request under way."""
    async with shop_with(tmp_path, connections_per_address=3) as shop, clients(shop) as connect:
        first, second, third = [await connect() for _ in range(3)]
        for client in (second, third, first):
            assert (await client.ask(TAG)).split()[1] == b"200"
        fourth = await connect()
        told = await fourth.ask(TAG)
        neighbour = await (await connect(ADDRESSES[1])).ask(TAG)
        answer_to_third = await third.ask(b"")
        lost = await second.answer()
        found = await conditions(shop)

    assert (told.split()[1], neighbour.split()[1]) == (b"200", b"200")
    assert answer_to_third != b""
    assert lost.count(b"HTTP/1.1") == 0
    assert "address_full public" in found


async def test_a_carrier_may_bring_new_visitors_as_fast_as_they_are_answered(tmp_path: Path) -> None:
    """An address may open more connections than it may hold, since answered ones make room at once."""
    async with shop_with(tmp_path, connections_per_address=3) as shop, clients(shop) as connect:
        lines = [await (await connect()).ask(TAG) for _ in range(30)]

    assert [line.split()[1:2] for line in lines] == [[b"200"]] * 30


async def test_a_crowd_that_says_nothing_is_refused_at_its_limit(tmp_path: Path) -> None:
    """Connections that never sent a request make room only after a while; further ones are refused until then."""
    async with shop_with(tmp_path, connections_per_address=3) as shop, clients(shop) as connect:
        silent_clients = [await connect() for _ in range(3)]
        refused = [await (await connect()).answer() for _ in range(20)]
        told = [await client.ask(TAG) for client in silent_clients]
        counts = await ended(shop, "address"), await ended(shop, "silent")

    assert refused == [b""] * 20
    assert [line.split()[1:2] for line in told] == [[b"200"]] * 3
    assert counts == (20, 0)


@pytest.mark.usefixtures("quick")
async def test_a_full_house_makes_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If silent connections take all places, new clients and the operator are still served; one log line says so."""
    async with shop_with(tmp_path, connections=20, connections_per_address=5) as shop, clients(shop) as connect:
        silent = [await connect(address) for address in ADDRESSES for _ in range(5)]
        served = [await (await connect(address)).ask(TAG) for address in ADDRESSES]
        found, count = await conditions(shop), await ended(shop, "silent")

    assert [line.split()[1] for line in served] == [b"200"] * len(ADDRESSES)
    assert "connections_full public" in found
    assert count >= len(silent) - 20
    assert sum("connections_full" in record.message for record in caplog.records) == 1


@pytest.mark.usefixtures("quick")
async def test_the_operator_listener_has_limits_of_its_own(tmp_path: Path) -> None:
    """Silent connections to the operator listener do not shut out the operator, as on the public listener."""
    async with shop_with(tmp_path) as shop:
        address = shop.proxy.operator
        silent = [await asyncio.open_connection(address.host, address.port) for _ in range(100)]
        status = await get_json(shop.session, f"{shop.operator}/api/status")
        count = await ended(shop, "silent", listener="operator")
        for _, writer in silent:
            writer.close()

    assert "connections_full operator" in {
        f"{condition['code']} {condition['subject']}" for condition in status["conditions"]
    }
    assert count >= 30


BROKEN = {
    "hang up within the headers": (HEAD[:40].encode(), False),
    "hang up within the body": (f"{HEAD}Content-Length: 9\r\n\r\n{{".encode(), False),
    "reset within the body": (f"{HEAD}Content-Length: 9\r\n\r\n{{".encode(), True),
    "a chunk that is none": (f"{HEAD}Transfer-Encoding: chunked\r\n\r\nplanted\r\n".encode(), False),
    "no HTTP": (b"\x16\x03\x01planted\r\n\r\n", False),
    "reset at once": (b"", True),
}


@pytest.mark.parametrize(("start", "reset"), BROKEN.values(), ids=BROKEN)
async def test_what_clients_break_is_counted_and_never_logged(
    tmp_path: Path, start: bytes, *, reset: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that disconnects, resets or sends no HTTP causes no line, no address and no traceback in the log."""
    caplog.set_level(logging.DEBUG)
    async with shop_with(tmp_path) as shop, clients(shop) as connect:
        for _ in range(3):
            client = await connect()
            client.writer.write(start)
            await client.writer.drain()
            await (await connect(ADDRESSES[1])).ask(TAG)  # the proxy has read the earlier bytes now
            if reset:
                linger = struct.pack("ii", 1, 0)
                client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.writer.close()

        async def noticed() -> bool:
            return await ended(shop, "hang_up") + await ended(shop, "malformed") == 3

        if "Content-Length" in start.decode(errors="replace") or b"planted" in start:
            await until(noticed, what="the count of broken requests")
        assert (await (await connect()).ask(TAG)).split()[1] == b"200"

    ours = [record for record in caplog.records if record.name.startswith(("proxy", "aiohttp"))]
    assert [record for record in ours if record.exc_info or record.levelno >= logging.WARNING] == []
    assert not any(word in caplog.text for word in ("Traceback", ADDRESSES[0], "planted"))


async def test_malformed_http_is_answered_in_json(tmp_path: Path) -> None:
    """A request that is not HTTP gets a short reason in JSON, without any text of the request."""
    async with shop_with(tmp_path) as shop, clients(shop) as connect:
        client = await connect()
        client.writer.write(b"GET / HTTP/1.1\r\nplanted\r\n\r\n")
        head, _, body = (await client.answer()).partition(b"\r\n\r\n")

    assert head.split()[1] == b"400"
    assert b"application/json" in head
    assert orjson.loads(body)["error"]
    assert b"planted" not in body


async def test_a_fault_of_ours_is_told_without_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unforeseen error is answered with CORS and reported once, by its place; the log has no traceback."""

    def broken(*_: object, **__: object) -> None:
        raise KeyError("planted@mail.example")

    monkeypatch.setattr("proxy.edge.collect.ingest_parts", broken)
    async with installation(tmp_path) as shop:
        answers = [await shop.post(page_views(["f1"])) for _ in range(3)]
        found = await conditions(shop)

    assert {status for status, _, _ in answers} == {400}
    assert answers[0][1]["Access-Control-Allow-Origin"] == ORIGIN
    assert [line for line in found if line.startswith("fault KeyError in proxy.edge.collect.CollectDoor.answer")]
    assert sum("fault" in record.message for record in caplog.records) == 1
    assert not any(word in caplog.text for word in ("planted", "Traceback"))


async def test_what_the_event_loop_meets_is_told_without_a_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A network error in a transport causes no log line; an error in a callback is reported by its place."""
    loop = asyncio.get_running_loop()

    def broken() -> None:
        raise KeyError("planted@mail.example")

    async with installation(tmp_path) as shop:
        timed_out = OSError(110, "Connection timed out")
        loop.call_exception_handler({"message": "Fatal error on transport", "exception": timed_out})
        before = list(caplog.records)
        loop.call_soon(broken)
        found = await conditions(shop)

    assert before == []
    assert found == ["fault KeyError"]
    assert not any(word in caplog.text for word in ("planted", "Traceback"))


async def test_a_visitor_behind_a_trusted_proxy_shares_its_connections(tmp_path: Path) -> None:
    """A trusted proxy may open more connections than one client."""
    limits = {"connections_per_address": 2}
    async with installation(tmp_path, more={"limits": limits}) as shop:
        streams = [await asyncio.open_connection(shop.proxy.public.host, shop.proxy.public.port) for _ in range(10)]
        lines = []
        for reader, writer in streams:
            writer.write(TAG)
            lines.append(await asyncio.wait_for(reader.readline(), 60))
        for _, writer in streams:
            writer.close()

    assert [line.split()[1] for line in lines] == [b"200"] * 10

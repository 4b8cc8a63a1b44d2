"""Plain requests bypass aiohttp on a fast path: on a real socket its answers cannot be told from aiohttp's."""

import asyncio
import itertools
import re
import socket
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import support
from fronts import Front, conversation, front, post
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import installation, page_views, until

from proxy.config.schema import LimitSettings
from proxy.edge.exchange import HttpAnswer
from proxy.edge.net import connections, http
from proxy.edge.net.http import HttpConnection
from proxy.edge.net.plain_http import answer_bytes
from proxy.queue.grouper import Grouper

# A client that sends nothing more is disconnected soon, so that a conversation ends by itself.
SHORT = LimitSettings(first_byte_seconds=1.5, header_seconds=1.5, body_seconds=1.5, keep_alive_seconds=1.5)
PLAIN = post(b'{"v":1}', "Origin: https://a.example", "User-Agent: Mozilla/5.0", "X-Forwarded-For: 1.1.1.1")
CLOSING = post(b"bye", "Connection: close")
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /shop/e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
HEAD = PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


@pytest.fixture(name="sweeps", autouse=True)
def _sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.02)


@pytest.fixture(name="fast")
async def _fast() -> AsyncIterator[Front]:
    async with front(SHORT, fast=True) as made:
        yield made


async def test_plain_requests_go_past_aiohttp(fast: Front) -> None:
    """Plain requests bypass aiohttp; another goes to aiohttp, and the next plain one on the connection bypasses it."""
    pieces = [PLAIN, PLAIN, GET, PLAIN, post(b"{}", "X-A: a", "X-A: b"), PLAIN, CLOSING]
    reader, writer = await asyncio.open_connection(*fast.address)
    methods = []
    for piece in pieces:
        writer.write(piece)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        methods.append(orjson.loads(await reader.readexactly(length))["method"])
    writer.close()

    assert methods == ["POST", "POST", "GET", "POST", "POST", "POST", "POST"]
    assert (fast.fast, fast.slow) == (4, 3)


SPLIT = {
    "a body in its own piece": ([HEAD, b'{"v":1}'], 1),
    "a body in three pieces": ([HEAD + b"{", b'"v":', b"1}"], 1),
    "a body aiohttp refuses": ([HEAD.replace(b"h: 7", b"h: 70000"), b"x" * 70000], 1),
    "a tag": ([GET], 1),
    "two requests in one piece": ([GET + GET], 0),
    "half a head": ([GET[:20], GET[20:]], 0),
    "a request, then half a head": ([GET + GET[:20], GET[20:]], 0),
    "a body, then half a head": ([HEAD, b'{"v":1}' + GET[:20], GET[20:]], 0),
    "a chunked body": ([CHUNKED], 0),
    "line breaks before": ([b"\r\n\r\n" + GET], 0),
    "line breaks behind": ([GET, b"\r\n"], 0),
}


@pytest.mark.parametrize(("pieces", "expected"), SPLIT.values(), ids=SPLIT)
async def test_a_connection_returns_only_where_a_request_surely_begins(
    fast: Front, pieces: list[bytes], expected: int
) -> None:
    """After complete requests the next plain one bypasses aiohttp; if the boundary is uncertain, none does any more."""
    reader, writer = await asyncio.open_connection(*fast.address)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)  # so that each piece is read separately
    await until(partial(_came, fast, 1), what="the answers before")
    writer.write(PLAIN)
    answered = await asyncio.wait_for(reader.read(), 60)
    writer.close()

    assert answered.endswith((b'"body":"{\\"v\\":1}"}', b"}"))
    assert fast.fast == expected


async def _came(made: Front, count: int) -> bool:
    return made.fast + made.slow >= count


CHUNKED_HEAD = CHUNKED.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


@pytest.mark.parametrize("is_fast", [True, False])
@pytest.mark.parametrize(
    "broken", [b"zz\r\n", b"2\r\n{}x", b"2\r\n{}\r\n0\r\nX A: 3\r\n\r\n", b"0\r\nContent-Length: 3\r\n\r\n"]
)
async def test_a_body_whose_framing_breaks_is_refused_at_once(broken: bytes, *, is_fast: bool) -> None:
    """A body with broken framing is refused at once; otherwise its request would stay until the client left."""
    async with front(SHORT, fast=is_fast) as made:
        answered = await _in_two(made, CHUNKED_HEAD, broken)

    assert _status(answered) == b"400 Bad Request"
    assert made.ended("malformed") >= 1


async def _in_two(made: Front, head: bytes, rest: bytes) -> bytes:
    """Return the answer to a request whose rest is sent once its handler is reading."""
    reader, writer = await asyncio.open_connection(*made.address)
    writer.write(head)
    await until(partial(_came, made, 1), what="the request at its door")
    writer.write(rest)
    try:
        return await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()


def _status(answered: bytes) -> bytes:
    return answered.partition(b"\r\n")[0].split(b" ", 1)[1]


@pytest.mark.parametrize("is_fast", [True, False])
@pytest.mark.parametrize("broken", [b"\n0\r\n\r\0\n", b"\nzz\r\n", b"\n2\r\n{}x"])
async def test_framing_that_breaks_where_a_chunk_ends_is_refused_at_once(broken: bytes, *, is_fast: bool) -> None:
    """If framing breaks right after a chunk, which wakes the reader of the body, the reader must not wait for ever."""
    async with front(SHORT, fast=is_fast) as made:
        answered = await _in_two(made, CHUNKED_HEAD + b"2\r\n{}\r", broken)

    assert _status(answered) == b"400 Bad Request"
    assert made.ended("malformed") >= 1


@pytest.mark.parametrize("is_fast", [True, False])
async def test_a_body_that_runs_out_of_time_as_a_chunk_ends_is_refused(
    monkeypatch: pytest.MonkeyPatch, *, is_fast: bool
) -> None:
    """A body is refused also if its time runs out in the same turn of the event loop in which a chunk ends."""
    take = HttpConnection.data_received

    def take_late(connection: HttpConnection, data: bytes) -> None:
        take(connection, data)
        if data == b"\n":
            connection.expire()

    monkeypatch.setattr(HttpConnection, "data_received", take_late)
    async with front(SHORT, fast=is_fast) as made:
        answered = await _in_two(made, CHUNKED_HEAD + b"2\r\n{}\r", b"\n")

    assert _status(answered) == b"408 Request Timeout"
    assert made.ended("body") >= 1


_requests = st.sampled_from([PLAIN, PLAIN, PLAIN, GET, CHUNKED, HEAD, PLAIN[:40], CLOSING, post(b"{}", "Expect: x")])
_spoilt = st.builds(
    lambda data, place, put: data[: place % len(data)] + put + data[place % len(data) :],
    _requests,
    st.integers(0, 400),
    st.sampled_from([b"\r\n", b"\n", b"\r", b" ", b"\0", b":", b"x", PLAIN, b"Content-Length: 3\r\n", b"\r\n\r\n"]),
)
_streams = st.lists(_requests | _spoilt, min_size=1, max_size=4).map(b"".join)


@st.composite
def _cut(draw: Any) -> list[bytes]:
    data = draw(_streams)
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True) if start < end]


@pytest.fixture(name="both", scope="module")
async def _both() -> AsyncIterator[tuple[Front, Front]]:
    async with front(SHORT, fast=True) as fast, front(SHORT, fast=False) as slow:
        yield fast, slow


@given(st.lists(_cut(), min_size=40, max_size=40))
@example([[PLAIN], [PLAIN, PLAIN], [PLAIN + PLAIN], [GET, PLAIN], [PLAIN, GET], [GET + HEAD[:30], HEAD[30:], PLAIN]])
@example([[HEAD, PLAIN[len(HEAD) :], PLAIN], [PLAIN[:-3], PLAIN[-3:] + PLAIN], [CHUNKED, PLAIN], [b"\r\n", PLAIN]])
@settings(max_examples=6)
async def test_both_ways_answer_any_conversation_alike(
    both: tuple[Front, Front], conversations: list[list[bytes]]
) -> None:
    """For any requests in any pieces both paths give the same answers in the same order, then the connection ends."""
    answered = await asyncio.gather(*(conversation(made.address, pieces) for pieces in conversations for made in both))
    for pieces, past, through in zip(conversations, answered[::2], answered[1::2], strict=True):
        assert past == through, pieces


class Gate:
    """A queue that stores nothing until the test opens it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting = 0
        self.open = asyncio.Event()
        append = Grouper.append

        async def wait(queue: Grouper, *arguments: Any, **named: Any) -> Any:
            self.waiting += 1
            await self.open.wait()
            return await append(queue, *arguments, **named)

        monkeypatch.setattr(Grouper, "append", wait)

    async def asked(self, count: int) -> None:
        """Wait until ``count`` requests wait for the queue."""

        async def enough() -> bool:
            return self.waiting >= count

        await until(enough, what=f"{count} requests that wait for the queue")


def hit(identity: str) -> bytes:
    """Return a request as the shop's tag sends it."""
    headers = support.browser_headers()
    host = headers.pop("Host")
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return post(orjson.dumps(page_views([identity])), *lines, path="/shop-tools/e").replace(
        b"a.example", host.encode(), 1
    )


@pytest.mark.usefixtures("front")
async def test_what_comes_while_a_request_is_answered_is_answered_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that arrives while another is being answered is answered after it, on whichever path each goes.

    A connection with a request under way does not count as silent.
    """
    gate = Gate(monkeypatch)
    async with installation(tmp_path, more={"limits": {"connections_per_address": 1}}) as shop:
        where = shop.proxy.public
        reader, writer = await asyncio.open_connection(where.host, where.port)
        writer.write(hit("first"))
        await gate.asked(1)
        writer.write(hit("second"))
        writer.write(GET + GET[:10])
        async with shop.session.get(f"{shop.public}/healthz") as health:
            assert health.status == 200
        gate.open.set()
        writer.write(GET[10:].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answered = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        await shop.counted(2)

    assert re.findall(rb"HTTP/1.1 (\d+)", answered) == [b"204", b"204", b"404", b"404"]


@pytest.mark.usefixtures("front")
async def test_what_was_sent_is_stored_though_nobody_waits_for_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a client disconnects once its request has arrived, the event is stored, and nothing is logged."""
    gate = Gate(monkeypatch)
    async with installation(tmp_path) as shop:
        _, writer = await asyncio.open_connection(shop.proxy.public.host, shop.proxy.public.port)
        writer.write(hit("gone"))
        await gate.asked(1)
        writer.transport.abort()
        async with shop.session.get(f"{shop.public}/healthz") as health:
            assert health.status == 200
        gate.open.set()
        report = await shop.counted(1)

    assert report["counted_once"] == 1


@pytest.mark.usefixtures("front")
async def test_a_stop_waits_for_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request under way when the proxy is stopped is answered, and its connection closed afterwards."""
    gate = Gate(monkeypatch)
    async with installation(tmp_path) as shop:
        reader, writer = await asyncio.open_connection(shop.proxy.public.host, shop.proxy.public.port)
        writer.write(hit("last"))
        await gate.asked(1)
        asyncio.get_running_loop().call_later(0.1, gate.open.set)
    answered = await asyncio.wait_for(reader.read(), 60)
    writer.close()

    assert answered.startswith(b"HTTP/1.1 204")


@pytest.mark.usefixtures("front")
async def test_a_kept_connection_ends_after_its_silence(tmp_path: Path) -> None:
    """After a request the connection may be silent for longer than before its first byte; then it ends unanswered."""
    limits = {"first_byte_seconds": 1, "keep_alive_seconds": 2}
    async with installation(tmp_path, more={"limits": limits}) as shop:
        started = asyncio.get_running_loop().time()
        answered = await conversation((shop.proxy.public.host, shop.proxy.public.port), [hit("only")])
        took = asyncio.get_running_loop().time() - started

    assert answered.count(b"HTTP/1.1") == 1
    assert took >= 2


@pytest.mark.parametrize("is_fast", [True, False])
async def test_answers_that_nobody_reads_are_given_up(monkeypatch: pytest.MonkeyPatch, *, is_fast: bool) -> None:
    """A client that sends and does not read is disconnected after its time, on both paths."""

    def narrow(*args: Any, **kwargs: Any) -> socket.socket:
        listening: socket.socket = create(*args, **kwargs)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # accepted connections inherit it
        return listening

    create = socket.create_server
    monkeypatch.setattr(socket, "create_server", narrow)
    monkeypatch.setattr(http, "WRITE_SECONDS", 0.1)
    loop = asyncio.get_running_loop()
    async with front(LimitSettings(), fast=is_fast) as made:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            await loop.sock_connect(deaf, made.address)
            for count in itertools.count(1):
                await loop.sock_sendall(deaf, post(b"x" * 16_000))
                if await until(partial(_came_or_cut_off, made, count), what="a request or the end") == "end":
                    break

    assert (made.fast > 0) == is_fast


async def _came_or_cut_off(made: Front, count: int) -> str:
    if made.ended("write"):
        return "end"
    return "request" if made.fast + made.slow >= count else ""


async def test_an_error_of_ours_is_a_500(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that the handler does not catch is a 500 as on aiohttp's path, and the connection is closed."""

    async def broken(*_: object) -> HttpAnswer:
        raise KeyError("planted")

    monkeypatch.setattr(Front, "fast_door", broken)
    monkeypatch.setattr(Front, "slow_door", broken)
    async with front(SHORT, fast=True) as fast, front(SHORT, fast=False) as slow:
        past, through = [await conversation(made.address, [PLAIN]) for made in (fast, slow)]

    assert past.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert sorted(past.split(b"\r\n")) == sorted(through.split(b"\r\n"))
    assert b"planted" not in past


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b=c", "a\rb", "a\nb", "a\0b"])
def test_no_header_ends_its_line(value: str) -> None:
    """A value with a line break or NUL is never written, in a header or a cookie."""
    for answer in (HttpAnswer(204, headers={"X": value}), HttpAnswer(204, cookies=(value,))):
        with pytest.raises(ValueError, match="line break"):
            answer_bytes(answer)

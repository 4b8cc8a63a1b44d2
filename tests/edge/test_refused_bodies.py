"""Bodies that are refused by the request's head: the answer comes at once, and what follows is hardly processed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support import PIXEL, Installation, installation

from proxy.edge.net import dropping, http
from proxy.rules import server_limits

pytestmark = pytest.mark.usefixtures("front")

KEY = "c3a5e1f09b7d42688e0fa2b4d6c81357"
PIECE = bytes(1 << 20)


class Counted:
    """How many bytes connections received, and how many of them were parsed."""

    came = parsed = 0


@pytest.fixture(name="counted")
def _counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    data_received, take = http.HttpConnection.data_received, http.HttpConnection._take

    def noted(self: http.HttpConnection, data: bytes) -> None:
        counted.came += len(data)
        data_received(self, data)

    def parsed(self: http.HttpConnection, data: bytes) -> None:
        counted.parsed += len(data)
        take(self, data)

    monkeypatch.setattr(http.HttpConnection, "data_received", noted)
    monkeypatch.setattr(http.HttpConnection, "_take", parsed)
    return counted


@pytest.fixture(name="shop")
async def _shop(tmp_path: Path, front: None) -> AsyncIterator[Installation]:
    del front
    async with installation(tmp_path, access_keys=[KEY]) as shop:
        yield shop


def head(length: int | None, key: str, *lines: str) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    words = (f"POST /v26.0/{PIXEL}/events?access_token={key} HTTP/1.1", "Host: t.shop.example", framing, *lines)
    return "\r\n".join((*words, "", "")).encode()


async def connected(shop: Installation) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(shop.proxy.public.host, shop.proxy.public.port)


async def all_sent(writer: asyncio.StreamWriter, pieces: int) -> None:
    """Send all bytes without reading any answer, as simple clients do."""
    with suppress(ConnectionError):
        for _ in range(pieces):
            writer.write(PIECE)
            await writer.drain()


async def test_a_client_that_sends_first_and_reads_then_gets_its_answer(
    shop: Installation, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends a large body with a wrong key before it reads gets its answer; the body is not parsed."""
    monkeypatch.setattr(dropping, "LINGER_S", 60.0)
    pieces = server_limits.BODY // len(PIECE)
    reader, writer = await connected(shop)
    writer.write(head(server_limits.BODY, "wrong"))
    await all_sent(writer, pieces)
    answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nConnection: close\r\n" in answer
    assert counted.came > server_limits.BODY
    assert counted.parsed < 600_000


async def test_a_body_beyond_all_limits_is_answered_before_it_comes(
    shop: Installation, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that announces 64 MB is refused at once, and bytes that it sends all the same are not parsed."""
    monkeypatch.setattr(dropping, "LINGER_S", 0.5)
    reader, writer = await connected(shop)
    writer.write(head(64 << 20, KEY))
    answer = await reader.readuntil(b"\r\n\r\n")
    await all_sent(writer, 64)
    writer.close()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert counted.parsed < 1000


async def test_a_body_of_no_length_is_dropped_beyond_the_limit(
    shop: Installation, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunked body is parsed up to the limit, and no further."""
    monkeypatch.setattr(dropping, "LINGER_S", 0.5)
    reader, writer = await connected(shop)
    writer.write(head(None, KEY, "Content-Type: application/json"))
    with suppress(ConnectionError):
        for _ in range(64):
            writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
            await writer.drain()
    with suppress(ConnectionError):
        assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
    writer.close()

    assert counted.parsed < server_limits.BODY + 1_000_000


async def test_a_short_body_that_was_refused_leaves_the_connection_open(shop: Installation) -> None:
    """After a refusal of a short body, as with a wrong key, the connection can be used again."""
    reader, writer = await connected(shop)
    answers: list[Any] = []
    for key in ("wrong", "wrong as well"):
        writer.write(head(200_000, key.replace(" ", "-")))
        found = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(found.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.write(bytes(200_000))
        answers.append(found.split()[1])
    writer.close()

    assert answers == [b"401", b"401"]

"""A proxy that stands still for a while does not blame its clients for that."""

import asyncio
import signal
from pathlib import Path

import orjson
import pytest
from machine import Machine
from servers import simulator
from support import page_views

pytestmark = pytest.mark.long
_LIMIT_S = 8
_HEAD = """POST /shop-tools/e HTTP/1.1\r
Host: t.shop.example\r
Origin: https://www.shop.example\r
Content-Type: text/plain\r
Content-Length: {}\r
\r
"""


def parts(identity: str) -> tuple[bytes, bytes]:
    """Return the head and the body of a request with one event."""
    body = orjson.dumps(page_views([identity]))
    return _HEAD.format(len(body)).encode(), body


async def test_what_came_during_a_stall_is_read_before_time_is_up(tmp_path: Path) -> None:
    """Bytes that a client sent in time are read, even if the proxy looks at them only after the time limit.

    One client has sent nothing before the stall, one half of the headers, and one half of the body.
    """
    names = ("first_byte_seconds", "header_seconds", "body_seconds")
    async with simulator() as graph:
        machine = Machine(tmp_path, graph)
        limits = "".join(f"{name} = {_LIMIT_S}\n" for name in names)
        machine.config.write_text(machine.config.read_text().replace("[limits]\n", f"[limits]\n{limits}", 1))
        await machine.start()
        assert machine.process
        clients = []
        for identity in ("first byte", "headers", "body"):
            head, body = parts(identity)
            begun = {"first byte": b"", "headers": head[: len(head) // 2], "body": head + body[: len(body) // 2]}[
                identity
            ]
            reader, writer = await asyncio.open_connection("127.0.0.1", machine.port)
            writer.write(begun)
            await writer.drain()
            clients.append((reader, writer, (head + body).removeprefix(begun)))
        await machine.waiting()
        machine.process.send_signal(signal.SIGSTOP)
        for _, writer, rest in clients:
            writer.write(rest)
            await writer.drain()
        # This waits for nothing: the time itself is what is tested.
        await asyncio.sleep(_LIMIT_S + 1)
        machine.process.send_signal(signal.SIGCONT)
        answers = [await reader.readuntil(b"\r\n") for reader, _, _ in clients]
        for _, writer, _ in clients:
            writer.close()
        await machine.terminate()

    assert answers == [b"HTTP/1.1 204 No Content\r\n"] * 3

"""Balancers that look whether the proxy is there: connections that are reset before a byte, to the real program."""

import asyncio
import socket
import struct
from pathlib import Path

import aiohttp
from harness import Machine
from support import served

from proxy.simulator.graph.app import make_app

_OTHER = "127.0.0.2"
"""Not trusted, so it speaks plain HTTP."""


async def test_checks_that_reset_leave_no_line(tmp_path: Path) -> None:
    """HAProxy's plain check connects and resets: the log has no line of it, and the announced are served."""
    connector = aiohttp.TCPConnector(local_addr=(_OTHER, 0))
    async with served(make_app()) as graph, aiohttp.ClientSession(connector=connector) as session:
        machine = Machine(tmp_path, graph)
        text = machine.config.read_text().replace("[graph]", "proxy_protocol = true\n[graph]", 1)
        machine.config.write_text(text)
        await machine.start(session)
        before = machine.log()
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", machine.port)) as check:
                check.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reader, writer = await asyncio.open_connection("127.0.0.1", machine.port)
        writer.write(b"PROXY TCP4 93.184.216.34 10.0.0.1 4711 443\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), 20)
        writer.close()
        after = machine.log()
        code = await machine.terminate()

    assert line.split()[1] == b"200"
    assert after == before
    assert code == 0

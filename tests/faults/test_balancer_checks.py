"""Health checks of balancers that reset connections before the first byte, against the real program."""

import asyncio
import socket
import struct
from pathlib import Path

from machine import Machine
from servers import simulator

_OTHER = "127.0.0.2"
"""An address that is not trusted, so that requests from it need no PROXY protocol."""


async def test_checks_that_reset_leave_no_line(tmp_path: Path) -> None:
    """HAProxy's TCP check connects and resets: the log has no line about it, and announced clients are served."""
    async with simulator() as graph:
        machine = Machine(tmp_path, graph, asker=_OTHER)
        text = machine.config.read_text().replace("[graph]", "proxy_protocol = true\n[graph]", 1)
        machine.config.write_text(text)
        await machine.start()
        before = machine.log()
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", machine.port)) as check:
                check.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reader, writer = await asyncio.open_connection("127.0.0.1", machine.port)
        writer.write(b"PROXY TCP4 93.184.216.34 10.0.0.1 4711 443\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), 60)
        writer.close()
        after = machine.log()
        code = await machine.terminate()

    assert line.split()[1] == b"200"
    assert after == before
    assert code == 0

"""A relay to a server that can stop forwarding without ending connections, as if its cable were cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Cable:
    """Forwards bytes both ways while it is connected."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._connected = asyncio.Event()
        self._connected.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.accepted = 0

    def cut(self) -> None:
        """Stop forwarding; open connections stay open."""
        self._connected.clear()

    def mend(self) -> None:
        """Forward again, including the bytes that were held up."""
        self._connected.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side ends it."""
        self.accepted += 1
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        ways = [writer]
        try:
            await self._connected.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            ways.append(far_writer)
            pumps = [self._pump(reader, far_writer), self._pump(far_reader, writer)]
            await asyncio.wait(list(map(asyncio.ensure_future, pumps)), return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.CancelledError):
            pass
        for way in ways:
            way.close()
        for way in ways:
            with suppress(OSError):
                await way.wait_closed()
        self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._connected.wait()
                writer.write(data)

    async def end(self) -> None:
        """End all open connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def cabled(port: int) -> AsyncIterator[Cable]:
    """Run a relay to a port of loopback."""
    cable = Cable(port)
    server = await asyncio.start_server(cable.serve, "127.0.0.1", 0)
    cable.port = server.sockets[0].getsockname()[1]
    try:
        yield cable
    finally:
        server.close()
        cable.mend()
        await cable.end()

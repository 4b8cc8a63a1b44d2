"""A browser that stays connected: posts one event at a time and checks that it was acknowledged."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rig import PinnedMachine, post, visit


@dataclass
class Visitor:
    """One connection; ``posted`` has the time of each event's post, on the monotonic clock."""

    port: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    posted: dict[str, float] = field(default_factory=dict)

    async def event(self, identity: str, pixel: str) -> None:
        """Post one event and wait for its acknowledgement."""
        self.posted[identity] = time.monotonic()
        self.writer.write(post(self.port, visit(identity, pixel)))
        head = await self.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 204"):
            raise RuntimeError(f"not acknowledged: {head[:200]!r}")

    async def stay(self, name: str, pixel: str, *, seconds: float, every: float) -> None:
        """Post events for ``seconds``, at random intervals that are ``every`` seconds long on average."""
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            await self.event(f"{name}-{number}", pixel)
            number += 1
            await asyncio.sleep(random.uniform(0, 2 * every))


@asynccontextmanager
async def visiting(machine: PinnedMachine) -> AsyncIterator[Visitor]:
    """Connect a visitor to a proxy."""
    reader, writer = await asyncio.open_connection("127.0.0.1", machine.port)
    try:
        yield Visitor(machine.port, reader, writer)
    finally:
        writer.close()

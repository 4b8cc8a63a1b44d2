"""The visitors of a shop, and the load that they make: as fast as they are answered, or at fixed moments."""

import asyncio
import itertools
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from open_load import Outcome
from rig import PinnedMachine, Slice, wrk_with
from shop_pages import BETWEEN, VISITORS, WITHIN, Requests, heads, keep, pages, read, visitors

_HERE = Path(__file__).resolve().parent
_COMING = 32
"""Connections that are used for the visitors' first visits."""


class Shoppers:
    """The visitors of one bench, and the files from which the load generators read them."""

    def __init__(self, place: Path, count: int = VISITORS) -> None:
        """Make up ``count`` visitors; their files will be in ``place``."""
        self._place, self._path = place, place / "visitors"
        self._visitors = visitors(count)
        # A random start, so that another run of a bench on the same data sends other ids.
        self._runs = itertools.count(random.SystemRandom().randrange(9 * 10**7))

    async def come(self, machine: PinnedMachine) -> None:
        """Send one request of each visitor, keep the cookies that the proxy sets, and write the file of visitors."""
        new = [(visitor.head(), visitor.fbp) for visitor in self._visitors]
        coming = zip(self._visitors, Requests(pages(1), new, next(self._runs)), strict=False)

        async def shopper() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", machine.port)
            for visitor, request in coming:
                writer.write(request)
                answer = await reader.readuntil(b"\r\n\r\n")
                if not answer.startswith(b"HTTP/1.1 204"):
                    raise RuntimeError(f"not acknowledged: {answer[:200]!r}")
                keep(visitor.cookies, answer.decode())
            writer.close()

        await asyncio.gather(*(shopper() for _ in range(_COMING)))
        known = [(visitor.head(), visitor.fbp) for visitor in self._visitors]
        self._path.write_text(BETWEEN.join(WITHIN.join(head) for head in known))

    def pages(self, events: int) -> Path:
        """Return the file of pages with ``events`` events each, which is written if it does not exist."""
        path = self._place / f"pages-{events}"
        if not path.exists():
            path.write_text(BETWEEN.join(pages(events)))
        return path

    def requests(self, events: int) -> Iterator[bytes]:
        """Return an endless run of requests with ``events`` events each, of these visitors with their cookies."""
        return iter(Requests(read(self.pages(events)), heads(self._path), next(self._runs)))

    async def open_load(
        self, machine: PinnedMachine, *, rate: float, seconds: float, connections: int = 256
    ) -> Outcome:
        """Send requests of one event each when they are due, however fast they are answered; see open_load.py.

        Args:
            machine: The server.
            rate: Requests a second, on average.
            seconds: The length of the load.
            connections: The most requests under way at the same time.
        """
        words = {"port": machine.port, "rate": rate, "seconds": seconds, "connections": connections}
        options = [f"--{name}={value}" for name, value in (words | {"run": next(self._runs)}).items()]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(_HERE / "open_load.py"), str(self.pages(1)), str(self._path), *options),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"the load went wrong: {machine.log()[-2000:]}")
        return Outcome(**json.loads(output))

    async def load(self, machine: PinnedMachine, *, events: int, connections: int, seconds: float) -> Slice:
        """Send requests as fast as they are answered.

        Args:
            machine: The server.
            events: How many events a request has.
            connections: Each has one request under way.
            seconds: The length of the load; a whole number.
        """
        arguments = (str(self.pages(events)), str(self._path), f"{next(self._runs):08d}")
        return await wrk_with(
            machine, (_HERE / "shoppers.lua").read_text(), arguments, connections=connections, seconds=seconds
        )

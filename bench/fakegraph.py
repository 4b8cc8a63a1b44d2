"""A lean Graph: counts events as fast as they come, so that the proxy under test is what is measured.

It believes every body: events are counted by their ``"event_name"``. Each pixel can be told to fail, in the process or
over HTTP (``POST /control`` with ``{"pixel": "…", "mode": "…", "latency": 0.1}``, ``GET /counts``).
"""

import asyncio
import json
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import click

Mode = Literal["ok", "down", "token", "hang"]

_ANSWERS: dict[Mode, tuple[str, dict[str, object]]] = {
    "down": ("503 Service Unavailable", {"error": {"message": "down", "code": 2, "is_transient": True}}),
    "token": ("400 Bad Request", {"error": {"message": "token", "type": "OAuthException", "code": 190}}),
}
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PIXEL = re.compile(rb"^POST /v[\d.]+/(\d+)/events ")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request that brought events; ``at`` is its time on the monotonic clock."""

    at: float
    pixel: str
    events: int
    good: bool
    ids: tuple[bytes, ...]


@dataclass(slots=True)
class FakeGraph:
    """How Graph shall answer, and the requests that it got."""

    modes: defaultdict[str, Mode] = field(default_factory=lambda: defaultdict(lambda: "ok"))
    """How requests of each pixel are answered; "ok" unless it was set otherwise."""
    latencies: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds until a request of the pixel is answered."""
    per_event: float = 0.0
    """Seconds that each event of a request adds to the latency; the real Graph takes longer for a full batch too."""
    under_way: int = 0
    most_under_way: int = 0
    """The most delayed requests that ever waited for their answers at the same time."""
    watched: re.Pattern[bytes] | None = None
    """Matches event ids to note in ``Arrival.ids``, as a group of the pattern; None by default, since it costs time."""
    arrivals: list[Arrival] = field(default_factory=list)

    def take(self, pixel: str, body: bytes) -> bytes | None:
        """Note a request and return its answer, or None if it gets no answer."""
        mode, events = self.modes[pixel], body.count(b'"event_name"')
        ids = tuple(self.watched.findall(body)) if self.watched else ()
        self.arrivals.append(Arrival(time.monotonic(), pixel, events, mode == "ok", ids))
        if mode == "ok":
            return _answer("200 OK", {"events_received": events, "messages": [], "fbtrace_id": "A1b2C3d4E5f"})
        return None if mode == "hang" else _answer(*_ANSWERS[mode])

    def control(self, body: bytes) -> bytes:
        """Set mode and latency of a pixel, as the request says."""
        wanted = json.loads(body)
        self.modes[wanted["pixel"]] = wanted.get("mode", "ok")
        self.latencies[wanted["pixel"]] = wanted.get("latency", 0.0)
        return _answer("200 OK", wanted)

    def counts(self) -> bytes:
        """Return an answer that says how many events of each pixel were accepted."""
        taken: defaultdict[str, int] = defaultdict(int)
        for arrival in self.arrivals:
            taken[arrival.pixel] += arrival.events * arrival.good
        return _answer("200 OK", dict(taken))

    def taken(self) -> int:
        """Return how many events were accepted in all."""
        return sum(arrival.events for arrival in self.arrivals if arrival.good)

    async def took(self, events: int) -> None:
        """Wait until this many events were accepted."""
        while self.taken() < events:  # noqa: ASYNC110 - counting must cost nothing
            await asyncio.sleep(0.01)


class _Connection(asyncio.Protocol):
    def __init__(self, graph: FakeGraph) -> None:
        self._graph = graph
        self._parts: list[bytes] = []
        self._missing = 0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._missing -= len(data)
        while self._parts and self._missing <= 0:
            received = b"".join(self._parts)
            head, end, body = received.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            self._missing = size - len(body) if end else 0
            if not end or self._missing > 0:
                self._parts = [received]
                return
            self._parts = [body[size:]] if len(body) > size else []
            self._serve(head, body[:size])

    def _serve(self, head: bytes, body: bytes) -> None:
        if found := _PIXEL.match(head):
            pixel = found[1].decode()
            answer = self._graph.take(pixel, body)
            latency = self._graph.latencies[pixel] + self._graph.per_event * self._graph.arrivals[-1].events
        else:
            answer, latency = self._graph.control(body) if body else self._graph.counts(), 0.0
        if answer is None:
            return
        if latency:
            self._graph.under_way += 1
            self._graph.most_under_way = max(self._graph.most_under_way, self._graph.under_way)
            asyncio.get_running_loop().call_later(latency, self._write_late, answer)
        else:
            self._write(answer)

    def _write_late(self, answer: bytes) -> None:
        self._graph.under_way -= 1
        self._write(answer)

    def _write(self, answer: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(answer)


def _answer(status: str, document: dict[str, object] | dict[str, int]) -> bytes:
    body = json.dumps(document).encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def served(graph: FakeGraph, port: int = 0) -> AsyncIterator[str]:
    """Serve this Graph on loopback; yield its address."""
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(graph), "127.0.0.1", port)
    try:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()


@click.command()
@click.option("--port", default=8899, show_default=True)
@click.option("--per-event", default=0.0, show_default=True, help="Seconds that each event adds to an answer.")
def main(port: int, per_event: float) -> None:
    """Run the fake Graph alone."""

    async def work() -> None:
        async with served(FakeGraph(per_event=per_event), port) as address:
            print(address, flush=True)
            await asyncio.Event().wait()

    asyncio.run(work())


if __name__ == "__main__":
    main()

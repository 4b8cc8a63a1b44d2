"""The visitors of bench/ingest.py on real connections: what wrk's script sends, and the cookies that visitors keep."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from open_load import Outcome
from rig import PinnedMachine
from shop_pages import SHARES
from shoppers import Shoppers

_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)")
_COOKIE = re.compile(rb"; visitor=(\d+)\r\n")


@dataclass
class _Server(PinnedMachine):
    """A server in this process that notes all requests, and gives each visitor a cookie of its own."""

    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, OSError):
                writer.close()
                return
            length = _LENGTH.search(head)
            assert length
            self.bodies.append(await reader.readexactly(int(length[1])))
            self.heads.append(head)
            writer.write(f"HTTP/1.1 204 No Content\r\nSet-Cookie: visitor={len(self.heads)}; Path=/\r\n\r\n".encode())

    def cpu_s(self) -> float:
        """Return 0: the server runs in this process, so its processor time is not measured."""
        return 0.0

    def events(self) -> list[dict[str, str]]:
        """Return all events that were received."""
        return [event for body in self.bodies for event in json.loads(body)["events"]]


@asynccontextmanager
async def _shop(place: Path, visitors: int) -> AsyncIterator[tuple[_Server, Shoppers]]:
    """Serve a shop that each of its visitors has visited once."""
    server, shoppers = _Server(place / "server", "http://127.0.0.1:1"), Shoppers(place, visitors)
    async with await asyncio.start_server(server.serve, "127.0.0.1", server.port):
        await shoppers.come(server)
        assert len(server.heads) == visitors
        assert not any(map(_COOKIE.search, server.heads))
        server.heads.clear()
        server.bodies.clear()
        yield server, shoppers


def _visitors(server: _Server) -> list[bytes]:
    """Return the visitor cookie of each request, in order."""
    return [cookie[1] for cookie in map(_COOKIE.search, server.heads) if cookie]


@pytest.mark.long
async def test_wrk_sends_a_shops_load(tmp_path: Path) -> None:
    """Bodies are complete, ids are new in each run, and visitors differ and send the cookies that they got."""
    async with _shop(tmp_path, 100) as (server, shoppers):
        for _ in range(2):
            await shoppers.load(server, events=5, connections=2, seconds=1)

    events = server.events()
    ids = [event["id"] for event in events]
    assert len(ids) == len(set(ids)) >= 500
    assert all(id_.startswith("order-") or re.fullmatch(r"\d{13}0\.\d{16}", id_) for id_ in ids)
    assert {event["name"] for event in events} <= set(SHARES)
    assert len(_visitors(server)) == len(server.heads)
    assert len(set(_visitors(server)[:50])) == 50


@pytest.mark.long
async def test_open_load_comes_from_known_visitors(tmp_path: Path) -> None:
    """Every request that was due is sent, and each visitor comes equally often."""
    async with _shop(tmp_path, 50) as (server, shoppers):
        outcome: Outcome = await shoppers.open_load(server, rate=200, seconds=1)

    counts = Counter(_visitors(server))
    assert len(outcome.latencies_ms) == len(server.heads) == sum(counts.values()) >= 100
    assert max(counts.values()) - min(counts.values()) <= 1
    assert outcome.unanswered == 0

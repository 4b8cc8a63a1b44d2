"""Graph misbehaves for ten seconds in every way it can; then it is healthy, and nothing is missing."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support import Installation, get_json, installation, page_views, raw_config, served, until

from proxy import config
from proxy.app import running

SECONDS = 10.0
FAULTS: dict[str, dict[str, Any]] = {
    "500": {"mode": "500"},
    "500 with HTML": {"mode": "500", "html": True},
    "429": {"mode": "429"},
    "190": {"mode": "190"},
    "190 with status 400": {"mode": "190", "status": 400},
    "timeout": {"mode": "timeout"},
    "reset": {"mode": "reset"},
    "reset after storing": {"mode": "reset", "after": True},
    "slow beyond the time-out": {"mode": "slow", "delay": 4},
}


async def _through(directory: Path, fault: dict[str, Any]) -> tuple[int, int, int]:
    """Post all through a fault; return how many were acknowledged, how many arrived and how many are dead."""
    async with installation(directory) as shop:
        await shop.fault(**fault, **{"for": SECONDS})
        ids: list[str] = []
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            batch = [f"e-{len(ids) + step}" for step in range(10)]
            status, _, _ = await shop.post(page_views(batch))
            assert status == 204
            ids += batch
            await asyncio.sleep(0.1)  # pacing of the load, not a wait for anything
        report = await shop.counted(len(ids), seconds=60)
        arrived = {pair["id"] for pair in report["pairs"] if pair["counted"] == 1} & set(ids)
        dead = (await get_json(shop.session, f"{shop.operator}/api/dead"))["dead"]
        return len(ids), len(arrived), len(dead)


@pytest.mark.timeout(150)
async def test_every_fault_of_graph_passes_without_loss(tmp_path: Path) -> None:
    """Whatever Graph does for ten seconds, every acknowledged event arrives once it is healthy, and none is buried."""
    directories = [tmp_path / str(number) for number in range(len(FAULTS))]
    for directory in directories:
        directory.mkdir()
    results = await asyncio.gather(*map(_through, directories, FAULTS.values()))
    accounts = dict(zip(FAULTS, results, strict=True))

    assert {name: (sent, 0) for name, (sent, _, _) in accounts.items()} == {
        name: (arrived, dead) for name, (_, arrived, dead) in accounts.items()
    }
    assert all(sent >= 200 for sent, _, _ in accounts.values())


async def test_one_poisoned_event_in_a_thousand(tmp_path: Path) -> None:
    """One poisoned event in a batch of 1000 becomes a dead letter with Meta's words; the other 999 arrive."""
    async with installation(tmp_path) as shop:
        await shop.fault(mode="190", **{"for": 60})
        await shop.post(page_views(["first"]))
        await until(lambda: _paused(shop), what="a pause, so that a full batch gathers")
        ids = [f"e-{number}" for number in range(998)] + ["poison-1"]
        for start in range(0, len(ids), 100):
            status, _, _ = await shop.post(page_views(ids[start : start + 100]))
            assert status == 204
        await shop.fault(mode="poison", match="poison", **{"for": 120})
        report = await shop.counted(999, seconds=60)

        async def letters() -> list[dict[str, Any]]:
            return list((await get_json(shop.session, f"{shop.operator}/api/dead"))["dead"])

        (letter,) = await until(letters, what="a dead letter")

    assert {pair["id"] for pair in report["pairs"]} == {"first", *ids} - {"poison-1"}
    assert all(pair["server"] == 1 for pair in report["pairs"])
    assert (letter["event_id"], letter["reason"], letter["code"]) == ("poison-1", "rejected", 100)
    assert letter["subcode"]
    assert letter["message"]


async def _paused(shop: Installation) -> bool:
    status = await get_json(shop.session, f"{shop.operator}/api/status")
    return bool(status["lanes"][0]["paused"])


@asynccontextmanager
async def _answering(directory: Path, bodies: list[bytes]) -> AsyncIterator[tuple[Installation, list[int]]]:
    """Run a proxy against a Graph that answers 200 with the given bodies, the last one for ever."""
    asked: list[int] = []

    async def answer(request: web.Request) -> web.Response:
        document = await request.json()
        asked.append(len(document["data"]))
        return web.Response(body=bodies[min(len(asked), len(bodies)) - 1], content_type="application/json")

    app = web.Application()
    app.router.add_post("/{version}/{pixel}/events", answer)
    async with served(app) as graph, aiohttp.ClientSession() as session:
        loaded = config.parse(raw_config(graph, directory / "data"), {}, base=directory)
        async with running(loaded) as proxy:
            yield Installation(session, graph, proxy), asked


async def test_a_counter_of_zero_is_no_delivery(tmp_path: Path) -> None:
    """A 2xx that counts nothing is tried three times; then the events are kept as dead letters, not forgotten."""
    async with _answering(tmp_path, [b'{"events_received": 0}']) as (shop, asked):
        await shop.post(page_views(["z-1"]))

        async def letters() -> list[dict[str, Any]]:
            return list((await get_json(shop.session, f"{shop.operator}/api/dead"))["dead"])

        (letter,) = await until(letters, what="a dead letter")

    assert (letter["event_id"], letter["reason"], letter["attempts"]) == ("z-1", "not_received", 3)
    assert asked == [1, 1, 1]


async def test_a_counter_that_recovers_delivers(tmp_path: Path) -> None:
    """Half a body or a zero, then a good answer: the event is delivered, with the trace of the good answer."""
    bodies = [b'{"events_rec', b'{"events_received": 0}', b'{"events_received": 1, "fbtrace_id": "T"}']
    async with _answering(tmp_path, bodies) as (shop, _):
        await shop.post(page_views(["z-2"]))

        async def delivered() -> list[dict[str, Any]]:
            found = await get_json(shop.session, f"{shop.operator}/api/events?status=delivered")
            return list(found["events"])

        (row,) = await until(delivered, what="a delivery")

    assert (row["id"], row["fbtrace_id"], row["attempts"]) == ("z-2", "T", 3)

"""Graph misbehaves for ten seconds in every way it can; then it is healthy, and nothing is missing."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from conftest import Say
from graph_faults import FAULTS, WRONG, Fault
from machine import Machine
from servers import simulator, stand_in
from support import Installation, browser_headers, get_json, installation, page_views, raw_config, until
from traffic import settled_account

from proxy.app import running
from proxy.config import load

SECONDS = 10.0
ENOUGH = 200
# All starts at once would take longer than a start may.
STARTS = asyncio.Semaphore(2)


@dataclass
class Watch:
    """What a proxy said of itself while something went on."""

    ready: set[int] = field(default_factory=set)
    errors: set[str] = field(default_factory=set)
    resident_mb: float = 0.0

    async def look(self, machine: Machine, session: aiohttp.ClientSession) -> None:
        async with session.get(f"{machine.operator}/readyz") as answer:
            self.ready.add(answer.status)
        lane = (await get_json(session, f"{machine.operator}/api/status"))["lanes"][0]
        self.errors.add(lane["last_error"])
        self.resident_mb = max(self.resident_mb, machine.memory_mb())


@dataclass(frozen=True)
class Passage:
    """How a proxy came through."""

    during: Watch
    after: Watch
    acknowledged: int
    missing: int
    buried: int


async def _through(
    machine: Machine, session: aiohttp.ClientSession, graph: str, fault: AbstractAsyncContextManager[None]
) -> Passage:
    """Post for some seconds while a fault lasts; then wait until all is delivered, dead letters by a replay."""
    during, after = Watch(), Watch()
    async with STARTS:
        await machine.start()
    try:
        async with fault:
            ids = await _post(machine, session, during)
        await machine.drained()
        buried = await _replay(machine, session)
        account = await settled_account(session, graph, ids)
        await after.look(machine, session)
    finally:
        assert await machine.terminate() == 0
    assert "Traceback" not in machine.log()
    return Passage(during, after, len(ids), len(account.missing), buried)


async def _post(machine: Machine, session: aiohttp.ClientSession, watch: Watch) -> set[str]:
    ids: set[str] = set()
    end = time.monotonic() + SECONDS
    # As many as a quiet machine posts meanwhile, however long it takes.
    while time.monotonic() < end or len(ids) < ENOUGH:
        batch = [f"e-{len(ids) + step}" for step in range(10)]
        body = orjson.dumps(page_views(batch))
        async with session.post(f"{machine.public}/shop-tools/e", data=body, headers=browser_headers()) as answer:
            assert answer.status == 204
        ids.update(batch)
        await watch.look(machine, session)
        await asyncio.sleep(0.1)  # pacing of the load, not a wait for anything
    return ids


async def _replay(machine: Machine, session: aiohttp.ClientSession) -> int:
    dead = (await get_json(session, f"{machine.operator}/api/dead?limit=1000"))["dead"]
    ids = [letter["id"] for letter in dead]
    async with session.post(f"{machine.operator}/api/dead/replay", json={"ids": ids}) as answer:
        assert answer.status == 200
    return len(ids)


@asynccontextmanager
async def _ordered(session: aiohttp.ClientSession, graph: str, order: Mapping[str, Any]) -> AsyncIterator[None]:
    """Have the simulator misbehave for some seconds; it ends that by itself."""
    async with session.post(f"{graph}/sim/faults", json={**order, "for": SECONDS}) as answer:
        answer.raise_for_status()
    yield


async def _met(directory: Path, fault: Fault) -> Passage:
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(directory, graph, timeout=fault.timeout)
        return await _through(machine, session, graph, _ordered(session, graph, fault.order))


def _print(say: Say, passages: Mapping[str, Passage]) -> None:
    for name, passage in passages.items():
        say(
            f"{name}: {passage.acknowledged} acknowledged, {passage.missing} missing, "
            f"{passage.buried} dead and replayed, "
            f"readiness {sorted(passage.during.ready)}, {passage.during.resident_mb:.0f} MB"
        )


@pytest.mark.timeout(600)
async def test_every_fault_of_graph_passes_without_loss(tmp_path: Path, say: Say) -> None:
    """Whatever Graph does for ten seconds, all that was acknowledged arrives, and readiness tells what is the matter.

    Of the faults only a refused token makes the proxy unready; for all the lane names the last error, until it is over.
    """
    faults = {**FAULTS, **WRONG}
    for name in faults:
        (tmp_path / name).mkdir()
    results = await asyncio.gather(*(_met(tmp_path / name, fault) for name, fault in faults.items()))
    passages = dict(zip(faults, results, strict=True))
    _print(say, passages)

    assert {name: passage.missing for name, passage in passages.items()} == dict.fromkeys(faults, 0)
    assert {name for name, passage in passages.items() if passage.buried} == {"counter of zero"}
    for name, fault in faults.items():
        passage = passages[name]
        assert passage.during.errors <= {"", fault.says, fault.ends}, name
        assert fault.says in passage.during.errors, name
        assert (503 in passage.during.ready) is fault.paused, name
        assert (passage.after.ready, passage.after.errors) == ({200}, {""}), name
        assert passage.during.resident_mb < 150, name


# What a user needs to have a mount of its own.
APART = ("unshare", *(() if os.geteuid() == 0 else ("--map-root-user",)), "--mount")


class Nameless(Machine):
    """A machine whose Graph has a name, which its resolver learns from a file of its own."""

    @property
    def hosts(self) -> Path:
        return self.directory / "hosts"

    def command(self) -> tuple[str, ...]:
        bind = 'mount --bind {0}/hosts /etc/hosts && mount --bind {0}/resolv.conf /etc/resolv.conf && exec "$@"'
        return (*APART, "sh", "-c", bind.format(self.directory), "sh", *super().command())

    @asynccontextmanager
    async def unknown(self) -> AsyncIterator[None]:
        """The name is missing from the start, until the end of the context."""
        yield
        self.hosts.write_text("127.0.0.1 localhost graph.fault.test\n")


@pytest.fixture(name="apart")
def _apart() -> None:
    """Skip loudly where a user may have no mounts of its own."""
    done = subprocess.run([*APART, "true"], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"NOT TESTED: a name that does not resolve: {done.stderr.strip()} (be root)")


@pytest.mark.usefixtures("apart")
async def test_a_name_that_does_not_resolve_is_waited_for(tmp_path: Path, say: Say) -> None:
    """While Graph's name does not resolve events wait; as soon as it does, they arrive, without a restart."""
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Nameless(tmp_path, graph.replace("127.0.0.1", "graph.fault.test"))
        machine.hosts.write_text("127.0.0.1 localhost\n")
        # Nobody answers there: an error at once, as from a resolver that is down.
        (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        passage = await _through(machine, session, graph, machine.unknown())
    _print(say, {"a name that does not resolve": passage})

    assert (passage.missing, passage.buried) == (0, 0)
    assert {"network"} <= passage.during.errors <= {"", "network"}
    assert (passage.after.ready, passage.after.errors) == ({200}, {""})


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
    async with stand_in(app) as graph, aiohttp.ClientSession() as session:
        loaded = load.parse(raw_config(graph, directory / "data"), {}, base=directory)
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

"""Graph misbehaves for a while in every way of the simulator; once it is healthy again, nothing is missing."""

import asyncio
import os
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import orjson
import pytest
from aiohttp import web
from conftest import Say
from graph_faults import FAULTS, WRONG, Fault
from machine import PIXEL, Machine
from servers import simulator, stand_in
from support import Installation, browser_headers, get_json, installation, page_views, raw_config, until, wire
from traffic import settled_account

from proxy.app import run_proxy
from proxy.config import load

SECONDS = 10.0 if "CAPI_PROXY_KILLS" in os.environ else 2.0
"""The least time that a fault lasts; it goes on until it was met and reported."""
ENOUGH, LONGEST_S = 100, 300.0


@dataclass
class Watch:
    """What a proxy reported about itself and its pixels during a time."""

    ready: set[int] = field(default_factory=set)
    errors: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    paused: set[str] = field(default_factory=set)
    resident_mb: float = 0.0

    async def look(self, machine: Machine, session: aiohttp.ClientSession) -> None:
        async with session.get(f"{machine.operator}/readyz") as answer:
            self.ready.add(answer.status)
        for lane in (await get_json(session, f"{machine.operator}/api/status"))["lanes"]:
            self.errors[lane["pixel"]].add(lane["last_error"])
            self.paused |= {lane["pixel"]} if lane["paused"] else set()
        self.resident_mb = max(self.resident_mb, machine.memory_mb())


IsMet: TypeAlias = Callable[[Machine, Watch], Awaitable[bool]]
"""Tells whether the proxy has met a fault and reported it."""


@dataclass(frozen=True)
class Passage:
    """How a proxy came through a fault, with the events of each pixel."""

    during: Watch
    after: Watch
    acknowledged: int
    missing: dict[str, int]
    buried: Counter[str]


async def _through(
    machine: Machine,
    session: aiohttp.ClientSession,
    graph: str,
    fault: AbstractAsyncContextManager[None],
    is_met: IsMet,
) -> Passage:
    """Post while a fault lasts; then wait until all is delivered, dead letters by a replay."""
    during, after = Watch(), Watch()
    await machine.start()
    try:
        async with fault:
            ids = await _post(machine, session, during, is_met)
        await machine.drained()
        buried = await _replay(machine, session)
        accounts = {pixel: await settled_account(session, graph, ids, pixel=pixel) for pixel in machine.pixels}
        await after.look(machine, session)
    finally:
        assert await machine.terminate() == 0
    assert "Traceback" not in machine.log()
    missing = {pixel: len(account.missing) for pixel, account in accounts.items()}
    return Passage(during, after, len(ids), missing, buried)


async def _post(machine: Machine, session: aiohttp.ClientSession, watch: Watch, is_met: IsMet) -> set[str]:
    ids: set[str] = set()
    started = time.monotonic()
    while len(ids) < ENOUGH or time.monotonic() < started + SECONDS or not await is_met(machine, watch):
        if time.monotonic() > started + LONGEST_S:
            raise TimeoutError(f"a fault was not met, or not told: {watch}")
        batch = [f"e-{len(ids) + step}" for step in range(10)]
        events = ({"name": "PageView", "id": identity, "pixels": [*machine.pixels]} for identity in batch)
        body = orjson.dumps(wire(*events))
        async with session.post(f"{machine.public}/shop-tools/e", data=body, headers=browser_headers()) as answer:
            assert answer.status == 204
        ids.update(batch)
        await watch.look(machine, session)
        await asyncio.sleep(0.1)  # pacing of the load, not a wait for anything
    return ids


async def _dead(machine: Machine, session: aiohttp.ClientSession) -> dict[str, str]:
    """Return the pixel of each dead letter by the letter's id."""
    dead = (await get_json(session, f"{machine.operator}/api/dead?limit=1000"))["dead"]
    return {letter["id"]: letter["pixel"] for letter in dead}


async def _replay(machine: Machine, session: aiohttp.ClientSession) -> Counter[str]:
    dead = await _dead(machine, session)
    async with session.post(f"{machine.operator}/api/dead/replay", json={"ids": [*dead]}) as answer:
        assert answer.status == 200
    return Counter(dead.values())


@asynccontextmanager
async def _ordered(
    session: aiohttp.ClientSession, graph: str, orders: Mapping[str, Mapping[str, Any]]
) -> AsyncIterator[None]:
    """Make the simulator misbehave towards each pixel in its own way, until the context ends."""
    for pixel, order in orders.items():
        await _order(session, graph, {**order, "pixel": pixel})
    yield
    await _order(session, graph, {"mode": None})


async def _order(session: aiohttp.ClientSession, graph: str, order: Mapping[str, Any]) -> None:
    async with session.post(f"{graph}/sim/faults", json=order) as answer:
        answer.raise_for_status()


async def _met(directory: Path, faults: Mapping[str, Fault], limit_s: float) -> Passage:
    """Run a proxy through faults, a different one for each pixel."""
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(directory, graph, pixels=[*faults], timeout=limit_s)

        async def is_met(machine: Machine, watch: Watch) -> bool:
            orders = (await get_json(session, f"{graph}/sim/faults"))["faults"]
            dead = set((await _dead(machine, session)).values())
            return all(order["hits"] for order in orders) and all(
                fault.says in watch.errors[pixel]
                and (pixel in watch.paused or not fault.paused)
                and (pixel in dead or not fault.buries)
                for pixel, fault in faults.items()
            )

        orders = {pixel: fault.order for pixel, fault in faults.items()}
        return await _through(machine, session, graph, _ordered(session, graph, orders), is_met)


def _print(say: Say, name: str, passage: Passage) -> None:
    say(
        f"{name}: {passage.acknowledged} acknowledged, {sum(passage.missing.values())} missing, "
        f"{passage.buried.total()} dead and replayed, "
        f"readiness {sorted(passage.during.ready)}, {passage.during.resident_mb:.0f} MB"
    )


# One proxy for faults that pause, as only they make it unready, and one for each time limit of a request.
_ALL = {**FAULTS, **WRONG}
_GROUPS = sorted({(fault.paused, fault.timeout) for fault in _ALL.values()})


@pytest.mark.parametrize(("paused", "limit_s"), _GROUPS)
async def test_every_fault_of_graph_passes_without_loss(
    tmp_path: Path, say: Say, limit_s: float, *, paused: bool
) -> None:
    """Whatever Graph does to a pixel for a while, all acknowledged events arrive, and other pixels are not affected.

    Only a refused token pauses its pixel and makes the proxy unready. For every fault the lane reports the last error
    until it is over, and no lane reports another's.
    """
    names = [name for name, fault in _ALL.items() if (fault.paused, fault.timeout) == (paused, limit_s)]
    faults = {str(1001 + number): _ALL[name] for number, name in enumerate(names)}
    passage = await _met(tmp_path, faults, limit_s)
    _print(say, ", ".join(names), passage)

    assert passage.missing == dict.fromkeys(faults, 0)
    assert passage.buried.keys() == {pixel for pixel, fault in faults.items() if fault.buries}
    for pixel, fault in faults.items():
        assert passage.during.errors[pixel] <= {"", fault.says, fault.ends}, fault
        assert passage.after.errors[pixel] == {""}, fault
    assert passage.during.paused == {pixel for pixel, fault in faults.items() if fault.paused}
    assert (503 in passage.during.ready) is paused
    assert passage.after.ready == {200}
    assert passage.during.resident_mb < 150


# What a user needs for mounts of its own.
APART = ("unshare", *(() if os.geteuid() == 0 else ("--map-root-user",)), "--mount")


class Nameless(Machine):
    """A machine whose Graph has a name that it resolves with a hosts file of its own."""

    @property
    def hosts(self) -> Path:
        return self.directory / "hosts"

    def command(self) -> tuple[str, ...]:
        bind = 'mount --bind {0}/hosts /etc/hosts && mount --bind {0}/resolv.conf /etc/resolv.conf && exec "$@"'
        return (*APART, "sh", "-c", bind.format(self.directory), "sh", *super().command())

    @asynccontextmanager
    async def unknown(self) -> AsyncIterator[None]:
        """Leave the name unknown until the context ends."""
        yield
        self.hosts.write_text("127.0.0.1 localhost graph.fault.test\n")


@pytest.fixture(name="apart")
def _apart() -> None:
    """Skip the test with a message if a user may not have mounts of its own."""
    done = subprocess.run([*APART, "true"], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"NOT TESTED: a name that does not resolve: {done.stderr.strip()} (be root)")


@pytest.mark.usefixtures("apart")
async def test_a_name_that_does_not_resolve_is_waited_for(tmp_path: Path, say: Say) -> None:
    """While Graph's name does not resolve, events wait; once it does, they arrive, without a restart."""
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Nameless(tmp_path, graph.replace("127.0.0.1", "graph.fault.test"))
        machine.hosts.write_text("127.0.0.1 localhost\n")
        # Nothing answers there, which gives an error at once, as from a resolver that is down.
        (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        passage = await _through(machine, session, graph, machine.unknown(), _is_told)
    _print(say, "a name that does not resolve", passage)

    assert (passage.missing, passage.buried) == ({PIXEL: 0}, {})
    assert {"network"} <= passage.during.errors[PIXEL] <= {"", "network"}
    assert (passage.after.ready, passage.after.errors) == ({200}, {PIXEL: {""}})


async def _is_told(_machine: Machine, watch: Watch) -> bool:
    return "network" in watch.errors[PIXEL]


async def test_one_poisoned_event_in_a_thousand(tmp_path: Path) -> None:
    """One poisoned event in a batch of 1000 becomes a dead letter with Meta's error; the other 999 arrive."""
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
    """Run a proxy with a Graph that answers 200 with the given bodies, the last one for all further requests."""
    asked: list[int] = []

    async def answer(request: web.Request) -> web.Response:
        document = await request.json()
        asked.append(len(document["data"]))
        return web.Response(body=bodies[min(len(asked), len(bodies)) - 1], content_type="application/json")

    app = web.Application()
    app.router.add_post("/{version}/{pixel}/events", answer)
    async with stand_in(app) as graph, aiohttp.ClientSession() as session:
        loaded = load.parse(raw_config(graph, directory / "data"), {}, base=directory)
        async with run_proxy(loaded) as proxy:
            yield Installation(session, graph, proxy), asked


async def test_a_counter_of_zero_is_no_delivery(tmp_path: Path) -> None:
    """A 2xx answer that counts no event is tried three times; then the events become dead letters."""
    async with _answering(tmp_path, [b'{"events_received": 0}']) as (shop, asked):
        await shop.post(page_views(["z-1"]))

        async def letters() -> list[dict[str, Any]]:
            return list((await get_json(shop.session, f"{shop.operator}/api/dead"))["dead"])

        (letter,) = await until(letters, what="a dead letter")

    assert (letter["event_id"], letter["reason"], letter["attempts"]) == ("z-1", "not_received", 3)
    assert asked == [1, 1, 1]


async def test_a_counter_that_recovers_delivers(tmp_path: Path) -> None:
    """After half a body and a count of zero a good answer delivers the event, with the trace of the good answer."""
    bodies = [b'{"events_rec', b'{"events_received": 0}', b'{"events_received": 1, "fbtrace_id": "T"}']
    async with _answering(tmp_path, bodies) as (shop, _):
        await shop.post(page_views(["z-2"]))

        async def delivered() -> list[dict[str, Any]]:
            found = await get_json(shop.session, f"{shop.operator}/api/events?status=delivered")
            return list(found["events"])

        (row,) = await until(delivered, what="a delivery")

    assert (row["id"], row["fbtrace_id"], row["attempts"]) == ("z-2", "T", 3)

"""How fast events are taken durably, beside bare servers and beside what people write with Meta's SDKs, in one run.

All servers share one core and are loaded in turn from another core, by the visitors of a shop (shop_pages.py). Graph is
down meanwhile, so that the proxy delivers nothing: the peers send nothing either. ``--write`` puts the figures into
docs/benchmarks.md.
"""

import asyncio
import os
import resource
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import ingest_report as report
from fakegraph import FakeGraph, served
from ingest_report import BARE, EXPRESS, FASTAPI, HEADROOM, LEVELS, PARSE, SIZES, Findings, OpenSlices
from open_load import Outcome
from peers import install
from peers.process import Nginx, Peer, bare, express, fastapi
from rig import PinnedMachine, Slice, rounds, running, start, workplace
from shoppers import Shoppers

from proxy.config.schema import ServerSettings

_CONNECTIONS = 64
# PYTHONPATH may name a copy of the proxy that has only one kind of front.
_FRONTS = (
    {"capi-proxy, fast front": "fast_ingest = true", "capi-proxy, aiohttp front": "fast_ingest = false"}
    if "fast_ingest" in ServerSettings.model_fields
    else {"capi-proxy": ""}
)
"""The names of the proxy's rows in the tables, each with its lines of ``[server]``."""
_FRONT = str(Path(__file__).with_name("front.py"))
_STAGES = {
    "store": ("--no-store",),
    "rules": ("--no-store", "--no-rules"),
    "metrics": ("--no-store", "--no-rules", "--no-metrics"),
}
"""The parts of the proxy that are switched off one after another, each in addition to those before.

The difference to the row before is what a part costs; what is left with all of them off is HTTP.
"""
_LONE_RATE = 25.0
_IDLE = 1000


@dataclass(frozen=True)
class Scale:
    """How many rounds are measured, how long each is, and with how many visitors."""

    rounds: int
    seconds: float
    open_rounds: int
    open_seconds: float
    visitors: int
    warm: bool
    """Whether every comparison begins with a warm-up round that does not count; otherwise only the first one does."""


FULL = Scale(rounds=7, seconds=2, open_rounds=7, open_seconds=2, visitors=10_000, warm=True)
QUICK = Scale(rounds=2, seconds=1, open_rounds=1, open_seconds=1, visitors=2_000, warm=False)


class Bench:
    """One run of the bench: its servers, its visitors and its results."""

    def __init__(self, place: Path, graph: str, scale: Scale) -> None:
        """Prepare servers.

        Args:
            place: A directory for all files.
            graph: The address of Graph.
            scale: How much is measured.
        """
        self._place, self._graph, self._scale = place, graph, scale
        self._shoppers = Shoppers(place, scale.visitors)
        self.findings = Findings(fronts=tuple(_FRONTS), rounds=scale.rounds, open_rounds=scale.open_rounds)
        self._fronts = {
            name: self._proxy(f"proxy-{number}", server) for number, (name, server) in enumerate(_FRONTS.items())
        }
        self._servers: dict[str, PinnedMachine] = {BARE: bare(place), PARSE: bare(place, parse=True)}
        self._peer(FASTAPI, install.python_peer, lambda: fastapi(place))
        self._peer(EXPRESS, install.node_peer, lambda: express(place))
        self._peer(HEADROOM, install.nginx, lambda: Nginx(place / "nginx", graph, words=(install.nginx(),)))
        self._servers |= self._fronts

    def _proxy(self, name: str, server: str, *flags: str) -> PinnedMachine:
        program = (_FRONT, *flags) if flags else PinnedMachine.program
        return PinnedMachine(self._place / name, self._graph, program=program, server=server)

    def _proxies(self, name: str, *flags: str) -> dict[str, PinnedMachine]:
        numbered = enumerate(_FRONTS.items())
        return {front: self._proxy(f"{name}-{number}", server, *flags) for number, (front, server) in numbered}

    def _peer(self, name: str, installed: Callable[[], dict[str, str] | str], made: Callable[[], Peer]) -> None:
        try:
            versions = installed()
        except install.NotInstalledError as error:
            self.findings.notes.append(f"{name} is left out: {error}")
            return
        if isinstance(versions, dict):
            self.findings.versions |= versions
        self._servers[name] = made()

    async def run(self) -> None:
        """Measure everything."""
        async with running(*self._servers.values()):
            await self._shoppers.come(next(iter(self._fronts.values())))
            for size in SIZES:
                warm = self._scale.warm or size == SIZES[0]
                self.findings.closed[size] = await self._closed(self._servers, size, warm=warm)
            await self._open()
            await self._lone()
            for proxy in self._fronts.values():
                await proxy.check_all_stored()
        await self._stages()
        await self._memory()

    async def _closed(
        self, servers: Mapping[str, PinnedMachine], events: int, *, warm: bool = True
    ) -> dict[str, list[Slice]]:
        tell = self.findings.notes.append
        load = {name: partial(self._slice, server, events) for name, server in servers.items()}
        return await rounds(load, servers.values(), count=self._scale.rounds, warm=warm, tell=tell)

    async def _slice(self, server: PinnedMachine, events: int, _round: str) -> Slice:
        return await self._shoppers.load(server, events=events, connections=_CONNECTIONS, seconds=self._scale.seconds)

    async def _open(self) -> None:
        """Measure latencies at several shares of the peak rate that each server has just reached."""
        for name in (BARE, *self._fronts):
            peak = statistics.median(taken.rate for taken in self.findings.closed[1][name])
            load = {f"{level}": partial(self._came, self._servers[name], peak * level / 100) for level in LEVELS}
            self.findings.open[name] = await self._open_rounds(load, [self._servers[name]])

    async def _lone(self) -> None:
        """Measure the latency of requests that are alone on a server, and the time of one fsync."""
        names = (BARE, *self._fronts)
        load = {name: partial(self._came, self._servers[name], _LONE_RATE) for name in names}
        self.findings.lone = await self._open_rounds(load, [self._servers[name] for name in names])
        self.findings.fsync_ms = _fsync_ms(self._place)

    async def _open_rounds(
        self, load: Mapping[str, Callable[[str], Awaitable[Outcome]]], servers: list[PinnedMachine]
    ) -> OpenSlices:
        scale, tell = self._scale, self.findings.notes.append
        return await rounds(load, servers, count=scale.open_rounds, warm=scale.warm, tell=tell)

    async def _came(self, server: PinnedMachine, rate: float, _round: str) -> Outcome:
        return await self._shoppers.open_load(server, rate=rate, seconds=self._scale.open_seconds)

    async def _stages(self) -> None:
        """Measure what a request costs while one part of the proxy after another is switched off."""
        for number, (front, server) in enumerate(_FRONTS.items()):
            whole = {"": self._proxy(f"whole-{number}", server)}
            parts = {name: self._proxy(f"no-{name}-{number}", server, *flags) for name, flags in _STAGES.items()}
            servers = whole | parts | {BARE: bare(self._place)}
            async with running(*servers.values()):
                self.findings.stages[front] = await self._closed(servers, 1)

    async def _memory(self) -> None:
        """Measure the memory of a thousand idle connections, on servers that have just started."""
        fresh = {BARE: bare(self._place)} | self._proxies("idle")
        async with running(*fresh.values()):
            for name, server in fresh.items():
                self.findings.idle_mb[name] = await self._idle_mb(server)

    async def _idle_mb(self, server: PinnedMachine) -> float:
        requests = self._shoppers.requests(1)
        # The first requests allocate what a server keeps for good, so that only connections add memory after them.
        kept = [await _connection(server, requests, count=_IDLE)]
        before = server.memory_mb()
        kept += [await _connection(server, requests) for _ in range(_IDLE)]
        grown = server.memory_mb() - before
        for writer in kept:
            writer.close()
        return grown


async def _connection(server: PinnedMachine, requests: Iterator[bytes], count: int = 1) -> asyncio.StreamWriter:
    """Return an open connection over which ``count`` requests were answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for _ in range(count):
        writer.write(next(requests))
        await reader.readuntil(b"\r\n\r\n")
    return writer


def _fsync_ms(place: Path, times: int = 200) -> float:
    """Return the median milliseconds of an fdatasync after 8 KiB, about what the commit of one event writes."""
    block, taken = bytes(8192), []
    with (place / "fsync").open("wb", buffering=0) as file:
        file.write(block * times)
        os.fsync(file.fileno())
        for number in range(times):
            started = time.perf_counter()
            os.pwrite(file.fileno(), block, number * len(block))
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - started) * 1000)
            time.sleep(0.005)
    return statistics.median(taken)


async def bench(scale: Scale) -> Findings:
    """Measure everything while Graph is down."""
    graph = FakeGraph()
    graph.modes["1001"] = "down"
    with workplace() as place:
        async with served(graph) as address:
            run = Bench(place, address, scale)
            await run.run()
    return run.findings


@click.command()
@click.option("--quick", is_flag=True, help="A look within a minute or two; its figures say little.")
@click.option("--write", is_flag=True, help="Put the figures into docs/benchmarks.md.")
def main(*, quick: bool, write: bool) -> None:
    """Durable ingest, beside servers that store nothing."""
    if quick and write:
        raise click.UsageError("the page holds figures of a full run")
    start()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    findings = asyncio.run(bench(QUICK if quick else FULL))
    text = report.document(findings)
    print(text)
    if write:
        report.write(text)
    report.goals(findings)


if __name__ == "__main__":
    main()

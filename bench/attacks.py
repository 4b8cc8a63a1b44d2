"""What a stranger's attack costs honest visitors: a hundred honest events a minute, during each kind of attack.

For each attack: a fresh proxy on its core with 1,024 file descriptors, a Graph that refuses bad events as Meta does, a
quiet minute, then a minute of attack. Each honest event comes from a visitor of its own (another address of loopback, a
connection of its own) and is tried again as the tag does it. The goals are those of docs/benchmarks.md.
"""

import asyncio
import json
import os
import random
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import click
from attackers import ADDRESS, ATTACKS, request
from fakegraph import Arrival, FakeGraph, served
from rig import PinnedMachine, goal, percentile, start, table, visit, workplace

_EVERY = 0.6
_DESCRIPTORS = 1024
_LATENCY = 0.1
_WARM = 50
_DISK_MB = 100
"""The ledger is bounded to 1 MiB here; the rest is room for the write-ahead log and for events that wait a moment."""
_REFUSAL = {
    "error": {
        "message": "Invalid parameter",
        "type": "OAuthException",
        "code": 100,
        "error_subcode": 2804017,
        "is_transient": False,
        "fbtrace_id": "A1b2C3d4E5f",
    }
}
_LIMITED = f"""
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({_DESCRIPTORS}, {_DESCRIPTORS}))
sys.argv[0] = "proxy"
runpy.run_module("proxy", run_name="__main__")
"""
_PRIVATE = re.compile(r"Traceback|@example|" + re.escape(ADDRESS))


class StrictGraph(FakeGraph):
    """A Graph that refuses a whole batch for one bad event, without saying which event it was."""

    def take(self, pixel: str, body: bytes) -> bytes | None:
        """Answer one batch."""
        if b'"bad-' not in body:
            return super().take(pixel, body)
        self.arrivals.append(Arrival(time.monotonic(), pixel, body.count(b'"event_name"'), good=False, ids=()))
        content = json.dumps(_REFUSAL).encode()
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        return head.encode() + content


@dataclass
class Honest:
    """What happened to the requests of honest visitors."""

    waits_ms: list[float] = field(default_factory=list)
    acknowledged: dict[str, float] = field(default_factory=dict)
    """The time of each event's acknowledgement, by event id, on the monotonic clock."""
    sent: int = 0
    again: int = 0
    """Failed tries, over all events."""

    async def visit(self, port: int, identity: str, number: int) -> None:
        """Send one event; when that fails, try again as patiently as the tag does."""
        started = time.monotonic()
        self.sent += 1
        for attempt in range(6):
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                if await asyncio.wait_for(_post(port, identity, number), 30) == b"204":
                    self.waits_ms.append((time.monotonic() - started) * 1000)
                    self.acknowledged[identity] = time.monotonic()
                    return
            self.again += 1
            await asyncio.sleep(1 + attempt)

    async def stay(self, port: int, name: str, seconds: float) -> None:
        """Send a hundred events a minute, each from a visitor of its own."""
        tasks = []
        for number in range(round(seconds / _EVERY)):
            tasks.append(asyncio.create_task(self.visit(port, f"{name}-{number}", number)))
            await asyncio.sleep(random.uniform(0.5, 1.5) * _EVERY)
        await asyncio.gather(*tasks)


async def _post(port: int, identity: str, number: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.1.0.{number % 200 + 1}", 0))
    try:
        writer.write(request(visit(identity, "1001")))
        return (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
    finally:
        writer.close()


@dataclass
class Peaks:
    """The most memory and disk that a proxy used, and how often its operator listener failed to answer."""

    memory_mb: float = 0.0
    disk_mb: float = 0.0
    operator_failed: int = 0

    async def watch(self, machine: PinnedMachine) -> None:
        """Look every half second until cancelled."""
        while True:
            self.memory_mb = max(self.memory_mb, machine.memory_mb())
            self.disk_mb = max(self.disk_mb, _disk_mb(machine.directory / "data"))
            try:
                await asyncio.wait_for(machine.waiting(), 5)
            except (OSError, TimeoutError, ValueError):
                self.operator_failed += 1
            await asyncio.sleep(0.5)


def _disk_mb(directory: Path) -> float:
    sizes = 0
    for path in directory.iterdir():
        with suppress(FileNotFoundError):
            sizes += path.stat().st_blocks * 512 if path.name != "ballast" else 0
    return sizes / 1e6


@dataclass
class Result:
    """What was measured of one attack."""

    quiet: Honest
    beside: Honest
    peaks: Peaks
    delivered: int
    late_s: float
    log: str
    answers: str
    seconds: float


@asynccontextmanager
async def _proxy(place: Path, graph: str) -> AsyncIterator[PinnedMachine]:
    machine = PinnedMachine(place, graph, limited=True)
    text = machine.config.read_text().replace('trusted_proxies = ["127.0.0.1/32"]', "trusted_proxies = []")
    machine.config.write_text(text + "\n[retention]\nledger_max_bytes = 1048576\n")
    machine.program = ("-c", _LIMITED, "serve")
    try:
        await machine.start()
        yield machine
    finally:
        await machine.stop()


async def attacked(name: str, seconds: float, place: Path) -> Result:
    """Run one attack on a fresh proxy."""
    graph = StrictGraph(watched=re.compile(rb'"event_id":"(quiet-\d+|beside-\d+)"'))
    graph.latencies["1001"] = _LATENCY
    async with served(graph) as address, _proxy(place, address) as machine:
        quiet, beside, peaks = Honest(), Honest(), Peaks()
        for number in range(_WARM):
            await Honest().visit(machine.port, f"warm-{number}", number)
        await quiet.stay(machine.port, "quiet", seconds)
        watcher = asyncio.create_task(peaks.watch(machine))
        attacker = await asyncio.create_subprocess_exec(
            *("nice", "-n", "10", sys.executable, str(Path(__file__).with_name("attackers.py")), name),
            *("--port", str(machine.port), "--seconds", str(seconds)),
            stdout=asyncio.subprocess.PIPE,
        )
        await asyncio.sleep(2)
        await beside.stay(machine.port, "beside", seconds)
        output, _ = await attacker.communicate()
        arrived = await _arrived(graph, beside)
        watcher.cancel()
        waits = [
            at - beside.acknowledged[identity] for identity, at in arrived.items() if identity in beside.acknowledged
        ]
        log = machine.log()
    return Result(quiet, beside, peaks, len(arrived), max(waits, default=0.0), log, output.decode().strip(), seconds)


async def _arrived(graph: FakeGraph, honest: Honest) -> dict[str, float]:
    deadline = time.monotonic() + 60
    while True:
        found: dict[str, float] = {}
        for arrival in graph.arrivals:
            if arrival.good:
                for identity in arrival.ids:
                    found.setdefault(identity.decode(), arrival.at)
        found = {identity: at for identity, at in found.items() if identity.startswith("beside-")}
        if found.keys() >= honest.acknowledged.keys() or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.2)


def _row(name: str, result: Result) -> tuple[object, ...]:
    quiet, beside = percentile(result.quiet.waits_ms, 0.99), percentile(result.beside.waits_ms or [0.0], 0.99)
    return (
        name,
        f"{len(result.beside.acknowledged)}/{result.beside.sent}",
        result.beside.again,
        result.delivered,
        f"{result.late_s:.1f}",
        f"{quiet:.1f}",
        f"{beside:.1f}",
        f"{result.peaks.memory_mb:.0f}",
        f"{result.peaks.disk_mb:.0f}",
        result.peaks.operator_failed,
        len(result.log.splitlines()),
        result.answers,
    )


def _goals(name: str, result: Result) -> None:
    quiet, beside = percentile(result.quiet.waits_ms, 0.99), percentile(result.beside.waits_ms or [1e9], 0.99)
    goal(f"{name}: honest events acknowledged", len(result.beside.acknowledged) / result.beside.sent, 1)
    goal(f"{name}: of those delivered", result.delivered / max(1, len(result.beside.acknowledged)), 1)
    goal(f"{name}: the latest delivery, s", result.late_s, 5, most=True)
    goal(f"{name}: disk, MB", result.peaks.disk_mb, _DISK_MB, most=True)
    goal(f"{name}: p99 / quiet p99", beside / quiet, 5, most=True)
    goal(f"{name}: memory, MB", result.peaks.memory_mb, 300, most=True)
    goal(f"{name}: operator listener not reached", result.peaks.operator_failed, 0, most=True)
    goal(f"{name}: log lines a second", len(result.log.splitlines()) / result.seconds, 1, most=True)
    goal(f"{name}: private words in the log", len(_PRIVATE.findall(result.log)), 0, most=True)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(ATTACKS)))
@click.option("--seconds", default=60.0, show_default=True)
def main(names: tuple[str, ...], seconds: float) -> None:
    """Attack the proxy in every way, or in the ways named."""
    start()
    with workplace() as place:
        results = {}
        for name in names or tuple(ATTACKS):
            results[name] = asyncio.run(attacked(name, seconds, place / name))
            _goals(name, results[name])
    head = ("", "acknowledged", "again", "delivered", "late s", "quiet p99", "p99 ms", "MB", "disk", "operator", "log")
    print(f"{seconds:.0f} s each; {os.cpu_count()} cores, the proxy on one")
    table((*head, "the attacker saw"), [_row(name, result) for name, result in results.items()])


if __name__ == "__main__":
    main()

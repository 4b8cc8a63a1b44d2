"""The real process on a disk that fails, is slow or is full: acknowledged events still arrive."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import orjson
import pytest
from conftest import Say
from machine import Machine
from mounts import small_disk
from servers import simulator
from support import browser_headers, page_views, until
from traffic import Load, loaded, settled_account
from vfs import DISK_FAULTS

NOBODY = "http://127.0.0.1:1"
RESERVE = 2 << 20
# The real program on a disk that fails once a file with the given name exists.
_ON_A_FAILING_DISK = """
import sys
from pathlib import Path
from vfs import DISK_FAULTS, Disk
fail, switch = DISK_FAULTS[sys.argv.pop(1)], Path(sys.argv.pop(1))
disk = Disk(lambda *facts: fail(*facts) if switch.exists() else None)
from proxy.queue.sqlite import connection
connection.VFS = disk.name
from proxy.cli.commands import main
main()
"""


class FaultyMachine(Machine):
    """A machine whose disk fails from ``break_disk`` on, in one of the ways of ``DISK_FAULTS``."""

    fault = "sync"

    def break_disk(self) -> None:
        (self.directory / "broken").touch()

    def mend_disk(self) -> None:
        (self.directory / "broken").unlink()

    def command(self) -> tuple[str, ...]:
        switch = str(self.directory / "broken")
        return (sys.executable, "-c", _ON_A_FAILING_DISK, self.fault, switch, "serve", "--config", str(self.config))


@pytest.mark.parametrize("fault", [name for name in DISK_FAULTS if name != "slow"])
async def test_the_process_ends_with_1_when_its_disk_fails(tmp_path: Path, say: Say, fault: str) -> None:
    """Under load a failed flush or write, or a disk gone read-only, ends the process with 1 and a reason.

    Restarted on a sound disk, it delivers all acknowledged events.
    """
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = FaultyMachine(tmp_path, graph)
        machine.fault = fault
        await machine.start()
        async with loaded(machine, "failing") as load:
            await until(partial(load.has, 100), what="load")
            size = machine.memory_mb()
            machine.break_disk()
            assert machine.process
            code = await asyncio.wait_for(machine.process.wait(), 60)
        log = machine.log()
        healthy = Machine(tmp_path, graph)
        await healthy.start()
        account = await settled_account(session, graph, load.acknowledged)
        assert await healthy.terminate() == 0
    say(
        f"disk fault {fault}: {len(load.acknowledged)} acknowledged, {len(account.missing)} missing, "
        f"{account.copies} delivered again, RSS {size:.0f} MB"
    )

    # Tracebacks are not checked: apsw passes on what a VFS raises while SQLite closes, which SQLite ignores of a real
    # disk.
    assert (code, account.missing) == (1, set())
    assert load.refused > 0
    assert log.splitlines()[-1].startswith("capi-proxy: ")
    assert "injected" in log.splitlines()[-1]


async def test_a_slow_disk_slows_the_process_and_nothing_else(tmp_path: Path, say: Say) -> None:
    """With 200 ms a flush under load, readiness holds and memory does not grow."""
    ready: set[int] = set()
    sizes: list[float] = []

    async def look() -> None:
        async with session.get(f"{machine.operator}/readyz") as answer:
            ready.add(answer.status)
        sizes.append(machine.memory_mb())

    async def reached(goal: int) -> bool:
        await look()
        return len(load.acknowledged) >= goal

    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = FaultyMachine(tmp_path, graph)
        machine.fault = "slow"
        await machine.start()
        async with loaded(machine, "slow") as load:
            await until(partial(reached, 100), what="load")
            machine.break_disk()
            before = len(load.acknowledged)
            await until(partial(reached, before + 500), seconds=60, what="acknowledgements from a slow disk")
            machine.mend_disk()
            await until(partial(reached, len(load.acknowledged) + 500), what="recovery")
        account = await settled_account(session, graph, load.acknowledged)
        assert await machine.terminate() == 0
    say(
        f"slow disk: {len(load.acknowledged)} acknowledged, {len(account.missing)} missing, "
        f"readiness {sorted(ready)}, RSS at most {max(sizes):.0f} MB"
    )

    assert (account.missing, load.refused, ready) == (set(), 0, {200})
    assert max(sizes) < 150
    assert "Traceback" not in machine.log()


# -- a disk that is really full


def fill(file: Path) -> None:
    """Use every byte that is left."""
    with file.open("wb", buffering=0) as taken:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    taken.write(bytes(size))
            except OSError:
                continue


def reserving(directory: Path, graph: str) -> Machine:
    machine = Machine(directory, graph)
    with machine.config.open("a") as config:
        config.write(f"[queue]\nmin_free_bytes = {RESERVE}\n")
    return machine


@asynccontextmanager
async def on_a_small_disk(directory: Path, graph: str) -> AsyncIterator[Machine]:
    with small_disk(directory / "data"):
        machine = reserving(directory, graph)
        await machine.start()
        try:
            yield machine
        finally:
            if machine.process and machine.process.returncode is None:
                await machine.kill()


async def _answers(session: aiohttp.ClientSession, machine: Machine, name: str) -> tuple[int, str, int, int]:
    """Post one event; return its status and Retry-After, and the statuses of healthz and readyz."""
    body = orjson.dumps(page_views([name]))
    async with session.post(f"{machine.public}/shop-tools/e", data=body, headers=browser_headers()) as answer:
        status, retry = answer.status, answer.headers.get("Retry-After", "")
    async with session.get(f"{machine.public}/healthz") as healthy, session.get(f"{machine.operator}/readyz") as ready:
        return status, retry, healthy.status, ready.status


@pytest.mark.parametrize("rounds", [3])
async def test_a_really_full_disk_refuses_and_recovers(tmp_path: Path, say: Say, rounds: int) -> None:
    """While the disk is full: 503 with Retry-After, not ready; with room again, without a restart: 204, ready, no loss.

    The log has a line when the disk is full and one when that is over, however many requests were refused.
    """
    acknowledged: set[str] = set()
    sizes, refused = [], 0
    async with (
        simulator() as graph,
        aiohttp.ClientSession() as session,
        on_a_small_disk(tmp_path, graph) as machine,
    ):
        filler = tmp_path / "data" / "filler"
        for number in range(rounds):
            async with loaded(machine, f"full-{number}") as load:
                await until(partial(load.has, 100), what="load")
                sizes.append(machine.memory_mb())
                await asyncio.to_thread(fill, filler)
                await until(partial(_refused, load, 200), what="refusals")
                full = await _answers(session, machine, f"while-{number}")
                sizes.append(machine.memory_mb())
                filler.unlink()
                stored = len(load.acknowledged)
                await until(partial(load.has, stored + 50), what="recovery")
            acknowledged |= load.acknowledged
            refused += load.refused
            again = await _answers(session, machine, f"then-{number}")
            assert (full[0], bool(full[1]), full[2:]) == (503, True, (503, 503))
            assert (again[0], again[2:]) == (204, (200, 200))
        account = await settled_account(session, graph, acknowledged)
        assert await machine.terminate() == 0
    say(
        f"full disk, {rounds} times: {len(acknowledged)} acknowledged, {len(account.missing)} missing, "
        f"{refused} requests refused, RSS MB {[round(size) for size in sizes]}"
    )

    assert account.missing == set()
    assert len([line for line in machine.log().splitlines() if "queue" in line or "disk" in line]) <= 4 * rounds
    assert max(sizes) < 150
    assert "Traceback" not in machine.log()


async def _refused(load: Load, goal: int) -> bool:
    return load.refused >= goal


async def test_a_start_on_a_full_disk_lets_what_waits_leave(tmp_path: Path) -> None:
    """Restarted on a disk that is full by now, the proxy refuses new events and delivers those it has."""
    async with (
        simulator() as graph,
        aiohttp.ClientSession() as session,
        on_a_small_disk(tmp_path, NOBODY) as machine,
    ):
        async with loaded(machine, "before") as load:
            await until(partial(load.has, 100), what="load")
            await machine.kill()
        await asyncio.to_thread(fill, tmp_path / "data" / "filler")
        again = reserving(tmp_path, graph)
        await again.start()
        status, retry, _, _ = await _answers(session, again, "while-full")
        await again.drained()
        account = await settled_account(session, graph, load.acknowledged, seconds=0)
        assert await again.terminate() == 0

    assert (status, bool(retry), account.missing) == (503, True, set())

"""The command ``send`` with a running proxy: each event of a file reaches Graph once."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from commands_here import House, invoke_beside
from machine import PIXEL, ROOT, Machine
from polling import until
from servers import simulator

KEY = "access-key-of-the-shop-KEEP-OUT"


class Road:
    """A running proxy with an access key, and the simulator to which it delivers."""

    def __init__(self, machine: Machine, graph: str) -> None:
        self.machine = machine
        self.graph = graph
        self.file = machine.directory / "events.jsonl"

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start the command as a process, which can be killed."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy", "send", "--config", str(self.machine.config), *arguments),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def send(self, *arguments: str) -> tuple[int, str]:
        """Run the command to its end; return its exit code and what it printed."""
        done = await invoke_beside("send", "--config", str(self.machine.config), *(arguments or [str(self.file)]))
        return done.exit_code, done.stdout + done.stderr

    async def arrived(self) -> list[dict[str, Any]]:
        """Return the events that the simulator received, once no event waits."""
        await self.machine.drained()
        async with aiohttp.ClientSession() as session, session.get(f"{self.graph}/sim/events?read=1") as answer:
            found: list[dict[str, Any]] = orjson.loads(await answer.read())["events"]
            return found


def _with_key(machine: Machine) -> None:
    text = machine.config.read_text()
    machine.config.write_text(
        text.replace("[[site]]\n", f'[[site]]\naccess_keys = ["{KEY}"]\norders.wait_seconds = 0\n')
    )


@pytest.fixture(name="road")
async def _road(tmp_path: Path) -> AsyncIterator[Road]:
    async with simulator() as graph:
        house = House(tmp_path, graph)
        _with_key(house)
        await house.start()
        yield Road(house, graph)
        await house.end()


@pytest.fixture(name="killable")
async def _killable(tmp_path: Path) -> AsyncIterator[Road]:
    """A proxy that is a process of its own, so that it can be killed, with its simulator."""
    async with simulator() as graph:
        machine = Machine(tmp_path, graph)
        _with_key(machine)
        await machine.start()
        yield Road(machine, graph)
        assert await machine.terminate() == 0


def _sale(number: int) -> dict[str, Any]:
    return {
        "event_name": "Purchase",
        "event_time": int(time.time()) - 3600,
        "event_id": f"e-{number}",
        "action_source": "physical_store",
        "user_data": {"em": f"buyer{number}@plants.example", "external_id": str(number)},
        "custom_data": {"value": 9.5, "currency": "EUR"},
    }


def _write(path: Path, number: int) -> None:
    path.write_bytes(b"".join(orjson.dumps(_sale(each)) + b"\n" for each in range(number)))


async def test_events_of_a_file_reach_graph(road: Road) -> None:
    """Shop-till events that are older than a week reach Graph hashed, with their ids, source and test code."""
    old = {**_sale(1), "event_time": int(time.time()) - 30 * 86_400}
    road.file.write_bytes(orjson.dumps(old) + b"\n")

    code, text = await road.send("--test-event-code", "TEST1", str(road.file))

    assert code == 0, text
    (event,) = await road.arrived()
    assert (event["id"], event["action_source"], event["request"]["test_event_code"]) == (
        "e-1",
        "physical_store",
        "TEST1",
    )
    assert event["read"]["event_time"] == old["event_time"]
    assert "plants.example" not in orjson.dumps(event).decode()


async def test_what_the_proxy_refuses_is_named(road: Road) -> None:
    """An event whose match keys only the proxy finds too broad is named by its line, and the others are delivered."""
    broad = {**_sale(7), "user_data": {"country": "de"}}
    road.file.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in (_sale(1), broad, _sale(2))))

    code, text = await road.send()

    assert (code, "line 2: " in text) == (1, True), text
    assert {event["id"] for event in await road.arrived()} == {"e-1", "e-2"}


async def test_a_killed_command_loses_and_doubles_nothing(road: Road) -> None:
    """Although the command is killed three times, each event reaches Graph exactly once."""
    _write(road.file, 6000)

    for kills in range(3):
        await _kill_at(road, 1000 * (kills + 1))
    code, text = await road.send()

    assert code == 0, text
    counts = Counter(event["id"] for event in await road.arrived())
    assert counts == {f"e-{each}": 1 for each in range(6000)}


async def test_a_killed_proxy_loses_nothing(killable: Road) -> None:
    """If the proxy is killed between two runs, each event reaches Graph, and only unconfirmed events twice."""
    _write(killable.file, 4000)

    await _kill_at(killable, 1000)
    await killable.machine.kill()
    await killable.machine.start()
    code, text = await killable.send()

    assert code == 0, text
    assert {event["id"] for event in await killable.arrived()} == {f"e-{each}" for each in range(4000)}


async def _kill_at(road: Road, sent: int) -> None:
    progress = road.file.with_name(f"{road.file.name}.{PIXEL}.progress")
    process = await road.start(str(road.file))
    await until(lambda: _sent(progress) >= sent, what="progress")
    process.kill()
    await process.communicate()


def _sent(progress: Path) -> int:
    try:
        return int(orjson.loads(progress.read_bytes())["sent"])
    except FileNotFoundError:
        return 0

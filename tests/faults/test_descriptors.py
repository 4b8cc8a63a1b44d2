"""With few file descriptors, many silent connections block neither listener, and events are still accepted."""

import asyncio
import logging
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import orjson
import pytest
from machine import Machine
from servers import simulator
from support import browser_headers, get_json, page_views, until

from proxy.edge.net.descriptors import raise_descriptor_limit
from proxy.telemetry.conditions import Conditions

_LIMITED = """
import resource, runpy, sys
most = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
runpy.run_module("proxy", run_name="__main__", alter_sys=True)
"""


class Poor(Machine):
    """A proxy that may open few files."""

    descriptors = 100

    def command(self) -> tuple[str, ...]:
        return (sys.executable, "-c", _LIMITED, str(self.descriptors), "serve", "--config", str(self.config))


@asynccontextmanager
async def crowd(port: int, count: int) -> AsyncIterator[None]:
    """Hold silent connections from many addresses; open them again when they are closed."""

    async def silent(address: str) -> None:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
                try:
                    await reader.read()
                finally:
                    writer.close()
            await asyncio.sleep(0.2)

    tasks = [asyncio.create_task(silent(f"127.0.1.{number % 200 + 1}")) for number in range(count)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def posted(session: aiohttp.ClientSession, machine: Machine, name: str) -> list[str]:
    """Post events, each on a connection of its own, repeatedly until it is acknowledged; return their ids."""
    ids = [f"{name}-{number}" for number in range(10)]
    for identity in ids:

        async def acknowledged(identity: str = identity) -> bool:
            body, headers = orjson.dumps(page_views([identity])), browser_headers(Connection="close")
            with suppress(aiohttp.ClientError):
                async with session.post(f"{machine.public}/shop-tools/e", data=body, headers=headers) as answer:
                    return answer.status == 204
            return False

        await until(acknowledged, what=f"the acknowledgement of {identity}")
    return ids


@pytest.mark.parametrize(("descriptors", "count"), [(100, 400), (1024, 1500)])
async def test_few_descriptors_and_many_silent_connections(tmp_path: Path, descriptors: int, count: int) -> None:
    """Events are accepted and delivered despite the crowd, a condition says why, and the log stays short."""
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Poor(tmp_path, graph)
        machine.descriptors = descriptors
        await machine.start()
        async with crowd(machine.port, count):

            async def full() -> bool:
                async with session.get(f"{machine.operator}/api/status") as answer:
                    if answer.status == 408:  # the crowd keeps this process so busy that it is late itself
                        return False
                    status = await answer.json()
                codes = {f"{condition['code']} {condition['subject']}" for condition in status["conditions"]}
                return codes >= {"descriptors limit", "connections_full public"}

            await until(full, what="the conditions of a full house")
            ids = await posted(session, machine, "beside")

            async def delivered() -> bool:
                pairs = (await get_json(session, f"{graph}/sim/report"))["pairs"]
                return {pair["id"] for pair in pairs if pair["server"]} >= set(ids)

            await until(delivered, what="delivery beside the crowd")
        await posted(session, machine, "after")
        code, log = await machine.terminate(), machine.log()

    assert code == 0
    assert len(log.splitlines()) < 20
    assert not any(word in log for word in ("Traceback", "127.0.1.", "Too many open files"))


def test_the_limit_is_raised_as_far_as_it_may(caplog: pytest.LogCaptureFixture) -> None:
    """The soft limit is raised as far as needed within the hard one; if that is too low, a condition says so."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    caplog.set_level(logging.WARNING)
    conditions = Conditions(lambda: 0)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
        enough = raise_descriptor_limit(300, conditions)
        raised = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        nothing_to_tell = conditions.current()
        few = raise_descriptor_limit(10 * before[1], conditions)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert enough == 300
    assert 300 < raised <= before[1]
    assert nothing_to_tell == []
    assert before[1] // 2 <= few < before[1]
    assert [(condition.code, condition.subject) for condition in conditions.current()] == [("descriptors", "limit")]
    assert len(caplog.records) == 1

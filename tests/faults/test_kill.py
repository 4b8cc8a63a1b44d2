"""The process is killed or ended under load; acknowledged events still arrive."""

import asyncio
import os
import random
import sys
from functools import partial
from pathlib import Path

import aiohttp
import apsw
import pytest
from conftest import Say
from machine import ROOT, Machine
from servers import simulator
from support import until
from traffic import loaded, settled_account

KILLS = int(os.environ.get("CAPI_PROXY_KILLS", "8"))
ROUNDS = 50  # kills between two accounts: the simulator remembers 100,000 copies


@pytest.mark.timeout(240 + 30 * KILLS)
async def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path: Path, say: Say) -> None:
    """Killed at random moments under load, again and again, every event answered with 204 reaches Graph."""
    chance = random.Random(2026)  # noqa: S311 - moments, not secrets
    total = again = 0
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(tmp_path, graph)
        for start in range(0, KILLS, ROUNDS):
            acknowledged = await _killed_often(machine, chance, range(start, min(KILLS, start + ROUNDS)))
            await machine.start()
            account = await settled_account(session, graph, acknowledged)
            assert account.missing == set()
            assert await machine.terminate() == 0
            async with session.post(f"{graph}/sim/reset") as answer:
                assert answer.status < 300
            total, again = total + len(acknowledged), again + account.copies
    database = apsw.Connection(str(tmp_path / "data" / "queue.db"))
    intact = database.pragma("integrity_check")
    database.close()
    # Events are delivered again if the kill came after Graph's answer, or just before it, and before the commit.
    say(f"{KILLS} kills: {total} acknowledged, 0 missing, {again} delivered again with the same ids")

    assert intact == "ok"
    assert "Traceback" not in machine.log()


async def _killed_often(machine: Machine, chance: random.Random, rounds: range) -> set[str]:
    acknowledged: set[str] = set()
    for number in rounds:
        await machine.start()
        goal = chance.randrange(20, 400)
        async with loaded(machine, f"round-{number}") as load:
            await until(partial(_reached, load.acknowledged, goal), what="load")
            await machine.kill()
        acknowledged |= load.acknowledged
    return acknowledged


async def _reached(acknowledged: set[str], goal: int) -> bool:
    return len(acknowledged) >= goal


async def test_an_orderly_end_loses_nothing(tmp_path: Path) -> None:
    """On SIGTERM under load requests in progress are answered, the exit code is 0, and acknowledged events arrive."""
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(tmp_path, graph)
        await machine.start()
        async with loaded(machine, "drain") as load:
            await until(lambda: _reached(load.acknowledged, 200), what="load")
            code = await machine.terminate()
        await machine.start()
        account = await settled_account(session, graph, load.acknowledged)
        await machine.terminate()

    assert (code, account.missing) == (0, set())
    assert "Traceback" not in machine.log()


async def test_an_orderly_end_lets_a_slow_upload_finish(tmp_path: Path) -> None:
    """A request whose body is still being sent at SIGTERM is read, stored and answered."""
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(tmp_path, graph)
        await machine.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", machine.port)
        body = b'{"v":1,"sent":1,"events":[]}'
        writer.write(
            b"POST /shop-tools/e HTTP/1.1\r\nHost: shop.example\r\nOrigin: https://shop.example\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body[:10])
        )
        await writer.drain()
        await until(lambda: _in_flight(session, machine), what="the request under way")
        ending = asyncio.create_task(machine.terminate())
        await until(lambda: _refuses(machine), what="the closed door")
        writer.write(body[10:])
        line = await asyncio.wait_for(reader.readline(), 60)
        writer.close()

        assert line.split()[1] == b"204"
        assert await ending == 0


async def _in_flight(session: aiohttp.ClientSession, machine: Machine) -> bool:
    """Tell whether the server has read the half request: it answers this one, which was sent later."""
    async with session.get(f"{machine.public}/healthz") as answer:
        return answer.status == 200


async def _refuses(machine: Machine) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", machine.port)
    except OSError:
        return True
    writer.close()
    return False


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """Of two proxies on one data_dir the second says why it ends with 1, and the first goes on."""
    async with simulator() as graph:
        machine = Machine(tmp_path, graph)
        await machine.start()
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy", "serve", "--config", str(machine.config)),
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await asyncio.wait_for(second.communicate(), 60)
        async with loaded(machine, "alone") as load:
            await until(lambda: _reached(load.acknowledged, 30), what="load")
        await machine.terminate()

    assert second.returncode == 1
    assert b"another capi-proxy works here; stop it first" in errors
    assert b"Traceback" not in errors

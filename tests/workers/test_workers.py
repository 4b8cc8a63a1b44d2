"""Fronts and a back as real processes: any may die at any time, and everything acknowledged arrives."""

import asyncio
import os
import random
import signal
from functools import partial
from pathlib import Path

import aiohttp
import apsw
import pytest
from conftest import Say
from machine import ROOT, Machine, lives
from prometheus_client.parser import text_string_to_metric_families
from rounds import all_here, kill, more, post, steady_load
from servers import simulator
from support import browser_headers, until
from traffic import settled_account

KILLS = int(os.environ.get("CAPI_PROXY_WORKER_KILLS", "6"))


@pytest.mark.timeout(300 + 30 * KILLS)
async def test_nothing_acknowledged_is_lost_to_the_death_of_a_front_or_of_the_back(tmp_path: Path, say: Say) -> None:
    """Processes killed in turn at random times under load are restarted, and every 204 reaches Graph."""
    chance = random.Random(15)  # noqa: S311 - moments, not secrets
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(tmp_path, graph, workers=2)
        await machine.start()
        async with steady_load(machine, "kill") as load:
            for number in range(KILLS):
                await more(load, chance.randrange(20, 200))
                processes = await all_here(machine)
                kill(processes["back" if number % 2 else chance.choice(["front-1", "front-2"])])
            await all_here(machine)
            await more(load)
        account = await settled_account(session, graph, load.acknowledged)
        code = await machine.terminate()
    say(
        f"{KILLS} kills of fronts and backs: {len(load.acknowledged)} acknowledged, {len(account.missing)} missing, "
        f"{load.refused} answers other than 204, {account.copies} delivered again with the same ids"
    )

    assert (code, account.missing) == (0, set())
    assert "Traceback" not in machine.log()


async def test_connections_that_wait_at_a_dead_front_are_served_by_the_next(tmp_path: Path) -> None:
    """A client that connected to a front which died before accepting is answered by the next front."""
    async with simulator() as graph:
        machine = Machine(tmp_path, graph, workers=2)
        await machine.start()
        first = (await all_here(machine))["front-1"]
        kill(first, signal.SIGSTOP)
        state = Path(f"/proc/{first}/stat")
        await until(lambda: state.read_text().rpartition(") ")[2].startswith("T"), what="the front to stand still")
        waiting = [asyncio.create_task(post(machine, f"waiting-{number}")) for number in range(24)]
        # The kernel spreads connections over both fronts; those of the other one are answered.
        await until(lambda: sum(task.done() for task in waiting) > 2, what="the answers of the other front")
        left = [task for task in waiting if not task.done()]
        kill(first)
        answers = await asyncio.gather(*waiting)
        await machine.terminate()

    assert left, "no connection came to the front that was stopped"
    assert answers == [(204, "")] * 24


async def test_the_number_of_fronts_may_change_at_any_start(tmp_path: Path) -> None:
    """Four fronts, then a single process, then three: each continues with what the previous one left."""
    acknowledged: set[str] = set()
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(tmp_path, graph)
        for workers in (4, 1, 3):
            machine.workers = workers
            machine.write_config()
            await machine.start()
            assert len(machine.children()) == (workers + 1 if workers > 1 else 0)
            async with steady_load(machine, f"of-{workers}") as load:
                await more(load)
                code = await machine.terminate()
            assert code == 0
            acknowledged |= load.acknowledged
        await machine.start()
        account = await settled_account(session, graph, acknowledged)
        await machine.terminate()

    assert account.missing == set()


async def test_an_end_told_to_all_processes_at_once_is_in_order(tmp_path: Path) -> None:
    """If a service manager sends SIGTERM to each process, the back ends last, and requests in progress are answered."""
    async with simulator() as graph:
        machine = Machine(tmp_path, graph, workers=2)
        await machine.start()
        processes = await all_here(machine)
        reader, writer = await asyncio.open_connection("127.0.0.1", machine.port)
        body = b'{"v":1,"sent":1,"consent":"revoked","events":[]}'
        head = "".join(f"{name}: {value}\r\n" for name, value in browser_headers().items())
        writer.write(f"POST /shop-tools/e HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:10])
        await writer.drain()
        # A later request at each front shows that its earlier connections were accepted and read.
        for number in range(12):
            await post(machine, f"later-{number}")
        for pid in (*processes.values(), machine.pid):
            kill(pid, signal.SIGTERM)
        await until(partial(_refuses, machine), what="the closed door")
        writer.write(body[10:])
        line = await asyncio.wait_for(reader.readline(), 60)
        writer.close()
        assert machine.process
        code = await asyncio.wait_for(machine.process.wait(), 60)

    assert line.split()[1] == b"204"
    assert code == 0
    assert not (tmp_path / "data" / "back.sock").exists()


async def _refuses(machine: Machine) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", machine.port)
    except OSError:
        return True
    writer.close()
    return False


async def test_a_back_that_hangs_acknowledges_nothing_and_fills_no_memory(tmp_path: Path) -> None:
    """While the back is stopped, fronts answer 503 with Retry-After at once and use little memory.

    When the back runs again, all acknowledged events are delivered.
    """
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(tmp_path, graph, workers=2)
        await machine.start()
        processes = await all_here(machine)
        async with steady_load(machine, "hung") as load:
            await more(load)
            kill(processes["back"], signal.SIGSTOP)
            try:
                refused = load.refused
                await until(lambda: load.refused > refused + 200, what="refusals")
                acknowledged = len(load.acknowledged)
                assert await post(machine, "refused") == (503, "5")
                refused = load.refused
                await until(lambda: load.refused > refused + 200, what="more refusals")
                assert len(load.acknowledged) == acknowledged
                assert max(_rss_mb(processes[f"front-{number}"]) for number in (1, 2)) < 200
            finally:
                kill(processes["back"], signal.SIGCONT)
            await more(load)
        account = await settled_account(session, graph, load.acknowledged)
        await machine.terminate()

    assert account.missing == set()


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1000


async def test_the_metrics_of_the_back_hold_what_fronts_count(tmp_path: Path) -> None:
    """The operator listener adds up the counts of all fronts, including those of a front that ended normally."""
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(tmp_path, graph, workers=2)
        await machine.start()
        for number in range(30):
            assert (await post(machine, f"id-{number % 20}"))[0] == 204
        kill((await all_here(machine))["front-1"], signal.SIGTERM)

        async def counted() -> bool:
            figures = await _figures(session, machine)
            return figures.get("capi_proxy_requests_total collect 204", 0) >= 30

        await until(counted, what="the counts of both fronts")
        figures = await _figures(session, machine)
        await all_here(machine)
        await machine.terminate()

    assert figures["capi_proxy_requests_total collect 204"] == 30
    assert figures["capi_proxy_events_total stored"] == 20
    assert figures["capi_proxy_events_total duplicate"] == 10


async def _figures(session: aiohttp.ClientSession, machine: Machine) -> dict[str, float]:
    async with session.get(f"{machine.operator}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
        samples = [sample for family in families for sample in family.samples]
        return {
            " ".join([each.name, *(each.labels[name] for name in sorted(each.labels) if each.labels[name])]): each.value
            for each in samples
        }


async def test_no_two_processes_seal_with_one_nonce(tmp_path: Path) -> None:
    """Each front seals with a salt of its own, so two fronts' sealed texts never begin alike."""
    machine = Machine(tmp_path, "http://127.0.0.1:1", workers=2)
    await machine.start()
    for number in range(30):
        assert (await post(machine, f"id-{number}"))[0] == 204
    await machine.terminate()
    database = apsw.Connection(str(tmp_path / "data" / "queue.db"))
    heads = [bytes(head) for (head,) in database.execute("SELECT substr(sealed, 1, 29) FROM segment")]
    database.close()

    assert len(set(heads)) == len(heads)
    assert len({head[:21] for head in heads}) == 2


async def test_children_do_not_outlive_their_parent(tmp_path: Path) -> None:
    """If only the parent is killed, fronts and back end normally, and the next start loses nothing."""
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(tmp_path, graph, workers=2)
        await machine.start()
        processes = await all_here(machine)
        async with steady_load(machine, "orphans") as load:
            await more(load)
            kill(machine.pid)
            await until(lambda: not any(map(lives, processes.values())), what="their end")
        assert machine.process
        await machine.process.wait()
        await machine.start()
        account = await settled_account(session, graph, load.acknowledged)
        await machine.terminate()

    assert account.missing == set()


@pytest.mark.parametrize("taken", ["operator_port", "port"])
async def test_a_port_that_is_taken_is_told_once(taken: str, tmp_path: Path) -> None:
    """A second proxy at the same port does not share it by accident, but ends with one line of error."""
    machine = Machine(tmp_path / "one", "http://127.0.0.1:1", workers=2)
    other = Machine(tmp_path / "two", "http://127.0.0.1:1", workers=3)
    setattr(other, taken, getattr(machine, taken))
    other.write_config()
    await machine.start()
    second = await asyncio.create_subprocess_exec(
        *other.command(), cwd=ROOT, env=other.environment(), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(second.communicate(), 120)
    assert (await post(machine, "still-here"))[0] == 204
    await machine.terminate()

    assert second.returncode == 1
    assert errors.decode().lower().count("address already in use") == 1, errors.decode()
    assert b"Traceback" not in errors

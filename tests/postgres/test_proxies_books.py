"""Whole proxies and commands on one shared database all show the same contents, and name their proxy."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from machine import Machine, free_port, run
from postgres_server import USER, Cluster, psql
from support import PIXEL, Installation, get_json, installation, page_views, record, until

from proxy.config import load
from proxy.installation import Installation as Place
from proxy.installation import now_ms, open_books, open_queue
from proxy.model.verdict import GraphError
from proxy.queue.contract import NewDeadLetter, QueueError, Settlement


@pytest.fixture(name="url")
def _url(postgres: Cluster) -> Iterator[str]:
    """Yield the address of a database of the test's own."""
    name = f"t{uuid.uuid4().hex}"
    psql(postgres, f"CREATE DATABASE {name} OWNER {USER}")
    yield postgres.url(database=name)
    psql(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def shared(url: str) -> dict[str, Any]:
    return {"queue": {"engine": "postgres", "url": url, "min_free_bytes": 0}}


async def status(proxy: Installation) -> dict[str, Any]:
    return await get_json(proxy.session, f"{proxy.operator}/api/status")


async def listed(proxy: Installation, query: str = "") -> list[str]:
    found = await get_json(proxy.session, f"{proxy.operator}/api/events{query}")
    return [row["id"] for row in found["events"]]


async def test_a_queue_in_a_file_is_taken_over(tmp_path: Path, url: str) -> None:
    """After a change of the engine, waiting events of queue.db are delivered, and their repeats are recognised."""
    async with installation(tmp_path) as proxy:
        await proxy.fault(mode="500", **{"for": 600})
        assert (await proxy.post(page_views(["a", "b", "c"])))[0] == 204
    async with installation(tmp_path, more=shared(url)) as proxy:
        report = await proxy.counted(3)
        assert (await proxy.post(page_views(["a", "d"])))[0] == 204
        report = await proxy.counted(4)
        await until((tmp_path / "data" / "queue.db.moved").exists, what="the file is renamed")
        rows = await get_json(proxy.session, f"{proxy.operator}/api/events?status=duplicate")

    assert [pair["server"] for pair in report["pairs"]] == [1, 1, 1, 1]
    assert not (tmp_path / "data" / "queue.db").exists()
    assert {row["id"] for row in rows["events"]} <= {"a"}


async def test_two_proxies_tell_the_same_and_who_said_it(tmp_path: Path, url: str) -> None:
    """Each lists the other's events; both list both proxies, and agree on who delivers."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with (
        installation(tmp_path / "a", more=shared(url)) as first,
        installation(tmp_path / "b", more=shared(url)) as second,
    ):
        assert (await first.post(page_views(["a"])))[0] == 204
        assert (await second.post(page_views(["b"])))[0] == 204
        for proxy in (first, second):

            async def has_all(proxy: Installation = proxy) -> bool:
                return set(await listed(proxy)) == {"a", "b"}

            await until(has_all, what="both events in the list")

        async def agreed() -> list[dict[str, Any]] | None:
            both = [await status(first), await status(second)]
            leaders = {each["lanes"][0]["replica"] for each in both}
            return both if len(leaders) == 1 and "" not in leaders else None

        both = await until(agreed, what="one leader")
    names = [[each["name"] for each in found["replicas"]] for found in both]
    assert names[0] == names[1]
    assert len(names[0]) == 2
    answers = [[each["answers"] for each in found["replicas"]] for found in both]
    assert sorted(map(tuple, answers)) == [(False, True), (True, False)]
    assert both[0]["lanes"][0]["replica"] in names[0]


async def fill(place: Place) -> None:
    """Store two dead letters, and an event that waits."""
    queue = await open_queue(place, now_ms)
    queue.register_lanes({PIXEL: lambda: None})
    await queue.append([record(1), record(2)])
    segments = await until(lambda: queue.claim(PIXEL, most=10), what="the events are claimed")
    letters = tuple(
        NewDeadLetter(each, "rejected", GraphError(100, 1, "words", "trace"), 1)
        for segment in segments
        for each in segment.records
    )
    await queue.settle(segments, Settlement(done=tuple(each.ref for each in segments), dead=letters))
    await queue.append([record(3)])
    await queue.close()


async def test_commands_read_the_database_where_no_proxy_runs(tmp_path: Path, url: str, postgres: Cluster) -> None:
    """Lists, replays, erasures and the export work on a machine whose proxy is stopped, and register no proxy."""
    machine = Machine(tmp_path, f"http://127.0.0.1:{free_port()}")
    with machine.config.open("a") as config:
        config.write(f'[queue]\nengine = "postgres"\nurl = "{url}"\n')
    (tmp_path / "data").mkdir(exist_ok=True)
    await fill(Place.prepared(load.load(machine.config, {})))
    code, lines = await run(machine, "dead", "list", "--json")
    assert (code, [orjson.loads(line)["event_id"] for line in lines]) == (0, ["id-2", "id-1"])
    assert await run(machine, "dead", "replay", "--id", "id-1") == (
        0,
        ["1 replayed, 0 left: older than 7 days, or damaged on disk"],
    )
    code, told = await run(machine, "erase", "--external-id", "4711")
    assert (code, told[0]) == (0, "0 waiting events and 0 dead letters removed")
    code, lines = await run(machine, "suppressions", "list", "--json")
    assert (code, len(lines)) == (0, 1)
    code, _ = await run(machine, "export", str(tmp_path / "out"))
    assert code == 0
    counts = {path.name: len(path.read_bytes().splitlines()) for path in (tmp_path / "out").iterdir()}

    assert counts == {"events.jsonl": 0, "dead.jsonl": 1, "suppressions.jsonl": 1}
    database = url.rpartition("/")[2]
    assert psql(postgres, "SELECT count(*) FROM capi_proxy.segment", database=database) == "2"
    assert psql(postgres, "SELECT count(*) FROM capi_proxy.replica", database=database) == "0"


async def test_a_command_without_the_database_says_so(tmp_path: Path) -> None:
    """A command without the database ends with exit code 1 instead of waiting."""
    machine = Machine(tmp_path, f"http://127.0.0.1:{free_port()}")
    with machine.config.open("a") as config:
        config.write(f'[queue]\nengine = "postgres"\nurl = "postgresql://x@127.0.0.1:{free_port()}/x"\n')
    (tmp_path / "data").mkdir(exist_ok=True)
    place = Place.prepared(load.load(machine.config, {}))

    with pytest.raises(QueueError, match="cannot be reached"):
        await asyncio.wait_for(open_books(place, now_ms), 30)
    assert (await run(machine, "events"))[0] == 1

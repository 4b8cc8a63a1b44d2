"""Whole proxies on a shared database: events are accepted while it is away, and delivered once."""

import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cable import cabled
from postgres_server import USER, Cluster, psql
from support import PIXEL, SECRET, Installation, installation, page_views, raw_config, record, until

from proxy.cli.commands import MODULES
from proxy.config import load
from proxy.installation import Installation as Place
from proxy.installation import now_ms, open_queue
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import QueueBrokenError, QueueError, Stored, WholeQueue
from proxy.queue.spool.spool_file import FILE


@pytest.fixture(name="url")
def _url(postgres: Cluster) -> Iterator[str]:
    """Yield the address of a database of the test's own."""
    name = f"t{uuid.uuid4().hex}"
    psql(postgres, f"CREATE DATABASE {name} OWNER {USER}")
    yield postgres.url(database=name)
    psql(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def queue_settings(url: str, **settings: Any) -> dict[str, Any]:
    return {"queue": {"engine": "postgres", "url": url, "min_free_bytes": 0, **settings}}


async def post(proxy: Installation, *ids: str) -> int:
    status, _, _ = await proxy.post(page_views(ids))
    return status


async def conditions(proxy: Installation) -> dict[str, str]:
    async with proxy.session.get(f"{proxy.operator}/readyz") as answer:
        return {each["code"]: each["detail"] for each in (await answer.json())["conditions"]}


async def metric(proxy: Installation, name: str) -> float:
    async with proxy.session.get(f"{proxy.operator}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


async def test_events_reach_graph_through_the_database(tmp_path: Path, url: str) -> None:
    """A proxy with a shared queue delivers each event once, like one with a queue of its own."""
    async with installation(tmp_path, more=queue_settings(url)) as proxy:
        assert await post(proxy, "a", "b") == 204
        assert await post(proxy, "a") == 204
        report = await proxy.counted(2)

    assert sent_once(report) == 2


async def test_what_is_acknowledged_while_the_database_is_away_is_delivered_later(tmp_path: Path, url: str) -> None:
    """Requests are answered as usual, health reports degraded with the number, and nothing is delivered twice."""
    port = url.rpartition(":")[2].partition("/")[0]
    async with cabled(int(port)) as cable:
        settings = queue_settings(url.replace(port, str(cable.port)), commit_timeout=0.3)
        async with installation(tmp_path, more=settings) as proxy:
            assert await post(proxy, "before") == 204
            await proxy.counted(1)
            cable.cut()
            for identity in ("a", "b", "before"):
                assert await post(proxy, identity) == 204
            assert await post(proxy, "c", "d") == 204

            async def degraded() -> bool:
                found = await conditions(proxy)
                return "the spool holds 5 events" in found["database"] and "queue" not in found

            await until(degraded, what="health is degraded")
            assert await metric(proxy, "capi_proxy_spooled_events") == 5
            cable.mend()
            report = await proxy.counted(5, seconds=60.0)
            await until(lambda: is_well(proxy), what="health is well again")

            assert await metric(proxy, "capi_proxy_spooled_events") == 0
            assert sent_once(report) == 5


def sent_once(report: dict[str, Any]) -> int:
    """Return how many events Graph has; the server must have sent each once."""
    copies = [pair["server"] for pair in report["pairs"]]
    assert set(copies) == {1}
    return len(copies)


async def is_well(proxy: Installation) -> bool:
    return "database" not in await conditions(proxy)


async def test_without_a_spool_pages_are_asked_to_try_again(tmp_path: Path, url: str) -> None:
    """Without a spool nothing is acknowledged while the database is away, and readiness fails."""
    port = url.rpartition(":")[2].partition("/")[0]
    async with cabled(int(port)) as cable:
        settings = queue_settings(url.replace(port, str(cable.port)), commit_timeout=0.3, spool=False)
        async with installation(tmp_path, more=settings) as proxy:
            cable.cut()
            assert [await post(proxy, "a"), await post(proxy, "b")] == [503, 503]
            assert "away" in (await conditions(proxy))["queue"]
            assert not (tmp_path / "data" / FILE).exists()
            cable.mend()

            async def stored() -> bool:
                return await post(proxy, "a") == 204

            await until(stored, what="events are taken again")
            report = await proxy.counted(1)
            assert report["counted_once"] == 1


async def test_a_full_spool_refuses_and_says_so(tmp_path: Path, url: str) -> None:
    """Above the spool's bound requests get 503 and readiness fails."""
    dead = url.replace(url.rpartition(":")[2].partition("/")[0], "1")
    settings = {
        **queue_settings(dead, spool_max_bytes=1_048_576),
        "limits": {"requests_per_second": 1_000_000, "burst": 1_000_000},
    }
    async with installation(tmp_path, more=settings) as proxy:
        statuses = []
        for number in range(1000):
            statuses.append(await post(proxy, *(f"{number}-{n}" for n in range(40))))
            if statuses[-1] == 503:
                break

        assert set(statuses) == {204, 503}
        assert "spool_max_bytes" in (await conditions(proxy))["queue"]


async def test_a_start_without_the_database_takes_events(tmp_path: Path, url: str) -> None:
    """Events that came while the database had never been reached are delivered after the next start."""
    dead = url.replace(url.rpartition(":")[2].partition("/")[0], "1")
    async with installation(tmp_path, more=queue_settings(dead)) as proxy:
        assert await post(proxy, "a", "b") == 204
    async with installation(tmp_path, more=queue_settings(url)) as proxy:
        assert await post(proxy, "a", "c") == 204
        report = await proxy.counted(3)

    assert sent_once(report) == 3


def place(tmp_path: Path, **queue: Any) -> Place:
    raw = {**raw_config("http://127.0.0.1:9", tmp_path / "data"), "queue": {"min_free_bytes": 0, **queue}}
    (tmp_path / "data").mkdir(exist_ok=True)
    return Place(load.parse(raw, {}, base=tmp_path), SECRET)


@asynccontextmanager
async def opened(tmp_path: Path, **queue: Any) -> AsyncIterator[WholeQueue]:
    found = await open_queue(place(tmp_path, **queue), now_ms)
    try:
        yield found
    finally:
        await found.close()


async def waiting(queue: WholeQueue) -> list[str]:
    found = []
    while segments := await queue.claim(PIXEL, most=1000):
        found += [each.id for segment in segments for each in segment.records]
    return found


@pytest.mark.parametrize("later", [{"spool": False}, {"spool": True}])
async def test_whatever_the_settings_say_now_the_spool_is_drained(
    tmp_path: Path, url: str, later: dict[str, Any]
) -> None:
    """The next start with the database drains an earlier start's spool, even if it would not spool itself.

    A start with SQLite is refused until the spool is empty.
    """
    dead = url.replace(url.rpartition(":")[2].partition("/")[0], "1")
    async with opened(tmp_path, engine="postgres", url=dead) as queue:
        await queue.append([record(1)])
    with pytest.raises(QueueBrokenError, match="the spool has events of a shared database"):
        await open_queue(place(tmp_path, engine="sqlite"), now_ms)

    async with opened(tmp_path, engine="postgres", url=url, **later) as queue:
        queue.register_lanes({PIXEL: lambda: None})
        assert await until(lambda: waiting(queue), what="the event waits") == ["id-1"]
    async with opened(tmp_path, engine="sqlite"):
        pass


async def test_nothing_about_the_suppressed_rests_after_a_start_without_the_database(tmp_path: Path, url: str) -> None:
    """After a start without the database, events of people who may have opted out are refused, others accepted."""
    person = record(1)._replace(person_digests=(b"p" * 16,))
    async with opened(tmp_path, engine="postgres", url=url) as queue:
        await queue.suppress([b"p" * 16], SuppressionKind.OPT_OUT, now_ms())
    dead = url.replace(url.rpartition(":")[2].partition("/")[0], "1")
    async with opened(tmp_path, engine="postgres", url=dead) as queue:
        with pytest.raises(QueueError, match="only it can tell"):
            await queue.append([person])
        assert await queue.append([record(2)]) == Stored()


async def test_a_database_of_another_secret_ends_the_start(tmp_path: Path, url: str) -> None:
    """The start fails with that reason."""
    async with opened(tmp_path, engine="postgres", url=url):
        pass
    other = Place(place(tmp_path, engine="postgres", url=url).config, "another secret of more than 32 bytes")

    with pytest.raises(QueueBrokenError, match=r"queue\.url: the database belongs to another server\.secret"):
        await open_queue(other, now_ms)


async def test_a_start_without_the_driver_says_what_to_install(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the extra to install; a queue in SQLite does not need it."""
    for name in [name for name in sys.modules if name.startswith(("asyncpg", "proxy.queue.postgres"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)

    with pytest.raises(QueueBrokenError, match=r"pip install 'capi-proxy\[postgres\]'"):
        await open_queue(place(tmp_path, engine="postgres", url=url), now_ms)
    async with opened(tmp_path, engine="sqlite") as queue:
        await queue.append([record(1)])


def test_no_module_outside_the_engine_needs_the_driver() -> None:
    """With a queue in SQLite every command works without the driver."""
    commands = ", ".join(sorted({f"proxy.cli.{module}" for module in MODULES.values()}))
    script = f"import sys; sys.modules['asyncpg'] = None; import {commands}, proxy.app, proxy.doctor"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

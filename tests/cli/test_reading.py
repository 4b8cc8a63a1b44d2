"""Commands that only read need no secret, say plainly what they cannot read, and write nothing."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from click.testing import CliRunner, Result
from filled import fill
from machine import ROOT, SECRET, free_port
from servers import served
from support import PIXEL, record

from proxy.app import run_proxy
from proxy.cli.commands import main
from proxy.cli.local_client import LocalClient
from proxy.cli.remote_client import RemoteClient
from proxy.config import load
from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.installation import Installation
from proxy.model.ledger import LedgerRow, Status
from proxy.queue.contract import Filter, Settlement
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.data_dir import DataDirLock
from proxy.queue.sqlite.engine import LocalQueue

CONFIG = """
[server]
listen = "127.0.0.1:0"
operator_listen = "127.0.0.1:{port}"
secret = "env:A_SECRET_THAT_IS_NOT_HERE"
{more}
[[site]]
name = "shop"
domains = ["shop.test"]
access_keys = ["env:A_KEY_THAT_IS_NOT_HERE"]
[[site.pixel]]
id = "1234567890"
access_token = "env:A_TOKEN_THAT_IS_NOT_HERE"
app_secret = "file:not/here"
"""
KNOWN = {"A_SECRET_THAT_IS_NOT_HERE": SECRET}
HERE = {**KNOWN, "A_KEY_THAT_IS_NOT_HERE": "a-key-of-sixteen-characters", "A_TOKEN_THAT_IS_NOT_HERE": "token"}
NOON = int(datetime.fromisoformat("2026-11-20T12:00:00+00:00").timestamp() * 1000)


def config_file(directory: Path, more: str = "", port: int | None = None) -> str:
    path = directory / "c.toml"
    path.write_text(CONFIG.format(port=port or free_port(), more=more))
    return str(path)


def invoke(*arguments: str, **variables: str) -> Result:
    return CliRunner(env={"CAPI_PROXY_CONFIG": None, **variables}).invoke(main, arguments)


@pytest.fixture(name="filled", scope="module")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory whose data_dir has dead letters and a finished event; no proxy runs."""
    directory = tmp_path_factory.mktemp("filled")
    asyncio.run(fill(directory / "data"))
    return directory


async def fill_days(data_dir: Path) -> None:
    """Leave an event of each hour of a day, one of another site, and one that waits."""
    DataDirLock(data_dir).close()
    queue = LocalQueue.open(
        data_dir,
        Sealer(SECRET),
        limits=QueueSettings(),
        retention=RetentionSettings(ledger_days=90),
        now=lambda: NOON + 86_400_000,
        on_broken=lambda _error: None,
    )
    rows = []
    for hour in range(24):
        arrived = NOON + hour * 3_600_000
        facts = record().facts._replace(site="shop" if hour else "other")
        rows.append(
            LedgerRow(
                arrived + 5000,
                PIXEL,
                "Lead",
                f"id-{hour}",
                arrived // 1000,
                Status.DELIVERED,
                arrived=arrived,
                facts=facts,
            )
        )
    await queue.append([record(77)])
    await queue.settle([], Settlement(done=(), dead=(), rows=tuple(rows)))
    await queue.close()


@pytest.fixture(name="days", scope="module")
def _days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("days")
    asyncio.run(fill_days(directory / "data"))
    return directory


@pytest.mark.parametrize(
    ("command", "lines"),
    [(["events"], 1), (["dead", "list"], 100), (["suppressions", "list"], 0), (["stats"], 1)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_reading_needs_no_secret_and_writes_nothing(filled: Path, command: list[str], lines: int) -> None:
    """Without any secret, unencrypted data is listed, and no file is made or changed."""
    before = {file.name: file.read_bytes() for file in (filled / "data").iterdir()}
    done = invoke(*command, "--json", "--config", config_file(filled))

    assert (done.exit_code, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == lines
    assert {file.name: file.read_bytes() for file in (filled / "data").iterdir()} == before


def test_figures_say_whole_what_would_raise_the_match_quality_and_by_how_much(days: Path) -> None:
    """The advice on match quality is printed to its end, with its number, however long it is."""
    lines = invoke("stats", "--since", "2026-11-20", "--until", "2026-11-21", "--config", config_file(days)).stdout

    advice = r"\+[0-9.]+ +pass em to fbq\('init'\)"
    assert re.search(rf"(?m)^Lead +[0-9.]+ +{advice} where the form is sent$", lines)
    assert re.search(rf"(?m)^{advice} as soon as the visitor is known, such as after a login$", lines)


def test_what_is_sealed_says_so(days: Path) -> None:
    """Waiting events rest encrypted: without the secret the command names it, with it they are listed."""
    path = config_file(days)
    without = invoke("events", "--status", "Waiting", "--config", path)
    known = invoke("events", "--status", "waiting", "--json", "--config", path, **KNOWN)

    assert (without.exit_code, without.stdout) == (1, "")
    assert "what waits is sealed" in without.stderr
    assert "env:A_SECRET_THAT_IS_NOT_HERE" in without.stderr
    assert [orjson.loads(line)["id"] for line in known.stdout.splitlines()] == ["id-77"]


def test_a_dead_letter_says_that_its_event_is_sealed(filled: Path) -> None:
    """Without the secret Graph's words are listed, and in place of the event the secret that would decrypt it."""
    options = ("dead", "list", "--json", "--limit", "1", "--config", config_file(filled))
    without, known = (orjson.loads(invoke(*options, **secrets).stdout) for secrets in ({}, KNOWN))

    assert without["message"] == known["message"] == "Graph's words"
    assert "env:A_SECRET_THAT_IS_NOT_HERE" in without["event"]["sealed"]
    assert known["event"]["event_name"] == "PageView"


@pytest.mark.parametrize("secrets", [{}, KNOWN], ids=["without the secret", "with it"])
@pytest.mark.parametrize(
    ("options", "hours"),
    [
        (["--from", "2026-11-20T15:00Z"], range(3, 24)),
        (["--to", "2026-11-20T15:00Z"], range(3)),
        (["--from", "2026-11-20T16:00+01:00", "--to", "2026-11-20 17:00Z"], [3, 4]),
        (["--from", "2026-11-21T00:00Z", "--limit", "2"], [22, 23]),
        (["--site", "other"], [0]),
        (["--browser-copy", "FIRED"], []),
        (["--status", "DELIVERED", "--id", "id-7"], [7]),
        (["--since", "0", "--limit", "3"], [0, 1, 2]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and isinstance(value[0], str) else "",
)
def test_events_are_chosen_by_time_and_word(
    days: Path, options: list[str], hours: Any, secrets: dict[str, str]
) -> None:
    """A moment has a zone or is local, a status any case; the selection is the same with and without the secret."""
    done = invoke("events", "--json", *options, "--config", config_file(days), **secrets)

    assert done.exit_code == 0, done.stderr
    assert sorted(orjson.loads(line)["id"] for line in done.stdout.splitlines()) == sorted(f"id-{h}" for h in hours)


@pytest.mark.parametrize(
    "options",
    [
        ["--from", "yesterday"],
        ["--since", "2 fortnights"],
        ["--to", "2026-13-01"],
        ["--from", "2026-11-21", "--to", "2026-11-20"],
        ["--status", "lost"],
        ["--browser-copy", "seen"],
        ["--since", "9" * 30],
    ],
    ids=" ".join,
)
def test_what_is_no_choice_is_refused(days: Path, options: list[str]) -> None:
    """Other values end with exit code 2 and a message that says what is accepted."""
    done = invoke("events", *options, "--config", config_file(days))

    assert done.exit_code == 2
    assert "accepted" in done.stderr or "is not one of" in done.stderr


def test_where_nothing_is_yet_the_command_says_so(tmp_path: Path) -> None:
    """Without a data_dir, or with an empty one, the command names the directory it looked at, and makes nothing."""
    path = config_file(tmp_path)
    nowhere = invoke("events", "--config", path)
    (tmp_path / "data").mkdir()
    empty = invoke("events", "--config", path)

    assert (nowhere.exit_code, empty.exit_code) == (1, 1)
    assert "no such directory" in nowhere.stderr
    assert "no proxy answers at 127.0.0.1" in nowhere.stderr
    assert "no events yet" in empty.stderr
    assert list((tmp_path / "data").iterdir()) == []


def test_a_directory_of_somebody_else_leads_to_the_running_proxy(filled: Path) -> None:
    """A user who may not read data_dir is told so, and that no running proxy answers instead."""
    # Root may read every file, unless it gives up the capability to do so.
    as_anybody = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] if os.geteuid() == 0 else []
    (filled / "data").chmod(0)
    done = subprocess.run(
        [*as_anybody, sys.executable, "-m", "proxy", "events", "--config", config_file(filled)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    (filled / "data").chmod(0o700)

    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert "no proxy answers at 127.0.0.1" in done.stderr


@pytest.fixture(name="beside_", scope="module")
async def _beside(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """Run a proxy with a password; yield the directory of its configuration."""
    directory = tmp_path_factory.mktemp("beside")
    path = config_file(directory, 'operator_password = "env:THE_PASSWORD"')
    (directory / "not").mkdir()
    (directory / "not" / "here").write_text("an app's secret")
    async with run_proxy(load.load(Path(path), {**HERE, "THE_PASSWORD": "a long password of the owner"})):
        (directory / "not" / "here").unlink()
        yield directory


async def beside(directory: Path, *arguments: str, **variables: str) -> Result:
    return await asyncio.to_thread(invoke, *arguments, "--config", str(directory / "c.toml"), **variables)


@pytest.mark.parametrize(
    "command", [["events"], ["events", "--status", "waiting"], ["dead", "list"], ["stats"], ["tail"]]
)
async def test_a_running_proxy_wants_its_password_and_nothing_else(beside_: Path, command: list[str]) -> None:
    """With a running proxy the commands need only its password; a missing password is named in plain words."""
    without = await beside(beside_, *command)

    assert without.exit_code == 1
    assert without.stderr == (
        "capi-proxy: the running proxy wants its password, and operator_password is env:THE_PASSWORD,"
        " which is not set here\n"
    )
    if command != ["tail"]:
        known = await beside(beside_, *command, THE_PASSWORD="a long password of the owner")
        assert (known.exit_code, known.stderr) == (0, "")


async def test_a_page_of_the_ledger_may_come_in_parts(days: Path) -> None:
    """All requested events are listed, even if the queue returns fewer for each search."""
    config = load.load(Path(config_file(days)), KNOWN, ("access_token", "app_secret", "access_keys"))
    client = LocalClient(Installation.existing(config), only_reads=True)
    found = [await client.events(Filter(limit=limit)) for limit in (1, 24, 100)]
    await client.close()

    assert [len(rows) for rows in found] == [1, 24, 24]


async def test_a_shared_queue_without_its_address_says_what_is_missing(tmp_path: Path) -> None:
    """Without a running proxy a database can be read with its address and secret, which are named if missing."""
    path = tmp_path / "c.toml"
    queue = '[queue]\nengine = "postgres"\nurl = "env:A_URL_THAT_IS_NOT_HERE"\n[[site]]'
    path.write_text(CONFIG.format(port=free_port(), more="").replace("[[site]]", queue))
    (tmp_path / "data").mkdir()
    done = await asyncio.to_thread(invoke, "events", "--config", str(path))

    assert done.exit_code == 1
    assert "secret is env:A_SECRET_THAT_IS_NOT_HERE" in done.stderr
    assert "url is env:A_URL_THAT_IS_NOT_HERE" in done.stderr


async def test_a_long_search_goes_on_where_it_stopped() -> None:
    """If the running proxy returns fewer events than requested, the command continues at the place that it names."""
    asked: list[str] = []
    parts = {"": ([1, 2], "a"), "a": ([], "b"), "b": ([3], "c"), "c": ([4, 5, 6], None)}

    async def events(request: web.Request) -> web.Response:
        numbers, below = parts[request.query.get("below", "")]
        asked.append(request.query["limit"])
        rows = [{"number": number} for number in numbers][: int(request.query["limit"])]
        return web.json_response({"events": rows, "below": below})

    app = web.Application()
    app.router.add_get("/api/events", events)
    async with served(app) as address, aiohttp.ClientSession(address) as session:
        found = await RemoteClient(session, "away").events(Filter(limit=5))

    assert [row["number"] for row in found] == [1, 2, 3, 4, 5]
    assert asked == ["5", "3", "3", "2"]

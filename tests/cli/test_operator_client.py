"""The commands for events and dead letters, with and without a running proxy."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import orjson
import pytest
from commands_here import House, run
from filled import REFUSED, fill
from machine import free_port
from servers import simulator
from traffic import settled_account

Capi: TypeAlias = Callable[..., Awaitable[tuple[int, list[str]]]]


@pytest.fixture(name="capi", params=["beside a running proxy", "where none runs"])
async def _capi(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Capi]:
    """Yield a function that runs a command on a data directory with dead letters; Graph is unreachable.

    The tests run twice: with the directory's proxy running, and without.
    """
    await fill(tmp_path / "data")
    machine = House(tmp_path, f"http://127.0.0.1:{free_port()}")
    if request.param == "beside a running proxy":
        await machine.start()
    yield partial(run, machine)
    await machine.end()


async def _listed(capi: Capi, *options: str) -> list[dict[str, Any]]:
    code, lines = await capi("dead", "list", "--json", "--limit", "1000", *options)
    assert code == 0
    return [orjson.loads(line) for line in lines]


async def test_dead_letters_are_listed_with_graphs_words(capi: Capi) -> None:
    """The list has event, reason, code, subcode, message, trace and attempts, filtered by reason, newest first."""
    (unsent,) = await _listed(capi, "--reason", "not_received")
    rejected = await _listed(capi, "--reason", "rejected")
    _, table = await capi("dead", "list", "--limit", "1")

    assert (unsent["event_id"], unsent["attempts"], unsent["code"]) == ("id-0", 3, None)
    assert len(rejected) == 1000
    first = rejected[0]
    assert (first["event_id"], first["code"], first["subcode"]) == (f"id-{REFUSED}", 100, 2804017)
    assert (first["message"], first["fbtrace_id"], first["attempts"]) == ("Graph's words", "trace", 1)
    assert [word in table[1] for word in ("rejected", "2804017", "trace", "Graph's words")] == [True] * 4


async def test_events_are_listed_with_their_findings(capi: Capi) -> None:
    """As JSON and as a table, each row says what was wrong with the event's data."""
    code, (line,) = await capi("events", "--json", "--id", "odd")
    _, (head, row) = await capi("events", "--id", "odd")

    assert (code, orjson.loads(line)["findings"]) == (0, ["em:unusable", "value:repaired"])
    assert head.split()[-1] == "findings"
    assert row.endswith("em:unusable value:repaired")


async def test_what_is_new_since_a_number_is_listed(capi: Capi) -> None:
    """Each event has a number in the JSON; with ``--since`` that number, only events that ended later are listed."""
    _, (line,) = await capi("events", "--json", "--since", "0")
    number = orjson.loads(line)["number"]
    code, later = await capi("events", "--json", "--since", str(number))

    assert (number, code, later) == (1, 0, [])


@pytest.mark.parametrize("command", [("events",), ("dead", "list"), ("suppressions", "list")])
async def test_reading_a_stopped_proxy_changes_nothing(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A reading command changes no byte in data_dir and makes no file there."""
    await fill(tmp_path / "data")
    before = {file.name: file.read_bytes() for file in (tmp_path / "data").iterdir()}
    code, lines = await run(House(tmp_path, f"http://127.0.0.1:{free_port()}"), *command, "--json")

    assert (code, bool(lines)) == (0, command[0] != "suppressions")
    assert {file.name: file.read_bytes() for file in (tmp_path / "data").iterdir()} == before


async def test_a_discard_takes_all_that_was_chosen_and_nothing_else(capi: Capi) -> None:
    """One discard removes more dead letters than a page has; those of another reason stay."""
    code, lines = await capi("dead", "discard", "--yes", "--reason", "rejected")

    assert (code, lines) == (0, [f"{REFUSED} discarded"])
    assert [letter["event_id"] for letter in await _listed(capi)] == ["id-0"]


async def test_a_replay_delivers_all_with_their_ids(tmp_path: Path) -> None:
    """After a replay without a running proxy, the next start delivers every dead letter with its id and time."""
    await fill(tmp_path / "data")
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = House(tmp_path, graph)
        replayed = await run(machine, "dead", "replay")
        await machine.start()
        account = await settled_account(session, graph, {f"id-{number}" for number in range(REFUSED + 1)})
        await machine.end()

    assert replayed == (0, [f"{REFUSED + 1} replayed, 0 left: older than 7 days, or damaged on disk"])
    assert (account.missing, account.copies) == (set(), 0)

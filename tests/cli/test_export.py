"""The command ``export`` writes all that is stored as files, which contain no more than the commands show."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from clock import Clock
from commands_here import House, run
from filled import REFUSED, fill
from machine import free_port
from queues import open_queue
from support import record

from proxy.model.suppression import SuppressionKind

SUPPRESSED = 1500
FILES = ("events.jsonl", "dead.jsonl", "suppressions.jsonl")


async def suppress(data_dir: Path) -> None:
    """Store more suppressions than one page holds; some people have several kinds."""
    clock = Clock()
    now = clock.now = record().time_s * 1000
    queue = open_queue(data_dir, clock)
    people = [number.to_bytes(16, "big") for number in range(SUPPRESSED)]
    await queue.suppress(people, SuppressionKind.OPT_OUT, now)
    # Ten people with three kinds each lie on both sides of a page's end.
    await queue.suppress(people[995:1005], SuppressionKind.ERASURE, now)
    await queue.suppress(people[995:1005], SuppressionKind.WITHDRAWAL, now)
    await queue.close()


@pytest.fixture(name="machine", params=["beside a running proxy", "where none runs"])
async def _machine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    await fill(tmp_path / "data")
    await suppress(tmp_path / "data")
    machine = House(tmp_path, f"http://127.0.0.1:{free_port()}")
    if request.param == "beside a running proxy":
        await machine.start()
    yield machine
    await machine.end()


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


async def test_all_that_is_kept_is_exported(machine: House, tmp_path: Path) -> None:
    """Each dead letter, suppression and finished event is one line, without contact data, in a private file."""
    code, told = await run(machine, "export", str(tmp_path / "out" / "books"))
    out = tmp_path / "out" / "books"
    events, dead, suppressions = (lines_of(out / name) for name in FILES)
    listed = orjson.loads((await run(machine, "events", "--json"))[1][0])

    assert (code, [line.split()[-2:] for line in told]) == (
        0,
        [["1", "lines"], [str(REFUSED + 1), "lines"], [str(SUPPRESSED + 20), "lines"]],
    )
    assert events == [listed]
    assert [letter["id"] for letter in dead] == list(range(REFUSED + 1, 0, -1))
    assert {tuple(letter["event"]["user_data"]) for letter in dead} == {("client_user_agent", "fbp")}
    assert len({(each["digest"], each["kind"]) for each in suppressions}) == SUPPRESSED + 20
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert {(out / name).stat().st_mode & 0o777 for name in FILES} == {0o600}


async def test_no_file_is_overwritten(machine: House, tmp_path: Path) -> None:
    """A directory with an earlier export is refused, and not changed."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dead.jsonl").write_text("earlier")
    code, _ = await run(machine, "export", str(tmp_path / "out"))

    assert code == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["dead.jsonl"]
    assert (tmp_path / "out" / "dead.jsonl").read_text() == "earlier"


async def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """If the directory's path is a file, or there is no data, the command prints one line and ends with exit code 1."""
    (tmp_path / "file").touch()
    machine = House(tmp_path, f"http://127.0.0.1:{free_port()}")

    assert (await run(machine, "export", str(tmp_path / "file")))[0] == 2
    assert (await run(machine, "export", str(tmp_path / "file" / "out")))[0] == 1
    assert (await run(machine, "export", str(tmp_path / "out")))[0] == 1
    assert not [*(tmp_path / "out").iterdir()]

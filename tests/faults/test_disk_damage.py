"""With a file or log damaged or unwritable, acknowledged events are still there, or the start is refused."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import apsw
import pytest
from machine import ROOT, Machine
from mounts import unwritable
from servers import simulator
from support import until
from traffic import loaded, settled_account

NOBODY = "http://127.0.0.1:1"
# A frame of the write-ahead log: a page and its header.
FRAME = 4096 + 24
# The most events that the clients of ``loaded`` can have in one commit.
LAST_COMMIT = 16 * 3


@dataclass
class Left:
    """What a run of the proxy left, with nothing delivered: its data, and the acknowledged ids."""

    data: Path
    acknowledged: set[str]

    def copied(self, directory: Path) -> Path:
        """Copy the data into the data_dir of a machine in this directory; return the main file."""
        # The ballast only reserves room, and is made again.
        shutil.copytree(self.data, directory / "data", ignore=shutil.ignore_patterns("ballast"))
        return directory / "data" / "queue.db"


@dataclass
class Lives:
    """What two runs of a proxy left: the first ended normally, the second was killed."""

    ended: Left
    killed: Left


@pytest.fixture(name="lives", scope="module")
async def _lives(tmp_path_factory: pytest.TempPathFactory) -> Lives:
    """Run a proxy twice with load, end it once normally and once with SIGKILL, and keep the data of both runs."""
    directory = tmp_path_factory.mktemp("lives")
    machine = Machine(directory, NOBODY)
    found = []
    for name, ends in (("first", machine.terminate), ("second", machine.kill)):
        await machine.start()
        async with loaded(machine, name) as load:
            await until(partial(load.has, 100), what="load")
            await ends()
        found.append(Left(directory / name, load.acknowledged))
        shutil.copytree(directory / "data", directory / name)
    return Lives(*found)


def _torn_tail(data: Path) -> None:
    """Append what an unfinished commit would leave: a frame that looks right, and half of another one."""
    log = data / "queue.db-wal"
    frame = log.read_bytes()[-FRAME:]
    with log.open("ab") as file:
        file.write(frame[:24] + bytes(4096) + frame[:1000])


def _foreign_shm(data: Path) -> None:
    (data / "queue.db-shm").write_bytes(b"\x5a" * 32768)


def _cut_frame(data: Path) -> None:
    log = data / "queue.db-wal"
    os.truncate(log, log.stat().st_size - FRAME // 2)


def _flipped_bit(data: Path) -> None:
    log = data / "queue.db-wal"
    content = bytearray(log.read_bytes())
    content[-1000] ^= 1
    log.write_bytes(content)


def _empty_log(data: Path) -> None:
    os.truncate(data / "queue.db-wal", 0)


def _no_log(data: Path) -> None:
    (data / "queue.db-wal").unlink()
    (data / "queue.db-shm").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("damage", "most"),
    [
        (_torn_tail, 0),
        (_foreign_shm, 0),
        (_cut_frame, LAST_COMMIT),
        (_flipped_bit, LAST_COMMIT),
        (_empty_log, None),
        (_no_log, None),
    ],
)
async def test_a_damaged_log_costs_at_most_what_it_held(
    tmp_path: Path, lives: Lives, damage: Callable[[Path], None], most: int | None
) -> None:
    """After kill -9 a torn tail or foreign -shm costs nothing, a bad last frame its commit, no log what it held."""
    file = lives.killed.copied(tmp_path)
    damage(tmp_path / "data")
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(tmp_path, graph)
        await machine.start()
        await machine.drained()
        account = await settled_account(session, graph, lives.ended.acknowledged, seconds=0)
        late = await settled_account(session, graph, lives.killed.acknowledged, seconds=0)
        assert await machine.terminate() == 0
    database = apsw.Connection(str(file))
    intact = database.pragma("integrity_check")
    database.close()

    assert (account.missing, intact) == (set(), "ok")
    assert most is None or len(late.missing) <= most
    assert "Traceback" not in machine.log()


async def test_a_log_left_empty_or_taken_away_after_an_orderly_end_costs_nothing(tmp_path: Path, lives: Lives) -> None:
    """After a normal end everything is in the main file, so an empty -wal or none costs nothing."""
    lives.ended.copied(tmp_path)
    log = tmp_path / "data" / "queue.db-wal"
    there = log.exists()
    log.touch()
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(tmp_path, graph)
        await machine.start()
        account = await settled_account(session, graph, lives.ended.acknowledged)
        assert await machine.terminate() == 0

    assert (there, account.missing) == (False, set())


async def refusal(machine: Machine) -> tuple[int | None, str]:
    """Start a proxy that must refuse to start; return its exit code and error output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "serve", "--config", str(machine.config)),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert b"Traceback" not in errors, errors.decode()
    return process.returncode, errors.decode()


@pytest.mark.parametrize(("start", "size"), [(0, 100), (100, 16284)], ids=["header", "schema"])
async def test_a_damaged_file_is_refused_with_advice(tmp_path: Path, lives: Lives, start: int, size: int) -> None:
    """A main file that was overwritten ends the start with 1 and advice, and is left as it is."""
    file = lives.ended.copied(tmp_path)
    damaged = bytearray(file.read_bytes())
    damaged[start : start + size] = b"\x5a" * size
    file.write_bytes(damaged)
    code, errors = await refusal(Machine(tmp_path, NOBODY))

    assert code == 1
    assert "keep a copy, then restore it or move it away to start empty" in errors
    assert file.read_bytes() == bytes(damaged)


@pytest.mark.parametrize("key", ["proof", "seen_slot", "dead_last"])
async def test_a_file_that_lost_what_we_wrote_is_refused_with_advice(tmp_path: Path, lives: Lives, key: str) -> None:
    """A file that SQLite can read but that lost a row of ours is refused by name, without a traceback.

    That happens if the file system returns an old page.
    """
    file = lives.ended.copied(tmp_path)
    database = apsw.Connection(str(file))
    database.execute("DELETE FROM meta WHERE key=?", (key,))
    database.close()
    code, errors = await refusal(Machine(tmp_path, NOBODY))

    assert code == 1
    assert str(file) in errors


@pytest.mark.parametrize("name", ["data", "data/queue.db"])
async def test_a_place_that_cannot_be_written_is_refused_by_name(tmp_path: Path, lives: Lives, name: str) -> None:
    """A read-only data_dir or file ends the start with 1 and its name; once writable, waiting events are delivered."""
    lives.ended.copied(tmp_path)
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(tmp_path, graph)
        with unwritable(tmp_path / name):
            code, errors = await refusal(machine)
        await machine.start()
        account = await settled_account(session, graph, lives.ended.acknowledged)
        assert await machine.terminate() == 0

    assert (code, account.missing) == (1, set())
    assert str(tmp_path / name) in errors

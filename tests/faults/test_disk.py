"""The disk fails, fills, dawdles or was damaged; what was acknowledged before is there, and nothing false after."""

import asyncio
import ctypes
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import apsw
import orjson
import pytest
from conftest import Say
from machine import ROOT, Machine
from servers import simulator
from support import (
    PIXEL,
    SECRET,
    Installation,
    browser_headers,
    installation,
    page_views,
    record,
    until,
)
from traffic import Load, loaded, settled_account
from vfs import DISK_FAULTS, Before, Operation, failing, installed, slow

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.ledger import LedgerRow, Status
from proxy.model.units import DAY_MS
from proxy.queue.contract import Filter, QueueBrokenError, QueueFullError, Settlement
from proxy.queue.seal import Sealer
from proxy.queue.sqlite import disk_space, housekeeping
from proxy.queue.sqlite.engine import LocalQueue

NOON = 1_790_000_000_000
NOBODY = "http://127.0.0.1:1"
TMPFS_BYTES = 24 << 20
RESERVE = 2 << 20
# Of the write-ahead log: a page and what stands before it.
FRAME = 4096 + 24
# What the clients of ``loaded`` can have in one commit.
LAST_COMMIT = 16 * 3

LIBC = ctypes.CDLL(None, use_errno=True)
READ_ONLY, REMOUNT, BIND, DETACH = 1, 32, 4096, 2

# Runs the real program on a disk that fails once a file of the given name is there.
_ON_A_FAILING_DISK = """
import sys
from pathlib import Path
from vfs import DISK_FAULTS, Disk
fail, switch = DISK_FAULTS[sys.argv.pop(1)], Path(sys.argv.pop(1))
disk = Disk(lambda *facts: fail(*facts) if switch.exists() else None)
from proxy.queue.sqlite import connection
connection.VFS = disk.name
from proxy.cli.commands import main
main()
"""


@pytest.fixture(autouse=True)
def _small_ballasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many images, one small ballast each; the processes have theirs in full."""
    monkeypatch.setattr(disk_space, "_BALLAST_BYTES", 4096)


@dataclass
class Broken:
    """Remembers what the queue said when it broke."""

    error: QueueBrokenError | None = None

    def __call__(self, error: QueueBrokenError) -> None:
        self.error = error


def open_queue(
    directory: Path, broken: Callable[[QueueBrokenError], None] | None = None, now: Callable[[], int] = lambda: NOON
) -> LocalQueue:
    directory.mkdir(mode=0o700, exist_ok=True)
    return LocalQueue.open(
        directory,
        Sealer(SECRET),
        limits=QueueSettings(min_free_bytes=0),
        retention=RetentionSettings(),
        now=now,
        on_broken=broken or Broken(),
    )


async def waiting_ids(queue: LocalQueue) -> list[str]:
    found: list[str] = []
    while segments := await queue.claim(PIXEL, most=1 << 30):
        found += [event.id for segment in segments for event in segment.records]
    return found


async def appended(queue: LocalQueue, numbers: range) -> tuple[list[str], list[BaseException]]:
    """Append one by one, all at once; return the ids acknowledged, and the errors."""
    ends = await asyncio.gather(*(queue.append([record(number)]) for number in numbers), return_exceptions=True)
    stored = [f"id-{number}" for number, end in zip(numbers, ends, strict=True) if not isinstance(end, BaseException)]
    return stored, [end for end in ends if isinstance(end, BaseException)]


def full_after(most: int) -> Before:
    """Fail with SQLITE_FULL once so many bytes more were written."""
    left = most

    def before(found: Operation, _name: str, size: int) -> None:
        nonlocal left
        left -= size if found == "write" else 0
        if found == "write" and left < 0:
            raise apsw.FullError("injected: no room")

    return before


@pytest.mark.parametrize(
    ("fault", "forgets"),
    [
        (failing("sync", "-wal"), False),
        (failing("sync", "-wal"), True),
        (failing("write", "-wal"), False),
        (failing("write", "-wal", apsw.ReadOnlyError), False),
    ],
    ids=["fsync", "fsync-forgets", "write", "read-only"],
)
async def test_an_io_error_ends_all_acknowledgement(tmp_path: Path, fault: Before, *, forgets: bool) -> None:
    """Every waiting caller gets the failure, nothing is acknowledged afterwards, a cut then takes nothing promised."""
    broken = Broken()
    with installed(forgets=forgets) as disk:
        queue = open_queue(tmp_path / "live", broken)
        stored, none = await appended(queue, range(50))
        disk.before = fault
        during, errors = await appended(queue, range(50, 100))
        disk.before = None
        after, refusals = await appended(queue, range(100, 150))
        for seed in range(20):
            disk.cut(seed, tmp_path / f"image-{seed}")
        await queue.close()
        disk.cut(20, tmp_path / "image-20")
    assert (len(stored), none, during, after) == (50, [], [], [])
    assert {type(error) for error in errors + refusals} == {QueueBrokenError}
    assert len(errors) == len(refusals) == 50
    assert broken.error
    for image in [tmp_path / "live", *(tmp_path / f"image-{seed}" for seed in range(21))]:
        again = open_queue(image)
        found = await waiting_ids(again)
        await again.close()
        assert set(stored) <= set(found), image.name


@pytest.mark.parametrize(("operation", "forgets"), [("sync", False), ("sync", True), ("write", False)])
async def test_an_io_error_in_a_checkpoint_breaks_the_queue_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: Operation, *, forgets: bool
) -> None:
    """When the main file cannot be written the queue says so, acknowledges no more, and loses nothing."""
    monkeypatch.setattr(housekeeping, "_CHECKPOINT_PAGES", 20)
    broken = Broken()
    stored: list[str] = []
    with installed(forgets=forgets) as disk:
        queue = open_queue(tmp_path / "live", broken)
        disk.before = failing(operation, ".db")

        async def breaks() -> bool:
            more, _ = await appended(queue, range(len(stored), len(stored) + 20))
            stored.extend(more)
            return broken.error is not None

        await until(breaks, what="the broken checkpoint")
        late, _ = await appended(queue, range(10_000, 10_010))
        disk.before = None
        for seed in range(10):
            disk.cut(seed, tmp_path / f"image-{seed}")
        await queue.close()
        disk.cut(10, tmp_path / "image-10")
    assert late == []
    for seed in range(11):
        again = open_queue(tmp_path / f"image-{seed}")
        found = await waiting_ids(again)
        await again.close()
        assert set(stored) <= set(found), seed


async def test_an_io_error_of_a_read_breaks_the_queue_too(tmp_path: Path) -> None:
    """Records that cannot be read now are not taken for lost or damaged: the queue ends, and reopened has them."""
    big = [record(number)._replace(payload=bytes(50_000)) for number in range(3)]
    queue = open_queue(tmp_path / "live")
    await queue.append(big)
    await queue.close()
    broken = Broken()
    with installed() as disk:
        queue = open_queue(tmp_path / "live", broken)
        disk.before = failing("read", ".db")
        with pytest.raises(QueueBrokenError):
            await queue.claim(PIXEL, most=10)
        late, _ = await appended(queue, range(10, 20))
        disk.before = None
        await queue.close()
    again = open_queue(tmp_path / "live")
    found = await waiting_ids(again)
    await again.close()

    assert broken.error
    assert (late, found) == ([], ["id-0", "id-1", "id-2"])


async def test_a_slow_fsync_only_makes_groups_larger(tmp_path: Path) -> None:
    """With 50 ms a flush everything is acknowledged, and those that wait share the flushes."""
    syncs = 0
    delay = slow(0.05)

    def counted(operation: Operation, name: str, size: int) -> None:
        nonlocal syncs
        syncs += operation == "sync"
        delay(operation, name, size)

    with installed() as disk:
        queue = open_queue(tmp_path / "live")
        disk.before = counted
        rounds = [await appended(queue, range(start, start + 100)) for start in range(0, 1000, 100)]
        found = await waiting_ids(queue)
        disk.before = None
        await queue.close()

    assert [errors for _, errors in rounds] == [[]] * 10
    assert len(found) == 1000
    assert syncs < 100


@pytest.mark.parametrize("seconds", [0.01, 1.0])
async def test_a_slow_fsync_is_no_failure(tmp_path: Path, seconds: float) -> None:
    """However long a flush takes, requests are answered 204, readiness holds, and all is delivered once."""
    with installed() as disk:
        async with installation(tmp_path) as proxy:
            disk.before = slow(seconds)
            posts = [asyncio.create_task(proxy.post(page_views([f"slow-{number}"]))) for number in range(100)]
            async with proxy.session.get(f"{proxy.operator}/readyz") as ready:
                status = ready.status
            answers = {status for status, _, _ in await asyncio.gather(*posts)}
            report = await proxy.counted(100)
            disk.before = None

    assert (answers, status) == ({204}, 200)
    assert [pair["server"] for pair in report["pairs"]] == [1] * 100


async def test_a_full_disk_refuses_whole_calls_and_recovers(tmp_path: Path) -> None:
    """SQLITE_FULL in the middle of a commit stores nothing of it; with room again the same queue goes on."""
    broken = Broken()
    with installed() as disk:
        queue = open_queue(tmp_path / "live", broken)
        stored, _ = await appended(queue, range(20))
        disk.before = full_after(30_000)
        for start in range(20, 120, 20):
            stored += (await appended(queue, range(start, start + 20)))[0]
        with pytest.raises(QueueFullError):
            await queue.append([record(number) for number in range(500, 800)])
        disk.before = None

        async def takes() -> bool:
            return not queue.refuses()

        await until(takes, what="room")
        more, errors = await appended(queue, range(1000, 1010))
        found = await waiting_ids(queue)
        await queue.close()

    assert (errors, broken.error) == ([], None)
    assert sorted(found) == sorted(stored + more)


@pytest.mark.parametrize("jumps", [(DAY_MS, 0, DAY_MS), (-DAY_MS, 0, -DAY_MS), (DAY_MS, -DAY_MS, 0)])
async def test_a_clock_that_jumps_a_day_loses_nothing(tmp_path: Path, jumps: tuple[int, ...]) -> None:
    """Forth and back under way and across a restart: all is there once, repeats are known, ends are listed."""
    clock = [NOON]
    queue = open_queue(tmp_path, now=lambda: clock[0])
    await appended(queue, range(10))
    for step, jump in enumerate(jumps, 1):
        clock[0] = NOON + jump
        await appended(queue, range(step * 10, step * 10 + 10))
        (first, *rest) = await queue.claim(PIXEL, most=1 << 30)
        await queue.release(rest)
        rows = (
            LedgerRow(clock[0], PIXEL, event.name, event.id, event.time_s, Status.DELIVERED) for event in first.records
        )
        await queue.settle([first], Settlement(done=(first.ref,), rows=tuple(rows)))
        await queue.close()
        queue = open_queue(tmp_path, now=lambda: clock[0])
    repeats = await queue.append([record(number) for number in range(40)])
    ended = [row.id async for row in queue.events(Filter(limit=1000))]
    found = await waiting_ids(queue)
    await queue.close()

    assert len(repeats.duplicates) == 40
    assert sorted(ended + found) == sorted(f"id-{number}" for number in range(40))


@pytest.mark.parametrize(("jump", "late"), [(DAY_MS, 5), (-DAY_MS, 0)])
async def test_delivery_outlives_a_clock_that_jumps_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: int, late: int
) -> None:
    """The server's clock jumps a day and back: each 204 reaches Graph, or (dated tomorrow) is kept as a dead letter."""
    ahead = [0]
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + ahead[0] * 1_000_000)
    ready: list[str] = []
    async with installation(tmp_path, refused_with=[100] if late else []) as proxy:
        for step, offset in enumerate((0, jump, 0)):
            ahead[0] = offset
            status, _, _ = await proxy.post(page_views([f"clock-{step}-{number}" for number in range(5)]))
            assert status == 204
            ready.append(await until(partial(_clock_told, proxy, offset), what="a word on the clock"))

        async def buried() -> bool:
            return len(await proxy.proxy.queue.dead(Filter())) == late

        await proxy.counted(15 - late)
        await until(buried, what="dead letters")
        letters = await proxy.proxy.queue.dead(Filter())

    assert ready == ["ready", "degraded", "ready"]
    assert {letter.event_id for letter in letters} == {f"clock-1-{number}" for number in range(late)}


async def _clock_told(proxy: Installation, offset: int) -> str:
    """Return the readiness once it tells of a wrong clock, or of none where there is nothing wrong.

    Behind a jump what has not been delivered yet looks a day old for a moment, and readiness fails.
    """
    async with proxy.session.get(f"{proxy.operator}/readyz") as answer:
        readiness = await answer.json()
    told = any(reason.startswith("clock: ") for reason in readiness["reasons"])
    return str(readiness["status"]) if told is bool(offset) and answer.ok else ""


async def test_a_broken_disk_is_told_at_once(tmp_path: Path) -> None:
    """A failed flush: whoever waits gets 503 with Retry-After, readiness fails, and ``Running.broken`` says why."""
    with installed() as disk:
        async with installation(tmp_path) as proxy:
            before, _, _ = await proxy.post(page_views(["before"]))
            disk.before = failing("sync", "-wal")
            during, headers, _ = await proxy.post(page_views(["during"]))
            disk.before = None
            after, _, _ = await proxy.post(page_views(["after"]))
            async with proxy.session.get(f"{proxy.operator}/readyz") as ready:
                status = ready.status
            with pytest.raises(QueueBrokenError, match="injected"):
                await asyncio.wait_for(proxy.proxy.broken, 60)

    assert (before, during, after, status) == (204, 503, 503, 503)
    assert headers["Retry-After"]


# -- the real process


class FaultyMachine(Machine):
    """A machine whose disk fails, in one of the ways of ``DISK_FAULTS``, from ``break_disk`` on."""

    fault = "sync"

    def break_disk(self) -> None:
        (self.directory / "broken").touch()

    def mend_disk(self) -> None:
        (self.directory / "broken").unlink()

    def command(self) -> tuple[str, ...]:
        switch = str(self.directory / "broken")
        return (sys.executable, "-c", _ON_A_FAILING_DISK, self.fault, switch, "serve", "--config", str(self.config))


@pytest.mark.parametrize("fault", [name for name in DISK_FAULTS if name != "slow"])
async def test_the_process_ends_with_1_when_its_disk_fails(tmp_path: Path, say: Say, fault: str) -> None:
    """Under load a failed flush or write, or a disk gone read-only, ends the process with 1 and a reason.

    Restarted on a sound disk, all acknowledged arrives.
    """
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = FaultyMachine(tmp_path, graph)
        machine.fault = fault
        await machine.start()
        async with loaded(machine, "failing") as load:
            await until(partial(_reached, load, 100), what="load")
            size = machine.memory_mb()
            machine.break_disk()
            assert machine.process
            code = await asyncio.wait_for(machine.process.wait(), 60)
        log = machine.log()
        healthy = Machine(tmp_path, graph)
        await healthy.start()
        account = await settled_account(session, graph, load.acknowledged)
        assert await healthy.terminate() == 0
    say(
        f"disk fault {fault}: {len(load.acknowledged)} acknowledged, {len(account.missing)} missing, "
        f"{account.copies} delivered again, RSS {size:.0f} MB"
    )

    # No word on tracebacks: apsw hands on what a VFS raises while SQLite closes; from a real disk SQLite swallows it.
    assert (code, account.missing) == (1, set())
    assert load.refused > 0
    assert log.splitlines()[-1].startswith("capi-proxy: ")
    assert "injected" in log.splitlines()[-1]


async def test_a_slow_disk_slows_the_process_and_nothing_else(tmp_path: Path, say: Say) -> None:
    """With 200 ms a flush under load, readiness holds and the queue does not grow; quick again, it goes on."""
    ready: set[int] = set()
    sizes: list[float] = []

    async def look() -> None:
        async with session.get(f"{machine.operator}/readyz") as answer:
            ready.add(answer.status)
        sizes.append(machine.memory_mb())

    async def reached(goal: int) -> bool:
        await look()
        return len(load.acknowledged) >= goal

    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = FaultyMachine(tmp_path, graph)
        machine.fault = "slow"
        await machine.start()
        async with loaded(machine, "slow") as load:
            await until(partial(reached, 100), what="load")
            machine.break_disk()
            before = len(load.acknowledged)
            await until(partial(reached, before + 500), seconds=60, what="acknowledgements from a slow disk")
            machine.mend_disk()
            await until(partial(reached, len(load.acknowledged) + 500), what="recovery")
        account = await settled_account(session, graph, load.acknowledged)
        assert await machine.terminate() == 0
    say(
        f"slow disk: {len(load.acknowledged)} acknowledged, {len(account.missing)} missing, "
        f"readiness {sorted(ready)}, RSS at most {max(sizes):.0f} MB"
    )

    assert (account.missing, load.refused, ready) == (set(), 0, {200})
    assert max(sizes) < 150
    assert "Traceback" not in machine.log()


async def _reached(load: Load, goal: int) -> bool:
    return len(load.acknowledged) >= goal


@dataclass
class Left:
    """What a run of the proxy left, none of it delivered: its data, and what it had acknowledged."""

    data: Path
    acknowledged: set[str]

    def copied(self, directory: Path) -> Path:
        """Copy the data to where a machine of this directory has it; return the main file."""
        # The ballast is only room, and made again.
        shutil.copytree(self.data, directory / "data", ignore=shutil.ignore_patterns("ballast"))
        return directory / "data" / "queue.db"


@dataclass
class Lives:
    """What two lives of a proxy left: the first ended in order, the second by a kill."""

    ended: Left
    killed: Left


@pytest.fixture(name="lives", scope="module")
async def _lives(tmp_path_factory: pytest.TempPathFactory) -> Lives:
    """Store some, end in order, store more, die: once for all tests that damage a copy of what is left."""
    directory = tmp_path_factory.mktemp("lives")
    machine = Machine(directory, NOBODY)
    found = []
    for name, ends in (("first", machine.terminate), ("second", machine.kill)):
        await machine.start()
        async with loaded(machine, name) as load:
            await until(partial(_reached, load, 100), what="load")
            await ends()
        found.append(Left(directory / name, load.acknowledged))
        shutil.copytree(directory / "data", directory / name)
    return Lives(*found)


def _torn_tail(data: Path) -> None:
    """Append what a commit under way would leave: a frame that looks right, and half of one."""
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
    """After kill -9 a torn tail or strange -shm costs nothing, a bad last frame its commit, no log what it held."""
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
    """All is in the main file then: with an empty -wal or none, the next start finds everything."""
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
    """Start where the start must fail; return the exit code and the words."""
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
    """A main file that was overwritten ends the start with 1 and says what to do, and is left as it is."""
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
    """Sound for SQLite and yet not ours any more (an old page came back): a refusal in words, no traceback."""
    file = lives.ended.copied(tmp_path)
    database = apsw.Connection(str(file))
    database.execute("DELETE FROM meta WHERE key=?", (key,))
    database.close()
    code, errors = await refusal(Machine(tmp_path, NOBODY))

    assert code == 1
    assert str(file) in errors


@pytest.mark.parametrize("name", ["data", "data/queue.db"])
async def test_a_place_that_cannot_be_written_is_refused_by_name(tmp_path: Path, lives: Lives, name: str) -> None:
    """A read-only data_dir or file ends the start with 1 and its name; writable again, all that waits is delivered."""
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


# -- a disk that is really full


@contextmanager
def mounted(source: Path | str, place: Path, kind: str, flags: int = 0, options: str = "") -> Iterator[None]:
    """Mount for a while; skip loudly where that is not allowed."""
    mount(source, place, kind, flags, options)
    try:
        yield
    finally:
        assert LIBC.umount2(os.fsencode(place), DETACH) == 0


def mount(source: Path | str, place: Path, kind: str, flags: int = 0, options: str = "") -> None:
    if LIBC.mount(os.fsencode(source), os.fsencode(place), kind.encode(), flags, options.encode()):
        pytest.skip(f"NOT TESTED: mounting on {place}: {os.strerror(ctypes.get_errno())} (be root)")


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    directory.mkdir(mode=0o700)
    with mounted("tmpfs", directory, "tmpfs", options=f"size={TMPFS_BYTES},mode=700"):
        yield


@contextmanager
def unwritable(place: Path) -> Iterator[None]:
    """Take the right to write away; from root, who has every right, by a read-only mount of the place on itself."""
    if os.geteuid() == 0:
        with mounted(place, place, "", BIND):
            mount(place, place, "", BIND | REMOUNT | READ_ONLY)
            yield
        return
    mode = place.stat().st_mode
    place.chmod(mode & ~0o222)
    try:
        yield
    finally:
        place.chmod(mode)


def fill(file: Path) -> None:
    """Take every byte that is left."""
    with file.open("wb", buffering=0) as taken:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    taken.write(bytes(size))
            except OSError:
                continue


def reserving(directory: Path, graph: str) -> Machine:
    machine = Machine(directory, graph)
    with machine.config.open("a") as config:
        config.write(f"[queue]\nmin_free_bytes = {RESERVE}\n")
    return machine


@asynccontextmanager
async def on_a_small_disk(directory: Path, graph: str) -> AsyncIterator[Machine]:
    with small_disk(directory / "data"):
        machine = reserving(directory, graph)
        await machine.start()
        try:
            yield machine
        finally:
            if machine.process and machine.process.returncode is None:
                await machine.kill()


async def _answers(session: aiohttp.ClientSession, machine: Machine, name: str) -> tuple[int, str, int, int]:
    """Post one event; return its status and Retry-After, and what healthz and readyz say."""
    body = orjson.dumps(page_views([name]))
    async with session.post(f"{machine.public}/shop-tools/e", data=body, headers=browser_headers()) as answer:
        status, retry = answer.status, answer.headers.get("Retry-After", "")
    async with session.get(f"{machine.public}/healthz") as healthy, session.get(f"{machine.operator}/readyz") as ready:
        return status, retry, healthy.status, ready.status


@pytest.mark.parametrize("rounds", [3])
async def test_a_really_full_disk_refuses_and_recovers(tmp_path: Path, say: Say, rounds: int) -> None:
    """While full: 503 with Retry-After, not ready; with room again, no restart: 204, ready, nothing was lost.

    The log has a line when the disk is full and one when it is over, however many requests were refused.
    """
    acknowledged: set[str] = set()
    sizes, refused = [], 0
    async with (
        simulator() as graph,
        aiohttp.ClientSession() as session,
        on_a_small_disk(tmp_path, graph) as machine,
    ):
        filler = tmp_path / "data" / "filler"
        for number in range(rounds):
            async with loaded(machine, f"full-{number}") as load:
                await until(partial(_reached, load, 100), what="load")
                sizes.append(machine.memory_mb())
                await asyncio.to_thread(fill, filler)
                await until(partial(_refused, load, 200), what="refusals")
                full = await _answers(session, machine, f"while-{number}")
                sizes.append(machine.memory_mb())
                filler.unlink()
                stored = len(load.acknowledged)
                await until(partial(_reached, load, stored + 50), what="recovery")
            acknowledged |= load.acknowledged
            refused += load.refused
            again = await _answers(session, machine, f"then-{number}")
            assert (full[0], bool(full[1]), full[2:]) == (503, True, (503, 503))
            assert (again[0], again[2:]) == (204, (200, 200))
        account = await settled_account(session, graph, acknowledged)
        assert await machine.terminate() == 0
    say(
        f"full disk, {rounds} times: {len(acknowledged)} acknowledged, {len(account.missing)} missing, "
        f"{refused} requests refused, RSS MB {[round(size) for size in sizes]}"
    )

    assert account.missing == set()
    assert len([line for line in machine.log().splitlines() if "queue" in line or "disk" in line]) <= 4 * rounds
    assert max(sizes) < 150
    assert "Traceback" not in machine.log()


async def _refused(load: Load, goal: int) -> bool:
    return load.refused >= goal


async def test_a_start_on_a_full_disk_lets_what_waits_leave(tmp_path: Path) -> None:
    """Killed, and the disk full by now: the proxy starts all the same, refuses what is new, delivers what it has."""
    async with (
        simulator() as graph,
        aiohttp.ClientSession() as session,
        on_a_small_disk(tmp_path, NOBODY) as machine,
    ):
        async with loaded(machine, "before") as load:
            await until(partial(_reached, load, 100), what="load")
            await machine.kill()
        await asyncio.to_thread(fill, tmp_path / "data" / "filler")
        again = reserving(tmp_path, graph)
        await again.start()
        status, retry, _, _ = await _answers(session, again, "while-full")
        await again.drained()
        account = await settled_account(session, graph, load.acknowledged, seconds=0)
        assert await again.terminate() == 0

    assert (status, bool(retry), account.missing) == (503, True, set())

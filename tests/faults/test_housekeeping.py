"""Each system call of housekeeping fails once: no caller waits for ever, no promise is broken, health reports it."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import apsw
import orjson
import pytest
from queues import local
from support import PIXEL, SECRET, Installation, page_views, raw_config, record, until, wire
from vfs import Operation, installed

from proxy.app import run_proxy
from proxy.config import load
from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.event import DropReason
from proxy.queue.contract import QueueBrokenError, dropped_row
from proxy.queue.seal import Sealer
from proxy.queue.sqlite import capacity, housekeeping
from proxy.queue.sqlite.engine import LocalQueue
from proxy.queue.sqlite.store import SqliteStore
from proxy.queue.sqlite.troubles import HOUSEKEEPING, INCOMPLETE, QUEUE

# How many looks at health, 20 ms apart, a report may take; two seconds on a machine with nothing else to do.
LOOKS = 100
# Seconds within which a request must be answered, however busy the machine is.
ANSWERS_S = 60.0
NOBODY = "http://127.0.0.1:1"
EIO, EMFILE, ENOSPC, ENOENT, EROFS = errno.EIO, errno.EMFILE, errno.ENOSPC, errno.ENOENT, errno.EROFS


@dataclass
class Fault:
    """A call that fails once, if it is armed and housekeeping makes the call."""

    error: Exception
    anywhere: bool = False
    """Whether the call may also come from other work on the writer thread."""
    armed: bool = False
    within: bool = False
    met: int = 0

    def meet(self) -> None:
        if self.armed and not self.met and (self.within or self.anywhere):
            self.met += 1
            raise self.error


Prepare = Callable[[ExitStack], Fault]


def system(name: str, place: str, error: int, *, anywhere: bool = False) -> Prepare:
    """Make a function of ``os`` fail for a path with this ending, or for a descriptor opened there."""

    def prepare(stack: ExitStack) -> Fault:
        fault = Fault(OSError(error, os.strerror(error), place), anywhere)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        opened: set[int] = set()
        real_open, real = os.open, getattr(os, name)

        def opening(path: Any, *arguments: Any, **options: Any) -> int:
            file = real_open(path, *arguments, **options)
            (opened.add if str(path).endswith(place) else opened.discard)(file)
            return file

        def failing(target: Any, *arguments: Any, **options: Any) -> Any:
            if target in opened if isinstance(target, int) else str(target).endswith(place):
                fault.meet()
            return (opening if name == "open" else real)(target, *arguments, **options)

        patch.setattr(os, "open", opening)
        patch.setattr(os, name, failing)
        return fault

    return prepare


def disk(
    operation: Operation, ending: str, error: type[apsw.Error] = apsw.IOError, *, anywhere: bool = False
) -> Prepare:
    """Make an operation of SQLite fail on files with this ending."""

    def prepare(stack: ExitStack) -> Fault:
        fault = Fault(error(f"injected: {operation}"), anywhere)

        def before(found: Operation, name: str, _size: int) -> None:
            if found == operation and name.endswith(ending):
                fault.meet()

        stack.enter_context(installed(before))
        return fault

    return prepare


@contextmanager
def told_of_housekeeping(faults: list[Fault]) -> Iterator[None]:
    """Tell the faults when housekeeping is at work."""
    tend = SqliteStore.tend

    def tending(store: SqliteStore) -> bool:
        for fault in faults:
            fault.within = True
        try:
            return tend(store)
        finally:
            for fault in faults:
                fault.within = False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteStore, "tend", tending)
        yield


@asynccontextmanager
async def proxy_without_graph(directory: Path) -> AsyncIterator[Installation]:
    """Run a proxy whose events all wait, as there is no Graph."""
    loaded = load.parse(raw_config(NOBODY, directory / "data"), {}, base=directory)
    patience = aiohttp.ClientTimeout(total=ANSWERS_S)
    async with aiohttp.ClientSession(timeout=patience) as session, run_proxy(loaded) as proxy:
        yield Installation(session, NOBODY, proxy)


async def soon(condition: Callable[[], Awaitable[bool]], *, what: str, looks: int = LOOKS) -> None:
    """Wait for a condition that must hold within ``looks`` polls."""
    left = iter(range(looks))

    async def look() -> bool:
        assert next(left, None) is not None, f"{what}: not within {looks} looks"
        return await condition()

    await until(look, what=what)


@dataclass
class Pages:
    """Sends events, and records which were acknowledged."""

    proxy: Installation
    acknowledged: set[str] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=count)

    async def post(self) -> int:
        """Send an event for our pixel, one for an unknown pixel (a ledger row), and an update of a browser copy."""
        number = next(self.numbers)
        ours = page_views([f"h-{number}"])
        foreign = wire({"name": "Lead", "id": f"x-{number}", "pixels": ["99"]})
        update = {"fates": [{"name": "PageView", "id": f"h-{number}", "pixel": "blocked"}]}
        status, _, _ = await self.proxy.post({**ours, "events": ours["events"] + foreign["events"], **update})
        if status == 204:
            self.acknowledged.add(f"h-{number}")
        return status


async def health(proxy: Installation) -> tuple[int, int, set[str]]:
    """Return the statuses of healthz and readyz, and the queue's conditions with their subjects."""
    async with proxy.session.get(f"{proxy.public}/healthz") as healthy:
        await healthy.read()
    async with proxy.session.get(f"{proxy.operator}/readyz") as ready:
        document = orjson.loads(await ready.read())
    ours = [condition for condition in document["conditions"] if condition["code"] in {QUEUE, HOUSEKEEPING, INCOMPLETE}]
    names = {f"{condition['code']} {condition['subject']}".rstrip() for condition in ours}
    return healthy.status, ready.status, names


async def make_housekeeping_busy(proxy: Installation, directory: Path) -> None:
    """Give housekeeping something to measure, write, read and truncate."""
    with suppress(FileNotFoundError):
        os.remove(directory / "data" / "ballast")  # noqa: PTH107 - os.unlink may be the call that fails
    queue = local(proxy.proxy.queue)
    store = queue._store

    def work() -> None:
        store.tables.db.pragma("journal_size_limit", 0)
        store.tables.db.pragma("shrink_memory")

    await queue._writer.do(work)


async def waiting_ids(directory: Path) -> set[str]:
    queue = LocalQueue.open(
        directory,
        Sealer(SECRET),
        limits=QueueSettings(min_free_bytes=0),
        retention=RetentionSettings(),
        now=lambda: 0,
        on_broken=lambda _error: None,
    )
    found: set[str] = set()
    while segments := await queue.claim(PIXEL, most=1 << 30):
        found |= {record.id for segment in segments for record in segment.records}
    await queue.close()
    return found


@pytest.fixture(autouse=True)
def _busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "_CHECKPOINT_PAGES", 10)
    monkeypatch.setattr(housekeeping, "_TIDY_EVERY_S", 0.1)


SURVIVED: dict[str, tuple[list[Prepare], str]] = {
    "statvfs": ([system("statvfs", "data", EIO)], "housekeeping disk"),
    "ballast open": ([system("open", "ballast", EIO)], "housekeeping ballast"),
    "ballast no descriptor": ([system("open", "ballast", EMFILE)], "housekeeping ballast"),
    "ballast fallocate": ([system("posix_fallocate", "ballast", EIO)], "housekeeping ballast"),
    "ballast no room": ([system("posix_fallocate", "ballast", ENOSPC)], ""),
    "ballast ftruncate": ([system("ftruncate", "ballast", EIO)], "housekeeping ballast"),
    "ballast close": ([system("close", "ballast", EIO)], "housekeeping ballast"),
    "ballast stat": ([system("stat", "ballast", EIO)], ""),
    "ballast unlink": (
        [disk("write", "-wal", apsw.FullError, anywhere=True), system("unlink", "ballast", EROFS, anywhere=True)],
        "queue",
    ),
    "file stat": ([system("stat", "queue.db", EIO)], "housekeeping files"),
    "log stat": ([system("stat", "queue.db-wal", EIO)], "housekeeping files"),
    "log write, no room": ([disk("write", "-wal", apsw.FullError)], "queue"),
    "log write, no memory": ([disk("write", "-wal", apsw.NoMemError)], "housekeeping notes"),
    "checkpoint write, no room": ([disk("write", ".db", apsw.FullError)], "queue"),
}
"""Faults that lose nothing, and the condition that reports each."""

BROKEN: dict[str, list[Prepare]] = {
    "file gone": [system("stat", "queue.db", ENOENT)],
    "log gone": [system("stat", "queue.db-wal", ENOENT)],
    "log write": [disk("write", "-wal")],
    "log read-only": [disk("write", "-wal", apsw.ReadOnlyError)],
    "log sync": [disk("sync", "-wal")],
    "log read": [disk("read", "-wal")],
    # From a real disk SQLite ignores this error; what the test's VFS raises, apsw raises again.
    "log truncate": [disk("truncate", "-wal")],
    "checkpoint write": [disk("write", ".db")],
    "checkpoint sync": [disk("sync", ".db")],
    "checkpoint size": [disk("size", ".db")],
    "checkpoint truncate": [disk("truncate", ".db")],
}
"""Faults after which the content of the disk is uncertain."""


async def met(faults: list[Fault], pages: Pages, directory: Path) -> set[int]:
    """Send until every fault was met; return the statuses.

    If a fault only follows another one in some of the places where that may strike, all are armed again.
    """
    statuses: set[int] = set()

    async def step() -> bool:
        await make_housekeeping_busy(pages.proxy, directory)
        statuses.add(await pages.post())
        if all(fault.met for fault in faults):
            return True
        for fault in faults:
            fault.met = 0
        return False

    for fault in faults:
        fault.armed = True
    await until(step, what="the fault")
    return statuses


@pytest.mark.parametrize("name", SURVIVED)
async def test_a_harmless_fault_of_housekeeping_is_survived_and_told(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """After one failing call requests are answered, health reports it soon, then all is well, and nothing is lost."""
    prepares, told = SURVIVED[name]
    with ExitStack() as stack:
        faults = [prepare(stack) for prepare in prepares]
        stack.enter_context(told_of_housekeeping(faults))
        async with proxy_without_graph(tmp_path) as proxy:
            pages = Pages(proxy)
            assert await pages.post() == 204
            statuses = await met(faults, pages, tmp_path)

            async def tells() -> bool:
                # On a busy machine a condition may end before it is polled; the board that health reads logs it too.
                return told in {"", *(await health(proxy))[2]} or f"{told}: " in caplog.text

            async def well() -> bool:
                return await pages.post() == 204 and (await health(proxy)) == (200, 200, set())

            await soon(tells, what=f"{told} at readyz")
            await until(well, what="all well again")
            assert not proxy.proxy.broken.done()
    assert statuses <= {204, 503}
    assert pages.acknowledged <= await waiting_ids(tmp_path / "data")


@pytest.mark.parametrize("name", BROKEN)
async def test_a_fault_of_housekeeping_that_may_lose_something_breaks_the_queue(tmp_path: Path, name: str) -> None:
    """After one failing call nothing is acknowledged any more, no caller waits, and health reports it at once."""
    with ExitStack() as stack:
        faults = [prepare(stack) for prepare in BROKEN[name]]
        stack.enter_context(told_of_housekeeping(faults))
        async with proxy_without_graph(tmp_path) as proxy:
            pages = Pages(proxy)
            assert await pages.post() == 204
            with suppress(QueueBrokenError):  # what keeps housekeeping busy may meet the end
                await met(faults, pages, tmp_path)
            await soon(partial(_unhealthy, proxy), what="503 of healthz and readyz")
            late = [await pages.post() for _ in range(3)]
            with pytest.raises(QueueBrokenError):
                await asyncio.wait_for(proxy.proxy.broken, ANSWERS_S)
    assert late == [503] * 3
    assert pages.acknowledged <= await waiting_ids(tmp_path / "data")


async def _unhealthy(proxy: Installation) -> bool:
    healthy, ready, conditions = await health(proxy)
    return (healthy, ready) == (503, 503) and "queue" in conditions


async def test_a_data_dir_that_vanishes_breaks_the_queue(tmp_path: Path) -> None:
    """If the directory is moved away, no further event is acknowledged; earlier ones are in the moved directory."""
    async with proxy_without_graph(tmp_path) as proxy:
        pages = Pages(proxy)
        assert await pages.post() == 204
        (tmp_path / "data").rename(tmp_path / "away")
        after = await pages.post()
        await soon(partial(_unhealthy, proxy), what="503 of healthz and readyz")
        with pytest.raises(QueueBrokenError, match="removed or replaced"):
            await asyncio.wait_for(proxy.proxy.broken, ANSWERS_S)

    assert after == 503
    assert pages.acknowledged <= await waiting_ids(tmp_path / "away")


async def test_a_fault_of_ours_in_housekeeping_breaks_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an unforeseen error on the writer thread no request waits for ever, and health and process report it."""
    async with proxy_without_graph(tmp_path) as proxy:
        pages = Pages(proxy)
        assert await pages.post() == 204
        monkeypatch.setattr(local(proxy.proxy.queue)._store.housekeeping, "_look", lambda: 1 // 0)
        await soon(partial(_unhealthy, proxy), what="503 of healthz and readyz")
        late = await pages.post()
        with pytest.raises(QueueBrokenError, match="ZeroDivisionError"):
            await asyncio.wait_for(proxy.proxy.broken, ANSWERS_S)

    assert late == 503


async def test_a_disk_that_hangs_is_told_and_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a flush hangs, health and requests get 503 after 2 s, while reads work; when it returns, all goes on."""
    monkeypatch.setattr(capacity, "_HANGS_S", capacity.SLOW_S)
    goes_on = asyncio.Event()
    loop = asyncio.get_running_loop()
    hanging = False

    def before(operation: Operation, _name: str, _size: int) -> None:
        if hanging and operation == "sync":
            asyncio.run_coroutine_threadsafe(goes_on.wait(), loop).result()

    with installed(before):
        async with proxy_without_graph(tmp_path) as proxy:
            pages = Pages(proxy)
            assert await pages.post() == 204
            hanging = True
            waits = asyncio.create_task(pages.post())
            await soon(partial(_unhealthy, proxy), what="503 of healthz and readyz", looks=4 * LOOKS)
            late = await pages.post()
            async with proxy.session.get(f"{proxy.operator}/api/events") as listed:
                status = listed.status
            hanging = False
            goes_on.set()
            first = await waits

            async def well() -> bool:
                return (await health(proxy))[:2] == (200, 200)

            await until(well, what="all well again")

    assert (first, late, status) == (204, 503, 200)
    assert pages.acknowledged <= await waiting_ids(tmp_path / "data")


async def test_a_store_that_cannot_be_closed_ends_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If a flush fails while the file is closed, closing ends with one line in the log, and nothing is lost."""
    fail = False

    def before(operation: Operation, name: str, _size: int) -> None:
        if fail and operation == "write" and name.endswith("-wal"):
            raise apsw.IOError("injected")

    (tmp_path / "data").mkdir(mode=0o700)
    with installed(before):
        queue = LocalQueue.open(
            tmp_path / "data",
            Sealer(SECRET),
            limits=QueueSettings(min_free_bytes=0),
            retention=RetentionSettings(),
            now=lambda: 0,
            on_broken=lambda _error: None,
        )
        await queue.append([record(1)])
        fail = True
        queue.note([dropped_row(record(2), DropReason.BOT, 0)])
        await asyncio.wait_for(queue.close(), ANSWERS_S)
        fail = False

    assert [line.getMessage() for line in caplog.records if "was not closed in order" in line.getMessage()]
    assert await waiting_ids(tmp_path / "data") == {"id-1"}

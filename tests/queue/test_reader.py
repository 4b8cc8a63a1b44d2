"""Reads run on a thread of their own: they neither wait for the writer thread nor delay it."""

import asyncio
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from support import PIXEL, SECRET, record, until
from vfs import failing, installed

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.event import BrowserCopy
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow, Status
from proxy.model.suppression import SuppressionKind
from proxy.model.units import DAY_MS
from proxy.model.verdict import GraphError
from proxy.queue.contract import DeliveryState, Filter, Oldest, QueueBrokenError, QueueFullError, Settlement
from proxy.queue.seal import Sealer
from proxy.queue.sqlite import reader
from proxy.queue.sqlite.connection import open_stopped
from proxy.queue.sqlite.engine import LocalQueue
from proxy.queue.sqlite.reader import Reader

NOON = 1_790_000_000_000
ALL = Filter(limit=100_000)


def open_queue(directory: Path, broken: list[QueueBrokenError] | None = None) -> LocalQueue:
    return LocalQueue.open(
        directory,
        Sealer(SECRET),
        limits=QueueSettings(min_free_bytes=0),
        retention=RetentionSettings(),
        now=lambda: NOON,
        on_broken=lambda error: broken.append(error) if broken is not None else None,
    )


@pytest.fixture(name="queue")
async def _queue(tmp_path: Path) -> AsyncIterator[LocalQueue]:
    queue = open_queue(tmp_path)
    yield queue
    await queue.close()


def row(number: int, *, at: int = NOON) -> LedgerRow:
    return LedgerRow(at, PIXEL, "PageView", f"id-{number}", at // 1000, Status.DELIVERED)


async def write(queue: LocalQueue, *rows: LedgerRow) -> None:
    """Write rows to the ledger, durably."""
    await queue.settle((), Settlement(rows=rows))


async def listed(queue: LocalQueue | Reader, wanted: Filter = ALL) -> list[LedgerRow]:
    return [found async for found in queue.events(wanted)]


@contextmanager
def holding() -> Iterator[threading.Event]:
    """Yield an event for which a thread may wait; it is set at the end, also after an error."""
    gate = threading.Event()
    try:
        yield gate
    finally:
        gate.set()


async def test_events_are_read_while_a_commit_takes_long(queue: LocalQueue) -> None:
    """While the writer thread is stopped within a transaction, searches of all kinds are answered."""
    await write(queue, row(1))
    await queue.suppress([b"0123456789abcdef"], SuppressionKind.OPT_OUT, NOON)
    begun = threading.Event()
    with holding() as gate:

        def commit() -> None:
            queue._store.tables.ledger.write([row(2)])
            begun.set()
            gate.wait()

        commits = asyncio.ensure_future(queue._writer.do(commit))
        await asyncio.to_thread(begun.wait)
        during = await listed(queue), await queue.dead_letters(ALL), await queue.suppressions()
        waits = not commits.done()
    await commits

    assert waits
    assert ([found.id for found in during[0]], during[1], len(during[2])) == (["id-1"], [], 1)
    assert [found.id for found in await listed(queue)] == ["id-2", "id-1"]


async def test_appends_are_served_while_a_read_takes_long(queue: LocalQueue) -> None:
    """While the reader is stopped within a transaction, events are stored, claimed and settled."""
    await write(queue, row(1))
    begun = threading.Event()
    with holding() as gate:

        def look() -> int:
            ((count,),) = queue._reader._db.execute("SELECT count(*) FROM segment").fetchall()
            begun.set()
            gate.wait()
            return int(str(count))

        reads = asyncio.ensure_future(queue._reader._read(look))
        await asyncio.to_thread(begun.wait)
        stored = await queue.append([record(1)])
        segments = await queue.claim(PIXEL, most=10)
        await queue.settle(segments, Settlement(done=tuple(segment.ref for segment in segments)))
        waits = not reads.done()

    assert (waits, await reads, stored.duplicates, len(segments)) == (True, 0, (), 1)


async def test_what_a_page_or_a_lane_asks_is_answered_while_a_commit_takes_long(queue: LocalQueue) -> None:
    """The age of waiting events, a lane's state and a person's suppressions do not wait for the writer thread."""
    person = b"0123456789abcdef"
    stopped = DeliveryState("the token was refused", 3, NOON, "unauthorised", GraphError(190, None, "Graph's words"))
    await queue.append([record(1)])
    await queue.suppress([person], SuppressionKind.OPT_OUT, NOON)
    await queue.keep_lane_state(PIXEL, stopped)
    queue._lane_states.clear()  # as after a restart
    begun = threading.Event()
    with holding() as gate:

        def commit() -> None:
            begun.set()
            gate.wait()

        commits = asyncio.ensure_future(queue._writer.do(commit))
        await asyncio.to_thread(begun.wait)
        ages, state, kinds = (
            await queue.oldest([PIXEL]),
            await queue.lane_state(PIXEL),
            await queue.suppressed([person]),
        )
        waits = not commits.done()
    await commits

    assert waits
    assert (ages, state, kinds) == ({PIXEL: Oldest(NOON)}, stopped, {SuppressionKind.OPT_OUT})


async def test_a_search_left_between_two_pages_keeps_no_snapshot(
    queue: LocalQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that pauses between two pages of a search does not prevent a complete checkpoint."""
    await write(queue, *(row(number) for number in range(1000)))
    search = queue.events(ALL)
    await anext(search)
    await queue.append([record(number) for number in range(100)])
    checkpoints: list[tuple[int, int]] = []

    def tend() -> bool:
        checkpoints.append(queue._store.tables.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE))
        return False

    monkeypatch.setattr(queue._store, "tend", tend)
    await until(lambda: bool(checkpoints), what="a checkpoint between two commits")
    monkeypatch.undo()
    logged, written_back = checkpoints[0]
    rest = [found.id async for found in search]

    assert logged == written_back > 0
    assert len(rest) == 999


async def test_days_that_go_beneath_a_search_end_it(queue: LocalQueue) -> None:
    """If the day being read and the one before it are forgotten between two pages, the search ends without an error."""
    for day in range(2):
        await write(queue, *(row(number, at=NOON - day * DAY_MS) for number in range(300)))
    queue.note([], [BrowserCopyUpdate("PageView", "id-7", BrowserCopy.FIRED)], [PIXEL])
    search = queue.events(ALL)
    found = [await anext(search) for _ in range(150)]

    def forget() -> None:
        while queue._store.tables.ledger.forget(NOON + DAY_MS, RetentionSettings(ledger_days=1)):
            pass

    await queue._writer.do(forget)
    found += [late async for late in search]

    assert [early.id for early in found] == [f"id-{number}" for number in range(299, 99, -1)]


async def test_what_the_reader_opens_cannot_be_written(queue: LocalQueue) -> None:
    """Its connection refuses to write, there is no shared-memory file, and other processes cannot open the database."""
    await queue.append([record(1)])
    with pytest.raises(apsw.ReadOnlyError):
        queue._reader._db.execute("DELETE FROM segment")
    path = queue._reader._path
    code = "import apsw, sys; apsw.Connection(sys.argv[1]).execute('SELECT count(*) FROM segment').fetchall()"
    process = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)  # noqa: ASYNC221 - bounded

    assert (process.returncode, "BusyError" in process.stderr) == (1, True)
    assert sorted(file.name for file in path.parent.iterdir() if "db" in file.name) == ["queue.db", "queue.db-wal"]


async def test_a_read_that_hangs_is_told_and_holds_up_no_append(
    queue: LocalQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk does not answer, this search and the next get an error, while events are still stored."""
    monkeypatch.setattr(reader, "_LOOK_EVERY_S", 0.02)
    with holding() as gate:
        with pytest.raises(QueueFullError, match="has not answered"):
            await queue._reader._read(gate.wait)
        with pytest.raises(QueueFullError, match="has not answered"):
            await listed(queue)
        stored = await queue.append([record(1)])

    assert stored.duplicates == ()


async def test_a_read_that_computes_for_long_is_waited_for(queue: LocalQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that takes long to compute, as on a busy machine, does not count as a disk that hangs."""
    looks, enough, wait = 0, threading.Event(), asyncio.wait

    async def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal looks
        looks += 1
        return await wait(*arguments, **options)

    def compute() -> str:
        while not enough.is_set():
            pass
        return "read"

    monkeypatch.setattr(asyncio, "wait", counted)
    page = asyncio.create_task(queue._reader._read(compute))
    await until(lambda: page.done() or looks > 2 * reader._IDLE_LOOKS, what="more looks than a disk that hangs gets")
    enough.set()

    assert await page == "read"


async def test_a_disk_error_in_a_search_breaks_the_queue(tmp_path: Path) -> None:
    """Unreadable rows were acknowledged once: the queue stops acknowledging, and its owner is told once."""
    before = open_queue(tmp_path)
    await write(before, *(row(number) for number in range(1000)))
    await before.close()
    broken: list[QueueBrokenError] = []
    with installed() as disk:
        queue = open_queue(tmp_path, broken)
        disk.before = failing("read", ".db")
        for _ in range(2):
            with pytest.raises(QueueBrokenError):
                await listed(queue)

        async def told() -> bool:
            return bool(broken)

        await until(told, what="the word that the queue is broken")
        with pytest.raises(QueueBrokenError):
            await queue.append([record(1)])
        disk.before = None
        await queue.close()

    assert len(broken) == 1


async def test_a_closed_queue_is_not_read(tmp_path: Path) -> None:
    """A search after closing, or one that closing interrupts, gets an error that the queue is closed."""
    queue = open_queue(tmp_path)
    await write(queue, *(row(number) for number in range(300)))
    search = queue.events(ALL)
    await anext(search)
    await queue.close()

    with pytest.raises(QueueBrokenError, match="closed"):
        [found async for found in search]
    with pytest.raises(QueueBrokenError, match="closed"):
        await listed(queue)


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


@pytest.mark.parametrize("end", ["orderly", "killed"])
async def test_a_stopped_queue_is_read_without_a_trace(tmp_path: Path, end: str) -> None:
    """Rows, letters and suppressions are found, also those in the log of a crash, and no file changes."""
    live, left = tmp_path / "live", tmp_path / "left"
    live.mkdir()
    queue = open_queue(live)
    await write(queue, row(1))
    await queue.suppress([b"0123456789abcdef"], SuppressionKind.OPT_OUT, NOON)
    if end == "killed":
        shutil.copytree(live, left)
    await queue.close()
    if end == "orderly":
        shutil.copytree(live, left)
    before = contents(left)
    stopped = Reader(open_stopped(left / "queue.db"), Sealer(SECRET))
    found = await listed(stopped), await stopped.dead_letters(ALL), await stopped.suppressions()
    await stopped.close()

    assert (bool(before.get("queue.db-wal")), contents(left)) == (end == "killed", before)
    assert ([row.id for row in found[0]], found[1], len(found[2])) == (["id-1"], [], 1)

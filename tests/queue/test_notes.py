"""Notes, ledger rows for which no caller waits: bounded in memory and on disk, written in slices between appends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from support import PIXEL, SECRET, record, until

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.condition import ConditionCode
from proxy.model.event import BrowserCopy
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow, Status
from proxy.queue.contract import Filter
from proxy.queue.notes import Notes
from proxy.queue.seal import Sealer
from proxy.queue.sqlite import housekeeping
from proxy.queue.sqlite.engine import LocalQueue

NOON = 1_790_000_000_000
SLICE = 1000


def row(number: int, name: str = "PageView") -> LedgerRow:
    return LedgerRow(NOON, "99", name, f"id-{number}", NOON // 1000, Status.DROPPED, "unknown_pixel")


class Heard:
    """A board that remembers whether a condition was reported (True) or cleared."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, bool]] = []

    def report(self, code: ConditionCode, subject: str = "", detail: str = "", *, lasts_ms: int | None = None) -> None:
        del subject, detail, lasts_ms
        self.changes.append((code, True))

    def clear(self, code: ConditionCode, subject: str = "") -> None:
        del subject
        self.changes.append((code, False))


def open_queue(directory: Path, heard: Heard | None = None, most_bytes: int = 1 << 30) -> LocalQueue:
    return LocalQueue.open(
        directory,
        Sealer(SECRET),
        limits=QueueSettings(min_free_bytes=0),
        retention=RetentionSettings(ledger_max_bytes=most_bytes),
        now=lambda: NOON,
        on_broken=lambda _error: None,
        conditions=heard,
    )


@pytest.fixture(name="queue")
async def _queue(tmp_path: Path) -> AsyncIterator[LocalQueue]:
    queue = open_queue(tmp_path)
    yield queue
    await queue.close()


async def written(queue: LocalQueue) -> None:
    async def empty() -> bool:
        return not queue._store.notes

    await until(empty, seconds=60, what="all notes in the ledger")
    await queue._writer.do(lambda: None)


def test_notes_in_memory_are_bounded_in_bytes() -> None:
    """Above the bound in bytes, the newest notes are left out and counted; notes that were written make room."""
    short, long = Notes(100_000), Notes(100_000)
    short.add([row(n) for n in range(1000)], [])
    long.add([row(n, "x" * 9500) for n in range(1000)], [])
    counts = len(short), len(long)
    batch = short.take(150)
    short.mark_written(batch, 0)
    short.add([row(n) for n in range(1000)], [(NOON, b"k", (b"",), BrowserCopy.FIRED)])

    assert 150 < counts[0] < 200
    assert counts[1] < 11
    assert len(short) == pytest.approx(counts[0], abs=2)
    assert len(short) + short.lost + 150 == 2001


def test_notes_given_back_come_first_again() -> None:
    """Notes that could not be written keep their place."""
    line = Notes()
    line.add([row(n) for n in range(5)], [(n, b"k", (b"",), BrowserCopy.FIRED) for n in range(5)])
    line.give_back(line.take(7))
    batch = line.take(100)

    assert [noted.id for noted in batch.rows] == [f"id-{n}" for n in range(5)]
    assert [at for at, *_ in batch.updates] == list(range(5))


@pytest.mark.long
async def test_many_notes_are_written_in_slices_with_appends_in_between(queue: LocalQueue) -> None:
    """Of 100,000 notes no transaction writes more than a slice, and appends are served in between."""
    inserted: list[int] = []

    def trace(_cursor: apsw.Cursor, sql: str, _values: object) -> bool:
        if sql.startswith("BEGIN"):
            inserted.append(0)
        elif inserted:
            inserted[-1] += sql.startswith("INSERT INTO ledger") and sql.count("(?")
        return True

    await queue._writer.do(lambda: setattr(queue._store.tables.db, "exec_trace", trace))
    queue.note([row(number) for number in range(100_000)])
    await queue._writer.do(lambda: setattr(queue._store.housekeeping, "_noted_at", 0.0))
    left = []
    for number in range(10):
        await queue.append([record(number)])
        left.append(len(queue._store.notes))
    await written(queue)

    assert max(inserted) <= SLICE
    assert sum(inserted) + queue.stats().lost_notes == 100_000
    assert left[-1] >= left[0] - 20 * SLICE
    assert left[0] > 10 * SLICE


@pytest.mark.long
async def test_a_flood_of_drops_keeps_the_ledger_within_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a bound of 1 MiB the ledger takes about 1 MiB of pages at any time, not only every ten minutes."""
    monkeypatch.setattr(housekeeping, "_NOTE_EVERY_S", 0.0)
    queue = open_queue(tmp_path, most_bytes=1 << 20)
    sizes = []

    def pages() -> int:
        sql = "SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'ledger_%' OR name LIKE 'fate_%'"
        return int(str(queue._store.tables.db.execute(sql).fetchall()[0][0] or 0))

    for start in range(0, 60_000, 6000):
        updates = [BrowserCopyUpdate("PageView", f"id-{start + n}", BrowserCopy.BLOCKED) for n in range(1500)]
        queue.note([row(start + n, "x" * 100) for n in range(6000)], updates, ("99", PIXEL))
        await written(queue)
        sizes.append(await queue._writer.do(pages))
    newest = [found.id async for found in queue.events(Filter(limit=1))]
    await queue.close()

    assert max(sizes) < 1.6 * (1 << 20)
    assert sizes[-1] > 0.5 * (1 << 20)
    assert newest == ["id-59999"]


async def test_notes_beyond_the_bound_are_counted_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst of too many notes is reported once, cleared when all are written, and its losses are counted."""
    heard = Heard()
    queue = open_queue(tmp_path, heard)
    monkeypatch.setattr(queue._store.notes, "_most_bytes", 1 << 20)
    queue.note([row(number) for number in range(10_000)])
    queue.note([row(number) for number in range(10_000)])
    await written(queue)

    async def over() -> bool:
        return len(heard.changes) == 2

    await until(over, what="the end of the trouble")
    lost = queue.stats().lost_notes
    await queue.close()

    assert 15_000 < lost < 20_000
    assert heard.changes == [
        ("ledger_incomplete", True),
        ("ledger_incomplete", False),
    ]


async def test_a_note_that_cannot_be_written_ends_nothing(queue: LocalQueue) -> None:
    """The note is left out and counted; other notes and events are still written."""
    queue.note([row(1), row(2, "\ud800"), row(3)])
    await written(queue)
    stored = await asyncio.wait_for(queue.append([record(1)]), 60)
    found = [row.id async for row in queue.events(Filter())]

    assert (stored.duplicates, found, queue.stats().lost_notes) == ((), ["id-3", "id-1"], 1)

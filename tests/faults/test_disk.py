"""A queue's disk fails, fills up or is slow: acknowledged events are still there, and no answer is false."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import apsw
import pytest
from support import PIXEL, SECRET, Installation, installation, page_views, record, until
from vfs import Before, Operation, failing, installed, slow

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.ledger import LedgerRow, Status
from proxy.model.units import DAY_MS
from proxy.queue.contract import Filter, QueueBrokenError, QueueFullError, Settlement
from proxy.queue.seal import Sealer
from proxy.queue.sqlite import disk_space, housekeeping
from proxy.queue.sqlite.engine import LocalQueue

NOON = 1_790_000_000_000


@pytest.fixture(autouse=True)
def _small_ballasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use small ballasts, as tests make many disk images."""
    monkeypatch.setattr(disk_space, "_BALLAST_BYTES", 4096)


@dataclass
class Broken:
    """Records the error with which the queue broke."""

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
    """Append records one by one, all at once; return the acknowledged ids, and the errors."""
    ends = await asyncio.gather(*(queue.append([record(number)]) for number in numbers), return_exceptions=True)
    stored = [f"id-{number}" for number, end in zip(numbers, ends, strict=True) if not isinstance(end, BaseException)]
    return stored, [end for end in ends if isinstance(end, BaseException)]


def full_after(most: int) -> Before:
    """Return a hook that fails with SQLITE_FULL once this many more bytes were written."""
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
    """Every waiting caller gets the error, nothing is acknowledged afterwards, and a power cut then loses nothing."""
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
    """If the main file cannot be written, the queue breaks, acknowledges no more, and loses nothing."""
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
    """Records that cannot be read now do not count as lost or damaged: the queue breaks, and has them when reopened."""
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
    """With 50 ms a flush everything is acknowledged, and waiting callers share flushes."""
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
    """However long a flush takes, requests are answered with 204, readiness holds, and all is delivered once."""
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
    """SQLITE_FULL in the middle of a commit stores nothing of it; with room again the queue goes on."""
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
            return not queue.refusal_reason()

        await until(takes, what="room")
        more, errors = await appended(queue, range(1000, 1010))
        found = await waiting_ids(queue)
        await queue.close()

    assert (errors, broken.error) == ([], None)
    assert sorted(found) == sorted(stored + more)


@pytest.mark.parametrize("jumps", [(DAY_MS, 0, DAY_MS), (-DAY_MS, 0, -DAY_MS), (DAY_MS, -DAY_MS, 0)])
async def test_a_clock_that_jumps_a_day_loses_nothing(tmp_path: Path, jumps: tuple[int, ...]) -> None:
    """With jumps forth and back, and a restart, all records are there once, and repeats and ends are known."""
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
    """When the clock jumps a day and back, each acknowledged event reaches Graph.

    An event whose time is too far ahead for Graph becomes a dead letter instead.
    """
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
            return len(await proxy.proxy.queue.dead_letters(Filter())) == late

        await proxy.counted(15 - late)
        await until(buried, what="dead letters")
        letters = await proxy.proxy.queue.dead_letters(Filter())

    assert ready == ["ready", "degraded", "ready"]
    assert {letter.event_id for letter in letters} == {f"clock-1-{number}" for number in range(late)}


async def _clock_told(proxy: Installation, offset: int) -> str:
    """Return the readiness once it has a clock condition, or none if the clock is right; else an empty text.

    After a jump, events that have not been delivered yet look a day old for a moment, and readiness fails.
    """
    async with proxy.session.get(f"{proxy.operator}/readyz") as answer:
        readiness = await answer.json()
    told = any(reason.startswith("clock: ") for reason in readiness["reasons"])
    return str(readiness["status"]) if told is bool(offset) and answer.ok else ""


async def test_a_broken_disk_is_told_at_once(tmp_path: Path) -> None:
    """After a failed flush requests get 503 with Retry-After, readiness fails, and ``Running.broken`` says why."""
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

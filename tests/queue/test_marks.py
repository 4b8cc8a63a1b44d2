"""Who opted out or was erased: nothing about them is taken, waits on, or is kept dead, until their time is over."""

import os
import resource
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from conftest import Say
from support import PIXEL, SECRET, record

from proxy.model import DAY_MS, DropReason, LedgerRow, Record, Status, Words
from proxy.queue.base import Erased, Filter, Letter, Segment, Settlement, Stats
from proxy.queue.local import LocalQueue
from proxy.queue.seal import Sealer
from proxy.settings import Queue, Retention

NOON = 1_790_000_000_000
ANNA, BERT, BROWSER = (letter * 16 for letter in (b"a", b"b", b"c"))


class Clock:
    """A clock that a test sets."""

    now = NOON

    def __call__(self) -> int:
        return self.now


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


def open_queue(directory: Path, clock: Clock) -> LocalQueue:
    return LocalQueue.open(
        directory,
        Sealer(SECRET),
        limits=Queue(),
        retention=Retention(opted_out_days=30, erased_days=7),
        now=clock,
        on_broken=lambda _error: None,
    )


@pytest.fixture(name="queue")
async def _queue(tmp_path: Path, clock: Clock) -> AsyncIterator[LocalQueue]:
    queue = open_queue(tmp_path, clock)
    yield queue
    await queue.close()


def about(number: int, *people: bytes, at: int = NOON, agreed: int = 0) -> Record:
    return record(number, time_s=at // 1000)._replace(people=people, agreed=agreed)


def ids(segments: Sequence[Segment]) -> list[str]:
    return [one.id for segment in segments for one in segment.records]


async def claimed(queue: LocalQueue) -> list[str]:
    return ids(await queue.claim(PIXEL, most=1000))


async def taken(queue: LocalQueue, *records: Record) -> list[tuple[str, DropReason]]:
    """Append records; return which were refused, and why."""
    return [(one.id, reason) for one, reason in (await queue.append(records)).refused]


async def rows(queue: LocalQueue) -> list[LedgerRow]:
    return [row async for row in queue.events(Filter())]


async def bury(queue: LocalQueue, segments: Sequence[Segment]) -> None:
    letters = [Letter(one, "rejected", Words(), 1) for segment in segments for one in segment.records]
    await queue.settle(segments, Settlement(done=tuple(one.id for one in segments), dead=tuple(letters)))


async def test_who_opted_out_is_refused_and_nobody_else(queue: LocalQueue) -> None:
    """By any of a person's digests new events are refused; their neighbours in the same request are stored."""
    await queue.opt_out([ANNA, BROWSER], NOON)

    assert await taken(queue, about(1, BERT, ANNA), about(2, BERT), about(3, BROWSER), about(4)) == [
        ("id-1", DropReason.OPTED_OUT),
        ("id-3", DropReason.OPTED_OUT),
    ]
    assert await claimed(queue) == ["id-2", "id-4"]


async def test_what_waits_is_dropped_by_an_opt_out(queue: LocalQueue) -> None:
    """Events that waited when their person opted out are not claimed; the ledger says why, the rest is delivered."""
    await queue.append([about(1, ANNA), about(2, BERT)])
    await queue.append([about(3, ANNA)])
    await queue.opt_out([ANNA], NOON)

    assert await claimed(queue) == ["id-2"]
    assert queue.stats() == Stats({PIXEL: 1}, dead=0, withheld={DropReason.OPTED_OUT: 2})
    assert {(row.id, row.status, row.reason) for row in await rows(queue)} == {
        ("id-1", Status.DROPPED, DropReason.OPTED_OUT),
        ("id-3", Status.DROPPED, DropReason.OPTED_OUT),
    }


async def test_a_marked_segment_hides_none_behind_it(queue: LocalQueue) -> None:
    """A claim passes over segments of which nothing is left, and returns the first that has something."""
    for number in range(5):
        await queue.append([about(number, ANNA)])
    await queue.append([about(9, BERT)])
    await queue.opt_out([ANNA], NOON)

    assert ids(await queue.claim(PIXEL, most=1)) == ["id-9"]
    assert queue.stats().waiting == {PIXEL: 1}


async def test_what_was_under_way_does_not_come_back(queue: LocalQueue) -> None:
    """An event that was being delivered when its person opted out is neither tried again nor kept dead."""
    await queue.append([about(1, ANNA)])
    tried = await queue.claim(PIXEL, most=1)
    await queue.append([about(2, ANNA)])
    refused = await queue.claim(PIXEL, most=1)
    await queue.opt_out([ANNA], NOON)
    await queue.settle(tried, Settlement(tried=(tried[0].id,)))
    await bury(queue, refused)

    assert await claimed(queue) == []
    assert await queue.dead(Filter()) == []
    assert (queue.stats().waiting, queue.stats().dead) == ({}, 0)


async def test_a_replay_is_held_against_the_marks(queue: LocalQueue) -> None:
    """A dead letter put back after its person opted out is not delivered."""
    await queue.append([about(1, ANNA)])
    await bury(queue, await queue.claim(PIXEL, most=1))
    await queue.opt_out([ANNA], NOON)
    (letter,) = await queue.dead(Filter())

    assert await queue.replay([letter.id], not_before_s=0) == 1
    assert await claimed(queue) == []


@pytest.mark.parametrize(
    ("agreed", "refused"),
    [(NOON - 1, [DropReason.OPTED_OUT]), (NOON, []), (NOON + 1, [])],
    ids=["before", "at once", "later"],
)
async def test_the_latest_word_counts(queue: LocalQueue, agreed: int, refused: list[DropReason]) -> None:
    """A record of a browser that agreed later ends the opt-out, for events without such a word too."""
    await queue.opt_out([ANNA], NOON)

    assert [reason for _, reason in await taken(queue, about(1, ANNA, agreed=agreed))] == refused
    assert [reason for _, reason in await taken(queue, about(2, ANNA))] == refused


async def test_an_older_word_does_not_take_back_a_newer(queue: LocalQueue) -> None:
    """A second opt-out that arrives late leaves the later time standing."""
    await queue.opt_out([ANNA], NOON)
    await queue.opt_out([ANNA], NOON - 5000)

    assert await taken(queue, about(1, ANNA, agreed=NOON - 1000))


async def test_an_erasure_removes_what_there_is(queue: LocalQueue) -> None:
    """Waiting events and dead letters of the person go, those of others stay, and the counts say how many."""
    await queue.append([about(number, ANNA if number % 3 else BERT) for number in range(30)])
    await bury(queue, await queue.claim(PIXEL, most=1000))
    for number in range(100, 130):
        await queue.append([about(number, ANNA), about(number + 100, BERT)])

    assert await queue.erase([ANNA, BROWSER], NOON) == Erased(waiting=30, dead=20)
    assert await claimed(queue) == [f"id-{number}" for number in range(200, 230)]
    assert len(await queue.dead(Filter())) == queue.stats().dead == 10
    assert queue.stats().waiting == {PIXEL: 30}
    assert await queue.erase([ANNA, BROWSER], NOON) == Erased()


async def test_an_erasure_does_not_touch_what_is_under_way(queue: LocalQueue) -> None:
    """A claimed event is Graph's to answer; when it comes back it is dropped as erased."""
    await queue.append([about(1, ANNA)])
    claim = await queue.claim(PIXEL, most=1)

    assert await queue.erase([ANNA], NOON) == Erased()
    await queue.release(claim)
    assert await claimed(queue) == []
    assert [row.reason for row in await rows(queue)] == [DropReason.ERASED]


@pytest.mark.parametrize(("happened", "refused"), [(NOON - 1000, True), (NOON, True), (NOON + 1000, False)])
async def test_an_erased_person_may_come_back(queue: LocalQueue, happened: int, *, refused: bool) -> None:
    """What happened before the erasure is refused however late it comes; what the person does later is new."""
    await queue.erase([ANNA], NOON)

    assert await taken(queue, about(1, ANNA, at=happened)) == [("id-1", DropReason.ERASED)] * refused


async def test_marks_outlive_a_restart(tmp_path: Path, clock: Clock) -> None:
    """A mark holds after the process ended, and a waiting event still knows its people."""
    first = open_queue(tmp_path, clock)
    await first.append([about(1, ANNA), about(2, BERT)])
    await first.opt_out([ANNA], NOON)
    await first.close()
    again = open_queue(tmp_path, clock)

    assert await taken(again, about(3, ANNA)) == [("id-3", DropReason.OPTED_OUT)]
    assert await claimed(again) == ["id-2"]
    await again.close()


async def test_marks_are_forgotten_in_time(tmp_path: Path, clock: Clock) -> None:
    """Each kind of mark ends after its own number of days."""
    people = {"early": [b"e" * 16], "late": [b"l" * 16]}
    queue = open_queue(tmp_path, clock)
    await queue.opt_out(people["early"], NOON - 31 * DAY_MS)
    await queue.opt_out(people["late"], NOON - 29 * DAY_MS)
    await queue.erase(people["early"], NOON - 8 * DAY_MS)
    await queue.erase(people["late"], NOON - 6 * DAY_MS)
    await queue.close()
    await open_queue(tmp_path, clock).close()  # which tidies once

    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as db:
        left = db.execute("SELECT digest, kind FROM mark ORDER BY kind").fetchall()
    assert left == [(b"l" * 16, "erased"), (b"l" * 16, "opted_out")]


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def _seconds(queue: LocalQueue, start: int) -> float:
    """Return what three hundred appends of ten records take, two people each."""
    batches = [[about(start + 10 * i + j, os.urandom(16), os.urandom(16)) for j in range(10)] for i in range(300)]
    began = time.perf_counter()
    for batch in batches:
        await queue.append(batch)
    return time.perf_counter() - began


def _mark_a_million(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) "
            "INSERT INTO mark SELECT randomblob(16) AS digest, 'opted_out', ? FROM n ORDER BY digest",
            (NOON,),
        )


async def test_a_million_marks(tmp_path: Path, clock: Clock, say: Say) -> None:
    """With a million marks the queue holds less than 100 MB more, and an append takes about as long as without."""
    for name in ("bare", "marked"):
        (tmp_path / name).mkdir()
        await open_queue(tmp_path / name, clock).close()
    _mark_a_million(tmp_path / "marked" / "queue.db")
    bare = open_queue(tmp_path / "bare", clock)
    before, began = _resident_mb(), time.perf_counter()
    marked = open_queue(tmp_path / "marked", clock)
    opened = time.perf_counter() - began
    pairs = [(await _seconds(bare, number * 10_000), await _seconds(marked, number * 10_000)) for number in range(5)]
    grown = _resident_mb() - before
    ratio = min(one for _, one in pairs) / min(one for one, _ in pairs)
    for queue in (bare, marked):
        await queue.close()
    say(f"a million marks: opened in {opened:.1f} s, {grown:.0f} MB more, appends {ratio:.2f} x")

    assert grown < 100
    # The tests share two cores, so this bound is loose; the figure above is what was seen.
    assert ratio < 1.5

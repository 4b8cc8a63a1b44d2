"""What is not due yet waits apart: no claim and no look reads it, and it comes out by itself when it is due."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from clock import NOON, Clock
from old_layouts import write_as_layout_7
from queues import open_queue
from support import PIXEL, record, server_record

from proxy.model.event import DropReason
from proxy.model.ledger import Status
from proxy.model.record import Record
from proxy.model.server_request import RequestFields
from proxy.model.suppression import SuppressionKind
from proxy.model.units import DAY_MS
from proxy.queue.contract import Erased, Filter, Oldest, QueueError, Segment, Settlement, Stats
from proxy.queue.group import Append
from proxy.queue.sqlite import arrivals
from proxy.queue.sqlite.engine import LocalQueue

ANNA, BERT = b"a" * 16, b"b" * 16
SPRING = RequestFields(upload_tag="spring")


def ids(segments: Sequence[Segment]) -> list[str]:
    return [found.id for segment in segments for found in segment.records]


async def claimed(queue: LocalQueue, *, newest: bool = False) -> list[str]:
    return ids(await queue.claim(PIXEL, most=1000, newest=newest))


def held(number: int, seconds: int, *people: bytes, source: Record | None = None) -> Record:
    """Return an event that is due so many seconds after noon."""
    event = source or record(number, time_s=NOON // 1000)
    return event._replace(not_before=NOON + seconds * 1000, person_digests=people)


def figures(stats: Stats) -> tuple[int, int, int | None]:
    """Return how many events of the pixel wait and are held, and in how many seconds after noon the next is due."""
    due = None if stats.next_due is None else (stats.next_due - NOON) // 1000
    return stats.waiting.get(PIXEL, 0), stats.held.get(PIXEL, 0), due


@pytest.mark.parametrize(
    ("of_call", "of_record", "due"),
    [(0, 0, 0), (0, 5, 5), (5, 0, 5), (5, 9, 9), (9, 5, 9), (-5, 0, 0), (0, -5, 0), (5, -5, 5)],
)
async def test_an_event_is_due_at_the_later_of_its_moments(
    queue: LocalQueue, clock: Clock, of_call: int, of_record: int, due: int
) -> None:
    """The call's moment and the event's own both hold it; what has none, or one that is past, is due at once."""
    moments = [NOON + seconds * 1000 if seconds else 0 for seconds in (of_call, of_record)]
    await queue.append([record(1)._replace(not_before=moments[1])], not_before=moments[0])
    before = figures(queue.stats())
    clock.now = NOON + due * 1000 - 1
    early = await claimed(queue) if due else []
    clock.now += 1

    assert before == ((1, 1, due) if due else (1, 0, None))
    assert early == []
    assert await claimed(queue) == ["id-1"]
    assert figures(queue.stats()) == (1, 0, None)


async def test_what_the_queue_seals_itself_has_its_moment_too(queue: LocalQueue, clock: Clock) -> None:
    """Records that come open, as their person may be suppressed or another visitor brought their id, are held too."""
    lookalike = ANNA[:-1] + b"x"
    await queue.suppress([ANNA], SuppressionKind.OPT_OUT, NOON)
    worth = [record(7, visitor=visitor)._replace(name="Purchase", worth=visitor) for visitor in (b"abcd", b"wxyz")]
    await queue.append([worth[0]])
    await queue.append(
        [
            record(1)._replace(person_digests=(lookalike,)),
            held(2, 5, lookalike),
            worth[1]._replace(not_before=NOON + 9000),
        ]
    )

    assert sorted(await claimed(queue)) == ["id-1", "id-7"]
    assert figures(queue.stats()) == (4, 2, 5)
    clock.now += 5000
    assert await claimed(queue) == ["id-2"]
    clock.now += 4000
    assert await claimed(queue) == ["id-7"]


async def test_one_call_may_bring_events_of_several_moments(queue: LocalQueue, clock: Clock) -> None:
    """Each waits for its own; none holds up its neighbours."""
    await queue.append([held(1, 9), record(2), held(3, 5), held(4, 9), record(5)])
    found = []
    for seconds in (0, 5, 9):
        clock.now = NOON + seconds * 1000
        found.append(await claimed(queue))

    assert found == [["id-2", "id-5"], ["id-3"], ["id-1", "id-4"]]


async def test_what_was_held_counts_as_arrived_when_it_became_due(queue: LocalQueue, clock: Clock) -> None:
    """No age includes the hold, however late the event is claimed; while it is held nothing waits since any time."""
    await queue.append([held(1, 60)])
    await queue.append([held(2, 90)])
    assert await queue.oldest([PIXEL]) == {PIXEL: Oldest()}
    clock.now += 100_000
    await queue.append([record(3)])

    newest = await queue.claim(PIXEL, most=1, newest=True)
    assert await queue.oldest([PIXEL]) == {PIXEL: Oldest(NOON + 60_000)}
    oldest = await queue.claim(PIXEL, most=1)
    assert [(ids([segment]), segment.at) for segment in (*newest, *oldest)] == [
        (["id-3"], NOON + 100_000),
        (["id-1"], NOON + 60_000),
    ]


async def test_a_release_is_the_whole_files_and_comes_in_slices(queue: LocalQueue, clock: Clock) -> None:
    """A claim releases what is due of all pixels, earliest first, some at a time, and tells that there is more."""
    appends = [queue.append([record(n)], not_before=NOON + n) for n in range(1, 1201)]
    await asyncio.gather(*appends, queue.append([record(9000, pixel="2")], not_before=NOON + 1))
    clock.now += 2000
    left = []
    while segments := await queue.claim(PIXEL, most=50):
        left.append((queue.stats().held.get(PIXEL, 0), queue.stats().next_due))
        await queue.settle(segments, Settlement(done=tuple(segment.ref for segment in segments)))

    assert left[:3] == [(701, NOON + 500), (201, NOON + 1000), (0, None)]
    assert queue.stats().waiting == {"2": 1}
    assert ids(await queue.claim("2", most=10)) == ["id-9000"]


async def test_fields_that_only_held_events_have_take_no_turn(queue: LocalQueue, clock: Clock) -> None:
    """Neither before they are due nor in place of others; when due, they have their turn."""
    await queue.append([held(1, 5, source=server_record(1, SPRING, time_s=NOON // 1000))])
    assert queue._store.tables.counts.with_fields.values == {}
    clock.now += 5000

    assert await claimed(queue) == ["id-1"]
    assert sum(queue._store.tables.counts.with_fields.values.values()) == 1


# -- what the numbers in memory say


async def test_a_rollback_leaves_what_is_held_as_it_was(queue: LocalQueue, clock: Clock) -> None:
    """Neither a failed release nor a failed append changes who is held or when the next is due."""
    await queue.append([held(1, 5)])
    store = queue._store

    def failing(change: Callable[[], object]) -> Callable[[], None]:
        def work() -> None:
            change()
            assert store.tables.counts.next_due.changes
            raise ValueError

        return work

    group = store.group([Append([held(2, 1)])])
    clock.now += 500
    with pytest.raises(QueueError):
        await queue._writer.do(failing(lambda: store._appends.store(group)))
    assert figures(queue.stats()) == (1, 1, 5)
    clock.now = NOON + 5000
    with pytest.raises(QueueError):
        await queue._writer.do(failing(lambda: store.deliveries.claim(PIXEL, 10)))

    assert figures(queue.stats()) == (1, 1, 5)
    assert await claimed(queue) == ["id-1"]


async def test_the_next_due_is_found_again_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    """Counts and the next moment are the file's, whatever was claimed or held when the process ended."""
    async with opened(tmp_path, clock) as queue:
        await queue.append([held(1, 5), held(2, 9), record(3)])
        assert await claimed(queue) == ["id-3"]
    clock.now += 6000
    async with opened(tmp_path, clock) as queue:
        assert figures(queue.stats()) == (3, 2, 5)
        assert await claimed(queue) == ["id-3", "id-1"]
    async with opened(tmp_path, clock) as queue:
        assert figures(queue.stats()) == (3, 1, 9)
        assert sorted(await claimed(queue)) == ["id-1", "id-3"]


async def test_a_clock_that_steps_back_holds_nothing_again(queue: LocalQueue, clock: Clock) -> None:
    """What was released stays so; what is held waits for its moment by the clock as it is."""
    await queue.append([held(1, 5), held(2, 9)])
    clock.now += 5000
    segments = await queue.claim(PIXEL, most=10)
    clock.now -= 3_600_000
    await queue.release(segments)

    assert await claimed(queue) == ["id-1"]
    clock.now = NOON + 9000
    assert await claimed(queue) == ["id-2"]


# -- who else reaches what is held


async def test_an_opt_out_reaches_what_is_held(queue: LocalQueue, clock: Clock) -> None:
    """Events of a person who opted out meanwhile are dropped when they are due."""
    await queue.append([held(1, 5, ANNA), held(2, 5, BERT)])
    await queue.suppress([ANNA], SuppressionKind.OPT_OUT, NOON + 1000)
    clock.now += 5000

    assert await claimed(queue) == ["id-2"]
    assert queue.stats().withheld == {DropReason.OPTED_OUT: 1}
    assert figures(queue.stats()) == (1, 0, None)


async def test_an_erasure_reaches_what_is_held(queue: LocalQueue, clock: Clock) -> None:
    """A person's held events are gone at once; the neighbours in the segment stay held until their moment."""
    await queue.append([held(1, 5, ANNA), held(2, 5, BERT)])
    await queue.append([held(3, 9, ANNA)])
    erased = await queue.erase([ANNA], NOON + 1000)

    assert erased == Erased(waiting=2, dead=0)
    assert figures(queue.stats()) == (1, 1, 5)
    assert await claimed(queue) == []
    clock.now += 5000
    assert await claimed(queue) == ["id-2"]
    assert figures(queue.stats()) == (1, 0, None)


async def test_what_is_held_grows_too_old_too(queue: LocalQueue, clock: Clock) -> None:
    """It becomes a dead letter while it is held, its neighbours stay held, and a replay is due at once."""
    old = record(1, time_s=NOON // 1000 - 1000)._replace(not_before=NOON + DAY_MS)
    await queue.append([old, held(2, 86_400)])
    expired = await queue.expire(before_s=NOON // 1000 - 500)
    (letter,) = await queue.dead(Filter())

    assert expired == ({PIXEL: 1}, False)
    assert figures(queue.stats()) == (1, 1, 86_400)
    assert [row.status async for row in queue.events(Filter())] == [Status.DEAD]
    assert await queue.replay([letter.id], not_before_s=0) == 1
    assert await claimed(queue) == ["id-1"]
    clock.now += DAY_MS
    assert await claimed(queue) == ["id-2"]


async def test_a_held_segment_that_was_damaged_holds_up_no_other(queue: LocalQueue, clock: Clock) -> None:
    """It is released as others are, and skipped as others are."""
    await queue.append([held(1, 5)])
    await queue._writer.do(lambda: queue._store.tables.db.execute("UPDATE segment SET sealed=x'01'"))
    await queue.append([held(2, 6)])
    clock.now += 6000

    assert await claimed(queue) == ["id-2"]
    assert figures(queue.stats()) == (2, 0, None)
    assert await queue.oldest([PIXEL]) == {PIXEL: Oldest(NOON + 6000)}


# -- the file


@asynccontextmanager
async def opened(directory: Path, clock: Clock) -> AsyncIterator[LocalQueue]:
    queue = open_queue(directory, clock)
    try:
        yield queue
    finally:
        await queue.close()


async def test_moments_of_the_seventh_layout_keep_their_meaning(tmp_path: Path, clock: Clock) -> None:
    """What it had for later is held until then, what is due meanwhile is not, and the rest is claimed as ever."""
    async with opened(tmp_path, clock) as queue:
        await queue.append([held(1, 5), held(2, 90), record(3)])
    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as db:
        write_as_layout_7(db)
    clock.now += 10_000
    async with opened(tmp_path, clock) as queue:
        assert figures(queue.stats()) == (3, 2, 5)
        assert await claimed(queue) == ["id-3", "id-1"]
        assert figures(queue.stats()) == (3, 1, 90)
        clock.now = NOON + 90_000
        assert await claimed(queue) == ["id-2"]


def indexes_of(db: apsw.Connection) -> list[tuple[object, ...]]:
    return db.execute("SELECT name, sql FROM sqlite_schema WHERE type='index' ORDER BY name").fetchall()


async def test_an_upgraded_file_has_the_indexes_of_a_new_one(tmp_path: Path, clock: Clock) -> None:
    """Word by word, as the planner takes a partial index only where the conditions are the same."""
    async with opened(tmp_path, clock) as queue:
        await queue.append([held(1, 5)])
    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as db:
        new = indexes_of(db)
        write_as_layout_7(db)
        old = indexes_of(db)
    async with opened(tmp_path, clock) as queue:
        upgraded = await queue._writer.do(lambda: indexes_of(queue._store.tables.db))

    assert old != new
    assert upgraded == new


async def plans(queue: LocalQueue, ask: Callable[[], Any]) -> list[str]:
    """Do something on the writer thread; return how SQLite finds the segments of each statement that it asked."""
    db = queue._store.tables.db
    asked: list[tuple[str, Any]] = []

    def listen(_cursor: object, statement: str, values: Any) -> bool:
        asked.append((statement, values))
        return True

    def traced() -> list[str]:
        db.set_exec_trace(listen)
        try:
            ask()
        finally:
            db.set_exec_trace(None)
        explained = [(f"EXPLAIN QUERY PLAN {statement}", values) for statement, values in asked]
        steps: list[Any] = [step for words, values in explained for step in db.execute(words, values).fetchall()]
        return [str(step[-1]) for step in steps if "segment" in str(step[-1]) or "B-TREE" in str(step[-1])]

    return await queue._writer.do(traced)


async def test_no_claim_and_no_look_reads_what_is_held(queue: LocalQueue, clock: Clock) -> None:
    """Each goes to its place in an index of what is due, and a release to what is due of what is held."""
    await queue.append([held(1, 5), record(2), server_record(3, SPRING)])
    (refused,) = await queue.claim(PIXEL, most=1)
    await queue.settle([refused], Settlement(suspects=((refused.ref, 4),)))
    tables, deliveries = queue._store.tables, queue._store.deliveries
    looks = await plans(queue, lambda: arrivals.oldest(tables.db, [PIXEL], ()))
    suspects = await plans(queue, lambda: deliveries.claim(PIXEL, 10, suspect=True))
    claims = await plans(queue, lambda: [deliveries.claim(PIXEL, 1, newest=newest) for newest in (True, False)])
    clock.now += 5000
    releases = await plans(queue, tables.segments._holds.release_due)

    in_lane = "SEARCH segment USING COVERING INDEX segment_lane (pixel=? AND fields"
    found = {step for step in (*looks, *suspects, *claims) if not step.startswith(in_lane)}
    assert looks
    assert suspects
    assert claims
    assert found == {"SEARCH segment USING INTEGER PRIMARY KEY (rowid=?)"}
    assert set(releases) == {
        "SEARCH segment USING INTEGER PRIMARY KEY (rowid=?)",
        "SEARCH segment USING COVERING INDEX segment_held (not_before>? AND not_before<?)",
        "SEARCH segment USING COVERING INDEX segment_held (not_before>?)",
    }


async def test_a_claim_costs_the_same_beside_thousands_of_held_segments(queue: LocalQueue) -> None:
    """It takes as many steps of SQLite's machine as without them."""
    db = queue._store.tables.db

    def steps() -> int:
        counted = 0

        def count() -> bool:
            nonlocal counted
            counted += 1
            return False

        db.set_progress_handler(count, 1)
        segments = queue._store.deliveries.claim(PIXEL, 10)
        db.set_progress_handler(None)
        queue._store.deliveries.release(segments)
        return counted

    await queue.append([record(1)])
    alone = await queue._writer.do(steps)
    await asyncio.gather(*(queue.append([record(n)], not_before=NOON + n) for n in range(2, 3000)))
    beside = await queue._writer.do(steps)

    assert alone > 0
    assert beside == alone

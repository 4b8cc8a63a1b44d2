"""Repeats that are found only after their group was sealed, and suppressions that come in between."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import apsw
import pytest
from clock import NOON, Clock
from old_layouts import write_as_layout_5
from queues import open_queue
from support import PIXEL, record

from proxy.model.event import DropReason
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Erased, Stored, WholeQueue
from proxy.queue.group import Append, Group
from proxy.queue.grouper import Outcome
from proxy.queue.keys import event_key
from proxy.queue.sqlite.engine import LocalQueue

pytestmark = pytest.mark.both_engines

HOUR = 3_600_000
ANNA, BERT = b"a" * 16, b"b" * 16


def about(number: int, *person_digests: bytes) -> Record:
    return record(number, time_s=NOON // 1000)._replace(person_digests=person_digests)


def timed(born: int, number: int = 1, visitor: bytes = b"abcd") -> Record:
    """Return a record with an id as the tag makes them, which begins with the time of its birth."""
    return record(number, visitor=visitor)._replace(id=f"{born}0.{number}")


async def claimed(queue: WholeQueue) -> list[str]:
    return [record.id for segment in await queue.claim(PIXEL, most=1000) for record in segment.records]


async def together(queue: WholeQueue, *requests: Sequence[Record]) -> list[Stored]:
    """Append several requests as one group."""
    return await asyncio.gather(*(queue.append(request) for request in requests))


async def rest(queue: LocalQueue) -> list[tuple[int, bytes]]:
    """Return how many events each segment has, and which of its positions are skipped."""
    sql = "SELECT n, skip FROM segment ORDER BY id"
    rows: list[Any] = await queue._writer.do(lambda: queue._store.tables.db.execute(sql).fetchall())
    return [(n, skip) for n, skip in rows]


REPEATS: list[tuple[list[int], list[int], bytes]] = [
    ([1, 2, 3], [1], b"\0\0"),
    ([1, 2, 3], [2], b"\0\1"),
    ([1, 2, 3], [3], b"\0\2"),
    ([1, 2, 3], [1, 3], b"\0\0\0\2"),
    ([1, 2, 2, 1, 3], [], b"\0\2\0\3"),
]


@pytest.mark.only_sqlite
@pytest.mark.parametrize(("brought", "before", "skip"), REPEATS)
async def test_positions_of_repeats_are_skipped(
    queue: LocalQueue, brought: list[int], before: list[int], skip: bytes
) -> None:
    """Repeats remain in the sealed bytes, and are neither counted nor claimed, at whatever position."""
    await queue.append([record(number) for number in before])
    was = await queue.claim(PIXEL, most=10)
    stored = await queue.append([record(number) for number in brought])

    assert len(stored.duplicates) == len(skip) // 2
    assert (await rest(queue))[len(was) :] == [(3 - len(before), skip)]
    assert await claimed(queue) == [f"id-{number}" for number in (1, 2, 3) if number not in before]
    assert queue.stats().waiting == {PIXEL: 3}


@pytest.mark.only_sqlite
async def test_a_group_of_repeats_stores_no_segment(queue: LocalQueue) -> None:
    """A group that consists of repeats stores nothing."""
    await queue.append([record(1), record(2)])
    stored = await together(queue, [record(2)], [record(1)])

    assert [len(answer.duplicates) for answer in stored] == [1, 1]
    assert await rest(queue) == [(2, b"")]


@pytest.mark.only_sqlite
async def test_skipped_repeats_survive_what_rewrites_a_segment(queue: LocalQueue) -> None:
    """A segment that is written again without some of its events has no old positions to skip."""
    await queue.append([record(1)])
    await queue.claim(PIXEL, most=10)
    await queue.append([record(1), about(2, ANNA), about(3, BERT)])
    await queue.suppress([ANNA], SuppressionKind.OPT_OUT, NOON)

    assert await claimed(queue) == ["id-3"]
    assert (await rest(queue))[1:] == [(1, b"")]


@pytest.mark.only_sqlite
async def test_an_erasure_removes_repeats_that_are_skipped(queue: LocalQueue) -> None:
    """An erasure also removes the person's skipped repeats from the sealed bytes."""
    await queue.append([about(1, ANNA)])
    await queue.claim(PIXEL, most=10)  # under way, so the erasure does not touch it
    await queue.append([about(1, ANNA), about(2, BERT)])
    assert (await rest(queue))[1:] == [(1, b"\0\0")]

    assert await queue.erase([ANNA], NOON) == Erased(waiting=0)
    assert (await rest(queue))[1:] == [(1, b"")]
    assert await claimed(queue) == ["id-2"]


@pytest.mark.only_sqlite
async def test_nothing_about_the_suppressed_is_sealed(queue: LocalQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of suppressed people are left out of the sealed segment; the others are sealed together."""
    made: list[Group] = []
    make = queue._store.group

    def making(appends: Sequence[Append]) -> Group:
        made.append(make(appends))
        return made[-1]

    monkeypatch.setattr(queue._grouper, "_make", making)
    await queue.suppress([ANNA], SuppressionKind.OPT_OUT, NOON)
    stored = await together(queue, [about(1, ANNA), about(2, BERT)], [about(3)])

    assert [member.segment for group in made for member in group.members] == [-1, 0, 0]
    assert [[record.id for record, _ in answer.refused] for answer in stored] == [["id-1"], []]
    assert await claimed(queue) == ["id-2", "id-3"]


@pytest.mark.only_sqlite
async def test_who_is_suppressed_after_the_sealing_is_refused_and_does_not_rest(
    queue: LocalQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An opt-out that is committed between the sealing of a group and its storing counts; other events are stored."""
    store = queue._writer.store

    async def opting_out_first(group: Group, tell: Callable[[Outcome], None]) -> None:
        await queue.suppress([ANNA], SuppressionKind.OPT_OUT, NOON)
        store(group, tell)

    tasks: list[asyncio.Task[None]] = []
    await queue.append([about(2)])
    monkeypatch.setattr(
        queue._grouper, "_store", lambda group, tell: tasks.append(asyncio.create_task(opting_out_first(group, tell)))
    )
    first, second = await together(queue, [about(1, ANNA), about(2), about(3, BERT)], [about(4)])

    assert first.refused == ((about(1, ANNA), DropReason.OPTED_OUT),)
    assert (len(first.duplicates), second) == (1, Stored())
    assert await rest(queue) == [(1, b""), (2, b"")]
    assert await claimed(queue) == ["id-2", "id-3", "id-4"]


@pytest.mark.only_sqlite
async def test_a_contradiction_is_stored_with_its_finding_and_not_twice(queue: LocalQueue) -> None:
    """A Purchase that contradicts another visitor's in the same group is sent once, with a finding."""
    orders = [record(1, visitor=visitor)._replace(worth=worth) for visitor, worth in ((b"aaaa", b"1"), (b"bbbb", b"2"))]
    stored = await together(queue, [orders[0], record(2)], [orders[1]])
    found = [record for segment in await queue.claim(PIXEL, most=10) for record in segment.records]

    assert [len(answer.conflicts) for answer in stored] == [0, 1]
    assert sorted((record.id, record.visitor, record.findings) for record in found) == [
        ("id-1", b"aaaa", ()),
        ("id-1", b"bbbb", ("id:conflict",)),
        ("id-2", b"abcd", ()),
    ]


# The birth of an event's id, its first arrival and its repeat, in hours.
JOURNEYS = [(0, 0, 0), (0, 0, 47), (-0.5, 0, 30), (-60, 0, 40), (-500, 0, 47), (0.9, 0, 30), (0.05, 0, 0.1), (3, 0, 2)]


@pytest.mark.parametrize(("born", "first", "again"), JOURNEYS)
async def test_a_repeat_with_a_timed_id_is_known(
    queue: WholeQueue, clock: Clock, born: float, first: float, again: float
) -> None:
    """It is known however the tables of the memory rotated, and whether the browser's clock was behind or ahead."""
    event = timed(int(NOON + born * HOUR))
    clock.now = int(NOON + first * HOUR)
    await queue.append([event])
    clock.now = int(NOON + again * HOUR)

    assert len((await queue.append([event])).duplicates) == 1
    assert (await queue.append([event._replace(visitor=b"efgh")])).reused == 1
    assert (await queue.append([timed(int(NOON + born * HOUR), 2)])).duplicates == ()


@pytest.mark.only_sqlite
async def test_a_timed_id_is_looked_for_since_its_birth(queue: LocalQueue, clock: Clock) -> None:
    """A new id of the tag is looked up in one table, one of two hours ago in two, an id of the page in all four."""
    asked: list[str] = []
    memory = queue._store.tables.seen._visits
    add = memory.add_if_new

    def adding(visits: Sequence[tuple[str, Sequence[bytes]]]) -> bool:
        asked.extend(table for table, _ in visits)
        return add(visits)

    memory.add_if_new = adding  # type: ignore[method-assign]
    counts = []
    clock.now = (NOON // (16 * HOUR) + 1) * 16 * HOUR + 2 * HOUR
    for event in (timed(clock.now), timed(clock.now - 2 * HOUR), record(1)):
        asked.clear()
        await queue.append([event])
        counts.append(len(asked))

    assert counts == [1, 2, 4]


def remember_as_layout_5(path: Path, events: Sequence[Record], slot: int) -> None:
    """Turn a file into one of layout 5 that knows these events in one of its slots."""
    with closing(apsw.Connection(str(path))) as db:
        write_as_layout_5(db)
        for event in events:
            key = blake2b(f"{event.pixel}\0{event.name}\0{event.id}".encode(), digest_size=16).digest()
            db.execute(f"INSERT INTO seen_{slot % 4} VALUES(?, ?, ?)", (key, event.visitor, event.worth))


@pytest.mark.only_sqlite
@pytest.mark.parametrize("hours", [0, 20, 47])
async def test_what_the_version_before_met_is_still_known(tmp_path: Path, clock: Clock, hours: int) -> None:
    """Repeats of events that an older version stored are known for 48 hours, for every kind of id."""
    old = [record(1)._replace(worth=b"1"), timed(NOON, 2), timed(NOON - 50 * HOUR, 3)]
    queue = open_queue(tmp_path, clock)
    await queue.append([record(9)])
    await queue.close()
    remember_as_layout_5(tmp_path / "queue.db", old, NOON // (16 * HOUR))
    clock.now += hours * HOUR
    again = open_queue(tmp_path, clock)
    stored = await again.append([*old, record(4)])
    changed = await again.append([old[0]._replace(visitor=b"efgh", worth=b"2")])

    assert [record.id for record in stored.duplicates] == [record.id for record in old]
    assert (changed.reused, len(changed.conflicts)) == (1, 1)
    await again.close()


@pytest.mark.only_sqlite
async def test_the_memory_of_the_version_before_goes_in_its_time(tmp_path: Path, clock: Clock) -> None:
    """Its tables are dropped one by one, and after 64 hours none is left."""
    queue = open_queue(tmp_path, clock)
    await queue.append([record(9)])
    await queue.close()
    remember_as_layout_5(tmp_path / "queue.db", [record(1)], NOON // (16 * HOUR))
    again = open_queue(tmp_path, clock)
    left = []
    for number in range(5):
        await again.append([record(100 + number)])
        left.append(len(again._store.tables.seen._old))
        clock.now += 16 * HOUR

    assert left == [4, 3, 2, 1, 0]
    assert (await again.append([record(1)])).duplicates == ()
    await again.close()


@pytest.mark.only_sqlite
async def test_the_memory_tells_who_speaks_for_an_event(queue: LocalQueue) -> None:
    """The owner is the first of the asking visitors who brought the event, or of all of them if it is unknown.

    It is None if only other visitors brought it.
    """
    events = [timed(NOON), record(2), timed(NOON, 3)]
    keys = [event_key(event.pixel, event.name, event.id) for event in events]
    await together(queue, events[:2], [events[0]._replace(visitor=b"efgh")])
    asked = [(key, [b"none", b"efgh", b"abcd"]) for key in keys] + [(keys[0], [b"none"])]

    owners = await queue._writer.do(lambda: queue._store.tables.seen.owners(asked))
    assert owners == [b"efgh", b"abcd", b"none", None]


@pytest.mark.only_sqlite
@pytest.mark.parametrize("event", [record(1), timed(NOON)])
async def test_an_id_of_thousands_of_visitors_costs_no_more(queue: LocalQueue, event: Record) -> None:
    """SQLite needs hardly more steps for the next visitor of an id that a cached page gave to thousands."""
    steps = 0

    def step() -> bool:
        nonlocal steps
        steps += 1
        return False

    async def steps_of(visitor: int) -> int:
        nonlocal steps
        steps = 0
        await queue.append([event._replace(visitor=visitor.to_bytes(4, "big"))])
        return steps

    await queue.append([event._replace(visitor=b"\xff\xff\xff\xfe")])
    await queue._writer.do(lambda: queue._store.tables.db.set_progress_handler(step, 1))
    before = await steps_of(1)
    await queue.append([event._replace(visitor=number.to_bytes(4, "big")) for number in range(2, 5000)])
    after = await steps_of(5000)
    await queue._writer.do(lambda: queue._store.tables.db.set_progress_handler(None))

    assert before > 10
    assert after < before * 1.5

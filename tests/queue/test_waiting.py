"""Waiting events: suspects and fresh ones separately, their age, and their expiry."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import pytest
from support import PIXEL, SECRET, record

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.queue.contract import Filter, Oldest, Remainder, Segment, Settlement
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.engine import LocalQueue
from proxy.queue.sqlite.housekeeping import Housekeeping

NOON = 1_790_000_000_000


def open_queue(directory: Path) -> LocalQueue:
    """Open a queue whose clock advances by a millisecond with each reading."""
    return LocalQueue.open(
        directory,
        Sealer(SECRET),
        limits=QueueSettings(),
        retention=RetentionSettings(),
        now=count(NOON).__next__,
        on_broken=lambda _error: None,
    )


@pytest.fixture(name="queue")
async def _queue(tmp_path: Path) -> AsyncIterator[LocalQueue]:
    queue = open_queue(tmp_path)
    yield queue
    await queue.close()


def ids(segments: Sequence[Segment]) -> list[str]:
    return [found.id for segment in segments for found in segment.records]


async def suspect(queue: LocalQueue, numbers: Sequence[int], bound: int) -> None:
    """Make a segment of these events a suspect with this bound."""
    await queue.append([record(number, time_s=NOON // 1000) for number in numbers])
    (segment,) = await queue.claim(PIXEL, most=1, newest=True)
    await queue.settle([segment], Settlement(suspects=((segment.ref, bound),)))


async def damage(queue: LocalQueue) -> None:
    """Damage all stored segments."""
    await queue._writer.do(lambda: queue._store.tables.db.execute("UPDATE segment SET sealed=x'01'"))


async def test_suspects_and_fresh_events_are_claimed_apart(queue: LocalQueue) -> None:
    """A claim of fresh events has no suspects and vice versa; both count as waiting."""
    await suspect(queue, [1, 2], 2)
    await queue.append([record(3)])

    assert (queue.stats().waiting, queue.stats().suspects) == ({PIXEL: 3}, {PIXEL: 2})
    assert ids(await queue.claim(PIXEL, most=1000)) == ["id-3"]
    (segment,) = await queue.claim(PIXEL, most=1000, suspect=True)
    assert (ids([segment]), segment.suspect, segment.attempts) == (["id-1", "id-2"], 2, 1)


async def test_suspects_are_claimed_by_batches_the_least_suspected_first(queue: LocalQueue) -> None:
    """The largest bound comes first, the newest of it first, one bound a claim; known offenders come last."""
    for numbers, bound in (([1], 4), ([2], -8), ([3, 4, 5], 4), ([6], 1), ([7, 8], 4), ([9], -1)):
        await suspect(queue, numbers, bound)
    claims = [await queue.claim(PIXEL, most=1000, suspect=True) for _ in range(6)]

    assert [ids(claim) for claim in claims] == [
        ["id-7", "id-8", "id-3", "id-4", "id-5"],
        ["id-1"],
        ["id-6"],
        ["id-9"],
        ["id-2"],
        [],
    ]


async def test_suspects_survive_a_restart_as_suspects(tmp_path: Path) -> None:
    """Bound and arrival of a suspect are stored in the file."""
    queue = open_queue(tmp_path)
    await suspect(queue, [1, 2, 3], 2)
    (segment,) = await queue.claim(PIXEL, most=1, suspect=True)
    rest = Remainder(PIXEL, 2, 0, segment.records[1:], segment.at, -1)
    await queue.settle([segment], Settlement(done=(segment.ref,), remainders=(rest,)))
    await queue.close()

    again = open_queue(tmp_path)
    (found,) = await again.claim(PIXEL, most=1, suspect=True)
    assert (again.stats().waiting, again.stats().suspects) == ({PIXEL: 2}, {PIXEL: 2})
    assert (ids([found]), found.suspect, found.attempts, found.at) == (["id-2", "id-3"], -1, 2, segment.at)
    await again.settle([found], Settlement(done=(found.ref,)))
    assert (again.stats().waiting, again.stats().suspects) == ({}, {})
    await again.close()


@pytest.mark.parametrize("newest", [False, True])
async def test_a_claim_that_meets_only_damaged_segments_goes_on_behind_them(queue: LocalQueue, *, newest: bool) -> None:
    """However many damaged segments come first, a sound one behind them is claimed, from either end."""
    for number in range(9):
        await queue.append([record(number)])
    await queue._writer.do(lambda: queue._store.tables.db.execute("UPDATE segment SET sealed=x'01' WHERE id<>5"))

    assert ids(await queue.claim(PIXEL, most=1, newest=newest)) == ["id-4"]


async def test_since_when_events_wait_is_told_by_their_arrival(queue: LocalQueue) -> None:
    """Fresh events and suspects each have an oldest arrival, which counts claimed events but no damaged ones."""
    assert await queue.oldest([PIXEL, "other"]) == {PIXEL: Oldest(), "other": Oldest()}
    await queue.append([record(1)])
    await damage(queue)
    assert await queue.claim(PIXEL, most=1) == ()
    await queue.append([record(2)])
    (fresh,) = await queue.claim(PIXEL, most=1)
    await suspect(queue, [3], 1)
    await suspect(queue, [4], 64)
    (younger,) = await queue.claim(PIXEL, most=1, suspect=True)
    (older,) = await queue.claim(PIXEL, most=1, suspect=True)

    assert older.at < younger.at
    assert await queue.oldest([PIXEL]) == {PIXEL: Oldest(fresh.at, older.at)}


def aged(number: int, seconds: int) -> Record:
    return record(number, time_s=NOON // 1000 - seconds)


async def test_what_is_too_old_becomes_a_dead_letter_wherever_it_waits(queue: LocalQueue) -> None:
    """Old events of any pixel, fresh or suspect, become dead letters with a row; young ones of the segment stay."""
    await queue.append([aged(1, 100), aged(2, 10)])
    await suspect(queue, [3], 1)
    unlisted = aged(4, 100)._replace(pixel="gone")
    await queue.append([unlisted])

    assert await queue.expire(before_s=NOON // 1000 - 50) == ({PIXEL: 1, "gone": 1}, False)
    assert await queue.expire(before_s=NOON // 1000 - 50) == ({}, False)
    letters = await queue.dead_letters(Filter())
    assert {(letter.pixel, letter.event_id, letter.reason) for letter in letters} == {
        (PIXEL, "id-1", "too_old"),
        ("gone", "id-4", "too_old"),
    }
    rows = [row async for row in queue.events(Filter())]
    assert {(row.status, row.reason, row.id) for row in rows} == {
        (Status.DEAD, "too_old", "id-1"),
        (Status.DEAD, "too_old", "id-4"),
    }
    assert (queue.stats().waiting, queue.stats().suspects) == ({PIXEL: 2}, {PIXEL: 1})
    assert await queue.expire(before_s=NOON // 1000 + 1) == ({PIXEL: 2}, False)
    assert (queue.stats().waiting, queue.stats().suspects, queue.stats().dead) == ({}, {}, 4)


async def test_expiry_goes_in_slices_and_leaves_what_is_under_way(queue: LocalQueue) -> None:
    """A call expires a bounded number of events, and none that are claimed."""
    for start in range(0, 1500, 300):
        await queue.append([aged(number, 100) for number in range(start, start + 300)])
    claimed = await queue.claim(PIXEL, most=1)
    slices = []
    while True:
        expired, more = await queue.expire(before_s=NOON // 1000)
        slices.append(sum(expired.values()))
        if not more:
            break

    assert max(slices) <= 800
    assert sum(slices) == 1200
    assert queue.stats().waiting == {PIXEL: len(ids(claimed))}


async def stock(queue: LocalQueue, numbers: Sequence[int]) -> None:
    """Store events, each in a segment of its own."""

    def insert() -> None:
        for number in numbers:
            queue._store.tables.segments.insert(Remainder(PIXEL, 0, 0, (record(number),), NOON + number // 10))

    await queue._writer.do(insert)


@pytest.mark.parametrize("newest", [True, False])
async def test_a_batch_of_lone_events_takes_a_few_statements(
    queue: LocalQueue, monkeypatch: pytest.MonkeyPatch, *, newest: bool
) -> None:
    """Each call into SQLite releases the interpreter's lock, so claim and settlement make few, whatever waits."""
    statements: list[str] = []

    def trace(_cursor: apsw.Cursor, sql: str, _values: object) -> bool:
        statements.append(sql)
        return True

    await stock(queue, range(3000))
    in_flight = [await queue.claim(PIXEL, most=1000), await queue.claim(PIXEL, most=500)]
    # Its statements run on the same connection, and on a slow machine they come between.
    monkeypatch.setattr(Housekeeping, "tend", lambda _: False)
    await queue._writer.do(lambda: setattr(queue._store.tables.db, "exec_trace", trace))
    statements.clear()
    batch = await queue.claim(PIXEL, most=1000, newest=newest)
    claiming, statements[:] = len(statements), []
    rows = tuple(LedgerRow(NOON, PIXEL, "Lead", identity, NOON // 1000, Status.DELIVERED) for identity in ids(batch))
    await queue.settle(batch, Settlement(done=tuple(segment.ref for segment in batch), rows=rows))
    settling = len(statements)
    expected = range(2999, 1999, -1) if newest else range(1500, 2500)

    assert [len(claim) for claim in in_flight] == [1000, 500]
    assert ids(batch) == [f"id-{number}" for number in expected]
    assert claiming <= 4
    assert settling <= 40
    assert queue.stats().waiting == {PIXEL: 2000}


async def test_damage_hides_nothing_that_a_claim_could_take(queue: LocalQueue) -> None:
    """A claim goes on past damaged segments until it is full."""
    await stock(queue, range(30))
    await damage(queue)
    await stock(queue, range(30, 35))
    batch = await queue.claim(PIXEL, most=3)

    assert ids(batch) == ["id-30", "id-31", "id-32"]


async def test_no_commit_waits_for_the_batches_of_many_lanes(queue: LocalQueue) -> None:
    """When thirty pixels claim and settle at once, a commit has at most two of these calls."""
    claims: list[int] = []
    claim, settle = queue._store.deliveries.claim, queue._store.deliveries.settle

    def trace(_cursor: apsw.Cursor, sql: str, _values: object) -> bool:
        if sql.startswith("BEGIN"):
            claims.append(0)
        return True

    def counted(call: Callable[..., Any], *values: Any, **options: Any) -> Any:
        claims[-1] += 1
        return call(*values, **options)

    pixels = [str(number) for number in range(30)]
    for pixel in pixels:
        await queue.append([record(1, pixel=pixel)])
    await queue._writer.do(lambda: setattr(queue._store.tables.db, "exec_trace", trace))
    queue._store.deliveries.claim = partial(counted, claim)  # type: ignore[method-assign]
    queue._store.deliveries.settle = partial(counted, settle)  # type: ignore[method-assign]

    async def deliver(pixel: str) -> None:
        (segment,) = await queue.claim(pixel, most=1000)
        await queue.settle([segment], Settlement(done=(segment.ref,)))

    await asyncio.gather(*(deliver(pixel) for pixel in pixels))

    assert sum(claims) == 60
    assert max(claims) <= 2
    assert not queue.stats().waiting

"""Claims skip what is gone, and still find segments of other proxies, late ones and those that become due."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial

import pytest
from clock import NOON, Clock
from postgres_server import Cluster
from shared_outboxes import Proxy, proxy_on
from support import PIXEL, record, server_record, until

from proxy.model.server_request import RequestFields
from proxy.queue.contract import Oldest, Remainder, Settlement

FIELDS = RequestFields(test_event_code="TEST1")


class Lane:
    """A lane that counts how often it was woken."""

    def __init__(self) -> None:
        self.wakes = 0

    def wake(self) -> None:
        self.wakes += 1


@pytest.fixture(name="pair")
async def _pair(postgres: Cluster, schema: str) -> AsyncIterator[tuple[Proxy, Proxy]]:
    """Yield a proxy that leads the lane, and another one that only stores."""
    async with AsyncExitStack() as stack:
        leader = await stack.enter_async_context(proxy_on(postgres, schema, Clock()))
        other = await stack.enter_async_context(proxy_on(postgres, schema, leader.clock))
        assert await leader.claimed() == []
        yield leader, other


def tells(proxy: Proxy, *, waiting: int, held: int) -> bool:
    stats = proxy.outbox.stats()
    return (stats.waiting, stats.held) == ({PIXEL: waiting}, {PIXEL: held})


async def settle_all(proxy: Proxy) -> None:
    while segments := await proxy.outbox.claim(PIXEL, most=1000):
        await proxy.outbox.settle(segments, Settlement(done=tuple(segment.ref for segment in segments)))


async def test_what_another_proxy_stores_wakes_the_lane(pair: tuple[Proxy, Proxy]) -> None:
    """The lane is also woken for servers' events, which the quick look does not see."""
    leader, other = pair
    lane = Lane()
    leader.outbox.register_lanes({PIXEL: lane.wake})
    await other.store([record(1)])
    await until(lambda: lane.wakes, what="the wake-up")
    assert await leader.claimed() == ["id-1"]
    lane.wakes = 0
    await settle_all(leader)
    await other.store([server_record(2, FIELDS)])
    await until(lambda: lane.wakes, what="the wake-up for a server's event")
    await until(leader.claimed, what="the server's event")


@pytest.mark.parametrize("newest", [False, True])
async def test_what_was_committed_late_is_found(pair: tuple[Proxy, Proxy], *, newest: bool) -> None:
    """A segment that claims have already passed is found later.

    Its commit took long, or its proxy's clock is behind.
    """
    leader, other = pair
    lane = Lane()
    leader.outbox.register_lanes({PIXEL: lane.wake})
    await leader.store([record(1)])
    assert await leader.claimed(newest=newest) == ["id-1"]
    assert await leader.claimed(newest=newest) == []
    await other.store([record(2)], at=NOON - 60_000)
    assert await leader.claimed(newest=newest) == []

    await until(lambda: leader.claimed(newest=newest), what="the late segment")
    assert lane.wakes


async def test_a_clock_that_is_ahead_hides_nothing(pair: tuple[Proxy, Proxy]) -> None:
    """A segment with a time an hour ahead is claimed at once, and so are those that others store after it."""
    leader, other = pair
    await other.store([record(1)], at=NOON + 3_600_000)
    assert await leader.claimed() == ["id-1"]
    assert await leader.claimed() == []
    leader.clock.now += 1
    await other.store([record(2)])

    assert await leader.claimed() == ["id-2"]


async def test_what_this_proxy_stores_late_is_found_at_once(pair: tuple[Proxy, Proxy]) -> None:
    """A segment is found at once even if this proxy's clock stepped back."""
    leader, _ = pair
    await leader.store([record(1)])
    assert await leader.claimed() == ["id-1"]
    await leader.store([record(2)], at=NOON - 60_000)

    assert await leader.claimed() == ["id-2"]


async def test_what_a_claim_did_not_see_any_more_is_found_by_the_next(pair: tuple[Proxy, Proxy]) -> None:
    """A segment that arrives while a claim reads, with an earlier time, is found by the next claim."""
    leader, _ = pair
    memory = leader.outbox._claiming.lanes[PIXEL]
    await leader.store([record(1)])
    run = leader.database.run

    async def run_and_store(*arguments: object, **limit: float) -> object:
        leader.database.run = run  # type: ignore[method-assign]
        rows = await run(*arguments, **limit)  # type: ignore[arg-type]
        await leader.store([record(2)], at=NOON - 1)
        return rows

    leader.database.run = run_and_store  # type: ignore[method-assign, assignment]
    assert await leader.claimed() == ["id-1"]
    assert memory.floor(b"") < (NOON - 1, b"")
    assert await leader.claimed() == ["id-2"]


async def test_a_claim_reads_nothing_below_its_floor(pair: tuple[Proxy, Proxy]) -> None:
    """Claimed and removed segments are not read again; released ones are."""
    leader, _ = pair
    for number in range(1, 4):
        leader.clock.now += 1
        await leader.store([record(number)])
    memory = leader.outbox._claiming.lanes[PIXEL]
    first = await leader.outbox.claim(PIXEL, most=1)
    assert memory.excluded(b"", suspect=False) == []
    assert memory.floor(b"") == (NOON + 1, first[0].ref)
    newest = await leader.outbox.claim(PIXEL, most=1, newest=True)
    assert memory.excluded(b"", suspect=False) == [newest[0].ref]
    await leader.outbox.release(first)

    assert await leader.claimed() == ["id-1", "id-2"]
    assert memory.floor(b"") == (NOON + 3, newest[0].ref)


async def test_what_a_failed_attempt_leaves_is_claimed_again(pair: tuple[Proxy, Proxy]) -> None:
    """A segment that was tried is claimed again, and so is the remainder of one that was partly settled."""
    leader, _ = pair
    await leader.store([record(1), record(2)])
    leader.clock.now += 1
    await leader.store([record(3)])
    whole, lone = segments = await leader.outbox.claim(PIXEL, most=10)
    rest = Remainder(PIXEL, 1, 0, whole.records[1:], whole.at)
    settlement = Settlement(done=(whole.ref,), tried=(lone.ref,), struck=True, remainders=(rest,))

    assert await leader.outbox.settle(segments, settlement) == frozenset()
    assert leader.outbox.stats().waiting == {PIXEL: 2}
    again = await leader.outbox.claim(PIXEL, most=10)
    assert [(each.attempts, each.strikes, each.at, [some.id for some in each.records]) for each in again] == [
        (1, 0, NOON, ["id-2"]),
        (1, 1, NOON + 1, ["id-3"]),
    ]
    assert await leader.outbox.settle(segments, settlement) == {whole.ref, lone.ref}
    assert leader.outbox.stats().waiting == {PIXEL: 2}


async def test_held_events_of_another_proxy_become_due(pair: tuple[Proxy, Proxy]) -> None:
    """The leader learns of them, releases them when they are due, and counts them as arrived then."""
    leader, other = pair
    lane = Lane()
    leader.outbox.register_lanes({PIXEL: lane.wake})
    await other.store([record(1)], not_before=NOON + 1000)
    await until(lambda: leader.outbox.stats().held == {PIXEL: 1}, what="the held event")
    assert leader.outbox.stats().next_due == NOON + 1000
    assert await leader.claimed() == []
    leader.clock.now = NOON + 1000

    (segment,) = await leader.outbox.claim(PIXEL, most=10)
    assert (segment.at, leader.outbox.stats().held) == (NOON + 1000, {})
    assert await leader.outbox.oldest([PIXEL]) == {PIXEL: Oldest(NOON + 1000, None)}


async def test_each_proxy_tells_how_much_waits(pair: tuple[Proxy, Proxy]) -> None:
    """The leader counts, and the others get its counts at the next heartbeat."""
    leader, other = pair
    leader.outbox.register_lanes({PIXEL: Lane().wake})
    await other.store([record(1), record(2)])
    await other.store([record(3)], not_before=NOON + 1000)
    for proxy in (leader, other):
        await until(partial(tells, proxy, waiting=3, held=1), what="the count")
    await settle_all(leader)
    await until(partial(tells, other, waiting=1, held=1), what="the next count")


async def test_a_damaged_segment_holds_up_no_other(pair: tuple[Proxy, Proxy], caplog: pytest.LogCaptureFixture) -> None:
    """It is kept, reported once, and does not count as the oldest waiting event."""
    leader, _ = pair
    await leader.store([record(1)])
    await leader.ids("UPDATE segment SET sealed = substr(sealed, 1, 20)")
    leader.clock.now += 1
    await leader.store([record(2)])

    assert await leader.claimed(1) == ["id-2"]
    assert await leader.claimed(newest=True) == []
    assert len(await leader.ids("SELECT id FROM segment")) == 2
    assert await leader.outbox.oldest([PIXEL]) == {PIXEL: Oldest(NOON + 1, None)}
    assert await leader.outbox.expire(before_s=1 << 40) == ({}, False)
    assert caplog.text.count("was damaged; it is kept and skipped") == 1

"""Of the processes that share a PostgreSQL database, one leads each lane, and others take over when it dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from clock import Clock
from postgres_server import Cluster
from shared_outboxes import Proxy, proxy_on
from support import PIXEL, record, until

from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.model.verdict import GraphError
from proxy.queue.contract import DeliveryState, Segment, Settlement

PAUSED = DeliveryState("token", 3, 1_790_000_060_000, "token", GraphError(190, 460, "Graph's words\0", "trace"))


class Site:
    """Any number of proxies on one database."""

    def __init__(self, stack: AsyncExitStack, postgres: Cluster, schema: str) -> None:
        self._stack = stack
        self._where = (postgres, schema)
        self.clock = Clock()

    async def proxy(self, lease_s: float = 1.0) -> Proxy:
        return await self._stack.enter_async_context(proxy_on(*self._where, self.clock, lease_s))

    async def leading(self, lanes: list[str], count: int) -> list[Proxy]:
        """Start proxies that wish to lead these lanes, and wait until each lane has a leader."""
        proxies = [await self.proxy() for _ in range(count)]
        for proxy in proxies:
            proxy.outbox.register_lanes(dict.fromkeys(lanes, _nothing))
        await until(lambda: all(leaders(lane, proxies) for lane in lanes), what="leaders")
        return proxies


def _nothing() -> None:
    """Do nothing, in place of waking a lane."""


def leaders(lane: str, proxies: list[Proxy]) -> list[Proxy]:
    return [proxy for proxy in proxies if proxy.outbox.term(lane)]


def loads(proxies: list[Proxy]) -> list[int]:
    return sorted(len(proxy.outbox.leases.led_lanes()) for proxy in proxies)


def delivered(segments: tuple[Segment, ...], now: int) -> Settlement:
    records: list[Record] = [each for segment in segments for each in segment.records]
    rows = [
        LedgerRow(now, each.pixel, each.name, each.id, each.time_s, Status.DELIVERED, visitor=each.visitor)
        for each in records
    ]
    return Settlement(done=tuple(segment.ref for segment in segments), rows=tuple(rows))


@pytest.fixture(name="site")
async def _site(postgres: Cluster, schema: str) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        yield Site(stack, postgres, schema)


async def test_only_the_leader_gets_anything(site: Site) -> None:
    """A claim at another proxy finds nothing."""
    proxies = await site.leading([PIXEL], 2)
    (leader,) = leaders(PIXEL, proxies)
    (other,) = (proxy for proxy in proxies if proxy is not leader)
    await other.store([record(1)])

    assert await other.claimed() == []
    assert await leader.claimed() == ["id-1"]


async def test_lanes_are_shared_and_handed_over_to_who_joins(site: Site) -> None:
    """Each lane has at most one leader at any time; a new proxy gets its share, and one that stops gives all back."""
    lanes = [str(number) for number in range(7)]
    first, second = await site.leading(lanes, 2)
    await until(lambda: loads([first, second]) == [3, 4], what="fair shares")
    third = await site.proxy()
    third.outbox.register_lanes(dict.fromkeys(lanes, _nothing))
    proxies = [first, second, third]

    def is_fair() -> bool:
        assert all(len(leaders(lane, proxies)) <= 1 for lane in lanes)
        return loads(proxies) == [2, 2, 3]

    await until(is_fair, what="fair shares of three")
    await first.outbox.close()
    await until(lambda: loads([second, third]) == [3, 4], what="the lanes of the one that stopped")


async def test_a_lane_is_not_given_back_while_an_attempt_is_under_way(site: Site) -> None:
    """The leader starts nothing new for the lane, and another proxy leads it once the leader has settled."""
    lanes = [PIXEL, "2"]
    (first,) = await site.leading(lanes, 1)
    await first.store([record(1)])
    await first.store([record(2, pixel="2")])
    claims = {lane: await first.outbox.claim(lane, most=10) for lane in lanes}
    second = await site.proxy()
    second.outbox.register_lanes(dict.fromkeys(lanes, _nothing))
    await until(lambda: len(first.outbox.leases.led_lanes()) == 1, what="one lane to be left")
    (left,) = set(lanes) - set(first.outbox.leases.led_lanes())
    await first.outbox.leases.beat()
    await second.outbox.leases.beat()

    assert second.outbox.leases.led_lanes() == []
    assert await first.outbox.settle(claims[left], delivered(claims[left], site.clock())) == frozenset()
    await until(lambda: second.outbox.leases.led_lanes() == [left], what="the lane")
    assert await second.claimed(pixel=left) == []


async def test_a_dead_leader_is_replaced_and_its_claims_come_again(site: Site) -> None:
    """The proxy that takes over claims what the dead leader had claimed."""
    proxies = await site.leading([PIXEL], 2)
    (leader,) = leaders(PIXEL, proxies)
    (other,) = (proxy for proxy in proxies if proxy is not leader)
    await leader.store([record(1), record(2)])
    assert await leader.claimed() == ["id-1", "id-2"]
    await leader.crash()

    await until(lambda: other.outbox.term(PIXEL), what="the take-over")
    assert await other.claimed() == ["id-1", "id-2"]


async def test_how_a_lane_stands_is_handed_over(site: Site) -> None:
    """Pause, back-off and Graph's message pass to the next leader; a proxy that does not lead cannot change them."""
    proxies = await site.leading([PIXEL], 2)
    (leader,) = leaders(PIXEL, proxies)
    (other,) = (proxy for proxy in proxies if proxy is not leader)
    told = DeliveryState(
        PAUSED.paused, 3, PAUSED.retry_at, "token", GraphError(190, 460, "Graph's words\ufffd", "trace")
    )
    await leader.outbox.keep_lane_state(PIXEL, PAUSED)
    await other.outbox.keep_lane_state(PIXEL, DeliveryState(failures=1))

    assert await other.outbox.lane_state(PIXEL) == told
    await leader.outbox.close()
    await until(lambda: other.outbox.term(PIXEL), what="the take-over")
    assert await other.outbox.lane_state(PIXEL) == told
    await other.outbox.keep_lane_state(PIXEL, DeliveryState())
    assert await other.outbox.lane_state(PIXEL) == DeliveryState()


async def test_who_settles_second_changes_nothing(site: Site) -> None:
    """Of two proxies that sent the same events, the first writes the rows; the second learns which were settled."""
    proxies = await site.leading([PIXEL], 2)
    (leader,) = leaders(PIXEL, proxies)
    (other,) = (proxy for proxy in proxies if proxy is not leader)
    await leader.store([record(1)])
    await leader.store([record(2)])
    first = await leader.outbox.claim(PIXEL, most=1)
    await leader.outbox.leases.close()
    await until(lambda: other.outbox.term(PIXEL), what="the take-over")
    both = await other.outbox.claim(PIXEL, most=10)

    assert await leader.outbox.settle(first, delivered(first, site.clock())) == frozenset()
    assert await other.outbox.settle(both, delivered(both, site.clock())) == {first[0].ref}
    rows = await other.ids(f"SELECT id FROM ledger_{site.clock() // 86_400_000} ORDER BY id")
    assert [row["id"] for row in rows] == ["id-1", "id-2"]
    assert other.outbox.settled_elsewhere == 1


async def test_after_an_outage_nobody_takes_lanes_from_the_living(site: Site) -> None:
    """After all were silent, the first to return waits for a lease before it counts the others as dead."""
    proxies = await site.leading([PIXEL], 2)
    (leader,) = leaders(PIXEL, proxies)
    (other,) = (proxy for proxy in proxies if proxy is not leader)
    term = leader.outbox.term(PIXEL)
    for proxy in proxies:
        proxy.outbox.leases._heard -= 100  # the outage
    await other.ids("UPDATE replica SET seen_at = seen_at - interval '100 seconds'")
    assert not leader.outbox.term(PIXEL)

    await other.outbox.leases.beat()
    assert not other.outbox.term(PIXEL)
    await leader.outbox.leases.beat()
    assert leader.outbox.term(PIXEL) == term


async def test_a_leader_that_is_not_heard_starts_nothing(site: Site) -> None:
    """A leader that cannot renew its lease stops claiming before the lease ends, by its own clock."""
    (leader,) = await site.leading([PIXEL], 1)
    await leader.store([record(1)])
    leader.outbox.leases._task.cancel()  # type: ignore[union-attr] # it does not get to beat

    await until(lambda: not leader.outbox.term(PIXEL), what="the end of its certainty")
    assert await leader.claimed() == []
    await leader.outbox.leases.beat()
    assert await leader.claimed() == ["id-1"]


async def test_a_process_that_was_forgotten_leads_nothing_until_it_is_known_again(site: Site) -> None:
    """If the database was reset to an older state, a leader that it does not know registers again, with a new term."""
    (leader,) = await site.leading([PIXEL], 1)
    term = leader.outbox.term(PIXEL)
    await leader.ids("UPDATE lane SET leader = NULL")
    await leader.ids("DELETE FROM replica")
    await until(lambda: leader.outbox.term(PIXEL) > term, what="a new term")


async def test_two_who_beat_at_once_never_lead_the_same(site: Site) -> None:
    """If several proxies want all lanes at the same moment, each lane still has at most one leader."""
    lanes = [str(number) for number in range(12)]
    proxies = [await site.proxy() for _ in range(3)]
    for proxy in proxies:
        proxy.outbox.register_lanes(dict.fromkeys(lanes, _nothing))
    for _ in range(10):
        await asyncio.gather(*(proxy.outbox.leases.beat() for proxy in proxies))
        assert all(len(leaders(lane, proxies)) <= 1 for lane in lanes)
    assert loads(proxies) == [4, 4, 4]

"""Waiting segments in PostgreSQL are claimed once, in order, by the leader, and settled once."""

from collections.abc import AsyncIterator

import pytest
from clock import Clock
from postgres_server import Cluster
from shared_outboxes import Proxy, proxy_on
from support import PIXEL, record

from proxy.model.ledger import LedgerRow, Status
from proxy.queue.contract import Settlement


@pytest.fixture(name="proxy")
async def _proxy(postgres: Cluster, schema: str) -> AsyncIterator[Proxy]:
    async with proxy_on(postgres, schema, Clock()) as proxy:
        yield proxy


async def test_what_was_stored_is_claimed_once_and_in_order(proxy: Proxy) -> None:
    """Claims go by age, oldest or newest first; no segment is claimed twice, and a released one is claimed again."""
    for number in range(1, 6):
        proxy.clock.now += 1
        await proxy.store([record(number)])

    assert await proxy.claimed(2) == ["id-1", "id-2"]
    assert await proxy.claimed(1, newest=True) == ["id-5"]
    segments = await proxy.outbox.claim(PIXEL, most=10)
    assert [each.id for segment in segments for each in segment.records] == ["id-3", "id-4"]
    assert await proxy.claimed() == []
    await proxy.outbox.release(segments)
    assert await proxy.claimed() == ["id-3", "id-4"]


async def test_a_settlement_removes_the_segment_and_writes_its_row(proxy: Proxy) -> None:
    """A repeated settlement changes nothing, and reports that the segment was settled already."""
    await proxy.store([record(1), record(2)])
    segments = await proxy.outbox.claim(PIXEL, most=10)
    rows = tuple(
        LedgerRow(proxy.clock(), PIXEL, each.name, each.id, each.time_s, Status.DELIVERED, visitor=each.visitor)
        for segment in segments
        for each in segment.records
    )
    settlement = Settlement(done=tuple(segment.ref for segment in segments), rows=rows)

    assert await proxy.outbox.settle(segments, settlement) == frozenset()
    assert proxy.outbox.stats().waiting == {}
    assert await proxy.outbox.settle(segments, settlement) == {segments[0].ref}
    day = proxy.clock() // 86_400_000
    assert len(await proxy.ids(f"SELECT id FROM ledger_{day}")) == 2
    assert await proxy.claimed() == []

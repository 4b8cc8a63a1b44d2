"""A claim from PostgreSQL has no event of suppressed people, and has joined events as every attempt sends them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import orjson
import pytest
from clock import NOON, Clock
from postgres_server import Cluster
from shared_outboxes import Proxy, proxy_on
from sighted import left, order, told
from support import PIXEL, record

from proxy.model.event import DropReason
from proxy.model.join import Sighting, Twin
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.model.verdict import GraphError
from proxy.queue.contract import NewDeadLetter, Settlement
from proxy.queue.postgres.database import Role
from proxy.queue.sightings import seal_sighting

ANNA, BERT = b"A" * 16, b"B" * 16


@pytest.fixture(name="pair")
async def _pair(postgres: Cluster, schema: str) -> AsyncIterator[tuple[Proxy, Proxy]]:
    """Yield a proxy that leads the lane, and another one at which people opt out."""
    async with AsyncExitStack() as stack:
        leader = await stack.enter_async_context(proxy_on(postgres, schema, Clock()))
        other = await stack.enter_async_context(proxy_on(postgres, schema, leader.clock))
        assert await leader.claimed() == []
        yield leader, other


async def suppress(proxy: Proxy, *people: bytes, kind: SuppressionKind = SuppressionKind.OPT_OUT) -> None:
    async def add(run: object) -> None:
        await proxy.suppressions.add(run, people, kind, proxy.clock())  # type: ignore[arg-type]

    await proxy.database.transact(Role.APPEND, add)


async def leave(proxy: Proxy, *sightings: Sighting) -> None:
    brought = [(each, seal_sighting(each, proxy.sealer)) for each in sightings]
    await proxy.database.transact(Role.APPEND, lambda run: proxy.sightings.store(run, brought, proxy.clock()))


async def ledger(proxy: Proxy) -> list[tuple[str, str, str]]:
    day = proxy.clock() // 86_400_000
    rows = await proxy.ids(f"SELECT id, status, reason FROM ledger_{day} ORDER BY number")
    return [tuple(row) for row in rows]


def of(number: int, *people: bytes) -> Record:
    return record(number, time_s=NOON // 1000 - 60)._replace(person_digests=people)


async def claimed(proxy: Proxy) -> Sequence[Record]:
    return [each for segment in await proxy.outbox.claim(PIXEL, most=1000) for each in segment.records]


async def test_an_opt_out_at_another_proxy_counts_from_its_commit_on(pair: tuple[Proxy, Proxy]) -> None:
    """The next claim drops the person's events, writes the reason into the ledger, and leaves the others unchanged."""
    leader, other = pair
    await leader.store([of(1, ANNA), of(2, BERT)])
    await leader.store([of(3, ANNA)])
    await suppress(other, ANNA)

    (segment,) = await leader.outbox.claim(PIXEL, most=1000)
    assert [each.id for each in segment.records] == ["id-2"]
    assert leader.outbox.stats().waiting == {PIXEL: 1}
    assert leader.outbox.stats().withheld == {DropReason.OPTED_OUT: 2}
    assert await ledger(leader) == [("id-1", "dropped", "opted_out"), ("id-3", "dropped", "opted_out")]
    await leader.outbox.release([segment])
    assert [each.id for each in await claimed(leader)] == ["id-2"]


async def test_an_erasure_spares_what_happened_later(pair: tuple[Proxy, Proxy]) -> None:
    """Only the person's events from before the erasure are dropped."""
    leader, other = pair
    await suppress(other, ANNA, kind=SuppressionKind.ERASURE)
    await leader.store([of(1, ANNA), of(2, ANNA)._replace(time_s=NOON // 1000 + 1)])

    assert [each.id for each in await claimed(leader)] == ["id-2"]
    assert await ledger(leader) == [("id-1", "dropped", "erased")]


async def test_a_dead_letter_of_somebody_who_opted_out_meanwhile_is_not_kept(pair: tuple[Proxy, Proxy]) -> None:
    """The person's dead letter is not stored; the other one is."""
    leader, other = pair
    await leader.store([of(1, ANNA), of(2, BERT)])
    segments = await leader.outbox.claim(PIXEL, most=10)
    await suppress(other, ANNA)
    letters = tuple(NewDeadLetter(each, "rejected", GraphError(), 1) for each in segments[0].records)
    await leader.outbox.settle(segments, Settlement(done=(segments[0].ref,), dead=letters))

    assert [row["event_id"] for row in await leader.ids("SELECT event_id FROM dead")] == ["id-2"]


async def test_a_servers_event_is_joined_once_and_then_stays_as_it_is(pair: tuple[Proxy, Proxy]) -> None:
    """Further attempts send what the first claim attached, whatever sightings come meanwhile."""
    leader, other = pair
    await leave(other, left("anna", order(1)))
    await leader.store([told(order(1))])
    first = await leader.outbox.claim(PIXEL, most=10)
    user_data = orjson.loads(first[0].records[0].payload)["user_data"]
    assert user_data["fbp"] == "fb.1.1.anna"
    await leader.outbox.release(first)
    await leave(other, left("bert", order(1), at=NOON + 1))

    again = await leader.outbox.claim(PIXEL, most=10)
    assert [each.records for each in again] == [each.records for each in first]


async def test_a_join_finds_the_person_who_opted_out(pair: tuple[Proxy, Proxy]) -> None:
    """An order is dropped if its sighting is of a person who opted out, though the server did not name the person."""
    leader, other = pair
    await leave(other, left("anna", order(1), person_digests=(ANNA,)))
    await suppress(other, ANNA)
    await leader.store([told(order(1))])

    assert await claimed(leader) == []
    assert await ledger(leader) == [("id-1", "dropped", "opted_out")]
    assert leader.outbox.stats().waiting == {}


async def test_a_pages_copy_without_a_servers_is_sent(pair: tuple[Proxy, Proxy]) -> None:
    """It is claimed once its wait is over, without the members that belong to the wait."""
    leader, _ = pair
    await leader.store([of(1)._replace(pending=Twin(b"o" * 16), order=b"o" * 16)])
    (found,) = await claimed(leader)

    assert (found.id, found.pending, found.order) == ("id-1", None, b"")


async def test_what_was_settled_between_reading_and_deciding_is_not_sent(pair: tuple[Proxy, Proxy]) -> None:
    """A claim that has to judge events locks their segments first, and leaves out those that are gone by then."""
    leader, other = pair
    await leader.store([of(1, ANNA), of(2, BERT)])
    await suppress(other, ANNA)
    judge = leader.outbox._claim_filter.filter_claim

    async def judge_later(*arguments: object) -> object:
        await other.ids("DELETE FROM segment")
        return await judge(*arguments)  # type: ignore[arg-type]

    leader.outbox._claim_filter.filter_claim = judge_later  # type: ignore[method-assign, assignment]
    assert await claimed(leader) == []
    assert await ledger(leader) == []

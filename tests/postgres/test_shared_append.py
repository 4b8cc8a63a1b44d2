"""Appends to the shared queue hold up against parallel proxies, lost answers and the rotation of the memory."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import pytest
from clock import NOON, Clock
from postgres_server import Cluster
from support import PIXEL, SECRET, record, server_record

from proxy.model.join import Twin
from proxy.model.order import order_key
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import QueueError, Stored
from proxy.queue.group import Append, Group
from proxy.queue.keys import key_and_birth, visit_key
from proxy.queue.postgres import orders, seen_slots
from proxy.queue.postgres.append import SharedAppends
from proxy.queue.postgres.channel import Channel
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.errors import DatabaseAwayError, LockTimeoutError
from proxy.queue.postgres.opening import make_database
from proxy.queue.postgres.plain_append import PlainGroup
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.seal import Sealer

HOUR = 60 * 60 * 1000


class Appender:
    """The part of a proxy that stores events."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.suppressions = SharedSuppressions()
        self.appends = SharedAppends(database, Sealer(SECRET), self.suppressions, clock)

    def group(self, *calls: Sequence[Record], **how: Any) -> Group:
        return self.appends.group([Append(call, **how) for call in calls])

    async def store(self, *calls: Sequence[Record]) -> list[Stored]:
        """Store a group; return the answers of those of its appends that were stored."""
        answers = await self.appends.store(self.group(*calls))
        return [answer for answer in answers if isinstance(answer, Stored)]

    async def ask(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.database.run(Role.BOOKS, statement, *arguments)]

    async def waiting(self) -> int:
        ((events,),) = await self.ask("SELECT coalesce(sum(n), 0)::int8 FROM segment")
        return int(events)

    async def repeats(self) -> int:
        ((repeats,),) = await self.ask("SELECT repeats FROM replica WHERE id = $1", self.database.replica)
        return int(repeats)


async def appender(postgres: Cluster, schema: str, clock: Clock) -> Appender:
    database = make_database(postgres.url(), Sealer(SECRET), schema=schema, commit_timeout=30.0)
    await database.start(patience=30.0)
    assert database.is_here, database.why_away
    return Appender(database, clock)


@pytest.fixture(name="proxies")
async def _proxies(
    postgres: Cluster, schema: str, clock: Clock, request: pytest.FixtureRequest
) -> AsyncIterator[list[Appender]]:
    """Yield proxies on one database: two, unless the test asks for another number."""
    proxies = [await appender(postgres, schema, clock) for _ in range(getattr(request, "param", 2))]
    yield proxies
    for proxy in proxies:
        await proxy.database.close()


def timed(number: int, at: int = NOON, visitor: bytes = b"abcd") -> Record:
    """Return an event whose id begins with its time."""
    return record(number, visitor=visitor)._replace(id=f"{at}{number}")


def of_server(order: int, number: int = 0) -> Record:
    """Return a server's event of an order, with an id that does not depend on the order."""
    return server_record(number or order)._replace(name="Purchase", order=order_key("shop", "Purchase", str(order)))


def of_page(order: int, number: int = 0, *, waits: bool = False) -> Record:
    """Return a page's event of an order, which waits for the server's copy if ``waits``."""
    key = order_key("shop", "Purchase", str(order))
    pending = Twin(key) if waits else None
    return record(number or 500 + order)._replace(name="Purchase", order=key, pending=pending)


def duplicates(answers: Sequence[Stored]) -> list[list[str]]:
    return [[found.id for found in answer.duplicates] for answer in answers]


async def test_a_repeat_is_known_at_every_proxy(proxies: list[Appender]) -> None:
    """What one proxy stored is a repeat at the other, for plain groups and for those with orders."""
    here, there = proxies
    await here.store([record(1), timed(2), of_server(3)])
    answers = await there.store([record(1)], [timed(2), record(4)], [of_server(3, number=30)])

    assert duplicates(answers) == [["id-1"], [f"{NOON}2"], ["id-30"]]
    assert await here.waiting() == 4


ONCE = [
    [record(1), record(2)],
    [timed(1), timed(2)],
    [server_record(1), record(2)],
    [of_server(1), of_page(2)],
]


@pytest.mark.parametrize("events", ONCE, ids=["given ids", "timed ids", "of a server", "of orders"])
async def test_a_group_whose_answer_was_lost_is_stored_once(proxies: list[Appender], events: list[Record]) -> None:
    """A group that is sent again by any proxy consists of repeats, stores nothing, and still writes its witness."""
    here, there = proxies
    await here.store(events)
    before = await there.repeats()
    for _ in range(2):
        assert duplicates(await there.store(events)) == [[event.id for event in events]]

    assert await here.waiting() == 2
    assert await there.repeats() == before + 2


@pytest.mark.parametrize("event", [record(1), of_server(1)], ids=["plain", "in steps"])
async def test_what_cannot_write_its_witness_is_not_acknowledged(proxies: list[Appender], event: Record) -> None:
    """A proxy that the database no longer knows cannot acknowledge a group of repeats."""
    here, there = proxies
    await here.store([event])
    await there.ask("DELETE FROM replica WHERE id = $1", there.database.replica)

    with pytest.raises(DatabaseAwayError):
        await there.store([event])


@pytest.mark.parametrize("proxies", [6], indirect=True)
async def test_six_proxies_with_overlapping_keys_never_wait_in_a_circle(
    proxies: list[Appender], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no deadlock among plain groups, each event is stored once, and skipped positions are accounted for."""
    monkeypatch.setattr(Channel.do, "__kwdefaults__", {"tries": 1})  # whoever is chosen as a victim fails
    chance = random.Random(15)  # noqa: S311 - a choice of events
    events = [timed(number) if number % 3 else record(number) for number in range(1500)]
    brought: set[str] = set()

    async def bring(proxy: Appender) -> None:
        for _ in range(40):
            some = chance.sample(events, 60)
            brought.update(event.id for event in some)
            await proxy.store(some[:20], some[20:])

    await asyncio.gather(*map(bring, proxies))
    rows = await proxies[0].ask("SELECT n + coalesce(cardinality(skip), 0) FROM segment")

    assert await proxies[0].waiting() == len(brought)
    assert {whole for (whole,) in rows} == {60}


@pytest.mark.parametrize("proxies", [3], indirect=True)
async def test_orders_of_several_proxies_are_stored_once(proxies: list[Appender]) -> None:
    """Each order that servers report to all proxies at once, with different ids, is stored once."""

    async def bring(place: int, proxy: Appender) -> list[Stored]:
        groups = [[of_server(n, number=1000 * place + n) for n in range(start, 40, 4)] for start in range(4)]
        return [answer for some in groups for answer in await proxy.store(some)]

    found = await asyncio.gather(*(bring(place, proxy) for place, proxy in enumerate(proxies)))

    assert await proxies[0].waiting() == 40
    assert sum(len(answer.duplicates) for answers in found for answer in answers) == 80


async def test_the_memory_turns_under_a_proxy_that_does_not_know(proxies: list[Appender], clock: Clock) -> None:
    """A proxy that does not know of a rotation writes into the new table, and finds older events."""
    here, there = proxies
    await here.database.transact(Role.BOOKS, lambda run: seen_slots.rotate_tables(run, clock()))
    await here.store([record(1), timed(2)])
    await there.store([record(3)])
    clock.now += 16 * HOUR
    assert await here.database.transact(Role.BOOKS, lambda run: seen_slots.rotate_tables(run, clock()))
    late = timed(5, clock.now - 1000)
    answers = await there.store([record(1), timed(2), record(3), record(4), late])

    assert duplicates(answers) == [["id-1", f"{NOON}2", "id-3"]]
    ((slot,),) = await there.ask("SELECT number FROM meta WHERE key = 'seen'")
    table = await there.ask(f"SELECT key FROM {seen_slots.table_of(slot)}")
    assert {key for (key,) in table} == {
        visit_key(key_and_birth(*each[:3])[0], each.visitor) for each in (record(4), late)
    }


async def test_a_timed_id_is_known_across_a_turn(proxies: list[Appender], clock: Clock) -> None:
    """Events made shortly before and after a rotation are repeats afterwards, whichever table has them."""
    here, there = proxies
    await here.database.transact(Role.BOOKS, lambda run: seen_slots.rotate_tables(run, clock()))
    clock.now += 16 * HOUR
    young = [timed(1, clock.now - 1000), timed(2, clock.now + 60_000), timed(3, clock.now - 2 * HOUR)]
    await here.store(young)
    await here.database.transact(Role.BOOKS, lambda run: seen_slots.rotate_tables(run, clock()))
    clock.now += 30 * 60_000

    assert duplicates(await there.store(young)) == [[event.id for event in young]]


@pytest.mark.parametrize("event", [record(1), timed(1)], ids=["given id", "timed id"])
async def test_the_memory_does_not_turn_behind_an_append_under_way(
    proxies: list[Appender], clock: Clock, event: Record
) -> None:
    """The rotation waits for a commit that waits for its standbys, so that its repeats look in the same table."""
    here, there = proxies
    turn = partial(there.database.transact, Role.BOOKS, lambda run: seen_slots.rotate_tables(run, clock()))
    await turn()
    clock.now += 2 * HOUR
    group = here.group([event._replace(id=event.id.replace(str(NOON), str(clock.now)))])
    slots = await seen_slots.slots_now(partial(here.database.run, Role.BOOKS))
    clock.now += 16 * HOUR
    async with here.database.transaction(Role.APPEND) as run:
        told = await PlainGroup(group, clock.now - 16 * HOUR).store(run, slots, here.database.replica)
        with pytest.raises(LockTimeoutError):
            await turn()

    assert told.is_stored
    assert await turn()


TURNS = [(15 * HOUR, False), (16 * HOUR, True), (-30 * 60_000, False), (-2 * HOUR, True)]


@pytest.mark.parametrize(("passed", "turns"), TURNS)
async def test_the_memory_turns_once_in_16_hours(
    proxies: list[Appender], clock: Clock, passed: int, *, turns: bool
) -> None:
    """It does not rotate earlier, nor for a clock that steps back a little; it does if its clock was far ahead."""
    here, _ = proxies
    turn = partial(here.database.transact, Role.BOOKS, lambda run: seen_slots.rotate_tables(run, clock()))
    await turn()
    clock.now += passed
    assert [await turn(), await turn()] == [turns, False]


async def test_what_one_caller_brings_costs_no_neighbour(proxies: list[Appender]) -> None:
    """An event that the database refuses fails alone; the others of its group are stored."""
    here, _ = proxies
    answers = await here.appends.store(here.group([record(1)], [record(2, pixel="1\0")], [record(3)]))

    assert [isinstance(answer, QueueError) for answer in answers] == [False, True, False]
    assert await here.waiting() == 2


async def test_a_suppression_of_another_proxy_is_learnt_with_the_next_append(proxies: list[Appender]) -> None:
    """The first append after it may miss the suppression; the next one does not."""
    here, there = proxies
    anna = b"a" * 16
    await here.database.transact(
        Role.APPEND, lambda run: here.suppressions.add(run, [anna], SuppressionKind.OPT_OUT, NOON)
    )
    about = [record(number)._replace(person_digests=(anna,)) for number in (1, 2)]
    refused = [(await there.store([event]))[0].refused for event in about]

    assert [len(each) for each in refused] == [0, 1]


async def test_a_suppression_before_the_group_was_stored_counts(proxies: list[Appender]) -> None:
    """A group that was made before this process knew of an opt-out is judged again."""
    here, _ = proxies
    anna = b"a" * 16
    group = here.group([record(1)._replace(person_digests=(anna,)), record(2)])
    await here.database.transact(
        Role.APPEND, lambda run: here.suppressions.add(run, [anna], SuppressionKind.OPT_OUT, NOON)
    )
    (answer,) = await here.appends.store(group)

    assert isinstance(answer, Stored)
    assert [event.id for event, _ in answer.refused] == ["id-1"]
    assert await here.waiting() == 1


@pytest.mark.parametrize("claim_is_first", [True, False])
async def test_of_a_claim_and_a_takeover_one_knows_of_the_other(
    proxies: list[Appender], clock: Clock, *, claim_is_first: bool
) -> None:
    """A page's copy that is being claimed cannot be replaced by a server's; one that was replaced is not sent."""
    here, there = proxies
    page = of_page(1, waits=True)
    await here.store([page])
    run_of = here.database.transaction(Role.DELIVER)
    if not claim_is_first:
        assert duplicates(await there.store([of_server(1)])) == [[]]
    async with run_of as run:
        told = await orders.lock_known_server_orders(run, PIXEL, [page.order], clock())
        late = asyncio.create_task(there.store([of_server(1, number=9)]))
        await orders.end_wait(run, PIXEL, [page.order])

    assert bool(told) is not claim_is_first
    assert duplicates(await late) == [["id-9"]]

"""A queue behind the socket works like a local one: a front's appends, opt-outs, notes and counts."""

import random
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import queues
from clock import NOON, Clock
from fronted import Fronted, fronted, noticed_away, started
from postgres_server import Cluster
from sighted import left, order, told
from support import PIXEL, record, server_record, until

from proxy.model.event import BrowserCopy, DropReason
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow, Status
from proxy.model.order import order_key
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Filter, WholeQueue
from proxy.queue.group import Append
from proxy.queue.postgres.engine import SharedQueue
from proxy.queue.remote.frames import FrameKind
from proxy.queue.remote.notes import OutgoingNotes
from proxy.queue.remote.wire_group import group_body
from proxy.queue.sieve import Sieve

OPT_OUT = SuppressionKind.OPT_OUT
ANNA, BERT = b"a" * 16, b"b" * 16


@pytest.fixture(name="behind")
async def _behind(tmp_path: Path, clock: Clock) -> AsyncIterator[Fronted]:
    async with fronted(tmp_path / "data", clock) as behind:
        yield behind


def about(number: int, *person_digests: bytes) -> Record:
    return record(number, time_s=NOON // 1000)._replace(person_digests=person_digests)


async def claimed(queue: WholeQueue) -> list[Record]:
    return [found for segment in await queue.claim(PIXEL, most=1000) for found in segment.records]


def _record(chance: random.Random) -> Record:
    """Return an event with one of few people, ids, orders and values, so that some coincide."""
    number = chance.randrange(6)
    person = chance.choice([(), (ANNA,), (BERT, ANNA)])
    facts: dict[str, Any] = {"person_digests": person, "worth": chance.choice([b"", b"1111", b"2222"])}
    if chance.random() < 0.3:
        facts["order"] = order_key("shop", "Purchase", str(number))
    if chance.random() < 0.3:
        made = told(order(number), number=number) if chance.random() < 0.5 else server_record(number)
    else:
        made = record(number, visitor=chance.choice([b"abcd", b"efgh"]), time_s=NOON // 1000)
    return made._replace(**facts, shared=chance.choice([b"", b'{"a":1}']))


@pytest.mark.both_engines
@pytest.mark.parametrize("seed", range(8))
async def test_nobody_can_tell_it_from_the_engine_itself(
    seed: int, tmp_path: Path, clock: Clock, engine: str, request: pytest.FixtureRequest
) -> None:
    """The same calls in the same order get the same answers as from the engine, and leave the same events."""
    chance = random.Random(seed)  # noqa: S311 - a script, not secrets
    plain = queues.open_queue(_made(tmp_path / "plain"), clock)
    opened = None
    if engine == "postgres":
        cluster, schema = request.getfixturevalue("postgres"), request.getfixturevalue("schema")
        opened = partial(_shared, cluster, schema, clock)
    async with fronted(tmp_path / "data", clock, opened) as behind:
        link = behind.link()
        async with started(behind.front(link), link) as front:
            for step in range(60):
                clock.now += 1000
                records = [_record(chance) for _ in range(chance.randrange(4))]
                sightings = [left(chance.choice("ab"), order(chance.randrange(6)), at=clock.now)] * chance.randrange(2)
                orders = [each.order for each in records if each.order]
                digests, choice = [chance.choice([ANNA, BERT])], chance.random()
                answers: list[Any] = []
                for queue in (plain, front):
                    if choice < 0.7:
                        not_before = clock.now + 5000 * (step % 2)
                        answers.append(await queue.append(records, not_before=not_before, sightings=sightings))
                    elif choice < 0.8:
                        await queue.suppress(digests, OPT_OUT, clock.now)
                    elif choice < 0.9:
                        answers.append(await queue.lift(digests, [OPT_OUT], clock.now))
                    else:
                        answers.append(
                            (await queue.suppressed(digests), await queue.known_server_orders(PIXEL, orders))
                        )
                assert answers[:1] == answers[1:], step
            clock.now += 60_000
            assert sorted(await claimed(plain), key=_place) == sorted(await claimed(behind.engine), key=_place)
    await plain.close()


async def _shared(cluster: Cluster, schema: str, clock: Clock, sieve: Sieve) -> SharedQueue:
    return await queues.open_shared(cluster, schema, clock, sieve=sieve)


def _place(each: Record) -> tuple[str, bytes, bool]:
    return each.id, each.payload, each.browser_copy is None


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


async def test_a_lane_is_woken_by_what_was_stored(behind: Fronted) -> None:
    """The back wakes the lanes of all pixels whose events it stored for a front."""
    link = behind.link()
    async with started(behind.front(link), link) as front:
        await behind.engine.suppress([BERT], SuppressionKind.ERASURE, 0)
        await front.append([record(1), about(2, BERT)._replace(pixel="99")])

    assert sorted(behind.woken) == sorted([PIXEL, "99"])


async def test_who_opts_out_at_one_front_is_refused_at_all(behind: Fronted) -> None:
    """Once an opt-out is answered, another front's events of the person are refused, sealed by that front or not."""
    one, other = behind.link(1), behind.link(2)
    async with started(behind.front(one), one) as first, started(behind.front(other), other) as second:
        await first.suppress([ANNA], OPT_OUT, NOON)
        answer = await second.append([about(1, ANNA), about(2, BERT)])

        assert [(each.id, why) for each, why in answer.refused] == [("id-1", DropReason.OPTED_OUT)]
        assert await second.suppressed([ANNA]) == {OPT_OUT}
        assert await second.lift([ANNA], [OPT_OUT], NOON) == [OPT_OUT]
    assert [each.id for each in await claimed(behind.engine)] == ["id-2"]


async def test_a_group_that_was_sealed_before_an_opt_out_is_looked_at_again(behind: Fronted) -> None:
    """A group that a front sealed before it knew of an opt-out is judged again by the back."""
    link = behind.link()
    async with started(behind.front(link), link) as front:
        version = link.state.suppressions_version if link.state else -1
        group = front._grouper._make([_append(about(1, ANNA), about(2))])
        await behind.engine.suppress([ANNA], OPT_OUT, NOON)
        assert group.suppressions_version == version < behind.engine.suppressions_version()
        answer = await link.request_answer(FrameKind.APPEND, group_body(group))

    assert answer != b"\x91\xc0"
    assert [each.id for each in await claimed(behind.engine)] == ["id-2"]


def _append(*records: Record) -> Append:
    return Append(records)


async def test_notes_of_a_front_reach_the_ledger(behind: Fronted) -> None:
    """Rows and updates of browser copies, with their visitors, are written as in a single process."""
    link = behind.link()
    async with started(behind.front(link), link) as front:
        await front.append([record(1)])
        row = LedgerRow(NOON, PIXEL, "PageView", "id-1", NOON // 1000, Status.DROPPED, "gpc", visitor=b"abcd")
        front.note([row], [BrowserCopyUpdate("PageView", "id-1", BrowserCopy.BLOCKED)], [PIXEL], [b"abcd"])

        async def written() -> list[LedgerRow]:
            return [each async for each in behind.engine.events(Filter()) if each.browser_copy is BrowserCopy.BLOCKED]

        assert [each.reason for each in await until(written, what="the row")] == ["gpc"]


async def test_notes_without_a_back_are_bounded(behind: Fronted) -> None:
    """Notes wait for the back up to a bound; the number of those lost is counted and reported to the back."""
    link = behind.link()
    front = behind.front(link)
    front._notes = OutgoingNotes(link, most_bytes=3000)
    rows = [LedgerRow(NOON, PIXEL, "PageView", f"id-{number}", 1, Status.DROPPED, "bot") for number in range(50)]
    for row in rows:
        front.note([row])
    lost = front._notes.lost
    assert 0 < lost < 50
    async with started(front, link):
        await until(lambda: behind.watch.lost == lost, what="the report")

        async def written() -> bool:
            return len([each async for each in behind.engine.events(Filter())]) == 50 - lost

        await until(written, what="the rows that waited")


async def test_counts_are_reported_once_whatever_becomes_of_a_back(behind: Fronted) -> None:
    """Counts made without a back are reported once, to the next back, and the last counts at the front's end."""
    link = behind.link()
    async with started(behind.front(link), link):
        source = behind.sources[0]
        source.count = 3
        await until(lambda: behind.watch.counted == 3, what="the first report")
        await behind.end()
        await noticed_away(link)
        source.count = 5
        await behind.begin()
        await until(lambda: behind.watch.counted == 5, what="the second report")
        source.count = 6

    assert (behind.watch.counted, source.renewed) == (6, 2)

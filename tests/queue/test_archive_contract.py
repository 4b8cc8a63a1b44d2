"""What any queue promises the operator: lists without gaps, each letter replayed once, and complete erasures."""

import asyncio

import pytest
from clock import NOON
from support import PIXEL, record, server_record, until

from proxy.model.event import BrowserCopy, DropReason
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.model.verdict import GraphError
from proxy.queue.contract import Erased, Filter, NewDeadLetter, Settlement, WholeQueue, dropped_row

pytestmark = pytest.mark.both_engines

ANNA, BERT = b"anna" * 4, b"bert" * 4


async def listed(queue: WholeQueue, wanted: Filter) -> list[LedgerRow]:
    return [found async for found in queue.events(wanted)]


async def noted(queue: WholeQueue, *rows: LedgerRow, expected: int = 0) -> None:
    """Note rows, and wait until ``expected`` rows, or as many as were noted, are in the ledger."""
    queue.note(rows)

    async def all_there() -> bool:
        return len(await listed(queue, Filter(limit=10_000))) >= (expected or len(rows))

    await until(all_there, what="all rows in the ledger")


def dropped(number: int, reason: DropReason = DropReason.BOT, at: int = NOON) -> LedgerRow:
    return dropped_row(record(number), reason, at)


async def buried(queue: WholeQueue, *records: Record) -> None:
    """Make dead letters of records."""
    queue.register_lanes({PIXEL: lambda: None})
    await queue.append(records)
    segments = await until(lambda: queue.claim(PIXEL, most=1000), what="a claim")
    letters = [NewDeadLetter(each, "rejected", GraphError(100), 1) for segment in segments for each in segment.records]
    await queue.settle(segments, Settlement(done=tuple(each.ref for each in segments), dead=tuple(letters)))


async def test_a_reader_that_goes_on_from_the_last_number_misses_nothing(queue: WholeQueue) -> None:
    """Pages read from the last number onwards contain each row once and in order, whatever their size."""
    await noted(queue, *(dropped(number) for number in range(230)))
    for limit in (1, 99, 100, 1000):
        found: list[LedgerRow] = []
        while page := await listed(queue, Filter(since=found[-1].number if found else 0, limit=limit)):
            found += page
        assert [each.id for each in found] == [f"id-{number}" for number in range(230)]
        assert [each.number for each in found] == sorted({each.number for each in found})
        assert found[-1].number < 1 << 53, "a reader of JSON that knows doubles alone cannot hold it"


async def test_rows_of_servers_are_told_apart(queue: WholeQueue) -> None:
    """The row of a server's event is read back unchanged, and a filter can ask for its action source."""
    server = dropped_row(server_record(2, source="physical_store"), DropReason.TOO_OLD, NOON)
    await noted(queue, dropped(1), server)

    assert await listed(queue, Filter(since=0)) == [dropped(1)._replace(visitor=b""), server]
    assert await listed(queue, Filter(action_source="physical_store")) == [server]
    assert await listed(queue, Filter(action_source="x' OR 1=1 --", since=0)) == []


async def test_updates_join_the_event_of_the_visitor_alone(queue: WholeQueue) -> None:
    """An update counts only if it comes from the visitor of the event, be it before the event is finished or after."""
    events = [record(number)._replace(browser_copy=BrowserCopy.PENDING) for number in (1, 2, 3)]
    await queue.append(events)
    for number, visitors in ((1, (b"abcd",)), (2, (b"evil",)), (3, (b"none", b"abcd"))):
        update = BrowserCopyUpdate("PageView", f"id-{number}", BrowserCopy.BLOCKED)
        queue.note([], [update], [PIXEL], visitors)
    await noted(queue, *(dropped_row(event, DropReason.BOT, NOON) for event in events))
    await until(lambda: queue.stats().foreign_updates == 1, what="the foreign update is counted")
    found = {each.id: each.browser_copy for each in await listed(queue, Filter())}

    assert found == {"id-1": BrowserCopy.BLOCKED, "id-2": BrowserCopy.PENDING, "id-3": BrowserCopy.BLOCKED}


async def test_a_letter_is_replayed_once_by_two_people(queue: WholeQueue) -> None:
    """Two operators who replay the same letters at once, and one who discards some, each get a part of them."""
    await buried(queue, *(record(number) for number in range(30)))
    ids = [letter.id for letter in await queue.dead_letters(Filter(limit=100))]
    counts = await asyncio.gather(
        queue.replay(ids, not_before_s=0), queue.replay(ids[::-1], not_before_s=0), queue.discard(ids[:10])
    )

    assert sum(counts) == 30
    assert await queue.dead_letters(Filter()) == []
    assert queue.stats().dead == 0
    replayed = [
        each.id
        for segment in await until(lambda: queue.claim(PIXEL, most=1000), what="a claim")
        for each in segment.records
    ]
    assert len(set(replayed)) == len(replayed) == counts[0] + counts[1]


async def test_an_erasure_is_whole(queue: WholeQueue) -> None:
    """It removes the person's waiting events and dead letters, and later refuses events from before the erasure."""
    about = [record(number)._replace(person_digests=(ANNA if number % 2 else BERT,)) for number in range(6)]
    await buried(queue, *about[:4])
    await queue.append(about[4:])
    erased = await queue.erase([ANNA], about[0].time_s * 1000)
    again = await queue.erase([ANNA], about[0].time_s * 1000)
    late = await queue.append([record(7)._replace(person_digests=(ANNA,))])

    assert (erased, again) == (Erased(waiting=1, dead=2), Erased())
    assert [letter.event_id for letter in await queue.dead_letters(Filter())] == ["id-2", "id-0"]
    assert [reason for _, reason in late.refused] == [DropReason.ERASED]
    assert queue.stats().waiting == {PIXEL: 1}


async def test_all_suppressions_are_listed_in_pages(queue: WholeQueue) -> None:
    """Pages that each begin behind the last digest contain all suppressions, also if a person has several kinds."""
    people = [number.to_bytes(16, "big") for number in range(1, 8)]
    for kind in SuppressionKind:
        await queue.suppress(people, kind, NOON)
    for limit in (1, 2, 5, 100):
        found, last = [], b""
        while page := await queue.suppressions(limit=limit, after=last):
            found += [(each.digest, each.kind) for each in page]
            last = page[-1].digest
        assert len(found) == len(set(found)) == 7 * len(SuppressionKind)
    assert {each.kind for each in await queue.suppressions(SuppressionKind.ERASURE, after=people[3])} == {
        SuppressionKind.ERASURE
    }


async def test_a_queue_tells_who_delivers(queue: WholeQueue) -> None:
    """A local queue knows no other proxies; a shared one knows at least this process."""
    found, reports = await queue.replicas(), await queue.lane_reports()

    assert [each.is_this for each in found] in ([], [True])
    assert all(report.is_this or not report.replica for report in reports.values())

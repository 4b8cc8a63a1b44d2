"""The two copies of an order: a server's copy replaces a page's that still waits, and otherwise is a duplicate."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import orjson
import pytest
from clock import NOON, Clock
from queues import open_queue
from sighted import claimed, leave, left, order, told
from support import PIXEL, record

from proxy.graph.payload import worth
from proxy.model.event import BrowserCopy, DropReason
from proxy.model.join import Twin
from proxy.model.ledger import LedgerRow
from proxy.model.order import order_key
from proxy.model.record import Record
from proxy.queue.contract import Filter, QueueError, QueueFullError, Segment, Settlement, WholeQueue
from proxy.queue.sqlite.engine import LocalQueue
from proxy.queue.sqlite.work import Work

pytestmark = pytest.mark.both_engines

WAIT = 15_000
ORDER = order_key("shop", "Purchase", "1")
SAME, OWN = "order-shop-1", ""


def of_page(number: int = 1, identity: str = OWN, *, unpaid: str = "", visitor: bytes = b"anna") -> Record:
    """Return a page's copy of the order, which waits for the server's."""
    made = record(number, visitor=visitor)._replace(name="Purchase", order=ORDER, not_before=NOON + WAIT)
    return made._replace(id=identity or made.id, pending=Twin(ORDER, unpaid))  # type: ignore[arg-type]


def of_server(number: int = 2, identity: str = OWN, *, unknown: str = "send") -> Record:
    """Return a server's copy of the order, which waits for a page's sighting."""
    made = told(order(1), number=number, unknown=unknown, order=ORDER, not_before=NOON + 2 * WAIT)
    return made._replace(id=identity or made.id)


async def brought(queue: WholeQueue, *records: Record) -> list[str]:
    """Store each record by itself, a page's with its visitor's sighting; return the ids of the duplicates."""
    repeats = []
    for one in records:
        who = one.visitor.decode()
        seen = [left(who, order(1))._replace(id=one.id)] if who else []
        repeats += [each.id for each in (await queue.append([one], sightings=seen)).duplicates]
    return repeats


async def listed(queue: WholeQueue) -> list[LedgerRow]:
    return [row async for row in queue.events(Filter())]


async def sent(queue: WholeQueue, clock: Clock, *, wait: int = 3 * WAIT) -> list[tuple[str, bool]]:
    """Let all waiting events become due; return the id of each claimed event, and whether it is a server's."""
    clock.now = max(clock.now, NOON + wait)
    return [(each.id, each.browser_copy is None) for each in await claimed(queue)]


IDS = [(SAME, SAME), (OWN, OWN)]


@pytest.mark.parametrize("ids", IDS, ids=["one derived id", "ids of their own"])
@pytest.mark.parametrize("together", [True, False])
async def test_a_server_takes_the_place_of_a_page_that_waits(
    queue: WholeQueue, clock: Clock, ids: Sequence[str], *, together: bool
) -> None:
    """Only the server's event leaves, with the page's id; the page's is a duplicate and keeps its browser copy."""
    page, server = of_page(1, ids[0]), of_server(2, ids[1])
    if together:
        repeats = await asyncio.gather(brought(queue, page), brought(queue, server))
        assert list(map(len, repeats)) == [0, 0]
    else:
        assert await brought(queue, page, server) == []

    assert await sent(queue, clock) == [(page.id, True)]
    assert [(row.id, row.status, row.browser_copy) for row in await listed(queue)] == [
        (page.id, "duplicate", BrowserCopy.FIRED)
    ]
    assert queue.stats().waiting == {PIXEL: 1}


@pytest.mark.parametrize("identity", [SAME, OWN])
async def test_only_the_first_of_servers_takes_over(queue: WholeQueue, clock: Clock, identity: str) -> None:
    """Further copies of servers are duplicates, under the same id or another, in the same request or later."""
    first, second, third = of_server(2, identity), of_server(3, identity), of_server(4)
    await brought(queue, of_page(1, identity))
    stored = await queue.append([first, second])

    assert [one.id for one in stored.duplicates] == [second.id]
    assert await brought(queue, third) == [third.id]
    assert [is_of_server for _, is_of_server in await sent(queue, clock)] == [True]


@pytest.mark.parametrize("identity", [SAME, OWN])
async def test_a_page_that_was_sent_is_not_followed_by_the_servers(
    queue: WholeQueue, clock: Clock, identity: str
) -> None:
    """A page's copy that was claimed counts as sent, even if the process dies then or the clock steps back."""
    await brought(queue, of_page(1, identity))
    clock.now = NOON + WAIT
    (segment,) = await queue.claim(PIXEL, most=10)
    await queue.release([segment])
    clock.now = NOON - 10 * WAIT
    server = of_server(2, identity)

    assert await brought(queue, server) == [server.id]
    assert await sent(queue, clock) == [(segment.records[0].id, False)]


async def test_a_page_that_comes_behind_the_servers_is_a_repeat(queue: WholeQueue, clock: Clock) -> None:
    """It is a duplicate whether the server's copy waits or was sent; its sighting completes a copy that waits."""
    assert await brought(queue, of_server(2, SAME), of_page(1, SAME)) == [SAME]
    (event,) = await sent_records(queue, clock)
    assert b"fb.1.1.anna" in event.payload
    assert await brought(queue, of_page(3)) == ["id-3"]


async def sent_records(queue: WholeQueue, clock: Clock) -> list[Record]:
    clock.now = NOON + 3 * WAIT
    return await claimed(queue)


@pytest.mark.parametrize("journey", list(permutations(["claim", "server", "page"])))
async def test_pages_of_several_visitors_never_make_an_order_count_twice_as_the_servers(
    queue: WholeQueue, clock: Clock, journey: Sequence[str]
) -> None:
    """Of an order that a page names for every visitor, either the server's copy leaves or pages' copies do, never both.

    The server's leaves if it comes before the first page's copy is claimed.
    """
    await brought(queue, of_page(1, SAME))
    gone: list[tuple[str, bool]] = []
    for step in journey:
        if step == "claim":
            gone += await sent(queue, clock, wait=WAIT)
        elif step == "server":
            await brought(queue, of_server(2, SAME))
        else:
            await brought(queue, of_page(3, SAME, visitor=b"bert"))
    gone += await sent(queue, clock)
    is_servers_only = [is_of_server for _, is_of_server in gone]

    assert is_servers_only in ([True], [False], [False, False])
    assert is_servers_only[0] == (journey.index("server") < journey.index("claim"))


async def test_a_reload_of_a_page_that_was_sent_does_not_wait(queue: WholeQueue, clock: Clock) -> None:
    """The repeat by the same visitor is not stored, so there is no waiting copy that a server's could replace."""
    plain = record(1, visitor=b"anna")._replace(name="Purchase", id=SAME)
    await queue.append([plain])
    assert await sent(queue, clock, wait=0) == [(SAME, False)]

    assert await brought(queue, of_page(1, SAME), of_server(2, SAME)) == [SAME, SAME]


@pytest.mark.parametrize("identity", [SAME, OWN])
async def test_an_order_that_is_paid_late_counts(queue: WholeQueue, clock: Clock, identity: str) -> None:
    """A page's copy whose payment is never confirmed is dropped as unpaid; a server's weeks later is sent, once."""
    await brought(queue, of_page(1, identity, unpaid="drop"))
    assert await sent(queue, clock) == []
    assert [(row.status, row.reason, row.browser_copy) for row in await listed(queue)] == [
        ("dropped", "unpaid", "fired")
    ]
    assert queue.stats().withheld == {DropReason.UNPAID: 1}
    clock.now += 20 * 86_400_000
    server, again = (of_server(number, identity) for number in (2, 3))

    assert await brought(queue, server, again) == [again.id]
    assert [is_of_server for _, is_of_server in await sent(queue, clock)] == [True]


@pytest.mark.parametrize("unpaid", ["", "send"])
async def test_a_page_whose_copy_did_not_come_is_sent(queue: WholeQueue, clock: Clock, unpaid: str) -> None:
    """It is sent unchanged, and has nothing of its wait left."""
    page = of_page(1, SAME, unpaid=unpaid)
    await brought(queue, page)

    (found,) = await sent_records(queue, clock)
    assert found == page._replace(pending=None, order=b"", not_before=0)


@pytest.mark.parametrize(
    ("theirs", "ours", "findings"), [(10, 10, ()), (10, 99, ("id:conflict",)), (10, None, ()), (None, 99, ())]
)
async def test_a_page_that_steps_back_says_that_its_value_was_another(
    queue: WholeQueue, clock: Clock, theirs: int | None, ours: int | None, findings: Sequence[str]
) -> None:
    """The server's value is sent; if the page's was another, by mistake or forgery, the page's row has a finding."""
    page, server = valued(of_page(), theirs), valued(of_server(), ours)
    await brought(queue, page, server)
    await sent(queue, clock)

    assert [(row.id, row.findings) for row in await listed(queue)] == [(page.id, findings)]


def valued(of: Record, value: int | None) -> Record:
    data = {} if value is None else {"value": value, "currency": "EUR"}
    payload = orjson.dumps(orjson.loads(of.payload) | {"custom_data": data})
    return of._replace(payload=payload, worth=worth(of.name, data))


@pytest.mark.parametrize("identity", [SAME, OWN])
async def test_what_is_dropped_as_unknown_leaves_room_for_the_page(
    queue: WholeQueue, clock: Clock, identity: str
) -> None:
    """A server's event of a person never seen is dropped; the page's copy that comes later with consent is sent."""
    await brought(queue, of_server(2, identity, unknown="drop"))
    assert await sent(queue, clock) == []
    assert queue.stats().withheld == {DropReason.NO_CONSENT: 1}

    page = of_page(1, identity)
    assert await brought(queue, page) == []
    assert await sent(queue, clock) == [(page.id, False)]


@pytest.mark.only_sqlite
async def test_a_backlog_that_is_dropped_keeps_no_append_waiting(
    queue: LocalQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each transaction drops the events of at most one segment, and the claim goes on to the next event."""
    for start in range(10, 3010, 500):
        await queue.append([told(number=start + number, unknown="drop") for number in range(500)])
    await queue.append([record(1)])
    commit = queue._store.commit
    dropped = [0]

    def counted(works: Sequence[Work]) -> list[Any]:
        results = commit(works)
        dropped.append(sum(queue.stats().withheld.values()))
        return results

    monkeypatch.setattr(queue._store, "commit", counted)

    assert await claimed(queue) == [record(1)]
    assert max(later - earlier for earlier, later in pairwise(dropped)) == 500
    assert dropped[-1] == 3000


@pytest.mark.only_sqlite
@pytest.mark.parametrize("commits", [99, 2], ids=["no fault", "a full disk"])
async def test_a_claim_of_pending_events_is_many_transactions(
    queue: LocalQueue, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    """Appends can run between its transactions, and events claimed before a fault are still returned."""
    for start in range(0, 200, 20):
        await queue.append([told(order(number), number=number) for number in range(start, start + 20)])
    commit, claim = queue._store.commit, queue._store.deliveries.claim
    portions: list[int] = []

    def counted(*values: Any, **options: Any) -> tuple[tuple[Segment, ...], bool]:
        found = claim(*values, **options)
        portions.append(sum(len(segment.records) for segment in found[0]))
        return found

    def failing(works: Sequence[Work]) -> list[Any]:
        if len(portions) >= commits:
            raise QueueFullError("the disk is full")
        return commit(works)

    monkeypatch.setattr(queue._store, "commit", failing)
    monkeypatch.setattr(queue._store.deliveries, "claim", counted)
    segments = await queue.claim(PIXEL, most=1000)
    monkeypatch.undo()
    await queue.settle(segments, Settlement(done=tuple(segment.ref for segment in segments)))
    left = await queue.claim(PIXEL, most=1000)

    assert max(portions) == 40
    assert sum(len(segment.records) for segment in segments) == min(200, 40 * commits)
    assert sum(len(segment.records) for segment in (*segments, *left)) == 200


async def test_a_servers_event_of_nobody_may_come_again(queue: WholeQueue, clock: Clock) -> None:
    """Another attempt of its sender is judged anew, as the visitor may be known by then."""
    await brought(queue, of_server(2, SAME, unknown="drop"))
    await sent(queue, clock)
    await leave(queue, left("anna", order(1)))

    assert await brought(queue, of_server(2, SAME, unknown="drop")) == []
    assert [is_of_server for _, is_of_server in await sent(queue, clock)] == [True]


async def test_copies_of_different_pixels_wait_apart(queue: WholeQueue, clock: Clock) -> None:
    """A server's event for one pixel replaces only that pixel's copy."""
    other = of_page(1, SAME)._replace(pixel="2222222222")
    await brought(queue, of_page(1, SAME), other)
    await brought(queue, of_server(2, SAME))

    assert await sent(queue, clock) == [(SAME, True)]
    assert [found.id for segment in await queue.claim("2222222222", most=9) for found in segment.records] == [SAME]


@pytest.mark.only_sqlite
async def test_who_waits_is_known_after_a_restart_and_not_after_a_failed_commit(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page's copy whose commit failed does not wait; after a restart an acknowledged one can still be replaced."""
    queue = open_queue(tmp_path, clock)
    with monkeypatch.context() as broken:
        broken.setattr(queue._store.tables.segments, "insert_sealed", lambda *_: 1 / 0)
        with pytest.raises(QueueError):
            await queue.append([of_page(1, SAME)])
    assert not queue._store.tables.orders._unsent._has_any
    await brought(queue, of_page(1, SAME))
    await queue.close()
    again = open_queue(tmp_path, clock)

    assert await brought(again, of_server(2, SAME)) == []
    assert await sent(again, clock) == [(SAME, True)]
    await again.close()


async def test_neighbours_in_a_segment_keep_their_order(queue: WholeQueue, clock: Clock) -> None:
    """Events without a pending copy keep their order between copies that are sent and copies that are not."""
    plain = [record(number)._replace(not_before=NOON + WAIT) for number in (10, 11)]
    await queue.append([plain[0], of_page(1), plain[1], of_page(3)._replace(order=b"", pending=Twin(b"x" * 16))])
    await brought(queue, of_server(2))
    clock.now = NOON + WAIT

    assert [found.id for found in await claimed(queue)] == ["id-10", "id-11", "id-3"]


async def test_what_grew_too_old_while_it_waited_is_judged_when_it_is_replayed(queue: WholeQueue, clock: Clock) -> None:
    """A dead letter of a page's copy that a server's replaced is a duplicate when it is replayed."""
    await brought(queue, of_page(1, SAME))
    assert await queue.expire(before_s=1 << 40) == ({PIXEL: 1}, False)
    await brought(queue, of_server(2, SAME))
    (letter,) = await queue.dead_letters(Filter())
    await queue.replay([letter.id], not_before_s=0)

    assert await sent(queue, clock) == [(SAME, True)]


@pytest.mark.only_sqlite
async def test_the_memory_of_what_waits_ends_with_that_of_orders(queue: LocalQueue, clock: Clock) -> None:
    """An order that was never paid is forgotten after 120 days."""
    await brought(queue, of_page(1, unpaid="drop"))
    await sent(queue, clock)
    unsent = queue._store.tables.orders._unsent
    orders = queue._store.tables.orders
    await queue._writer.do(lambda: orders.forget(NOON + 100 * 86_400_000))
    assert unsent._has_any
    await queue._writer.do(lambda: orders.forget(NOON + 121 * 86_400_000))

    assert not unsent._has_any

"""An event of an order is sent once within months, whatever ids its copies have."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from clock import NOON, Clock
from queues import open_queue
from support import PIXEL, record, server_record

from proxy.model.order import order_key
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import QueueError, WholeQueue
from proxy.queue.contract.rows import SERVER_COPY_FINDING
from proxy.queue.sqlite.engine import LocalQueue

pytestmark = pytest.mark.both_engines

HOUR = 3_600_000
DAY = 24 * HOUR


def sale(number: int, order: str, *, site: str = "shop", pixel: str = PIXEL, name: str = "Purchase") -> Record:
    """Return a server's copy of an order's event; each copy has an id of its own."""
    made = server_record(number)._replace(pixel=pixel, name=name)
    return made._replace(order=order_key(site, name, order))


def worth(of: Record, value: bytes) -> Record:
    return of._replace(worth=value)


def of_page(number: int, order: str) -> Record:
    return record(number)._replace(name="Purchase", order=order_key("shop", "Purchase", order))


async def repeats(queue: WholeQueue, *records: Record) -> list[str]:
    return [one.id for one in (await queue.append(records)).duplicates]


async def tables(queue: LocalQueue) -> int:
    sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'order!_%' ESCAPE '!'"
    ((count,),) = await queue._writer.do(lambda: queue._store.tables.db.execute(sql).fetchall())
    return int(str(count))


DAYS: list[tuple[float, bool]] = [(0, True), (2.5, True), (29, True), (60, True), (89.9, True), (121, False)]


@pytest.mark.parametrize("start", [0, 11, 29.99])
@pytest.mark.parametrize(("later", "is_known"), DAYS)
async def test_an_order_is_known_for_90_days(
    queue: WholeQueue, clock: Clock, start: float, later: float, *, is_known: bool
) -> None:
    """It is known for at least 90 days, on whatever day of a period it came first, and for at most 120."""
    clock.now = int((NOON // (30 * DAY) + 1 + start / 30) * 30 * DAY)
    await queue.append([sale(1, "1001")])
    clock.now += int(later * DAY)

    assert await repeats(queue, sale(2, "1001"), sale(3, "1002")) == ["id-2"] * is_known


OTHERS = [
    sale(2, "1002"),
    sale(2, "01001"),
    sale(2, "1001", site="other"),
    sale(2, "1001", pixel="2222222222"),
    sale(2, "1001", name="Refund"),
    server_record(2),
]


@pytest.mark.parametrize("other", OTHERS)
async def test_what_is_no_copy_is_sent(queue: WholeQueue, other: Record) -> None:
    """A copy must agree in order, site, pixel and event name."""
    await queue.append([sale(1, "1001")])

    assert await repeats(queue, other) == []


@pytest.mark.parametrize("pair", [(of_page, sale), (sale, of_page), (sale, sale)])
@pytest.mark.parametrize("together", [True, False])
async def test_page_and_backend_count_once(queue: WholeQueue, pair: Sequence[Any], *, together: bool) -> None:
    """The second copy is a duplicate and does not wait, whichever comes first, in the same group or later."""
    copies = [make(number, "1001") for number, make in enumerate(pair)]
    if together:
        stored = await asyncio.gather(*(queue.append([one]) for one in copies))
    else:
        stored = [await queue.append([one]) for one in copies]

    assert [len(answer.duplicates) for answer in stored] == [0, 1]
    assert queue.stats().waiting == {PIXEL: 1}


@pytest.mark.parametrize("together", [True, False])
async def test_pages_that_name_one_order_are_sent(queue: WholeQueue, *, together: bool) -> None:
    """Pages that all name one order, as by a mistaken template, are sent; a server's copy then is a duplicate."""
    pages = [of_page(number, "1001") for number in range(3)]
    if together:
        assert await repeats(queue, *pages) == []
    else:
        assert [await repeats(queue, page) for page in pages] == [[], [], []]

    assert await repeats(queue, sale(5, "1001")) == ["id-5"]


async def test_an_event_may_have_several_orders(queue: WholeQueue) -> None:
    """An event with several orders, such as a subscription and an invoice, is a repeat if any of them is known."""
    first = order_key("shop", "Subscribe", "sub_1") + order_key("shop", "invoice", "in_1")
    await queue.append([server_record(1)._replace(order=first)])
    again = server_record(2)._replace(order=order_key("shop", "invoice", "in_1"))
    later = server_record(3)._replace(order=order_key("shop", "invoice", "in_2"))

    assert await repeats(queue, again, later) == ["id-2"]
    met = await queue.known_server_orders(PIXEL, [first[:16], order_key("shop", "invoice", "in_3")])
    assert met == {first[:16]}


async def test_a_known_id_tells_of_its_order(queue: WholeQueue) -> None:
    """A duplicate by id that names an order makes the order known for copies with other ids."""
    plain = record(1)._replace(name="Purchase")
    await queue.append([plain])

    assert await repeats(queue, sale(1, "1001")) == ["id-1"]
    assert await repeats(queue, sale(2, "1001")) == ["id-2"]


async def test_what_is_refused_counts_for_no_order(queue: WholeQueue) -> None:
    """A copy that is refused for a suppression is not stored, and makes no other copy a repeat."""
    person = b"p" * 16
    await queue.suppress([person], SuppressionKind.OPT_OUT, NOON)
    await queue.append([sale(1, "1001")._replace(person_digests=(person,))])

    assert await repeats(queue, sale(2, "1001")) == []


@pytest.mark.only_sqlite
async def test_orders_survive_a_restart_and_a_failed_commit(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order whose commit failed is not known; one that was stored is known after a restart."""
    queue = open_queue(tmp_path, clock)

    def fail(*_arguments: object) -> None:
        raise RuntimeError("in the middle of a transaction")

    with monkeypatch.context() as patch:
        patch.setattr(queue._store.tables.segments, "insert_sealed", fail)
        with pytest.raises(QueueError):
            await queue.append([sale(1, "1001")])
    assert await tables(queue) == 0
    assert await repeats(queue, sale(1, "1001")) == []
    await queue.close()
    again = open_queue(tmp_path, clock)

    assert await repeats(again, sale(2, "1001")) == ["id-2"]
    await again.close()


@pytest.mark.only_sqlite
async def test_months_are_dropped_whole(queue: LocalQueue, clock: Clock) -> None:
    """There are at most four tables, after 32 months as after four."""
    forget = queue._store.tables.orders.forget
    counts = []
    for month in range(8):
        await queue.append([sale(month, f"{month}")])
        while await queue._writer.do(lambda: forget(clock.now)):
            pass
        counts.append(await tables(queue))
        clock.now += 30 * DAY
    clock.now += 300 * DAY
    more = [await queue._writer.do(lambda: forget(clock.now)) for _ in range(4)]

    assert counts == [1, 2, 3, 4, 4, 4, 4, 4]
    assert more == [True, True, True, False]
    assert await tables(queue) == 0


@pytest.mark.only_sqlite
async def test_events_without_an_order_touch_no_table(queue: LocalQueue) -> None:
    """An installation whose servers report no orders has no table for them."""
    await queue.append([record(1), server_record(2)])

    assert await tables(queue) == 0


async def test_a_servers_copy_behind_a_pages_is_remembered(queue: WholeQueue, clock: Clock) -> None:
    """A thank-you page that is opened again weeks after both copies came is a duplicate."""
    await queue.append([of_page(1, "1001")])
    clock.now += 1000
    assert await repeats(queue, sale(2, "1001")) == ["id-2"]
    clock.now += 20 * DAY

    assert await repeats(queue, of_page(3, "1001")) == ["id-3"]
    assert await queue.known_server_orders(PIXEL, [order_key("shop", "Purchase", "1001")])


async def test_one_page_of_an_order_stands_for_its_browser_copy(queue: WholeQueue, clock: Clock) -> None:
    """The first page's copy after a server's has the finding; repeats and later pages' copies do not."""
    await queue.append([sale(1, "1001")])
    marks = []
    for number, days in ((2, 0), (2, 0), (3, 1), (2, 20)):
        clock.now += days * DAY
        (repeat,) = (await queue.append([of_page(number, "1001")])).duplicates
        marks.append(SERVER_COPY_FINDING in repeat.findings)

    assert marks == [True, False, False, False]


CONFLICTS: list[tuple[Record, Record, tuple[str, ...]]] = [
    (worth(of_page(1, "1001"), b"1111"), worth(sale(2, "1001"), b"2222"), ("id:conflict",)),
    (worth(of_page(1, "1001"), b"1111"), worth(sale(1, "1001"), b"2222"), ("id:conflict",)),
    (worth(sale(1, "1001"), b"1111"), worth(of_page(2, "1001"), b"2222"), ("id:conflict", SERVER_COPY_FINDING)),
    (worth(sale(1, "1001"), b"1111"), worth(of_page(1, "1001"), b"2222"), ("id:conflict", SERVER_COPY_FINDING)),
    (worth(of_page(1, "1001"), b"1111"), worth(sale(2, "1001"), b"1111"), ()),
    (worth(of_page(1, "1001"), b""), worth(sale(2, "1001"), b"2222"), ()),
    (worth(of_page(1, "1001"), b"1111"), worth(sale(2, "1001"), b""), ()),
    (worth(sale(1, "1001"), b"1111"), worth(sale(2, "1001"), b"2222"), ()),
]
"""The first copy of an order, the second, and the second's findings; shops themselves may change an order's value."""


@pytest.mark.parametrize(("first", "second", "findings"), CONFLICTS)
@pytest.mark.parametrize("together", [True, False])
async def test_copies_of_an_order_that_disagree_say_so(
    queue: WholeQueue, clock: Clock, first: Record, second: Record, findings: tuple[str, ...], *, together: bool
) -> None:
    """The row of the shop's copy shows that a page, perhaps forged, named the order with another value before it."""
    if not together:
        await queue.append([first])
        clock.now += HOUR
    stored = await queue.append([first, second][1 - together :])

    assert [(one.id, one.findings) for one in stored.duplicates] == [(second.id, findings)]


async def test_a_forged_order_is_told_weeks_later(queue: WholeQueue, clock: Clock) -> None:
    """The first page's value is compared even weeks later; a second page's value does not replace it."""
    await queue.append([worth(of_page(1, "1001"), b"1111")])
    clock.now += 40 * DAY
    await queue.append([worth(of_page(2, "1001"), b"2222")])
    stored = await queue.append([worth(sale(3, "1001"), b"2222")])

    assert [one.findings for one in stored.duplicates] == [("id:conflict",)]

"""Sightings of visitors are found by their keys when a server reports the order."""

import asyncio
from pathlib import Path

import orjson
import pytest
import queues
from clock import NOON, Clock
from sighted import claimed, joined, key, leave, left, order, rows, told
from support import record

from proxy.model.join import JoinKind
from proxy.model.order import order_key
from proxy.queue.contract import Stored, WholeQueue

pytestmark = pytest.mark.both_engines


@pytest.mark.only_sqlite
async def test_a_sighting_alone_is_stored_and_acknowledged(tmp_path: Path, clock: Clock) -> None:
    """A page whose events were all dropped still leaves its sighting, which survives a restart."""
    queue = queues.open_queue(tmp_path, clock)
    assert await leave(queue, left("anna", order(1))) == Stored()
    await queue.close()
    again = queues.open_queue(tmp_path, clock)

    assert await joined(again, order(1)) == "anna"
    await again.close()


async def test_a_repeat_leaves_its_sighting_too(queue: WholeQueue) -> None:
    """The page's copy that follows the server's is not stored, but its sighting is, and completes the server's copy."""
    event = order_key("shop", "Purchase", "1")
    await queue.append([told(order(1), order=event, not_before=NOON + 1)])
    page = record(2)._replace(name="Purchase", order=event)
    stored = await queue.append([page], sightings=[left("anna", order(1))])

    assert [one.id for one in stored.duplicates] == ["id-2"]
    assert await rows(queue) == 1


async def test_several_visitors_of_a_key_are_never_seen_as_one(queue: WholeQueue) -> None:
    """A visitor who names an order a thousand times does not hide that another visitor named it too."""
    await leave(queue, *(left("mmm", order(1), name=f"Own{number}", at=NOON + number) for number in range(1000)))
    for number, who in enumerate(("aaa", "zzz")):
        assert await joined(queue, order(1), number=2 * number) == ("mmm" if number == 0 else "")
        await leave(queue, left(who, order(1)))
        assert await joined(queue, order(1), number=2 * number + 1) == ""


async def test_a_visitor_with_a_thousand_orders_is_known_in_each(queue: WholeQueue) -> None:
    """A browser at a till is found by each of its orders, and by its own id."""
    browser = key(JoinKind.BROWSER, "till")
    await leave(queue, *(left("till", order(number), browser, at=NOON + number) for number in range(1000)))

    assert [await joined(queue, order(number), number=number) for number in (0, 500, 999)] == ["till"] * 3
    assert await joined(queue, browser, number=2000) == "till"


async def test_the_first_sighting_of_an_order_stays(queue: WholeQueue) -> None:
    """A thank-you page that is opened again with another click id changes nothing for a look-up by the order.

    A look-up by the browser finds the latest sighting.
    """
    browser = key(JoinKind.BROWSER, "anna")
    for at in (NOON, NOON + 1):
        await leave(queue, left("anna", order(1), browser, at=at))
    clicks = []
    for number, wanted in enumerate((order(1), browser)):
        await queue.append([told(wanted, number=number)])
        clicks += [orjson.loads(found.payload)["user_data"]["fbc"] for found in await claimed(queue)]

    assert clicks == [f"fb.1.{NOON}.click", f"fb.1.{NOON + 1}.click"]


async def test_a_tag_that_repeats_itself_leaves_one_sighting(queue: WholeQueue) -> None:
    """The same sighting that is sent again takes no more room."""
    for _ in range(20):
        await leave(queue, *[left("anna", order(1), key(JoinKind.BROWSER, "anna"))] * 20)

    assert (await rows(queue), await rows(queue, "sighting_slot")) == (1, 4)


async def test_callers_of_one_group_leave_theirs_together(queue: WholeQueue) -> None:
    """Each sighting of several that are stored in one commit is found by its own order."""
    people = [f"person{number}"[:8] for number in range(8)]
    await asyncio.gather(*(leave(queue, left(who, order(who))) for who in people))

    assert [await joined(queue, order(who), number=number) for number, who in enumerate(people)] == people


async def test_another_order_of_a_visitor_speaks_against_the_address(queue: WholeQueue) -> None:
    """A browser's order contradicts an e-mail address that the same browser gave at its checkout for another order."""
    browser, mail = key(JoinKind.BROWSER, "anna"), key(JoinKind.EMAIL, "shared")
    await leave(queue, left("anna", browser, mail, name="InitiateCheckout"))
    assert await joined(queue, order(2), mail, number=1) == "anna"
    await leave(queue, left("anna", browser, order(1), at=NOON + 1))

    assert await joined(queue, order(2), mail, number=2) == ""
    assert await joined(queue, order(1), mail, number=3) == "anna"

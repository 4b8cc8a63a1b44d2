"""An event that a browser and servers bring is sent once, whoever brings it first, and however often."""

from collections.abc import Callable, Sequence
from itertools import product

import pytest
from clock import NOON, Clock
from support import PIXEL, record, server_record, until

from proxy.model.event import BrowserCopy
from proxy.model.ledger import REPEATS_SERVER, BrowserCopyUpdate, LedgerRow
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Erased, Filter, WholeQueue, duplicate_row
from proxy.queue.contract.rows import SERVER_COPY_FINDING
from proxy.queue.keys import SERVER as SERVERS_HASH

pytestmark = pytest.mark.both_engines

HOUR = 3_600_000
ANNA, BERT, SERVER = "anna", "bert", "server"
JOURNEYS = [journey for length in (1, 2, 3, 4) for journey in product((ANNA, BERT, SERVER), repeat=length)]
"""All orders in which two browsers and any servers can bring one event."""
IDS: dict[str, Callable[[int], str]] = {
    "an order's id": lambda number: f"order-shop-{number}",
    "an id of the tag": lambda number: f"{NOON - HOUR}{number}.5",
}


def brought(who: str, identity: str, name: str = "Purchase") -> Record:
    made = server_record() if who == SERVER else record(visitor=who.encode())
    return made._replace(id=identity, name=name, time_s=NOON // 1000)


def is_sent(journey: Sequence[str]) -> list[bool]:
    """Tell of each copy whether it is sent.

    A server's is sent if it comes first, a browser's if only other browsers came before it.
    """
    return [
        not journey[:place] if who == SERVER else not {who, SERVER} & set(journey[:place])
        for place, who in enumerate(journey)
    ]


async def waiting(queue: WholeQueue) -> dict[str, int]:
    """Return how many copies of each event wait, by id."""
    counts: dict[str, int] = {}
    while segments := await queue.claim(PIXEL, most=1000):
        for segment in segments:
            for one in segment.records:
                counts[one.id] = counts.get(one.id, 0) + 1
    return counts


async def written(queue: WholeQueue, enough: Callable[[Sequence[LedgerRow]], bool]) -> Sequence[LedgerRow]:
    """Wait until the ledger's rows satisfy ``enough``; return them."""

    async def rows() -> Sequence[LedgerRow] | None:
        found = [row async for row in queue.events(Filter())]
        return found if enough(found) else None

    found: Sequence[LedgerRow] = await until(rows, what="rows of the ledger")
    return found


@pytest.mark.parametrize("identity", IDS.values(), ids=IDS)
@pytest.mark.parametrize("apart", [True, False], ids=["one after another", "in one request"])
async def test_whatever_the_order_no_copy_is_sent_too_often(
    queue: WholeQueue, clock: Clock, identity: Callable[[int], str], *, apart: bool
) -> None:
    """For all 120 journeys, spread over hours or in one request, as many copies are sent as ``is_sent`` says."""
    copies = [[brought(who, identity(number)) for who in journey] for number, journey in enumerate(JOURNEYS)]
    if apart:
        for place in range(4):
            await queue.append([journey[place] for journey in copies if len(journey) > place])
            clock.now += 12 * HOUR
    else:
        await queue.append([one for journey in copies for one in journey])

    assert await waiting(queue) == {identity(number): sum(is_sent(journey)) for number, journey in enumerate(JOURNEYS)}


async def test_what_is_left_out_is_told(queue: WholeQueue) -> None:
    """The second copy is a duplicate, not a reused id, and its row shows whether it came from a browser."""
    first = await queue.append([brought(ANNA, "order-1"), brought(SERVER, "order-2")])
    second = await queue.append([brought(SERVER, "order-1"), brought(BERT, "order-2")])
    queue.note([duplicate_row(one, NOON) for one in second.duplicates])
    rows = await written(queue, lambda rows: len(rows) == 2)

    assert (first.duplicates, second.reused, second.conflicts) == ((), 0, ())
    assert [(one.id, one.browser_copy) for one in second.duplicates] == [
        ("order-1", None),
        ("order-2", BrowserCopy.FIRED),
    ]
    assert {(row.id, row.status, row.browser_copy) for row in rows} == {
        ("order-1", "duplicate", None),
        ("order-2", "duplicate", "fired"),
    }


async def test_one_event_is_of_one_pixel_and_one_name(queue: WholeQueue) -> None:
    """The same id with another name or for another pixel is another event."""
    await queue.append([brought(ANNA, "1")])
    others = [brought(SERVER, "1", "Lead"), brought(SERVER, "1")._replace(pixel="2222222222")]

    assert (await queue.append(others)).duplicates == ()
    assert queue.stats().waiting == {PIXEL: 2, "2222222222": 1}


async def test_messages_repeat_once(queue: WholeQueue) -> None:
    """Events of business_messaging, which Meta does not deduplicate, are sent once if their sender repeats them."""
    message = server_record(1, source="business_messaging")
    first = await queue.append([message, message])
    again = await queue.append([message])

    assert (len(first.duplicates), len(again.duplicates)) == (1, 1)
    assert queue.stats().waiting == {PIXEL: 1}


async def test_news_of_a_browser_copy_finds_its_row_behind_a_servers(queue: WholeQueue) -> None:
    """A browser's update affects the row of the browser's duplicate; the server's row has no browser copy."""
    server, browser = brought(SERVER, "order-1"), brought(ANNA, "order-1")._replace(browser_copy=BrowserCopy.PENDING)
    await queue.append([server])
    await queue.append([browser])
    update = BrowserCopyUpdate("Purchase", "order-1", BrowserCopy.BLOCKED)
    queue.note([duplicate_row(one, NOON) for one in (server, browser)], [update], [PIXEL], [b"anna"])
    queue.note([], [update], [PIXEL], [b""])
    rows = await written(queue, lambda rows: "blocked" in {row.browser_copy for row in rows})

    assert [row.browser_copy for row in rows] == ["blocked", None]


async def test_a_servers_event_is_about_a_person_too(queue: WholeQueue) -> None:
    """Servers' events about a person who opted out are refused, and an erasure finds those that wait."""
    person, other = b"p" * 16, b"o" * 16
    about = [server_record(number)._replace(person_digests=(person,)) for number in (1, 2)]
    await queue.append([about[0], server_record(3)._replace(person_digests=(other,))])

    assert await queue.erase([person], NOON) == Erased(waiting=1)
    await queue.suppress([person], SuppressionKind.OPT_OUT, NOON)
    assert [why for _, why in (await queue.append([about[1]])).refused] == ["opted_out"]
    assert await waiting(queue) == {"id-3": 1}


VALUES: list[tuple[str, str, tuple[bytes, bytes], tuple[str, ...]]] = [
    (ANNA, SERVER, (b"1111", b"2222"), ("id:conflict",)),
    (SERVER, ANNA, (b"1111", b"2222"), ("id:conflict", SERVER_COPY_FINDING)),
    (ANNA, SERVER, (b"1111", b"1111"), ()),
    (ANNA, SERVER, (b"1111", b""), ()),
    (SERVER, ANNA, (b"", b"2222"), (SERVER_COPY_FINDING,)),
]


@pytest.mark.parametrize(("first", "second", "worths", "findings"), VALUES)
@pytest.mark.parametrize("apart", [True, False])
async def test_copies_that_disagree_say_so(
    queue: WholeQueue, first: str, second: str, worths: tuple[bytes, bytes], findings: tuple[str, ...], *, apart: bool
) -> None:
    """A duplicate Purchase with another value is not sent, and its row has a finding, as one may be forged."""
    copies = [brought(who, "order-1")._replace(worth=value) for who, value in zip((first, second), worths, strict=True)]
    if apart:
        await queue.append(copies[:1])
    stored = await queue.append(copies[1:] if apart else copies)

    assert [one.findings for one in stored.duplicates] == [findings]
    assert (stored.conflicts, stored.reused) == ((), 0)
    assert await waiting(queue) == {"order-1": 1}


async def test_a_page_behind_its_server_is_marked_once(queue: WholeQueue) -> None:
    """The first duplicate of each browser says that a server's event was sent; its repeats and servers' do not."""
    await queue.append([brought(SERVER, "order-1")])
    marks = []
    for who in (ANNA, ANNA, SERVER, BERT):
        (repeat,) = (await queue.append([brought(who, "order-1")])).duplicates
        row = duplicate_row(repeat, NOON)
        marks.append((SERVER_COPY_FINDING in repeat.findings, row.reason, row.findings))

    plain = (False, "", ())
    assert marks == [(True, REPEATS_SERVER, ()), plain, plain, (True, REPEATS_SERVER, ())]


async def test_no_browser_can_pass_for_a_server(queue: WholeQueue) -> None:
    """A browser whose ``_fbp`` hashes to the value that stands for servers suppresses no other visitor's event."""
    await queue.append([brought(ANNA, "order-1")._replace(visitor=SERVERS_HASH)])
    stored = await queue.append([brought(BERT, "order-1")])
    again = await queue.append([brought(ANNA, "order-1")._replace(visitor=SERVERS_HASH)])

    assert (stored.duplicates, stored.reused, len(again.duplicates)) == ((), 1, 1)

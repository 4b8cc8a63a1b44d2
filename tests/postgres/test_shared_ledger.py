"""The shared ledger: any proxy reads what any other wrote, in an order that loses no row."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from clock import NOON, Clock
from shared_books import EVERYTHING, TODAY, Books, row
from support import PIXEL

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow, Status
from proxy.model.units import DAY_MS
from proxy.queue.contract import Filter, QueueError
from proxy.queue.keys import event_key
from proxy.queue.postgres import ledger_pages
from proxy.queue.postgres.database import Role
from proxy.queue.postgres.session import Row
from proxy.queue.postgres.transaction import Run

# Makes rows a minute older, and makes several rows share a number.
AGE = "UPDATE ledger_{0} SET number = number - 60000000"
SHARE = "UPDATE ledger_{0} SET number = 1000 + 1000 * (id > '0:3')::int"


async def test_a_row_comes_back_as_it_was_written(books: Books, other: Books) -> None:
    """Every field of a browser's or a server's row is the same when another proxy reads it."""
    full = LedgerRow(
        *(NOON, PIXEL, "Lead", "id", NOON // 1000, Status.DEAD, "rejected", BrowserCopy.BLOCKED, "trace", 3),
        findings=("em:cut", "value:repaired"),
        action_source="physical_store",
    )
    server = full._replace(id="other", browser_copy=None, findings=(), action_source="website")
    await books.write([full, server])

    assert await other.listed() == [server, full]


async def test_numbers_grow_whoever_writes(books: Books, other: Books, clock: Clock) -> None:
    """Numbers follow the order of writing, over days and proxies, and JavaScript can represent them."""
    await books.write([row(1), row(2)])
    await other.write([row(3, at=NOON - DAY_MS)])
    clock.now -= DAY_MS
    await books.write([row(4, at=clock.now), row(5)])
    found = sorted(await books.listed(), key=lambda each: each.number)

    assert [each.id for each in found] == ["0:1", "0:2", "-1:3", "-1:4", "0:5"]
    assert len({each.number for each in found}) == 5
    assert found[-1].number < 1 << 53


async def test_numbers_grow_over_a_clock_that_steps_back(books: Books) -> None:
    """After a fail-over to a server whose clock is behind, new numbers still exceed the existing ones."""
    await books.write([row(1)])
    ahead = "UPDATE ledger_{0} SET number = number + 3600000000"
    await books.database.run(Role.BOOKS, ahead.format(TODAY))
    await books.write([row(2), row(3)])

    assert [each.id for each in sorted(await books.listed(), key=lambda each: each.number)] == ["0:1", "0:2", "0:3"]


async def test_the_newest_come_first_page_by_page(books: Books) -> None:
    """Rows of three days, more than a slice, are listed once, and a limit ends the list."""
    for day in (TODAY - 2, TODAY - 1, TODAY):
        await books.write([row(number, at=day * DAY_MS) for number in range(ledger_pages.SLICE // 2)])
    await books.write([row(number, at=NOON) for number in range(5000, 5000 + ledger_pages.SLICE)])
    found = await books.ids()
    expected = [f"0:{number}" for number in range(4999 + ledger_pages.SLICE, 4999, -1)]
    expected += [f"{-back}:{number}" for back in range(3) for number in range(ledger_pages.SLICE // 2 - 1, -1, -1)]

    assert found == expected
    assert await books.ids(Filter(limit=3)) == expected[:3]


async def test_filters_choose_rows_in_both_orders(books: Books) -> None:
    """Each field of a filter, or an id among many, finds its rows: newest first, and since a number."""
    rows = [row(number) for number in range(ledger_pages.SLICE + 200)]
    rows[7] = rows[7]._replace(status=Status.DROPPED, reason="bot", name="Purchase", action_source="chat")
    rows[9] = rows[9]._replace(pixel="77")
    await books.write(rows)
    wanted = {
        "0:7": [
            Filter(status=Status.DROPPED),
            Filter(reason="bot"),
            Filter(name="Purchase"),
            Filter(action_source="chat"),
            Filter(id="0:7"),
            Filter(id="0:7", name="Purchase", pixel=PIXEL),
        ],
        "0:9": [Filter(pixel="77")],
    }
    for identity, filters in wanted.items():
        for each in filters:
            assert await books.ids(each) == [identity], each
            assert await books.ids(replace(each, since=0)) == [identity], each
    assert await books.ids(Filter(id="none")) == await books.ids(Filter(id="0:7", pixel="77")) == []


async def test_what_is_new_since_a_number_misses_nothing(books: Books) -> None:
    """Pages since a number contain all rows in the order of numbers, whatever their limit."""
    for day in (TODAY - 1, TODAY, TODAY - 1):
        await books.write([row(number, at=day * DAY_MS) for number in range(120)])
    everything = await books.listed(Filter(since=0, limit=EVERYTHING))
    for limit in (1, 7, 100, 359):
        found: list[LedgerRow] = []
        while page := await books.listed(Filter(since=found[-1].number if found else 0, limit=limit)):
            found += page
        assert [(each.number, each.id) for each in found] == [(each.number, each.id) for each in everything]
    assert len(everything) == 360


async def test_rows_that_share_a_number_come_together(books: Books) -> None:
    """Rows of two proxies may share a number; a reader that continues from the last number misses none."""
    await books.write([row(number) for number in range(10)])
    await books.database.run(Role.BOOKS, SHARE.format(TODAY))
    for limit in (1, 2, 3, 5, 9):
        first = await books.listed(Filter(since=0, limit=limit))
        rest = await books.listed(Filter(since=first[-1].number, limit=EVERYTHING))
        assert sorted(each.id for each in first + rest) == [f"0:{number}" for number in range(10)]


async def test_a_reader_since_a_number_waits_for_open_transactions(books: Books, other: Books) -> None:
    """A row that becomes visible after a later one is not missed by a reader that continues from the later one."""
    async with other.database.transaction(Role.DELIVER) as run:
        await other.ledger.write(run, [row(1)])
        # Writing to the same rollup would wait for the other transaction.
        await books.write([row(2)._replace(pixel="77")])
        seen = await books.listed(Filter(since=0))
    last = seen[-1].number if seen else 0
    # Instead of waiting for the lag, make the rows older.
    await books.database.run(Role.BOOKS, AGE.format(TODAY))
    seen += await books.listed(Filter(since=max(0, last - 60_000_000)))

    assert [each.id for each in seen] == ["0:1", "0:2"]


async def test_a_lone_proxy_reads_up_to_the_last_row(books: Books) -> None:
    """A written row is read at once, unless this proxy is writing at that moment."""
    await books.write([row(1)])
    with books.ledger.writing():
        held_back = await books.ids(Filter(since=0))

    assert (held_back, await books.ids(Filter(since=0))) == ([], ["0:1"])


async def test_a_list_ends_where_it_was_when_it_began(books: Books) -> None:
    """Rows written while a long list is read belong to the next list, so that none appears below its end."""
    await books.write([row(number) for number in range(300)])
    found: list[LedgerRow] = []
    async for each in books.reader.events(Filter(since=0, limit=EVERYTHING)):
        if len(found) == 150:
            await books.write([row(1000)])
        found.append(each)
    later = await books.listed(Filter(since=found[-1].number))

    assert ([each.id for each in found][-1], len(found)) == ("0:299", 300)
    assert [each.id for each in later] == ["0:1000"]


async def test_a_silent_proxy_holds_up_no_reader(books: Books, other: Books) -> None:
    """A proxy that was killed no longer delays readers after a minute."""
    await books.write([row(1)])
    assert await books.ids(Filter(since=0)) == []
    silence = "UPDATE replica SET seen_at = now() - interval '61 s' WHERE id = $1"
    await books.database.run(Role.BOOKS, silence, other.database.replica)

    assert await books.ids(Filter(since=0)) == ["0:1"]


async def test_updates_are_joined_to_events_of_the_visitor(books: Books, other: Books) -> None:
    """The latest update from the event's visitor counts, at whatever time and proxy; other visitors' change nothing."""
    await other.update((NOON - DAY_MS, "0:1", b"anna", BrowserCopy.BLOCKED), (NOON, "0:2", b"bert", BrowserCopy.FIRED))
    await books.write([row(1, visitor=b"anna"), row(2, visitor=b"anna"), row(3, visitor=b"anna")])
    await books.update((NOON, "0:1", b"anna", BrowserCopy.BLOCKED), (NOON, "0:1", b"anna", BrowserCopy.FIRED))
    found = {each.id: each.browser_copy for each in await other.listed()}

    assert found == {"0:1": BrowserCopy.FIRED, "0:2": BrowserCopy.PENDING, "0:3": BrowserCopy.PENDING}


async def test_a_servers_event_has_no_browser_copy(books: Books) -> None:
    """An update with the key of a server's event has no effect."""
    await books.write([row(1)._replace(browser_copy=None)])
    await books.update((NOON, "0:1", b"", BrowserCopy.FIRED))

    assert [each.browser_copy for each in await books.listed()] == [None]


ODD = [
    ("NUL", row(1)._replace(name="a\0b"), "a\ufffdb"),
    ("half a character", row(1)._replace(name="a\ud800b"), "a?b"),
    ("emoji", row(1)._replace(name="a😀b"), "a😀b"),
    ("too large", row(1)._replace(time_s=10**30), None),
    ("too many", row(1)._replace(attempts=1 << 31), None),
    ("an older day than any that is kept", row(1, at=NOON - 8 * DAY_MS), None),
]


@pytest.mark.parametrize(("odd", "name"), [case[1:] for case in ODD], ids=[case[0] for case in ODD])
async def test_an_odd_row_costs_no_other(books: Books, odd: LedgerRow, name: str | None) -> None:
    """Texts and numbers that PostgreSQL cannot hold are written approximately, or only that row is left out."""
    await books.write([odd, row(2)])
    await books.update((NOON, "0:2", b"", BrowserCopy.FIRED))
    found = await books.listed(Filter(since=0))

    assert [each.name for each in found] == ([name, "Lead"] if name else ["Lead"])
    if name:
        assert await books.ids(Filter(name=odd.name)) == ["0:1"]


async def test_a_batch_written_again_is_there_once(books: Books) -> None:
    """Rows that are written again after a lost answer are stored once."""
    rows = [row(1), row(2), row(2, status=Status.DUPLICATE)]
    await books.write(rows)
    await books.write([*rows, row(3)], again=True)

    assert sorted(await books.ids()) == ["0:1", "0:2", "0:2", "0:3"]


async def test_two_proxies_make_a_day_at_one_moment(books: Books, other: Books) -> None:
    """If two proxies make a day's tables at once, both succeed."""
    for day in range(TODAY - 6, TODAY):
        await asyncio.gather(books.ledger.ensure_tables([day]), other.ledger.ensure_tables([day]))
        await asyncio.gather(books.write([row(1, at=day * DAY_MS)]), other.write([row(2, at=day * DAY_MS)]))

    assert len(await books.listed()) == 12


async def test_a_dropped_day_is_made_again(books: Books, other: Books) -> None:
    """Writing rows of a day whose tables another proxy dropped fails once, and then works."""
    yesterday = row(1, at=NOON - DAY_MS)
    await books.write([yesterday])
    await other.database.run(Role.BOOKS, f"DROP TABLE ledger_{TODAY - 1}")
    with suppress(QueueError):
        await books.write([yesterday])
    await books.write([yesterday])

    assert await other.ids() == ["-1:1"]


@pytest.mark.parametrize("rows", [0, 20_000])
async def test_no_statement_looks_at_a_whole_table(books: Books, rows: int) -> None:
    """Every statement that writes or searches uses an index, on empty and full tables."""
    await books.write([row(number) for number in range(rows)])
    for name in (f"ledger_{TODAY}", f"fate_{TODAY}"):
        await books.database.run(Role.BOOKS, f"ANALYZE {name}")
    plans: dict[str, str] = {}
    keyed = [(NOON, event_key(PIXEL, "Lead", "0:1"), b"", BrowserCopy.FIRED)]
    async with books.database.transaction(Role.BOOKS) as plain:
        run = explained(plain, plans)
        await books.ledger.write(run, [row(1)])
        await books.ledger.write(run, [row(1)], again=True)
        await books.ledger.write(run, [], updates=keyed)
        for wanted in (Filter(), Filter(id="0:1"), Filter(status=Status.DEAD, name="Lead")):
            await ledger_pages.newest(run, wanted)
            await ledger_pages.page_above(run, wanted, 0, 1 << 60)
        await ledger_pages.horizon(run, books.database.replica, alone=True)

    assert len(plans) > 8
    # There are few proxies, for which no index would help.
    scans = {name: plan.replace("Seq Scan on replica", "") for name, plan in plans.items()}
    assert {statement: plan for statement, plan in scans.items() if "Seq Scan" in plan} == {}


def explained(run: Run, plans: dict[str, str]) -> Run:
    """Return a runner of statements that also keeps the plan of each."""

    async def explain(statement: str, *arguments: object) -> Sequence[Row]:
        plan = await run(f"EXPLAIN {statement}", *arguments)
        plans[statement] = "\n".join(line[0] for line in plan)
        return await run(statement, *arguments)

    return explain

"""Shared rollups equal the sums of the ledger's rows, whatever several proxies write at the same time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from clock import NOON, Clock
from postgres_server import Cluster
from queues import open_shared
from shared_books import TODAY, Books, row
from support import PIXEL, record, until

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import MATCH_KEYS, EventFacts, bits_of
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.model.rollup import OTHER, Rollup, RollupQuery, Tally
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.model.verdict import GraphError
from proxy.queue.contract import Filter, NewDeadLetter, Segment, Settlement
from proxy.queue.keys import event_key
from proxy.queue.postgres import copy_moves, rollup_names, rollup_table, tallies
from proxy.queue.postgres.database import Role
from proxy.queue.postgres.transaction import Run
from proxy.queue.rollup_counts import sums_by_key

EVER = RollupQuery(0, 1 << 30)
DAYS = RollupQuery(0, 1 << 30, by_day=True)
EUROS = EventFacts("shop", bits_of(("em", "fbp")), "granted", "pixel", (), 199_900, "EUR")
YEN = EUROS._replace(value=5_000_000, currency="JPY", match_keys=0)
COPIES = (BrowserCopy.PENDING, BrowserCopy.BLOCKED, BrowserCopy.FIRED, None)


def event(number: int, **changes: Any) -> LedgerRow:
    """Return a row whose properties depend on its number."""
    facts = (EUROS, YEN, EventFacts("shop"), EventFacts("blog", 1))[number % 4]
    made = row(number, visitor=b"anna")._replace(
        arrived=NOON - number % 3 * HOUR_MS,
        browser_copy=COPIES[number // 2 % 4],
        status=(Status.DELIVERED, Status.DUPLICATE, Status.DEAD)[number % 7 % 3],
        facts=facts,
    )
    return made._replace(**changes)


async def rollups(books: Books, wanted: RollupQuery = EVER) -> list[Rollup]:
    return await books.archive.rollups(wanted)


async def truth(books: Books) -> dict[Any, tuple[Any, ...]]:
    """Return the sums of the ledger's rows, by key."""
    return sums(await books.listed())


def sums(rows: Sequence[LedgerRow]) -> dict[Any, tuple[Any, ...]]:
    """Return the sums of rows by key, in the form of ``told``."""
    return {
        key: (each.events, each.values, {MATCH_KEYS[bit]: n for bit, n in each.match_keys.items()}, tuple(each.lag))
        for key, each in sums_by_key(each for each in rows if each.status is not Status.REPLAYED).items()
    }


def told(found: Sequence[Rollup]) -> dict[Any, tuple[Any, ...]]:
    return {each.key: (each.events, each.values, each.match_keys, each.lag) for each in found}


def test_every_match_key_has_a_column() -> None:
    """The tables have a column for each match key, so that a new one needs no change while columns are left."""
    assert len(MATCH_KEYS) <= len(rollup_table.MATCHED)


async def test_rollups_are_what_the_rows_add_up_to(books: Books, other: Books) -> None:
    """Counts, values by currency, match keys and lags of hours and days are those of all proxies' rows."""
    await books.write([event(number) for number in range(0, 100, 2)])
    await other.write([event(number) for number in range(1, 100, 2)])
    found, days = await rollups(other), await rollups(books, DAYS)

    assert told(found) == await truth(books)
    assert [each.key.hour for each in found] == sorted(each.key.hour for each in found)
    assert {each.key.hour for each in days} == {TODAY * 24}
    assert told(days) == told(found_of_day(found))


def found_of_day(hours: Sequence[Rollup]) -> list[Rollup]:
    """Return rollups of hours as rollups of their days."""
    days: dict[Any, Any] = {}
    for each in hours:
        key = each.key._replace(hour=each.key.hour - each.key.hour % 24)
        before = days.get(key)
        days[key] = _sum(key, before, each) if before else replace(each, key=key)
    return list(days.values())


def _sum(key: Any, one: Rollup, two: Rollup) -> Rollup:
    values = {
        currency: tuple(map(sum, zip(one.values.get(currency, (0, 0)), two.values.get(currency, (0, 0)), strict=True)))
        for currency in {*one.values, *two.values}
    }
    keys = dict(Counter(one.match_keys) + Counter(two.match_keys))
    lag = tuple(map(sum, zip(one.lag, two.lag, strict=True)))
    return Rollup(key, one.events + two.events, values, keys, lag)  # type: ignore[arg-type]


async def test_a_query_names_hours_and_fields(books: Books) -> None:
    """A query returns only the hours, sites, pixels and names asked for; a day's sum has all its hours."""
    await books.write([event(number) for number in range(60)])
    hour = NOON // HOUR_MS
    one = await rollups(books, RollupQuery(hour, hour + 1))
    days = await rollups(books, RollupQuery(hour, hour + 1, by_day=True))

    assert ({each.key.hour for each in one}, sum(each.events for each in one)) == ({hour}, 20)
    assert sum(each.events for each in days) == 60
    assert {each.key.site for each in await rollups(books, RollupQuery(0, hour + 1, site="blog"))} == {"blog"}
    assert await rollups(books, RollupQuery(0, hour + 1, pixel="77")) == []
    assert await rollups(books, RollupQuery(-(1 << 70), 1 << 70, name="Lead")) == await rollups(books)


@pytest.fixture(name="at_once")
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tending proxy examine rows as soon as they are written."""
    monkeypatch.setattr(copy_moves, "_BEHIND_US", 0)


@pytest.mark.usefixtures("at_once")
async def test_many_proxies_lose_no_count(books: Books, other: Books) -> None:
    """Two proxies that write rows and updates of the same keys in parallel cause no deadlock and lose no count."""
    rows = [event(number) for number in range(400)]
    news = [(NOON, each.id, b"anna", BrowserCopy.FIRED) for each in rows]
    writes = [
        who.write(rows[start : start + 40]) if kind else who.update(*news[start : start + 40])
        for start in range(0, 400, 40)
        for kind, who in ((start // 40 % 2, books), (1 - start // 40 % 2, other))
    ]
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ((before,),) = await books.database.run(Role.BOOKS, deadlocks)
    await asyncio.gather(*writes)
    await books.database.transact(Role.BOOKS, books.ledger.reconcile)
    ((after,),) = await books.database.run(Role.BOOKS, deadlocks)

    assert told(await rollups(books)) == await truth(books)
    assert {each.browser_copy for each in await books.listed()} == {BrowserCopy.FIRED, None}
    assert after == before


async def test_news_of_a_browser_copy_moves_its_event(books: Books, other: Books) -> None:
    """An event is counted once, with its latest status, whenever and wherever its updates come."""
    first, later = event(0, visitor=b"anna"), event(8, visitor=b"anna")
    await books.write([first])
    for word in (BrowserCopy.BLOCKED, BrowserCopy.BLOCKED, BrowserCopy.FIRED, BrowserCopy.BLOCKED):
        await other.update((NOON, first.id, b"anna", word))
    await other.update((NOON, later.id, b"anna", BrowserCopy.BLOCKED))
    await books.write([later])
    found = {each.key.browser_copy: each.events for each in await rollups(books)}

    assert found == {"fired": 1, "blocked": 1}
    assert told(await rollups(books)) == await truth(books)


async def test_news_of_others_moves_nothing(books: Books) -> None:
    """An update from another visitor, or about a server's event, changes no count."""
    await books.write([event(0, visitor=b"anna"), event(1, browser_copy=None)])
    await books.update((NOON, event(0).id, b"evil", BrowserCopy.FIRED), (NOON, event(1).id, b"anna", BrowserCopy.FIRED))

    assert {each.key.browser_copy for each in await rollups(books)} == {"pending", ""}


@pytest.mark.usefixtures("at_once")
async def test_what_two_transactions_missed_is_moved_in_the_end(books: Books, other: Books) -> None:
    """An update that came before its row was visible is applied later by the tending proxy."""
    pending = event(0, visitor=b"anna")
    async with other.database.transaction(Role.DELIVER) as run:
        await other.ledger.write(run, [pending])
        await books.update((NOON, pending.id, b"anna", BrowserCopy.FIRED))
    missed = {each.key.browser_copy for each in await rollups(books)}
    for _ in range(2):
        await books.database.transact(Role.BOOKS, books.ledger.reconcile)

    assert missed == {"pending"}
    assert {each.key.browser_copy: each.events for each in await rollups(books)} == {"fired": 1}


@pytest.mark.usefixtures("at_once")
async def test_the_last_look_goes_on_slice_by_slice(
    books: Books, other: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are examined once, slice by slice, including those of older days."""
    monkeypatch.setattr(copy_moves, "SLICE", 7)
    rows = [event(number, browser_copy=BrowserCopy.PENDING, at=NOON - number % 3 * DAY_MS) for number in range(30)]
    await other.ledger.ensure_tables(other.ledger.group_by_day(rows))
    async with other.database.transaction(Role.DELIVER) as run:
        await other.ledger.write(run, rows)
        await books.update(*((NOON, each.id, b"anna", BrowserCopy.BLOCKED) for each in rows))
    missed = {each.key.browser_copy for each in await rollups(books)}
    slices = 1
    while await books.database.transact(Role.BOOKS, books.ledger.reconcile):
        slices += 1

    assert missed == {"pending"}
    assert {each.key.browser_copy for each in await rollups(books)} == {"blocked"}
    assert slices > 3
    assert await books.database.transact(Role.BOOKS, books.ledger.reconcile) is False


async def test_rows_written_again_count_once(books: Books) -> None:
    """Rows that are written again after a lost answer are not counted again."""
    rows = [event(number) for number in range(10)]
    await books.write(rows)
    await books.write([*rows, event(11)], again=True)

    assert sum(each.events for each in await rollups(books)) == 11
    assert told(await rollups(books)) == await truth(books)


async def test_a_replayed_dead_letter_leaves_the_dead(books: Books, other: Books) -> None:
    """Its row has the status replayed, and no rollup counts it, whatever its browser copy's status is by then."""
    dead = [_dead(record(number, pixel=PIXEL)) for number in range(3)]
    await books.write(dead)
    await books.bury(*(NewDeadLetter(record(number), "rejected", GraphError(100), 1) for number in range(3)))
    await books.update((NOON, dead[0].id, b"abcd", BrowserCopy.BLOCKED))
    letters = await other.archive.dead_letters(Filter())
    await other.archive.replay([each.id for each in letters if each.event_id != dead[2].id], not_before_s=0)
    found = {each.id: each.status for each in await books.listed()}

    assert found == {dead[0].id: Status.REPLAYED, dead[1].id: Status.REPLAYED, dead[2].id: Status.DEAD}
    assert [(each.key.status, each.events) for each in await rollups(books)] == [(Status.DEAD, 1)]


def _dead(buried: Record) -> LedgerRow:
    facts = (NOON, buried.pixel, buried.name, buried.id, buried.time_s, Status.DEAD, "rejected", BrowserCopy.PENDING)
    return LedgerRow(*facts, visitor=buried.visitor, arrived=NOON)


async def test_a_bounded_number_of_names_is_told_apart(
    books: Books, other: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names above the bound count together by pixel and day, at every proxy, and updates move them there too."""
    for who in (books, other):
        monkeypatch.setattr(who.ledger._rollups._names, "_most", 3)
    await books.write([event(number, name=f"name {number % 5}") for number in range(20)])
    await other.write([event(number, name=f"name {number % 5}") for number in range(20, 40)])
    await other.write([event(50, name="another day", arrived=NOON - DAY_MS), event(51, name="pixel", pixel="77")])
    late = event(0, name="name 4", id="late", browser_copy=BrowserCopy.PENDING)
    await books.write([late])
    keyed = [(NOON, late.id, BrowserCopy.BLOCKED)]
    await _news(other, late.name, keyed)
    events: Counter[str] = Counter()
    for each in await rollups(books):
        events[each.key.name] += each.events

    assert events == {"name 0": 8, "name 1": 8, "name 2": 8, OTHER: 17, "another day": 1, "pixel": 1}
    assert sum(each.events for each in await rollups(books, DAYS)) == 43
    assert rollup_names.MOST_NAMES == 100


async def _news(books: Books, name: str, news: Sequence[tuple[int, str, BrowserCopy]]) -> None:
    async def work(run: Run) -> None:
        updates = [(at, event_key(PIXEL, name, identity), b"anna", copy) for at, identity, copy in news]
        await books.ledger.write(run, [], updates=updates)

    await books.database.transact(Role.BOOKS, work)


ODD = [
    {"name": "a\0b"},
    {"name": "a\ud800b"},
    {"reason": "x" * 5000},
    {"facts": EventFacts("s\0", 1 << 62, value=10**13)},
]


@pytest.mark.parametrize("odd", ODD, ids=["NUL", "half a character", "a long reason", "far bits and values"])
async def test_odd_rows_are_counted(books: Books, odd: dict[str, Any]) -> None:
    """Values that PostgreSQL cannot hold unchanged are still counted."""
    await books.write([event(0, **odd), event(8)])

    assert sum(each.events for each in await rollups(books)) == 2


async def test_rollups_and_tallies_are_kept_for_their_time(books: Books) -> None:
    """Older rollups of hours and days, and older tallies, are forgotten; younger ones stay."""
    hour = NOON // HOUR_MS
    await books.write([event(number, arrived=NOON - number * DAY_MS) for number in range(4)])
    await books.archive.add_tallies([Tally(hour - 24 * back, "origin", "evil.example", 1) for back in range(4)])
    before = hour - 30
    while await books.database.transact(Role.BOOKS, lambda run: rollup_table.forget(run, before)):
        pass

    assert {each.key.hour for each in await rollups(books)} == {hour, hour - 24}
    assert [each.hour for each in await books.archive.tallies(0, hour + 1)] == [hour - 24, hour]


async def test_tallies_add_up_and_are_bounded(books: Books, other: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of two proxies are added up; subjects above the bound count together, by hour and kind."""
    monkeypatch.setattr(tallies, "MOST_SUBJECTS", 3)
    for who in (books, other):
        await who.archive.add_tallies([Tally(9, "origin", f"{number}.example", 2) for number in range(5)])
        await who.archive.add_tallies([Tally(9, "build", "1.2", 1), Tally(10, "origin", "4.example\0", 1)])
    await other.archive.add_tallies([])
    found = await books.archive.tallies(9, 10)

    assert found == [
        Tally(9, "build", "1.2", 2),
        Tally(9, "origin", OTHER, 8),
        *(Tally(9, "origin", f"{number}.example", 4) for number in range(3)),
    ]
    assert [each.subject for each in await books.archive.tallies(10, 11)] == ["4.example\ufffd"]


async def test_raising_touches_no_index(books: Books) -> None:
    """Counting up and updates of copies mostly change rows in place (heap-only updates)."""
    rows = [event(number, browser_copy=BrowserCopy.PENDING) for number in range(200)]
    for start in range(0, 200, 10):
        await books.write(rows[start : start + 10])
    for each in rows:
        await books.update((NOON, each.id, b"anna", BrowserCopy.FIRED))
    for table, least in (("rollup_hour", 0.9), ("rollup_day", 0.9), (f"ledger_{TODAY}", 0.5)):
        updated, hot = await _updates(books, table)
        assert hot >= least * updated > 0, table


async def _updates(books: Books, table: str) -> tuple[int, int]:
    """Return how many rows of a table were updated, and how many of them in place."""
    await books.database.run(Role.BOOKS, "SELECT pg_stat_force_next_flush()")
    counts = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = $1::text::regclass"
    ((updated, hot),) = await books.database.run(Role.BOOKS, counts, table)
    return updated, hot


async def test_settlements_count_what_they_took(postgres: Cluster, schema: str, clock: Clock) -> None:
    """Each event is counted once: with new and known names, after a lost answer, and if others settled a part."""
    queue = await open_shared(postgres, schema, clock)
    queue.register_lanes({PIXEL: lambda: None})
    for start in (0, 10, 20):
        for number in range(start, start + 10, 2):
            await queue.append([record(number), record(number + 1)])
        segments = await until(lambda: queue.claim(PIXEL, most=1000), what="a claim")
        elsewhere = _settlement(segments[:1]) if start else Settlement()
        await queue.settle(segments[:1], elsewhere)
        for _ in range(2):
            await queue.settle(segments, _settlement(segments))
    found = await queue.rollups(EVER)
    ended = [each async for each in queue.events(Filter(limit=1000))]
    await queue.close()

    assert sum(each.events for each in found) == len({each.id for each in ended}) == len(ended) == 30
    assert told(found) == sums(ended)


def _settlement(segments: Sequence[Segment]) -> Settlement:
    records = [each for segment in segments for each in segment.records]
    rows = tuple(
        row(0)._replace(name=each.name, id=each.id, time_s=each.time_s, visitor=each.visitor, arrived=NOON)
        for each in records
    )
    return Settlement(done=tuple(segment.ref for segment in segments), rows=rows)

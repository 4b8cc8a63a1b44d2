"""What any queue states about many events: rollups, tallies, pages by arrival, and waiting events."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from clock import NOON, Clock
from finished import FACTS, arrived, ended, ids_of, written
from held_rig import opened
from old_layouts import write_as_layout_8
from support import PIXEL, record, server_record, until

from proxy.model.event import BrowserCopy, DropReason
from proxy.model.event_facts import bits_of, names_of
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow, Status
from proxy.model.record import Record
from proxy.model.rollup import LAG_BOUNDS_MS, OTHER, RollupQuery, Tally, key_of
from proxy.model.units import HOUR_MS
from proxy.model.verdict import Dead, GraphError
from proxy.queue.contract import (
    FROM_SERVER,
    EventPage,
    Filter,
    NewDeadLetter,
    Settlement,
    WholeQueue,
    dead_row,
    dropped_row,
    ended_row,
)
from proxy.queue.rollup_counts import RollupShare, RollupSums, rollup

pytestmark = pytest.mark.both_engines

HOUR = NOON // HOUR_MS
ALL = RollupQuery(HOUR - 400 * 24, HOUR + 48)


async def by_copy(queue: WholeQueue) -> dict[str, int]:
    return {each.key.browser_copy: each.events for each in await queue.rollups(ALL)}


async def test_a_row_says_all_that_was_known_of_its_event(queue: WholeQueue) -> None:
    """Arrival, facts and Meta's answer are read back, with contact data in its message removed."""
    source = arrived(1, facts=FACTS._replace(value=-1))
    error = GraphError(100, 2804050, "Not enough of anna@example.com", "trace")
    row = dead_row(source, Dead("rejected", error), NOON + 1500, 3)
    await written(queue, row, ended(record(2), after_ms=NOON))
    first, second = (await queue.event_page(Filter())).rows

    # The visitor is stored only as a hash, which is not read back.
    assert {first, second} == {row._replace(visitor=b""), ended(record(2, visitor=b""), after_ms=NOON)}
    assert (row.code, row.subcode, row.message, row.arrived) == (100, 2804050, "Not enough of […]", NOON)
    assert names_of(row.facts.match_keys) == ("em", "fbp")


async def test_rollups_sum_what_rows_say(queue: WholeQueue) -> None:
    """Events, values by currency, match keys and lags are counted by hour of arrival and by day."""
    other = FACTS._replace(value=100, currency="USD", match_keys=bits_of(["fbp"]))
    rows = [
        ended(arrived(1), after_ms=90),
        ended(arrived(2), after_ms=100),
        ended(arrived(3, facts=other), after_ms=101),
        ended(arrived(4, facts=FACTS._replace(value=None)), after_ms=10**9),
        ended(arrived(5, HOUR_MS)),
    ]
    await written(queue, *rows)
    first, second = await queue.rollups(ALL)
    (day,) = await queue.rollups(RollupQuery(HOUR, HOUR + 1, by_day=True))

    assert first.key == key_of(rows[0])
    assert (first.events, second.events, day.events) == (4, 1, 5)
    assert first.values == {"EUR": (2, 259_800), "USD": (1, 100)}
    assert {name: number for name, number in first.match_keys.items() if number} == {"em": 3, "fbp": 4}
    assert first.lag == (2, 1, *(0,) * (len(LAG_BOUNDS_MS) - 2), 1)
    assert (day.key.hour, second.key.hour) == (HOUR // 24 * 24, HOUR + 1)
    assert await queue.rollups(RollupQuery(HOUR + 1, HOUR + 2, site="shop", pixel=PIXEL, name="PageView")) == [second]
    assert await queue.rollups(RollupQuery(HOUR, HOUR + 2, site="another")) == []


async def test_news_of_a_browser_copy_move_its_event(queue: WholeQueue) -> None:
    """An update moves an event from "pending" to its new status, whether it comes before the event's row or after."""
    await written(queue, *(ended(arrived(number, browser_copy=BrowserCopy.PENDING)) for number in range(4)))
    assert await by_copy(queue) == {"pending": 4}
    news = [(0, BrowserCopy.FIRED), (1, BrowserCopy.BLOCKED), (9, BrowserCopy.FIRED), (2, BrowserCopy.PENDING)]
    updates = [BrowserCopyUpdate("PageView", f"id-{number}", copy) for number, copy in news]
    queue.note((), updates, [PIXEL], [b"abcd"])
    await until(lambda: _is(queue, {"pending": 2, "fired": 1, "blocked": 1}), what="the news")
    await written(queue, ended(arrived(9, browser_copy=BrowserCopy.PENDING)))
    assert await by_copy(queue) == {"pending": 2, "fired": 2, "blocked": 1}


async def test_that_a_pixel_fired_is_final(queue: WholeQueue) -> None:
    """A blocked copy may still become fired, if the Pixel was late; a fired one never changes."""
    await written(queue, *(ended(arrived(number, browser_copy=BrowserCopy.BLOCKED)) for number in range(2)))
    for copy in (BrowserCopy.FIRED, BrowserCopy.BLOCKED):
        queue.note((), [BrowserCopyUpdate("PageView", "id-0", copy)], [PIXEL], [b"abcd"])
        await until(lambda: _is(queue, {"fired": 1, "blocked": 1}), what="the news")
    assert await ids_of(queue, browser_copy="fired") == ["id-0"]


async def _is(queue: WholeQueue, expected: dict[str, int]) -> bool:
    return {copy: events for copy, events in (await by_copy(queue)).items() if events} == expected


async def test_two_visitors_with_one_id_have_a_copy_each(queue: WholeQueue) -> None:
    """An update with the id of another visitor's order changes nothing of that visitor's event."""
    both = [arrived(1, visitor=visitor, browser_copy=BrowserCopy.PENDING) for visitor in (b"anna", b"bert")]
    await queue.append(both)
    await written(queue, *map(ended, both))
    queue.note((), [BrowserCopyUpdate("PageView", "id-1", BrowserCopy.BLOCKED)], [PIXEL], [b"bert"])
    await until(lambda: _is(queue, {"pending": 1, "blocked": 1}), what="the news")
    assert sorted(row.browser_copy or "" for row in (await queue.event_page(Filter())).rows) == ["blocked", "pending"]


async def test_names_that_are_told_apart_are_bounded(queue: WholeQueue) -> None:
    """Names beyond the bound are counted together; those that came first that day keep rows of their own."""
    made_up = [ended(arrived(number, name=f"Name{number}")) for number in range(150)]
    await written(queue, ended(arrived(999)), *made_up)
    await written(queue, ended(arrived(1000)), ended(arrived(1001, name="Another")))
    found = {each.key.name: each.events for each in await queue.rollups(ALL)}

    assert (found["PageView"], found[OTHER], len(found)) == (2, 52, 101)
    assert await ids_of(queue, name="Name149") == ["id-149"], "those beyond the bound are found all the same"


def test_sums_beyond_64_bits_are_bounded() -> None:
    """The sum of very many made-up values stays within 64 bits."""
    sums = RollupSums()
    sums.add(RollupShare(1, 1, 0, 10**13, "EUR"), 10**9)
    key = key_of(ended(arrived(1)))
    assert rollup(key, sums.events, sums.packed()).values == {"EUR": (10**9, (1 << 63) - 1)}


async def test_pixels_of_others_count_as_one(queue: WholeQueue) -> None:
    """A row that stands for several events of unknown pixels counts as so many, under no pixel."""
    stranger = record(1, pixel="777")._replace(arrived=NOON, findings=("events:12",))
    await written(queue, dropped_row(stranger, DropReason.UNKNOWN_PIXEL, NOON))
    (found,) = await queue.rollups(ALL)
    assert (found.key.pixel, found.events) == (OTHER, 12)


async def buried(queue: WholeQueue, *records: Record) -> Sequence[int]:
    """Make dead letters of records, with their rows; return the letters' numbers."""
    queue.register_lanes({PIXEL: lambda: None})
    await queue.append(records)
    segments = await until(lambda: queue.claim(PIXEL, most=1000), what="a claim")
    of_all = [each for segment in segments for each in segment.records]
    letters = [NewDeadLetter(each, "rejected", GraphError(100), 1) for each in of_all]
    rows = [dead_row(each, Dead("rejected", GraphError(100)), each.arrived + 700, 1) for each in of_all]
    done = tuple(each.ref for each in segments)
    await queue.settle(segments, Settlement(done=done, dead=tuple(letters), rows=tuple(rows)))
    return [letter.id for letter in await queue.dead_letters(Filter())]


async def test_a_replayed_letter_is_no_dead_one_any_more(queue: WholeQueue) -> None:
    """Its rollup and its row say that it was replayed, and an update of its copy finds the new row."""
    await buried(queue, arrived(1, browser_copy=BrowserCopy.PENDING), arrived(2, browser_copy=BrowserCopy.PENDING))
    queue.note((), [BrowserCopyUpdate("PageView", "id-1", BrowserCopy.BLOCKED)], [PIXEL], [b"abcd"])
    await until(lambda: _is(queue, {"pending": 1, "blocked": 1}), what="the news")
    letters = {letter.event_id: letter.id for letter in await queue.dead_letters(Filter())}
    assert await queue.replay([letters["id-1"], letters["id-2"]], not_before_s=0) == 2

    assert await _is(queue, {})
    assert await ids_of(queue, status=Status.DEAD) == []
    assert sorted(await ids_of(queue, status=Status.REPLAYED)) == ["id-1", "id-2"]
    segments = await until(lambda: queue.claim(PIXEL, most=1000), what="a claim")
    sent = [each for segment in segments for each in segment.records]
    assert {each.arrived for each in sent} == {NOON}
    await queue.settle(segments, Settlement(done=tuple(each.ref for each in segments), rows=tuple(map(ended, sent))))
    assert await _is(queue, {"pending": 1, "blocked": 1})
    queue.note((), [BrowserCopyUpdate("PageView", "id-2", BrowserCopy.FIRED)], [PIXEL], [b"abcd"])
    await until(lambda: _is(queue, {"fired": 1, "blocked": 1}), what="the news")


PLANTED = [
    ended(arrived(1)),
    ended(arrived(2, 1), Status.DROPPED, reason="bot"),
    ended(arrived(3, HOUR_MS, name="Purchase")),
    ended(arrived(4, 2 * HOUR_MS, facts=FACTS._replace(site="blog")), after_ms=3 * HOUR_MS),
    ended(arrived(5, 2 * HOUR_MS, browser_copy=BrowserCopy.BLOCKED)),
    ended(arrived(6, 3 * HOUR_MS, browser_copy=None)),
    ended(arrived(7, -9 * HOUR_MS, pixel="777"), Status.DUPLICATE),
]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({}, [6, 5, 4, 3, 2, 1, 7]),
        ({"status": Status.DROPPED}, [2]),
        ({"reason": "bot"}, [2]),
        ({"name": "Purchase"}, [3]),
        ({"site": "blog"}, [4]),
        ({"pixel": "777"}, [7]),
        ({"browser_copy": "blocked"}, [5]),
        ({"browser_copy": "fired"}, [4, 3, 2, 1, 7]),
        ({"browser_copy": FROM_SERVER}, [6]),
        ({"since_ms": NOON + 1, "until_ms": NOON + 2 * HOUR_MS}, [3, 2]),
        ({"since_ms": NOON + 9 * HOUR_MS}, []),
        ({"ids": ("id-7", "id-2", "nobody")}, [2, 7]),
        ({"id": "id-4"}, [4]),
        ({"id": "id-4", "site": "shop"}, []),
        ({"name": "Nobody"}, []),
        ({"below": "no cursor"}, []),
        ({"status": Status.DELIVERED, "browser_copy": "fired", "site": "shop", "until_ms": NOON + 1}, [1]),
    ],
    ids=str,
)
async def test_pages_are_chosen(queue: WholeQueue, wanted: dict[str, Any], numbers: list[int]) -> None:
    """Each filter finds its rows, the last arrivals first, whatever the size of a page."""
    await written(queue, *PLANTED)
    for limit in (1, 2, 100):
        if wanted.get("below"):
            assert await queue.event_page(Filter(below="no cursor")) == EventPage((), None)
            continue
        assert await ids_of(queue, limit=limit, **wanted) == [f"id-{number}" for number in numbers]


async def test_rows_of_one_moment_are_all_on_some_page(queue: WholeQueue) -> None:
    """Thousands of events that arrived in the same millisecond are each listed once, on successive pages."""
    await written(queue, *(ended(arrived(number)) for number in range(5000)))
    found = await ids_of(queue, limit=999)
    assert (len(found), set(found)) == (5000, {f"id-{number}" for number in range(5000)})


async def test_what_waits_is_told(queue: WholeQueue) -> None:
    """A waiting event is listed with its facts, and can be found by a filter."""
    held = arrived(2, 5, not_before=NOON + 60_000, name="Lead")
    await queue.append([arrived(1), held, server_record(3)._replace(arrived=NOON + 9)])
    found = await queue.waiting_events(Filter())

    assert [(each.id, each.arrived, each.held_until) for each in found] == [
        ("id-3", NOON + 9, 0),
        ("id-2", NOON + 5, NOON + 60_000),
        ("id-1", NOON, 0),
    ]
    assert found[2].facts == FACTS
    for wanted in (Filter(name="Lead"), Filter(ids=("id-2",)), Filter(since_ms=NOON + 1, until_ms=NOON + 9)):
        assert [each.id for each in await queue.waiting_events(wanted)] == ["id-2"]
    assert [each.id for each in await queue.waiting_events(Filter(browser_copy=FROM_SERVER))] == ["id-3"]
    assert len(await queue.waiting_events(Filter(limit=1))) == 1
    assert await queue.waiting_events(Filter(pixel="777")) == []


@pytest.mark.only_sqlite
async def test_of_very_many_the_newest_and_the_oldest_are_told(queue: WholeQueue) -> None:
    """However many events wait, the list has the oldest and the newest ones, also if each was stored alone."""
    for number in range(120):
        await queue.append([arrived(number, number)])
    await queue.append([arrived(number, number) for number in range(1000, 9000)])
    found = {each.id for each in await queue.waiting_events(Filter(limit=10_000))}
    assert {"id-0", "id-119", "id-8999"} <= found
    assert [each.id for each in await queue.waiting_events(Filter(ids=("id-60",)))] == ["id-60"]


async def test_tallies_add_up_and_are_bounded(queue: WholeQueue) -> None:
    """Counts of one subject are added up, and subjects beyond the bound are counted together."""
    await queue.add_tallies([Tally(HOUR, "origin", "https://a.example", 2), Tally(HOUR + 1, "origin", "b", 1)])
    await queue.add_tallies([Tally(HOUR, "origin", "https://a.example", 3), Tally(HOUR, "tag", "1.0", 1)])
    assert await queue.tallies(HOUR, HOUR + 1) == [
        Tally(HOUR, "origin", "https://a.example", 5),
        Tally(HOUR, "tag", "1.0", 1),
    ]
    await queue.add_tallies([Tally(HOUR, "origin", f"https://{number}.example", 1) for number in range(150)])
    found = {each.subject: each.count for each in await queue.tallies(HOUR, HOUR + 1) if each.kind == "origin"}
    assert (found[OTHER], found["https://a.example"], len(found)) == (51, 5, 101)


@pytest.mark.only_sqlite
async def test_a_ledger_of_the_eighth_layout_stays_readable(tmp_path: Path, clock: Clock) -> None:
    """Old rows are found by id, pixel and status; rollups and the filter by site begin with new rows."""
    async with opened(tmp_path, clock) as queue:
        await written(queue, *(record_row(number) for number in range(3)))
    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as db:
        write_as_layout_8(db)
    async with opened(tmp_path, clock) as queue:
        assert await queue.rollups(ALL) == []
        await written(queue, ended(arrived(7)))
        choices: list[dict[str, Any]] = [
            {},
            {"pixel": PIXEL},
            {"status": Status.DELIVERED},
            {"ids": ("id-0", "id-1", "id-2", "id-7")},
        ]
        for wanted in choices:
            assert sorted(await ids_of(queue, **wanted)) == ["id-0", "id-1", "id-2", "id-7"]
        assert await ids_of(queue, site="shop") == ["id-7"]
        (found,) = await queue.rollups(ALL)
        assert found.events == 1


def record_row(number: int) -> LedgerRow:
    return ended_row(record(number), Status.DELIVERED, "", NOON)

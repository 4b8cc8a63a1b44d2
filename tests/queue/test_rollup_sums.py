"""Rollups equal a count over all rows of the ledger, whatever changes the rows went through."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import apsw
import pytest
from clock import NOON
from hypothesis import given
from hypothesis import strategies as st
from queues import tidy
from support import PIXEL, record, until

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import EventFacts
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow, Status
from proxy.model.record import Record
from proxy.model.rollup import OTHER, Rollup, RollupQuery, arrival_of
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.model.verdict import Dead, GraphError
from proxy.queue.contract import (
    Filter,
    NewDeadLetter,
    Segment,
    Settlement,
    WholeQueue,
    dead_row,
    ended_row,
)
from proxy.queue.keys import event_key
from proxy.queue.postgres import copy_moves
from proxy.queue.rollup_counts import rollup, sums_by_key
from proxy.queue.sqlite import rollups
from proxy.queue.sqlite.dead_letters import TakenLetter
from proxy.queue.sqlite.ledger import Ledger
from proxy.queue.sqlite.ledger_pages import LedgerPages
from proxy.queue.sqlite.rollup_pages import rollups as read_rollups

SPAN = RollupQuery(NOON // HOUR_MS - 100, NOON // HOUR_MS + 100)
DAYS = RollupQuery(SPAN.since_hour, SPAN.until_hour, by_day=True)
COPIES = (None, *BrowserCopy)
VISITORS = (b"anna", b"bert")


def as_counted(rows: Iterable[LedgerRow]) -> list[Rollup]:
    """Return the rollups that a count over the rows gives, sorted."""
    found = (rollup(key, sums.events, sums.packed()) for key, sums in sums_by_key(rows).items())
    return in_order(each for each in found if each.events)


def in_order(found: Iterable[Rollup]) -> list[Rollup]:
    """Sort rollups, and remove match keys with a count of zero, which may or may not be there."""
    carried = (
        replace(each, match_keys={key: count for key, count in each.match_keys.items() if count}) for each in found
    )
    return sorted(carried, key=lambda each: each.key)


def of_days(found: Iterable[Rollup]) -> dict[tuple[object, ...], int]:
    """Return the number of events of each kind and day."""
    days: dict[tuple[object, ...], int] = {}
    for each in found:
        kind = (each.key.hour // 24, *each.key[1:])
        days[kind] = days.get(kind, 0) + each.events
    return days


# -- in any engine


@pytest.mark.both_engines
@pytest.mark.parametrize("seed", range(4))
async def test_rollups_are_what_the_rows_come_to(queue: WholeQueue, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Appends, settlements, notes, updates of browser copies, replays and discards in any order give exact sums."""
    chance = random.Random(seed)  # noqa: S311 - the same every time
    await tidy(queue)
    queue.register_lanes({PIXEL: lambda: None})
    written = 0
    for step in range(40):
        match chance.choice(["append", "append", "note", "news", "replay", "discard"]):
            case "append":
                await queue.append([_event(chance, step * 10 + number) for number in range(chance.randint(1, 4))])
                written += await _settled(queue, chance)
            case "note":
                rows = [_row(_event(chance, step * 10 + number), chance) for number in range(chance.randint(1, 3))]
                queue.note(rows)
                written += len(rows)
            case "news":
                names = [chance.randrange((step + 1) * 10) for _ in range(8)]
                news = [_news(number, chance) for number in names]
                queue.note((), news, [PIXEL], [chance.choice(VISITORS)])
            case "replay":
                letters = [letter.id for letter in await queue.dead_letters(Filter())]
                await queue.replay(chance.sample(letters, min(2, len(letters))), not_before_s=0)
            case _:
                await queue.discard([letter.id for letter in (await queue.dead_letters(Filter()))[:1]])

    async def all_written() -> bool:
        return len(await _rows(queue)) >= written

    await until(all_written, what="all rows")
    # The last updates may be written after the rows.
    last = _event(chance, 10**6)._replace(browser_copy=BrowserCopy.PENDING)
    queue.note([ended_row(last, Status.DELIVERED, "", NOON)])
    queue.note((), [BrowserCopyUpdate(last.name, last.id, BrowserCopy.FIRED)], [PIXEL], [last.visitor])

    async def last_written() -> bool:
        found = [row for row in await _rows(queue) if row.id == last.id]
        return bool(found) and found[0].browser_copy is BrowserCopy.FIRED

    await until(last_written, what="the last news")
    # On PostgreSQL, what overlapping transactions missed is corrected a minute later; here all have ended.
    monkeypatch.setattr(copy_moves, "_BEHIND_US", 0)
    await tidy(queue)
    ended, found = await _rows(queue), await queue.rollups(SPAN)
    assert in_order(found) == as_counted(ended)
    assert of_days(await queue.rollups(DAYS)) == of_days(found)


async def _rows(queue: WholeQueue) -> Sequence[LedgerRow]:
    return [row async for row in queue.events(Filter(limit=10_000))]


def _event(chance: random.Random, number: int) -> Record:
    value = chance.choice([None, 1, 129_900])
    facts = EventFacts(chance.choice(["shop", "blog"]), chance.randrange(1 << 15), value=value)
    return record(number, visitor=chance.choice(VISITORS))._replace(
        name=chance.choice(["PageView", "Purchase"]),
        arrived=NOON + chance.randrange(-5, 5) * HOUR_MS,
        browser_copy=chance.choice(tuple(BrowserCopy)),
        facts=facts._replace(currency="" if value is None else chance.choice(["EUR", "USD"])),
    )


def _row(source: Record, chance: random.Random) -> LedgerRow:
    return ended_row(source, chance.choice([Status.DROPPED, Status.DUPLICATE]), "", NOON + 6 * HOUR_MS)


def _news(number: int, chance: random.Random) -> BrowserCopyUpdate:
    return BrowserCopyUpdate(chance.choice(["PageView", "Purchase"]), f"id-{number}", chance.choice(tuple(BrowserCopy)))


async def _settled(queue: WholeQueue, chance: random.Random) -> int:
    """Settle all waiting events as delivered or dead; return the number of rows written."""
    segments: Sequence[Segment] = await queue.claim(PIXEL, most=1000)
    records = [each for segment in segments for each in segment.records]
    dead = [each for each in records if chance.random() < 0.5]
    refused, now = Dead("rejected", GraphError(100)), NOON + 6 * HOUR_MS
    rows = [
        dead_row(each, refused, now, 1) if each in dead else ended_row(each, Status.DELIVERED, "", now)
        for each in records
    ]
    letters = tuple(NewDeadLetter(each, "rejected", GraphError(100), 1) for each in dead)
    await queue.settle(segments, Settlement(tuple(each.ref for each in segments), dead=letters, rows=tuple(rows)))
    return len(rows)


# -- in a SQLite file

EVENTS = st.builds(
    lambda number, name, visitor, copy, hours, value: record(number, visitor=visitor)._replace(
        name=name,
        browser_copy=copy,
        arrived=NOON + hours * HOUR_MS,
        facts=EventFacts("shop", number, value=value, currency="EUR" if value else ""),
    ),
    st.integers(0, 5),
    st.sampled_from("abcde"),
    st.sampled_from(VISITORS),
    st.sampled_from(COPIES),
    st.integers(-40, 5),
    st.none() | st.integers(1, 10),
)
WRITES = st.lists(st.tuples(EVENTS, st.sampled_from([Status.DELIVERED, Status.DEAD])), min_size=1, max_size=5)
NEWS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from("abcde"), st.sampled_from(VISITORS), st.sampled_from(BrowserCopy)),
    min_size=1,
    max_size=4,
)
STEPS = st.lists(
    st.tuples(st.just("write"), WRITES, st.booleans())
    | st.tuples(st.just("news"), NEWS, st.booleans())
    | st.tuples(st.just("replay"), st.integers(0, 9), st.booleans()),
    max_size=12,
)


@given(STEPS)
def test_rollups_of_the_file_are_what_its_rows_come_to(steps: list[tuple[str, object, bool]]) -> None:
    """The sums are exact also with more names than the bound, and after rolled-back transactions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollups, "NAMES", 3)
        ledger, dead = _empty_ledger(), list[LedgerRow]()
        for kind, what, is_kept in steps:
            before = list(dead)
            ledger._db.execute("BEGIN")
            _done(ledger, kind, what, dead)
            ledger._db.execute("COMMIT" if is_kept else "ROLLBACK")
            if not is_kept:
                dead[:] = before
                ledger.reload()
        newest, _ = LedgerPages(ledger._db).newest(Filter(limit=1000))
        found = read_rollups(ledger._db, SPAN)

    assert in_order(found) == as_counted(_bounded(newest))
    assert of_days(read_rollups(ledger._db, DAYS)) == of_days(found)


def _empty_ledger() -> Ledger:
    db = apsw.Connection(":memory:")
    db.execute("CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID")
    ledger = Ledger(db)
    ledger.start_rollups()
    return ledger


def _done(ledger: Ledger, kind: str, what: object, dead: list[LedgerRow]) -> None:
    if kind == "write":
        assert isinstance(what, list)
        rows = [ended_row(event, status, "", NOON + 6 * HOUR_MS) for event, status in what]
        ledger.write(rows)
        dead += [row for row in rows if row.status is Status.DEAD]
    elif kind == "news":
        assert isinstance(what, list)
        ledger.write_updates(
            (NOON, event_key(PIXEL, name, f"id-{number}"), visitor, copy) for number, name, visitor, copy in what
        )
    elif dead:
        assert isinstance(what, int)
        row = dead.pop(what % len(dead))
        # Rows of one event that differ only in their values are taken back in the order of their numbers.
        alike = [each for each in dead if each[1:4] == row[1:4] and each.visitor == row.visitor]
        if not alike:
            ledger.mark_letters_replayed([TakenLetter(_record_of(row), row.at, row.reason)])


def _record_of(row: LedgerRow) -> Record:
    event = (row.pixel, row.name, row.id, row.time_s, row.visitor, row.browser_copy, "", b"{}")
    return Record(*event, facts=row.facts, arrived=row.arrived)


def _bounded(rows: Sequence[LedgerRow]) -> list[LedgerRow]:
    """Return rows in which names beyond the bound are replaced; the names that came first that day are kept."""
    names: dict[int, list[str]] = {}
    for row in sorted(rows, key=lambda each: each.number):
        of_day = names.setdefault(arrival_of(row) // DAY_MS, [])
        if row.name not in of_day and len(of_day) < 3:
            of_day.append(row.name)
    return [row if row.name in _names_of(names, row) else row._replace(name=OTHER) for row in rows]


def _names_of(names: Mapping[int, Sequence[str]], row: LedgerRow) -> Sequence[str]:
    return names[arrival_of(row) // DAY_MS]

"""Searches of the shared ledger skip rows that the index or rollups exclude, and miss no uncounted row."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from clock import NOON
from shared_books import Books, row

from proxy.model.ledger import LedgerRow, Status
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.queue.contract import Filter
from proxy.queue.postgres import arrival_pages, search_jump
from proxy.queue.postgres.database import Role

_RARE = Filter(name="Schedule")


def at_hour(number: int, name: str = "Lead") -> LedgerRow:
    return row(number)._replace(arrived=NOON - number * HOUR_MS, name=name)


async def found(books: Books, wanted: Filter) -> tuple[list[str], int]:
    """Return the ids on all pages, and the number of pages."""
    ids, pages, below = list[str](), 0, ""
    while True:
        page = await books.archive.event_page(replace(wanted, below=below))
        ids += [each.id for each in page.rows]
        pages += 1
        if page.below is None:
            return ids, pages
        below = page.below


@pytest.fixture(name="stocked")
async def _stocked(books: Books, monkeypatch: pytest.MonkeyPatch) -> Books:
    """Write an event for each of thirty hours and one rare event; let a page read two rows."""
    monkeypatch.setattr(arrival_pages, "NAMED_SLICE", 2)
    await books.write([*map(at_hour, range(30)), at_hour(25, "Schedule")])
    return books


async def test_the_first_row_of_a_new_queue_is_counted(stocked: Books) -> None:
    """In a queue that counts from its first row, hours without a match are skipped."""
    ids, pages = await found(stocked, _RARE)
    assert ids == ["0:25"]
    assert pages <= 4


@pytest.mark.parametrize("since", [NOON + 2 * DAY_MS, None])
async def test_what_is_not_counted_is_looked_at(stocked: Books, since: int | None) -> None:
    """Rows from before the counting, or of an unknown time of counting, are read page by page."""
    await stocked.database.run(Role.BOOKS, "DELETE FROM rollup_hour")
    await stocked.database.run(Role.BOOKS, "DELETE FROM meta WHERE key = 'counted_since'")
    if since is not None:
        await stocked.database.run(Role.BOOKS, "INSERT INTO meta(key, number) VALUES('counted_since', $1)", since)
    ids, pages = await found(stocked, _RARE)
    assert ids == ["0:25"]
    assert pages > 6


async def test_a_queue_with_rows_begins_to_be_counted_later(stocked: Books) -> None:
    """If there are rows at the first start, counting is relied on two days later, as old proxies may still run."""
    await stocked.database.run(Role.BOOKS, "DELETE FROM meta WHERE key = 'counted_since'")
    await stocked.database.run(Role.BOOKS, search_jump.WRITE_COUNTED_SINCE)
    await stocked.database.run(Role.BOOKS, search_jump.WRITE_COUNTED_SINCE)
    query = "SELECT number - (extract(epoch FROM now()) * 1000)::int8 AS ahead FROM meta WHERE key = 'counted_since'"
    (ahead,) = await stocked.database.run(Role.BOOKS, query)
    assert abs(ahead["ahead"] - 2 * DAY_MS) < 600_000


async def test_a_long_gap_is_passed_over_in_parts(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hours skipped for one page are bounded, and the search goes on behind them."""
    monkeypatch.setattr(arrival_pages, "NAMED_SLICE", 1)
    monkeypatch.setattr(search_jump, "_MOST_HOURS", 10)
    await books.write([at_hour(0), at_hour(40, "Schedule"), at_hour(41)])
    ids, pages = await found(books, _RARE)
    assert ids == ["0:40"]
    assert pages <= 8


@pytest.mark.parametrize("status", [None, Status.DELIVERED])
async def test_the_index_tells_names_apart(
    stocked: Books, monkeypatch: pytest.MonkeyPatch, status: Status | None
) -> None:
    """A search by name reads no row with another name, however many there are."""
    monkeypatch.setattr(arrival_pages, "NAMED_SLICE", 1000)
    plans: list[dict[str, Any]] = []
    async with stocked.database.transaction(Role.BOOKS) as plain:

        async def explained(statement: str, *arguments: object) -> Sequence[Any]:
            if statement.startswith("SELECT * FROM"):
                ((plan,),) = await plain(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *arguments)
                plans.append(json.loads(plan)[0]["Plan"])
            return await plain(statement, *arguments)

        page = await arrival_pages.page(explained, replace(_RARE, status=status))
    assert [each.id for each in page.rows] == ["0:25"]
    scans = [scan for plan in plans for scan in _scans(plan)]
    assert scans
    for scan in scans:
        assert "name =" in scan["Index Cond"], scan
        assert scan.get("Rows Removed by Filter", 0) == 0, scan


def _scans(plan: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [each for part in plan.get("Plans", ()) for each in _scans(part)]
    return [*inner, plan] if "Scan" in plan["Node Type"] and "Relation Name" in plan else inner

"""What the ledger forgets, and how little of it at a time."""

import apsw
import pytest
from support import PIXEL

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow, Status
from proxy.model.units import DAY_MS
from proxy.queue.contract import Filter
from proxy.queue.keys import event_key
from proxy.queue.sqlite.ledger import FOUND, SLICE, Ledger

TODAY = 20_000
KEPT = 1 << 40


@pytest.fixture(name="ledger")
def _ledger() -> Ledger:
    db = apsw.Connection(":memory:")
    db.execute("CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID")
    return Ledger(db)


def write(ledger: Ledger, day: int, count: int) -> None:
    at = day * DAY_MS
    ledger.write(LedgerRow(at, PIXEL, "Lead", f"{day}-{n}", at // 1000, Status.DELIVERED) for n in range(count))


def forget_all(ledger: Ledger, last_day: int, most_bytes: int = KEPT) -> int:
    """Forget until nothing is left to forget; return how many slices it took."""
    slices = 0
    while ledger.forget(last_day, most_bytes=most_bytes):
        slices += 1
        assert slices < 1000
    return slices


def test_a_large_day_is_forgotten_in_slices(ledger: Ledger) -> None:
    """No call removes more than a slice, and in the end the old day's table is gone and the young one whole."""
    write(ledger, TODAY - 8, 10_000)
    write(ledger, TODAY, 3)

    assert ledger.forget(TODAY - 7, most_bytes=KEPT)
    assert ledger.days() == [TODAY, TODAY - 8]
    assert 4 <= forget_all(ledger, TODAY - 7) <= 10
    assert ledger.days() == [TODAY]


def test_too_many_bytes_cost_the_oldest_rows(ledger: Ledger) -> None:
    """Beyond its bytes the ledger loses its oldest rows, within the present day too."""
    write(ledger, TODAY - 1, 100)
    write(ledger, TODAY, 10_000)
    forget_all(ledger, TODAY - 7, most_bytes=800_000)
    (newest, *_), _ = ledger.read(TODAY, 1 << 62, Filter(limit=1))

    assert ledger.days() == [TODAY]
    assert newest.id == f"{TODAY}-9999"
    assert 700_000 < ledger.size() <= 800_000


def test_news_live_as_long_as_the_events_they_may_join(ledger: Ledger) -> None:
    """News of browser copies go with the days of their events, not before."""
    write(ledger, TODAY, 1)
    ledger.write_news(
        [((TODAY - 8) * DAY_MS, b"old", b"", BrowserCopy.FIRED), (TODAY * DAY_MS, b"new", b"", BrowserCopy.FIRED)]
    )
    forget_all(ledger, TODAY - 7)

    assert ledger.days("fate") == [TODAY]


def pages_of(ledger: Ledger) -> int:
    """Return what the tables take on disk, as SQLite counts its pages."""
    sql = "SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'ledger_%' OR name LIKE 'fate_%'"
    return ledger._number(sql)


@pytest.mark.parametrize("length", [0, 40, 200])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_the_size_is_what_the_rows_take(ledger: Ledger, letter: str, length: int) -> None:
    """Short names and long ones, with and without umlauts: the estimate is within a seventh of the pages."""
    at = TODAY * DAY_MS
    ledger.write(
        LedgerRow(at, PIXEL, letter * length, f"{n}", at // 1000, Status.DROPPED, "unknown_pixel") for n in range(5000)
    )

    assert ledger.size() == pytest.approx(pages_of(ledger), rel=1 / 7)


def test_the_size_of_news_is_counted_too(ledger: Ledger) -> None:
    """News of browser copies take room as well; of news about one event only the latest counts."""
    at = TODAY * DAY_MS
    for browser_copy in (BrowserCopy.BLOCKED, BrowserCopy.FIRED):
        ledger.write_news((at, event_key(PIXEL, "Lead", str(n)), b"", browser_copy) for n in range(20_000))

    assert ledger.size() == pytest.approx(pages_of(ledger), rel=1 / 4)


def test_the_size_is_known_after_a_restart_and_after_forgetting(ledger: Ledger) -> None:
    """It is read from the file, not from what this process wrote."""
    write(ledger, TODAY - 1, 3000)
    write(ledger, TODAY, 3000)
    forget_all(ledger, TODAY - 7, most_bytes=300_000)
    again = Ledger(ledger._db)
    before = again.size()
    write(again, TODAY, 1000)

    assert before == ledger.size() - (again.size() - before)
    assert again.size() == pytest.approx(pages_of(again), rel=1 / 7)


def rows_of(ledger: Ledger, table: str) -> int:
    return ledger._number(f"SELECT count(*) FROM {table}")  # noqa: S608


@pytest.mark.parametrize(("rows", "news"), [(20_000, 1000), (1000, 60_000)])
def test_a_flood_of_one_kind_leaves_the_other(ledger: Ledger, rows: int, news: int) -> None:
    """Beyond the bound what takes more is forgotten, so that forged news cost no rows, and drops no news."""
    at = TODAY * DAY_MS
    write(ledger, TODAY - 1, 500)
    write(ledger, TODAY, rows)
    ledger.write_news((at, event_key(PIXEL, "Lead", str(n)), b"", BrowserCopy.FIRED) for n in range(news))
    forget_all(ledger, TODAY - 7, most_bytes=1_000_000)
    kept_rows = sum(rows_of(ledger, f"ledger_{day}") for day in ledger.days())
    kept_news = rows_of(ledger, f"fate_{TODAY}")

    assert ledger.size() <= 1_000_000
    assert kept_news == news if rows > news else kept_rows == rows + 500


def test_a_search_takes_the_same_few_statements_whatever_it_finds(ledger: Ledger) -> None:
    """A page of 1,000 rows with news of every day: three statements a slice, and a bound on each slice's rows."""
    for day in range(TODAY - 6, TODAY + 1):
        write(ledger, day, 3000)
        keys = (event_key(PIXEL, "Lead", f"{day}-{n}") for n in range(3000))
        ledger.write_news((day * DAY_MS, key, b"", BrowserCopy.FIRED) for key in keys)
    statements: list[str] = []

    def trace(_cursor: apsw.Cursor, sql: str, _values: object) -> bool:
        statements.append(sql)
        return True

    ledger._db.exec_trace = trace
    rows, before, slices = list[LedgerRow](), 1 << 62, 0
    while before and len(rows) < 1000:
        found, before = ledger.read(TODAY, before, Filter(limit=1000 - len(rows)))
        assert len(found) <= FOUND
        rows += found
        slices += 1

    assert [row.id for row in rows] == [f"{TODAY}-{n}" for n in range(2999, 1999, -1)]
    assert {row.browser_copy for row in rows} == {BrowserCopy.FIRED}
    assert (slices, len(statements)) == (10, 30)


def test_a_search_that_finds_nothing_looks_at_a_slice_at_a_time(ledger: Ledger) -> None:
    """A rare event among many is found, without one step that looks at all of them."""
    write(ledger, TODAY, 3 * SLICE)
    wanted, before, slices = Filter(id=f"{TODAY}-7"), 1 << 62, 0
    rows: list[LedgerRow] = []
    while before:
        found, before = ledger.read(TODAY, before, wanted)
        rows += found
        slices += 1

    assert ([row.id for row in rows], slices) == ([f"{TODAY}-7"], 3)


def test_the_latest_news_of_an_event_count(ledger: Ledger) -> None:
    """News of a later day replace those of an earlier one."""
    write(ledger, TODAY, 1)
    key = event_key(PIXEL, "Lead", f"{TODAY}-0")
    ledger.write_news(
        [(TODAY * DAY_MS, key, b"", BrowserCopy.FIRED), ((TODAY - 1) * DAY_MS, key, b"", BrowserCopy.BLOCKED)]
    )
    ((row,), _) = ledger.read(TODAY, 1 << 62, Filter())

    assert row.browser_copy == BrowserCopy.FIRED


def test_a_row_that_sqlite_cannot_hold_costs_no_other(ledger: Ledger) -> None:
    """Half a surrogate pair or a number beyond 64 bits is left out and counted."""
    at = TODAY * DAY_MS
    bad = [
        LedgerRow(at, PIXEL, "\ud800", "1", 1, Status.DROPPED),
        LedgerRow(at, PIXEL, "x", "2", 10**30, Status.DROPPED),
    ]
    left_out = ledger.write([*bad, LedgerRow(at, PIXEL, "Lead", "3", 1, Status.DROPPED)])
    rows, _ = ledger.read(TODAY, 1 << 62, Filter())

    assert (left_out, [row.id for row in rows]) == (2, ["3"])


def test_rows_of_an_older_layout_count_too(ledger: Ledger) -> None:
    """A table that older programs wrote, without sums, is bounded like any other once new rows are in it."""
    write(ledger, TODAY, 10_000)
    for column in ("copy", "total"):
        ledger._db.execute(f"ALTER TABLE ledger_{TODAY} DROP COLUMN {column}")
    ledger.add_totals()
    ledger.add_copies()
    again = Ledger(ledger._db)
    before = again.size()
    write(again, TODAY, 1000)
    after = again.size()
    forget_all(again, TODAY - 7, most_bytes=500_000)

    assert 1_900_000 < before < after
    assert again.size() <= 500_000
    assert pages_of(again) <= 500_000

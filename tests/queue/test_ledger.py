"""The ledger: what it forgets, in slices, how it is searched, and how its rows are numbered."""

import apsw
import pytest
from support import PIXEL

from proxy.config.schema import RetentionSettings
from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow, Status
from proxy.model.units import DAY_MS
from proxy.queue.contract import Filter
from proxy.queue.keys import event_key
from proxy.queue.sqlite.ledger import Ledger
from proxy.queue.sqlite.ledger_pages import FOUND, SLICE, START, LedgerPages, Place

TODAY = 20_000
KEPT = 1 << 40


def empty_database() -> apsw.Connection:
    """Return a database as the ledger needs it."""
    db = apsw.Connection(":memory:")
    db.execute("CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID")
    Ledger(db).start_rollups()
    return db


@pytest.fixture(name="ledger")
def _ledger() -> Ledger:
    return Ledger(empty_database())


def write(ledger: Ledger, day: int, count: int) -> None:
    at = day * DAY_MS
    ledger.write(LedgerRow(at, PIXEL, "Lead", f"{day}-{n}", at // 1000, Status.DELIVERED) for n in range(count))


def forget(ledger: Ledger, last_day: int, most_bytes: int = KEPT) -> bool:
    """Forget one slice of days before ``last_day`` or of the excess over ``most_bytes``; tell whether there was one."""
    retention = RetentionSettings.model_construct(ledger_days=TODAY - last_day, ledger_max_bytes=most_bytes)
    return ledger.forget(TODAY * DAY_MS, retention)


def forget_all(ledger: Ledger, last_day: int, most_bytes: int = KEPT) -> int:
    """Forget until nothing is left to forget; return how many slices it took."""
    slices = 0
    while forget(ledger, last_day, most_bytes):
        slices += 1
        assert slices < 1000
    return slices


def test_a_large_day_is_forgotten_in_slices(ledger: Ledger) -> None:
    """Each call removes at most a slice; in the end the old day's table is gone and the young one complete."""
    write(ledger, TODAY - 8, 10_000)
    write(ledger, TODAY, 3)

    assert forget(ledger, TODAY - 7)
    assert ledger.days() == [TODAY, TODAY - 8]
    assert 4 <= forget_all(ledger, TODAY - 7) <= 10
    assert ledger.days() == [TODAY]


def test_too_many_bytes_cost_the_oldest_rows(ledger: Ledger) -> None:
    """A ledger that exceeds its bytes loses its oldest rows, even those of today."""
    write(ledger, TODAY - 1, 100)
    write(ledger, TODAY, 10_000)
    forget_all(ledger, TODAY - 7, most_bytes=800_000)
    (newest, *_), _ = LedgerPages(ledger._db).newest(Filter(limit=1))

    assert ledger.days() == [TODAY]
    assert newest.id == f"{TODAY}-9999"
    assert 600_000 < ledger.size() <= 800_000


def test_news_live_as_long_as_the_events_they_may_join(ledger: Ledger) -> None:
    """Updates of browser copies are forgotten with the day of their events, not before."""
    write(ledger, TODAY, 1)
    ledger.write_updates(
        [((TODAY - 8) * DAY_MS, b"old", b"", BrowserCopy.FIRED), (TODAY * DAY_MS, b"new", b"", BrowserCopy.FIRED)]
    )
    forget_all(ledger, TODAY - 7)

    assert ledger.days("fate") == [TODAY]


def pages_of(ledger: Ledger) -> int:
    """Return the bytes of the tables on disk, as SQLite counts their pages."""
    sql = "SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'ledger_%' OR name LIKE 'fate_%'"
    return ledger._number(sql)


@pytest.mark.parametrize("length", [0, 40, 200])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_the_size_is_what_the_rows_take(ledger: Ledger, letter: str, length: int) -> None:
    """The estimated size is within a seventh of the pages, for short and long names, with and without umlauts."""
    at = TODAY * DAY_MS
    ledger.write(
        LedgerRow(at, PIXEL, letter * length, f"{n}", at // 1000, Status.DROPPED, "unknown_pixel") for n in range(5000)
    )

    assert ledger.size() == pytest.approx(pages_of(ledger), rel=1 / 7)


def test_the_size_of_news_is_counted_too(ledger: Ledger) -> None:
    """The size includes the updates of browser copies; of several for an event only the latest counts."""
    at = TODAY * DAY_MS
    for browser_copy in (BrowserCopy.BLOCKED, BrowserCopy.FIRED):
        ledger.write_updates((at, event_key(PIXEL, "Lead", str(n)), b"", browser_copy) for n in range(20_000))

    assert ledger.size() == pytest.approx(pages_of(ledger), rel=1 / 4)


def test_the_size_is_known_after_a_restart_and_after_forgetting(ledger: Ledger) -> None:
    """A new instance finds the size in the file."""
    write(ledger, TODAY - 1, 3000)
    write(ledger, TODAY, 3000)
    forget_all(ledger, TODAY - 7, most_bytes=300_000)
    again = Ledger(ledger._db)
    before = again.size()
    write(again, TODAY, 1000)

    assert before == ledger.size() - (again.size() - before)
    assert again.size() == pytest.approx(pages_of(again), rel=1 / 7)


def rows_of(ledger: Ledger, table: str) -> int:
    return ledger._number(f"SELECT count(*) FROM {table}")


@pytest.mark.long
@pytest.mark.parametrize(("rows", "updates"), [(20_000, 1000), (1000, 60_000)])
def test_a_flood_of_one_kind_leaves_the_other(ledger: Ledger, rows: int, updates: int) -> None:
    """Above the bound the kind that takes more room is forgotten: forged updates cost no rows, drops no updates."""
    at = TODAY * DAY_MS
    write(ledger, TODAY - 1, 500)
    write(ledger, TODAY, rows)
    ledger.write_updates((at, event_key(PIXEL, "Lead", str(n)), b"", BrowserCopy.FIRED) for n in range(updates))
    forget_all(ledger, TODAY - 7, most_bytes=1_000_000)
    kept_rows = sum(rows_of(ledger, f"ledger_{day}") for day in ledger.days())
    kept_updates = rows_of(ledger, f"fate_{TODAY}")

    assert ledger.size() <= 1_000_000
    assert kept_updates == updates if rows > updates else kept_rows == rows + 500


def test_a_search_takes_the_same_few_statements_whatever_it_finds(ledger: Ledger) -> None:
    """A page of 1,000 rows, with updates of every day, takes four statements a slice, and a slice is bounded."""
    for day in range(TODAY - 6, TODAY + 1):
        write(ledger, day, 3000)
        keys = (event_key(PIXEL, "Lead", f"{day}-{n}") for n in range(3000))
        ledger.write_updates((day * DAY_MS, key, b"", BrowserCopy.FIRED) for key in keys)
    statements: list[str] = []

    def trace(_cursor: apsw.Cursor, sql: str, _values: object) -> bool:
        statements.append(sql)
        return True

    ledger._db.exec_trace = trace
    place: Place | None = START
    rows, slices = list[LedgerRow](), 0
    while place and len(rows) < 1000:
        found, place = LedgerPages(ledger._db).newest(Filter(limit=1000 - len(rows)), place)
        assert len(found) <= FOUND
        rows += found
        slices += 1

    assert [row.id for row in rows] == [f"{TODAY}-{n}" for n in range(2999, 1999, -1)]
    assert {row.browser_copy for row in rows} == {BrowserCopy.FIRED}
    assert (slices, len(statements)) == (10, 40)


def test_a_search_that_finds_nothing_looks_at_a_slice_at_a_time(ledger: Ledger) -> None:
    """A rare event among many is found slice by slice, without a step that reads all rows."""
    write(ledger, TODAY, 3 * SLICE)
    wanted, slices = Filter(id=f"{TODAY}-7"), 0
    place: Place | None = START
    rows: list[LedgerRow] = []
    while place:
        found, place = LedgerPages(ledger._db).newest(wanted, place)
        rows += found
        slices += 1

    assert ([row.id for row in rows], slices) == ([f"{TODAY}-7"], 3)


def test_the_latest_news_of_an_event_count(ledger: Ledger) -> None:
    """An update of a later day replaces one of an earlier day."""
    write(ledger, TODAY, 1)
    key = event_key(PIXEL, "Lead", f"{TODAY}-0")
    ledger.write_updates(
        [(TODAY * DAY_MS, key, b"", BrowserCopy.FIRED), ((TODAY - 1) * DAY_MS, key, b"", BrowserCopy.BLOCKED)]
    )
    ((row,), _) = LedgerPages(ledger._db).newest(Filter())

    assert row.browser_copy == BrowserCopy.FIRED


def test_a_row_that_sqlite_cannot_hold_costs_no_other(ledger: Ledger) -> None:
    """Half a surrogate pair or a number beyond 64 bits is left out and counted; the other rows are written."""
    at = TODAY * DAY_MS
    bad = [
        LedgerRow(at, PIXEL, "\ud800", "1", 1, Status.DROPPED),
        LedgerRow(at, PIXEL, "x", "2", 10**30, Status.DROPPED),
    ]
    left_out = ledger.write([*bad, LedgerRow(at, PIXEL, "Lead", "3", 1, Status.DROPPED)])
    rows, _ = LedgerPages(ledger._db).newest(Filter())

    assert (left_out, [row.id for row in rows]) == (2, ["3"])


def test_a_row_among_hundreds_that_cannot_be_held_costs_none_of_them(ledger: Ledger) -> None:
    """Many rows are written with one statement; numbers and sums are the same as if each was written alone."""
    at = TODAY * DAY_MS
    rows = [LedgerRow(at, PIXEL, "\ud800" if n == 100 else "Lead", f"{n}", 1, Status.DROPPED) for n in range(300)]
    left_out = ledger.write(rows)
    alone = Ledger(empty_database())
    for row in rows:
        left_out += alone.write([row])
    found = numbered(ledger, 0, Filter(limit=1000))

    assert left_out == 2
    assert [identity for _, identity in found] == [f"{n}" for n in range(300) if n != 100]
    assert found == numbered(alone, 0, Filter(limit=1000))
    assert ledger.size() == alone.size()
    assert ledger.grown == alone.grown


def test_a_thousand_rows_are_written_in_a_few_statements(ledger: Ledger) -> None:
    """Each call into SQLite releases the interpreter's lock, so a thousand rows of two days take at most 40 inserts."""
    statements: list[str] = []

    def trace(_cursor: apsw.Cursor, sql: str, _values: object) -> bool:
        statements.append(sql)
        return True

    ledger._db.exec_trace = trace
    days = [(TODAY + number // 500) * DAY_MS for number in range(1000)]
    ledger.write(LedgerRow(at, PIXEL, "Lead", f"{number}", 1, Status.DELIVERED) for number, at in enumerate(days))

    assert sum(sql.startswith("INSERT INTO ledger") for sql in statements) <= 40
    assert len(numbered(ledger, 0, Filter(limit=2000))) == 1000


def test_rows_of_an_older_layout_count_too(ledger: Ledger) -> None:
    """A table of an older version, which has no sizes, is bounded like any other once new rows are in it."""
    write(ledger, TODAY, 10_000)
    for column in ("copy", "total"):
        ledger._db.execute(f"ALTER TABLE ledger_{TODAY} DROP COLUMN {column}")
    ledger.add_columns(3)
    ledger.add_columns(5)
    again = Ledger(ledger._db)
    before = again.size()
    write(again, TODAY, 1000)
    after = again.size()
    forget_all(again, TODAY - 7, most_bytes=500_000)

    assert 1_900_000 < before < after
    assert again.size() <= 500_000
    assert pages_of(again) <= 500_000


def numbered(ledger: Ledger, since: int, wanted: Filter = Filter(), first: int = 1) -> list[tuple[int, str]]:  # noqa: B008 - frozen
    """Return number and id of all rows above a number, in the order in which they are read."""
    rows: list[LedgerRow] = []
    number: int | None = since
    while number is not None:
        found, number = LedgerPages(ledger._db, first).since(wanted, number)
        rows += found
    return [(row.number, row.id) for row in rows]


def test_numbers_grow_over_all_days(ledger: Ledger) -> None:
    """Rows are read in the order in which they were written, even if their days are mixed, as by a clock set back."""
    for day in (TODAY, TODAY - 1, TODAY, TODAY - 3):
        write(ledger, day, 2)
    days = (TODAY, TODAY, TODAY - 1, TODAY - 1, TODAY, TODAY, TODAY - 3, TODAY - 3)

    assert numbered(ledger, 0) == [(number, f"{day}-{number % 2 ^ 1}") for number, day in enumerate(days, 1)]
    assert numbered(ledger, 5) == numbered(ledger, 0)[5:]
    assert numbered(ledger, 8) == numbered(ledger, 99) == []
    assert [row.number for row in LedgerPages(ledger._db).newest(Filter())[0]] == [6, 5, 2, 1]


def test_what_is_new_is_chosen_by_a_filter_a_bounded_page_at_a_time(ledger: Ledger) -> None:
    """Wanted rows are found among many rows of two days; a page's reads and its rows are both bounded."""
    write(ledger, TODAY - 1, SLICE)
    write(ledger, TODAY, SLICE + 500)
    wanted = Filter(id=f"{TODAY}-{SLICE}")
    pages = []
    number: int | None = 100
    while number is not None:
        found, number = LedgerPages(ledger._db).since(wanted, number)
        pages.append([row.number for row in found])

    assert pages == [[], [2 * SLICE + 1], []]
    assert len(LedgerPages(ledger._db).since(Filter(limit=1000), 7)[0]) == FOUND
    assert [number for number, _ in numbered(ledger, 0)] == list(range(1, 2 * SLICE + 501))


def test_numbers_go_on_after_everything_was_forgotten(ledger: Ledger) -> None:
    """Numbers are not reused after a restart with an empty or half-forgotten ledger."""
    write(ledger, TODAY - 9, 4000)
    assert forget(ledger, TODAY - 8)
    assert forget(ledger, TODAY - 8)
    emptied = Ledger(ledger._db)._last
    forget_all(ledger, TODAY - 8)
    again = Ledger(ledger._db)
    write(again, TODAY, 1)

    assert (again.days(), emptied) == ([TODAY], 4000)
    assert numbered(again, 0) == [(4001, f"{TODAY}-0")]


def test_a_number_that_was_rolled_back_is_given_again(ledger: Ledger) -> None:
    """A rolled-back number was seen by nobody, so using it again leaves no gap."""
    write(ledger, TODAY, 1)
    ledger._db.execute("BEGIN")
    write(ledger, TODAY + 1, 5)
    ledger._db.execute("ROLLBACK")
    ledger.reload()
    write(ledger, TODAY + 1, 1)

    assert numbered(ledger, 0) == [(1, f"{TODAY}-0"), (2, f"{TODAY + 1}-0")]


def test_rows_without_numbers_are_read_and_forgotten(ledger: Ledger) -> None:
    """Rows that older layouts numbered day by day stay readable; a day may have rows of both kinds."""
    old = "INSERT INTO ledger_{0}(at, pixel, name, id, time_s, status, reason, fate, fbtrace_id, attempts) VALUES"
    for day in (TODAY - 1, TODAY):
        ledger._table("ledger", day * DAY_MS)
        for number in range(3):
            values = (day * DAY_MS, PIXEL, "Lead", f"old-{day}-{number}", 1, "delivered", "", "fired", "", 1)
            ledger._db.execute(f"{old.format(day)}(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    ledger.reload()
    ledger.start_numbers()
    write(ledger, TODAY, 2)
    newest, place = LedgerPages(ledger._db, 4).newest(Filter())
    assert place
    yesterday, end = LedgerPages(ledger._db, 4).newest(Filter(), place)

    assert [row.number for row in newest] == [5, 4, 0, 0, 0]
    assert ([row.id for row in yesterday], end) == ([f"old-{TODAY - 1}-{number}" for number in (2, 1, 0)], None)
    assert numbered(ledger, 0, first=4) == [(4, f"{TODAY}-0"), (5, f"{TODAY}-1")]
    forget_all(ledger, TODAY)
    assert ledger.days() == []

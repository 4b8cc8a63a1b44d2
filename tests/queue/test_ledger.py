"""What the ledger forgets, and how little of it at a time."""

import apsw
import pytest
from support import PIXEL

from proxy.model import DAY_MS, Fate, LedgerRow, Status
from proxy.queue.base import Filter
from proxy.queue.ledger import Ledger

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
    ledger.write_news([((TODAY - 8) * DAY_MS, b"old", Fate.FIRED), (TODAY * DAY_MS, b"new", Fate.FIRED)])
    forget_all(ledger, TODAY - 7)

    assert ledger.days("fate") == [TODAY]

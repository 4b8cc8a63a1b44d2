"""Searches for rare events, in any queue: hours without a match are skipped, and no match is missed."""

from typing import Any

import pytest
from clock import NOON
from finished import FACTS, all_pages, arrived, ended, ids_of, written

from proxy.model.event import DropReason
from proxy.model.ledger import LedgerRow, Status
from proxy.model.units import HOUR_MS
from proxy.queue.contract import Filter, WholeQueue
from proxy.queue.postgres import arrival_pages
from proxy.queue.sqlite import event_pages

pytestmark = pytest.mark.both_engines

_HOURS = 40
RARE = ended(arrived(900, -30 * HOUR_MS, name="Schedule"))


def usual() -> list[LedgerRow]:
    """Return one page view for each of many hours."""
    return [ended(arrived(number, -number * HOUR_MS)) for number in range(_HOURS)]


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a page read only two rows at a time."""
    for module, names in ((arrival_pages, ("SLICE", "NAMED_SLICE")), (event_pages, ("STRETCH", "INDEXED_STRETCH"))):
        for name in names:
            monkeypatch.setattr(module, name, 2)
    monkeypatch.setattr(event_pages, "STRETCHES", 2)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"name": "Schedule"}, ["id-900"]),
        ({"name": "Nothing"}, []),
        ({"status": Status.DEAD}, []),
        ({"reason": "bot"}, []),
        ({"site": "elsewhere"}, []),
        ({"browser_copy": "blocked"}, []),
        ({"name": "Schedule", "since_ms": NOON - 29 * HOUR_MS}, []),
        ({"name": "Schedule", "until_ms": NOON - 30 * HOUR_MS}, []),
        ({"name": "Schedule", "until_ms": NOON - 30 * HOUR_MS + 1}, ["id-900"]),
    ],
    ids=str,
)
async def test_hours_without_a_wanted_event_are_passed_over(
    queue: WholeQueue, wanted: dict[str, Any], found: list[str]
) -> None:
    """A search through forty hours, at most one of which has a match, ends after a few pages."""
    await written(queue, *usual(), RARE)
    pages = await all_pages(queue, Filter(**wanted))
    assert [row.id for page in pages for row in page.rows] == found
    assert len(pages) <= 5


@pytest.mark.usefixtures("small_pages")
async def test_a_search_that_takes_all_looks_at_all(queue: WholeQueue) -> None:
    """Without a filter every row is found, whatever the size of a page."""
    await written(queue, *usual())
    assert await ids_of(queue, limit=1) == [f"id-{number}" for number in range(_HOURS)]


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (ended(arrived(1, -20 * HOUR_MS), Status.DELIVERED, reason="received 3 of 5"), {"reason": "received 3 of 5"}),
        (ended(arrived(1, -20 * HOUR_MS), Status.DROPPED, reason="r" * 70), {"reason": "r" * 70}),
        (
            ended(arrived(1, -20 * HOUR_MS, pixel="777"), Status.DROPPED, reason=DropReason.UNKNOWN_PIXEL),
            {"pixel": "777"},
        ),
        (ended(arrived(1, -20 * HOUR_MS, facts=FACTS._replace(site="blog"))), {"site": "blog"}),
        (ended(arrived(1, -20 * HOUR_MS, browser_copy=None)), {"browser_copy": "server"}),
    ],
    ids=["how many Meta received", "a long reason", "a made-up pixel", "another site", "from a server"],
)
async def test_what_is_counted_under_another_word_is_found(
    queue: WholeQueue, row: LedgerRow, wanted: dict[str, Any]
) -> None:
    """Rollups shorten and bound the words they count by; a search still finds rows with such words."""
    others = [ended(arrived(number, -number * HOUR_MS)) for number in range(2, 30) if number != 20]
    await written(queue, *others, row)
    assert await ids_of(queue, **wanted) == ["id-1"]


@pytest.mark.usefixtures("small_pages")
async def test_names_that_are_not_told_apart_are_found(queue: WholeQueue) -> None:
    """Events whose names exceed the number that rollups distinguish are found by their names."""
    made_up = [ended(arrived(number, -number * 60_000, name=f"Made up {number}")) for number in range(120)]
    await written(queue, *made_up)
    assert [await ids_of(queue, name=f"Made up {number}") for number in (0, 99, 119)] == [
        ["id-0"],
        ["id-99"],
        ["id-119"],
    ]

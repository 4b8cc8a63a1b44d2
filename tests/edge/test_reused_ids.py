"""Reused ids show a page that is cached with its ids; a few repeats by chance do not."""

import pytest
from clock import Clock

from proxy.edge.reused_ids import ReusedIds
from proxy.telemetry.conditions import Conditions

MINUTE = 60_000


@pytest.mark.parametrize(
    ("events", "reused", "found"),
    [(1000, 20, True), (1001, 20, False), (19, 19, False), (20, 20, True), (100_000, 1_999, False)],
)
def test_it_takes_twenty_and_one_in_fifty(events: int, reused: int, *, found: bool) -> None:
    """It takes twenty events and a fiftieth of all; fewer are chance, or a visitor who shares a link."""
    clock = Clock()
    board = Conditions(clock, say=lambda _line: None)
    ids = ReusedIds(board)
    ids.note("shop", events - reused, 0, clock.now)
    for _ in range(reused):
        ids.note("shop", 1, 1, clock.now)

    assert [(each.code, each.subject) for each in board.current()] == [("id_reused", "shop")] * found


def test_it_is_over_an_hour_after_the_last_time() -> None:
    """Counts older than an hour are ignored, and each site has its own counts."""
    clock = Clock()
    board = Conditions(clock, say=lambda _line: None)
    ids = ReusedIds(board)
    for site in ("shop", "blog"):
        ids.note(site, 19, 19, clock.now)
    clock.now += 61 * MINUTE
    ids.note("shop", 10, 10, clock.now)
    early = board.current()
    ids.note("shop", 10, 10, clock.now)
    (found,) = board.current()
    clock.now += 60 * MINUTE

    assert (early, found.subject, board.current()) == ([], "shop", [])
    assert found.detail == "20 of 20 events within an hour came with an id of another visitor"


def test_late_requests_count_and_a_clock_that_was_set_back_begins_anew() -> None:
    """A request read just before ten minutes were over counts with later ones; much earlier times start new counts."""
    clock = Clock()
    board = Conditions(clock, say=lambda _line: None)
    ids = ReusedIds(board)
    begin = clock.now - clock.now % (10 * MINUTE)
    ids.note("shop", 10, 10, begin - 10 * MINUTE)
    for _ in range(5):
        ids.note("shop", 1, 1, begin)
        ids.note("shop", 1, 1, begin - 1)
    (found,) = board.current()
    ids.note("shop", 30, 20, begin - 300 * MINUTE)
    (anew,) = board.current()

    assert found.detail == "20 of 20 events within an hour came with an id of another visitor"
    assert anew.detail == "20 of 30 events within an hour came with an id of another visitor"

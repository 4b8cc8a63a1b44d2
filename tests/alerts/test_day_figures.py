"""What the summary of a day says: the figures of the dashboard, in a few lines."""

from types import SimpleNamespace
from typing import Any, cast

from clock import NOON

from proxy.alerts.figures import DayFigures
from proxy.model.ledger import Status
from proxy.model.rollup import LAG_SLOTS, Rollup, RollupKey, RollupQuery
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.queue.contract import Stats


async def test_the_day_is_told_in_figures() -> None:
    """Events by outcome, what was recovered and its value, what was sold, what waits; of the last 24 hours alone."""

    def counted(hours_ago: int, events: int, copy: str, status: Status, value: int = 0) -> Rollup:
        key = RollupKey(NOON // HOUR_MS - hours_ago, "shop", "55", "Purchase", status, "", copy)
        return Rollup(key, events, {"EUR": (events, value)} if value else {}, {}, (0,) * LAG_SLOTS)

    kept = [
        counted(0, 5, "fired", Status.DELIVERED, 1_000_000),
        counted(23, 3, "blocked", Status.DELIVERED, 295_000),
        counted(3, 2, "pending", Status.DELIVERED),
        counted(3, 4, "fired", Status.DROPPED),
        counted(3, 1, "fired", Status.DEAD),
        counted(24, 100, "blocked", Status.DELIVERED),
    ]

    async def rollups(wanted: RollupQuery) -> list[Rollup]:
        return [each for each in kept if wanted.since_hour <= each.key.hour < wanted.until_hour]

    queue = SimpleNamespace(rollups=rollups, stats=lambda: Stats({"55": 7}, 1))
    lines = await DayFigures(cast("Any", queue)).lines(NOON - DAY_MS, NOON)

    assert lines == (
        "In the last 24 hours:",
        "10 events were delivered, 4 dropped, 0 were repeats, 1 became dead letters.",
        "3 were recovered, as their browser copy was blocked (29.50 EUR of pixel 55); not known: 2.",
        "Sold: 129.50 EUR in 8 Purchases of pixel 55.",
        "Now 7 events wait, and 1 dead letters are kept.",
    )

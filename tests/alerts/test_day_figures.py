"""The lines of the daily summary: the dashboard's figures in short."""

from types import SimpleNamespace
from typing import Any, cast

from clock import NOON

from proxy.alerts.figures import DayFigures
from proxy.model.ledger import Status
from proxy.model.rollup import LAG_SLOTS, Rollup, RollupKey, RollupQuery
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.queue.contract import Stats


async def test_the_day_is_told_in_figures() -> None:
    """They have events by outcome, recovered value, sales and waiting events of the last 24 full hours."""

    def counted(hours_ago: int, events: int, copy: str, status: Status, value: int = 0) -> Rollup:
        key = RollupKey(NOON // HOUR_MS - hours_ago, "shop", "55", "Purchase", status, "", copy)
        return Rollup(key, events, {"EUR": (events, value)} if value else {}, {}, (0,) * LAG_SLOTS)

    kept = [
        counted(0, 100, "fired", Status.DELIVERED, 1_000_000),
        counted(1, 5, "fired", Status.DELIVERED, 1_000_000),
        counted(24, 3, "blocked", Status.DELIVERED, 295_000),
        counted(3, 2, "pending", Status.DELIVERED),
        counted(3, 4, "fired", Status.DROPPED),
        counted(3, 1, "fired", Status.DEAD),
        counted(25, 100, "blocked", Status.DELIVERED),
    ]

    async def rollups(wanted: RollupQuery) -> list[Rollup]:
        return [each for each in kept if wanted.since_hour <= each.key.hour < wanted.until_hour]

    queue = SimpleNamespace(rollups=rollups, stats=lambda: Stats({"55": 7}, 1))
    lines = await DayFigures(cast("Any", queue)).lines(NOON - DAY_MS, NOON)

    assert lines == (
        "In the last 24 whole hours:",
        "Events delivered: 10, dropped: 4, repeats: 0, dead letters: 1.",
        "Recovered, as their browser copy was blocked: 3 (29.50 EUR of pixel 55); browser copy not known: 2.",
        "Sold: 129.50 EUR of pixel 55, Purchases: 8.",
        "Now: events that wait: 7, dead letters: 1.",
    )


async def test_each_hour_is_in_one_summary() -> None:
    """Summaries of successive days read each hour once, at whatever minute they are made."""
    asked: list[RollupQuery] = []

    async def rollups(wanted: RollupQuery) -> list[Rollup]:
        asked.append(wanted)
        return []

    queue = SimpleNamespace(rollups=rollups, stats=lambda: Stats({}, 0))
    for day, late_ms in enumerate((0, 5_000, 9_999, 30 * 60_000)):
        now = NOON + day * DAY_MS + late_ms
        await DayFigures(cast("Any", queue)).lines(now - DAY_MS, now)

    assert [query.until_hour - query.since_hour for query in asked] == [24] * 4
    assert [before.until_hour for before in asked[:-1]] == [after.since_hour for after in asked[1:]]

"""The figures of a period over the operator API: which period is read, and which queries are refused."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from rolled import rollup, summed

from proxy.model.ledger import Status
from proxy.model.rollup import Rollup
from proxy.model.rollup_sums import PeriodQuery, PeriodSums
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.operator import costly_answers
from proxy.operator.documents import BadQueryError
from proxy.operator.overview import OverviewApi, wanted_figures_of

NOW = 20_000 * DAY_MS + 13 * HOUR_MS + 1


@dataclass
class FewRollups:
    """A queue with some rollups, which notes the queries it gets."""

    found: Sequence[Rollup]
    asked: list[PeriodQuery] = field(default_factory=list)

    async def period_sums(self, wanted: PeriodQuery) -> PeriodSums:
        self.asked.append(wanted)
        return summed(wanted, self.found)


@asynccontextmanager
async def served(few: FewRollups) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """Serve the overview API on a queue with some rollups."""
    app = web.Application()
    OverviewApi(few, lambda: NOW).add_to(app)
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize(
    ("query", "since", "until"),
    [
        ({}, NOW - DAY_MS, NOW),
        ({"from": f"{NOW - 5}"}, NOW - 5, NOW - 5 + DAY_MS),
        ({"to": f"{NOW}"}, NOW - DAY_MS, NOW),
        ({"to": "7"}, 0, 7),
        ({"from": "0", "to": "1"}, 0, 1),
    ],
)
def test_without_bounds_it_is_a_day(query: dict[str, str], since: int, until: int) -> None:
    """Without both bounds the period is the last day, or the day after or before the given bound, in whole hours."""
    period = wanted_figures_of(query, NOW).period

    assert period.since_ms == since // HOUR_MS * HOUR_MS
    assert period.until_ms == -(-until // HOUR_MS) * HOUR_MS


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "-1"}, "from"),
        ({"to": "9" * 20}, "to"),
        ({"from": "5", "to": "5"}, "from, to"),
        ({"from": "0", "to": f"{401 * DAY_MS}"}, "400 days"),
        ({"offset": "+60"}, "offset"),
        ({"offset": "841"}, "offset"),
        ({"offset": "--1"}, "offset"),
        ({"offset": ""}, "offset"),
        ({"step": "minute"}, "step"),
        ({"from": "0", "to": f"{10 * DAY_MS}", "step": "hour"}, "step"),
    ],
)
def test_what_cannot_be_used_is_named(query: dict[str, str], named: str) -> None:
    """A wrong parameter is a 400 that says what is accepted, and never an internal error."""
    with pytest.raises(BadQueryError, match=named):
        wanted_figures_of(query, NOW)


async def test_one_question_to_the_queue_answers_all() -> None:
    """One query to the queue reads the period and the one before, with the filters, and nothing but rollups."""
    hour = NOW // HOUR_MS
    few = FewRollups(
        [rollup(3, hour=hour), rollup(2, hour=hour, status=Status.DROPPED, reason="bot"), rollup(5, hour=hour - 30)]
    )
    async with served(few) as client:
        response = await client.get("/api/overview", params={"site": "shop", "pixel": "1", "name": "Purchase"})
        found = await response.json()

    assert response.content_type == "application/json"
    (asked,) = few.asked
    assert (asked.before, asked.site, asked.pixel, asked.name) == (
        (hour + 1 - 50, hour + 1 - 25),
        "shop",
        "1",
        "Purchase",
    )
    assert asked.buckets == tuple((each, each + 1) for each in range(hour + 1 - 25, hour + 1))
    assert (found["total"]["events"], found["before"]["events"]) == (5, 5)
    assert (found["site"], found["pixel"], found["name"]) == ("shop", "1", "Purchase")
    assert found["left_out"]["reasons"] == {"bot": 2}


async def test_long_periods_are_of_whole_days() -> None:
    """Periods over eight days are read by days; over 200 days the period before is omitted, as it is not kept."""
    few = FewRollups([])
    async with served(few) as client:
        for days in (7, 9, 400):
            params = {"from": f"{NOW - days * DAY_MS}", "to": f"{NOW}"}
            found = await (await client.get("/api/overview", params=params)).json()
            assert (found["before"] is None) is (days == 400)

    for asked in few.asked[1:]:
        assert all(span.since % 24 == 0 and span.until - span.since == 24 for span in asked.buckets)
    assert sum(len(asked.buckets) for asked in few.asked[1:]) == 10 + 401


async def test_what_is_long_over_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days that are long past are kept in memory for a while; those of the last weeks are read each time."""
    monkeypatch.setattr(costly_answers, "_QUICK_S", math.inf)  # no whole answer is
    today, old = NOW // HOUR_MS, NOW // HOUR_MS - 100 * 24
    few = FewRollups([rollup(1, hour=today), rollup(2, hour=old)])
    asks = {"from": f"{NOW - 400 * DAY_MS}", "to": f"{NOW}"}
    events = []
    async with served(few) as client:
        for more in (0, 10, 20):
            few.found = [rollup(1 + more, hour=today), rollup(2 + more, hour=old)]
            found = await (await client.get("/api/overview", params=asks)).json()
            events.append(found["total"]["events"])
            assert sum(bucket["events"] for bucket in found["buckets"]) == events[-1]
            assert len(found["buckets"]) == 401

    assert events == [3, 13, 23]
    assert [len(asked.buckets) for asked in few.asked] == [200, 401 - 22 - 200, 22, 22, 22]

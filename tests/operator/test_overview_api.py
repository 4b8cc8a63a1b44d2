"""The figures of a period over the operator API: which one is asked for, and what is refused."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from rolled import rollup

from proxy.model.ledger import Status
from proxy.model.rollup import Rollup, RollupQuery
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.operator.documents import BadQueryError
from proxy.operator.overview import OverviewApi, asked_of

NOW = 20_000 * DAY_MS + 13 * HOUR_MS + 1


@dataclass
class FewRollups:
    """Has some rollups, and remembers what it was asked."""

    found: Sequence[Rollup]
    asked: list[RollupQuery] = field(default_factory=list)

    async def rollups(self, wanted: RollupQuery) -> list[Rollup]:
        self.asked.append(wanted)
        return list(self.found)


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
    """The last one, or the one behind or before the bound that was given; widened to whole hours."""
    period = asked_of(query, NOW).period

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
    """A wrong parameter is a 400 of the listener, which says what is accepted, and never a fault."""
    with pytest.raises(BadQueryError, match=named):
        asked_of(query, NOW)


async def test_one_question_to_the_queue_answers_all() -> None:
    """The period and the one before are read at once, with what was asked for, and only rollups."""
    hour = NOW // HOUR_MS
    few = FewRollups(
        [rollup(3, hour=hour), rollup(2, hour=hour, status=Status.DROPPED, reason="bot"), rollup(5, hour=hour - 30)]
    )
    app = web.Application()
    OverviewApi(few, lambda: NOW).add_to(app)
    async with TestClient(TestServer(app)) as client:
        response = await client.get("/api/overview", params={"site": "shop", "pixel": "1", "name": "Purchase"})
        found = await response.json()

    assert response.content_type == "application/json"
    assert few.asked == [RollupQuery(hour + 1 - 50, hour + 1, "shop", "1", "Purchase")]
    assert (found["total"]["events"], found["before"]["events"]) == (5, 5)
    assert (found["site"], found["pixel"], found["name"]) == ("shop", "1", "Purchase")
    assert found["left_out"]["reasons"] == {"bot": 2}


async def test_long_periods_read_sums_of_days() -> None:
    """Of more than eight days days are read, and of more than 200 nothing before, as nothing of it is kept."""
    few = FewRollups([])
    app = web.Application()
    OverviewApi(few, lambda: NOW).add_to(app)
    async with TestClient(TestServer(app)) as client:
        for days in (7, 9, 400):
            params = {"from": f"{NOW - days * DAY_MS}", "to": f"{NOW}"}
            found = await (await client.get("/api/overview", params=params)).json()
            assert (found["before"] is None) is (days == 400)

    assert [asked.by_day for asked in few.asked] == [False, True, True]
    assert all(asked.since_hour % 24 == 0 for asked in few.asked if asked.by_day)

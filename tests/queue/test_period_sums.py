"""Sums of rollups over a period equal the sums of the rollups of its hours, for every question."""

import random
from collections.abc import Mapping

import pytest
from clock import NOON
from rolled import summed, together
from support import record, until

from proxy.figures.overview import wanted_sums
from proxy.figures.period import period_of
from proxy.model.event import BrowserCopy
from proxy.model.event_facts import EventFacts
from proxy.model.ledger import REPEATS_SERVER, LedgerRow, Status
from proxy.model.rollup import Rollup, RollupQuery
from proxy.model.rollup_sums import HourSpan, PeriodQuery, PeriodSums
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.queue.contract import Filter, WholeQueue, ended_row
from proxy.queue.rollup_plan import EARLIER_PERIOD, plan_of, runs

HOUR = NOON // HOUR_MS
EVER = RollupQuery(HOUR - 40 * 24, HOUR + 48)
ENDS = (
    *((Status.DELIVERED, ""), (Status.DELIVERED, "bot:curl"), (Status.DUPLICATE, ""), (Status.DEAD, "rejected")),
    *((Status.DUPLICATE, REPEATS_SERVER), (Status.DROPPED, "gpc")),
)
QUESTIONS: Mapping[str, PeriodQuery] = {
    "an hour": wanted_sums(period_of(NOON, NOON + HOUR_MS)),
    "a day": wanted_sums(period_of(NOON - 20 * HOUR_MS, NOON + 4 * HOUR_MS)),
    "a week": wanted_sums(period_of(NOON - 7 * DAY_MS + 3 * HOUR_MS, NOON + 3 * HOUR_MS)),
    "a week of the Marquesas": wanted_sums(period_of(NOON - 7 * DAY_MS, NOON, offset=-570)),
    "a month": wanted_sums(period_of(NOON - 15 * DAY_MS, NOON + DAY_MS), name="Lead"),
    "a site": wanted_sums(period_of(NOON - 3 * DAY_MS, NOON), site="blog"),
    "a pixel": wanted_sums(period_of(NOON - 3 * DAY_MS, NOON), pixel="2"),
    "nobody": wanted_sums(period_of(NOON - 3 * DAY_MS, NOON), name="Nobody"),
    "what is before": PeriodQuery((), HourSpan(HOUR - 50, HOUR - 2), "Purchase"),
    "without what is before": PeriodQuery((HourSpan(HOUR - 50, HOUR - 2), HourSpan(HOUR - 2, HOUR)), None, "Purchase"),
}


def rows(seed: int) -> list[LedgerRow]:
    """Return finished events of some days and of all kinds."""
    chance = random.Random(seed)  # noqa: S311 - the same every time
    found = []
    for number in range(300):
        status, reason = chance.choice(ENDS)
        value = chance.choice([None, 5, 129_900])
        facts = EventFacts(chance.choice(["shop", "blog"]), chance.randrange(1 << 20), value=value)
        event = record(number, pixel=chance.choice("12"))._replace(
            name=chance.choice(["PageView", "Purchase", "Lead"]),
            arrived=NOON + chance.randrange(-20 * 24, 5) * HOUR_MS,
            browser_copy=chance.choice([None, *BrowserCopy]),
            facts=facts._replace(currency="" if value is None else chance.choice(["EUR", "USD"])),
        )
        # The ledger refuses rows that ended more than a week ago.
        at = max(event.arrived + chance.randrange(7_000_000), NOON - 3 * DAY_MS)
        found.append(ended_row(event, status, reason, at))
    return found


def plain(sums: PeriodSums) -> PeriodSums:
    """Return sums in which each key comes once and match keys without events are left out."""
    return PeriodSums(*([_plain(each) for each in together(part)] for part in sums))


def _plain(each: Rollup) -> Rollup:
    keys = {key: number for key, number in each.match_keys.items() if number}
    return Rollup(each.key, each.events, dict(each.values), keys, each.lag)


@pytest.mark.both_engines
async def test_sums_are_what_the_hours_come_to(queue: WholeQueue) -> None:
    """Total, period before, and every bucket are right by hour, by day, in a time zone, and by site, pixel and name."""
    noted = rows(7)
    queue.note(noted)

    async def all_there() -> bool:
        return sum(1 for _ in [each async for each in queue.events(Filter(limit=10_000))]) == len(noted)

    await until(all_there, what="all rows in the ledger")
    hours = await queue.rollups(EVER)

    assert sum(each.events for each in hours) == len(noted)
    for name, wanted in QUESTIONS.items():
        assert plain(await queue.period_sums(wanted)) == plain(summed(wanted, hours)), name
    assert any(each.values for each in summed(QUESTIONS["a week"], hours).buckets)


@pytest.mark.both_engines
@pytest.mark.parametrize("by_day", [False, True])
async def test_counts_tell_events_and_their_last_hour(queue: WholeQueue, *, by_day: bool) -> None:
    """Each kind has one row with its events of all hours and its last hour, and without values, match keys and lags."""
    noted = rows(8)
    queue.note(noted)
    wanted = RollupQuery(HOUR - 100, HOUR, site="shop", by_day=by_day)

    async def all_there() -> bool:
        return sum(1 for _ in [each async for each in queue.events(Filter(limit=10_000))]) == len(noted)

    await until(all_there, what="all rows in the ledger")
    expected: dict[tuple[object, ...], tuple[int, int]] = {}
    for each in await queue.rollups(wanted):
        expected[each.key[1:]] = (expected.get(each.key[1:], (0, 0))[0] + each.events, each.key.hour)
    counts = await queue.event_counts(wanted)

    assert {each.key[1:]: (each.events, each.key.hour) for each in counts} == expected
    assert len(counts) == len(expected) > 10
    assert not any(each.values or each.match_keys or each.lag for each in counts)


@pytest.mark.parametrize("wanted", QUESTIONS.values(), ids=QUESTIONS)
def test_every_hour_is_read_once(wanted: PeriodQuery) -> None:
    """An hour is read once, by itself or with its day, and no hour is read that was not asked for."""
    plan = plan_of(wanted)
    read = [(hour, slot) for hour, slot in plan.hours.items()]
    read += [(day + hour, slot) for day, slot in plan.days.items() for hour in range(24)]
    spans = ((wanted.before, EARLIER_PERIOD), *((span, number) for number, span in enumerate(wanted.buckets, 1)))

    assert all(day % 24 == 0 for day in plan.days)
    assert sorted(read) == sorted((hour, slot) for span, slot in spans if span for hour in range(*span))


@pytest.mark.parametrize(
    ("times", "step", "expected"),
    [([], 1, []), ([4], 1, [(4, 5)]), ([1, 2, 3, 7, 9, 10], 1, [(1, 4), (7, 8), (9, 11)]), ([0, 24], 24, [(0, 48)])],
)
def test_times_without_a_gap_are_a_run(times: list[int], step: int, expected: list[tuple[int, int]]) -> None:
    """Each time is in exactly one run, and no two runs touch."""
    assert list(runs(times, step)) == expected

"""Signs in the figures of weeks: each is found where it is and only there. Pure functions, without a clock."""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

import pytest

from proxy.graph.law import VERSION_ENDS
from proxy.model.units import HOUR_MS
from proxy.watch.filling import Trend, duration_text
from proxy.watch.graph_versions import version_end
from proxy.watch.pair_rate import pair_rate_fall
from proxy.watch.silence import LEAST_MISSED, silence

# A Monday, at midnight UTC.
MONDAY = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()) // 3600
MINUTE = 60_000
Rate = Callable[[int], float]


def shop(hour: int) -> float:
    """Return the expected number of events in an hour of a shop: some by day, more in the evening, none at night."""
    time = hour % 24
    return 0.0 if time < 6 else 40.0 if time < 18 else 90.0


def office(hour: int) -> float:
    """Return the expected number of events in an hour of a site that people use at work."""
    weekday = (hour - MONDAY) // 24 % 7
    return 60.0 if weekday < 5 and 8 <= hour % 24 < 18 else 0.0


def tiny(_hour: int) -> float:
    """Return the expected number of events in an hour of a site with three events a day, at any time."""
    return 0.125


def past(rate: Rate, until: int, weeks: int = 5, seed: int = 7) -> dict[int, int]:
    """Return random events by hour, for whole weeks before an hour."""
    chance = random.Random(seed)  # noqa: S311 - repeats by its seed
    counts = {}
    for hour in range(until - weeks * 168, until):
        # A sum of many rare chances is nearly a Poisson number.
        events = sum(chance.random() < rate(hour) / 400 for _ in range(400))
        if events:
            counts[hour] = events
    return counts


@pytest.mark.parametrize(
    ("rate", "stops", "hours", "found"),
    [
        (shop, 12, 0.99, True),  # 40 events an hour, at noon
        (shop, 12, 0.5, False),  # half an hour: 20 events
        (shop, 0, 6, False),  # the night
        (shop, 0, 8, True),  # the night, and two hours of the morning
        (office, 18, 14, False),  # from Monday's closing time to Tuesday's opening
        (office, 18, 15, True),  # and an hour of Tuesday
        (office, 4 * 24 + 18, 62, False),  # the weekend
        (office, 4 * 24 + 18, 64, True),  # and an hour of Monday
        (tiny, 12, 3 * 24, False),  # three days without the usual three events a day
        (tiny, 12, 15 * 24, True),  # more than two weeks
    ],
)
def test_silence_is_told_by_time_of_day_and_week(rate: Rate, stops: int, hours: float, *, found: bool) -> None:
    """It is reported once enough usual events are missing, but not at night, at weekends or for a tiny site."""
    until = MONDAY + stops
    counts = past(rate, until) | {until - 1: 1}

    assert (silence(counts, int((until + hours) * HOUR_MS)) is not None) == found


def test_silence_says_since_when_and_how_much() -> None:
    """A silence has its beginning, the end of the last event's hour, and how many events are usual since then."""
    until = MONDAY + 12
    found = silence(past(shop, until), int((until + 2.5) * HOUR_MS))

    assert found is not None
    assert found.since == until * HOUR_MS
    assert 85 <= found.missed <= 110


def test_an_event_ends_the_silence() -> None:
    """With the first event in the current hour the silence is over."""
    until = MONDAY + 12
    counts = past(shop, until) | {until + 4: 1}

    assert silence(counts, int((until + 4.5) * HOUR_MS)) is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [shop, office, tiny])
def test_there_is_no_false_alarm_in_a_month(rate: Rate, seed: int) -> None:
    """A site that stays as it was is never reported as silent, at any hour of four weeks."""
    counts = past(rate, MONDAY, weeks=9, seed=seed)
    month = range(MONDAY - 4 * 168, MONDAY)
    known = ({number: n for number, n in counts.items() if hour - 5 * 168 < number <= hour} for hour in month)

    assert not [hour for hour, seen in zip(month, known, strict=True) if silence(seen, hour * HOUR_MS + 59 * MINUTE)]


@pytest.mark.parametrize(
    "counts",
    [{}, {MONDAY: 10}, {MONDAY + 400: 5}, dict.fromkeys(range(MONDAY - 24 * 6, MONDAY), 100)],
    ids=["nothing", "one hour", "the future", "six days"],
)
def test_what_is_usual_must_be_known(counts: Mapping[int, int]) -> None:
    """Without a week of history no silence is reported."""
    assert silence(counts, (MONDAY + 48) * HOUR_MS) is None


def test_one_campaign_is_not_what_is_usual() -> None:
    """An evening with a hundred thousand events a week ago does not make today's quiet evening a silence."""
    until = MONDAY + 6
    counts = {hour: 1 for hour in range(until - 4 * 168, until) if hour % 24 == 5}
    counts[until - 7 * 24 + 3] = 100_000

    assert silence(counts, int((until + 20) * HOUR_MS)) is None


def test_a_quarter_of_an_hour_is_the_least() -> None:
    """The first minutes of an hour are no silence, however many events a site has."""
    counts = dict.fromkeys(range(MONDAY - 4 * 168, MONDAY), 1000000)
    early, late = (silence(counts, MONDAY * HOUR_MS + minutes * MINUTE) for minutes in (14, 15))

    assert early is None
    assert late is not None
    assert late.missed > LEAST_MISSED


def copies(now: float, before: float, events: int = 400, wobble: float = 0.0) -> Callable[[range], tuple[int, int]]:
    """Return a function that states fired and other copies, with one share today and nearly another one before."""

    def known(hours: range) -> tuple[int, int]:
        share = now if hours.stop > MONDAY - 24 else before + wobble * (-1) ** (hours.start // 24)
        fired = round(events * len(hours) * share)
        return fired, events * len(hours) - fired

    return known


@pytest.mark.parametrize(
    ("now", "before", "wobble", "stands", "found"),
    [
        (0.70, 0.70, 0.02, False, False),  # as ever
        (0.62, 0.70, 0.0, False, False),  # significant, and too little to matter
        (0.40, 0.70, 0.02, False, True),
        (0.0, 0.70, 0.02, False, True),  # the Pixel is gone
        (0.55, 0.70, 0.10, False, False),  # it always moves so much
        (0.64, 0.70, 0.0, True, True),  # it fell and has not recovered
        (0.66, 0.70, 0.0, True, False),  # it has
        (0.95, 0.70, 0.0, False, False),  # a rise
    ],
)
def test_a_fall_of_the_pair_rate_is_told(
    now: float, before: float, wobble: float, *, stands: bool, found: bool
) -> None:
    """A fall counts if it exceeds a tenth, chance and the days' own spread; it is over at half of that."""
    known = copies(now, before, wobble=wobble)

    assert (pair_rate_fall(known, MONDAY, stands=stands) is not None) == found


@pytest.mark.parametrize(("events", "found"), [(400, 3), (70, 3), (20, 12), (10, 24), (8, None), (0, None)])
def test_a_fall_needs_enough_events(events: int, found: int | None) -> None:
    """The shortest window with two hundred copies is used; a site without so many in a day is not judged."""
    known = copies(0.1, 0.9, events)
    fell = pair_rate_fall(known, MONDAY, stands=False)

    assert (fell.hours if fell else None) == found


@pytest.mark.parametrize(
    ("version", "day", "days"),
    [
        ("v25.0", date(2026, 11, 27), None),
        ("v25.0", date(2028, 4, 29), None),
        ("v25.0", date(2028, 4, 30), 90),
        ("v25.0", date(2028, 7, 30), -1),
        ("v20.0", date(2026, 11, 27), -64),
        ("v3.2", date(2026, 11, 27), -190),
        ("v26.0", date(2030, 1, 1), None),
        ("v99.0", date(2030, 1, 1), None),
    ],
)
def test_the_end_of_a_version_is_told_90_days_before(version: str, day: date, days: int | None) -> None:
    """A version is reported from 90 days before its end; one whose end is not known is not."""
    now = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp() * 1000)
    end = version_end(version, now)

    assert (end.days if end else None) == days


def test_the_table_of_versions_is_in_order() -> None:
    """A newer version does not end before an older one, which would be a typing mistake."""
    ends = [end for end in VERSION_ENDS.values() if end]

    assert ends == sorted(ends, reverse=True)


def test_a_trend_says_when_a_bound_is_reached() -> None:
    """The trend uses the last half hour, once it has ten minutes; it begins again after the clock steps back."""
    trend = Trend()
    for minute in range(10):
        trend.add(minute * MINUTE, minute / 100)
    too_early = trend.ms_until(1.0)
    trend.add(10 * MINUTE, 0.10)
    reached = trend.ms_until(1.0)
    away, past_it = trend.ms_until(-1.0), trend.ms_until(0.05)
    trend.add(5 * MINUTE, 0.10)

    assert (too_early, away, past_it, trend.ms_until(1.0)) == (None, None, None, None)
    assert reached == pytest.approx(90 * MINUTE)


@pytest.mark.parametrize(
    ("minutes", "stands", "soon"),
    [(23 * 60, False, True), (25 * 60, False, False), (25 * 60, True, True), (49 * 60, True, False)],
)
def test_soon_is_a_day_and_for_what_stands_two(minutes: int, *, stands: bool, soon: bool) -> None:
    """A condition begins at one bound and ends at another, so that it does not flap in between."""
    trend = Trend()
    trend.add(0, 0.0)
    trend.add(20 * MINUTE, 20.0)

    assert trend.reaches_soon(20.0 + minutes, stands=stands) == soon


def test_a_time_to_come_is_told_roughly() -> None:
    """Less than two hours are stated in minutes, more in hours."""
    assert [duration_text(minutes * MINUTE) for minutes in (5, 119, 150)] == ["5 min", "119 min", "2 h"]

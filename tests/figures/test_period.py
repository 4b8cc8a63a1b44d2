"""Periods: whole hours, cut into hours or into days of the asker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.figures.period import BadPeriodError, period_of
from proxy.model.units import DAY_MS, HOUR_MS

MIDNIGHT = 20_000 * DAY_MS


def test_a_period_is_widened_to_the_hours_it_touches() -> None:
    """A period is widened to whole hours, since rollups are no finer."""
    period = period_of(MIDNIGHT + HOUR_MS - 1, MIDNIGHT + 2 * HOUR_MS + 1)

    assert (period.since_ms, period.until_ms) == (MIDNIGHT, MIDNIGHT + 3 * HOUR_MS)
    assert list(period.buckets()) == [MIDNIGHT, MIDNIGHT + HOUR_MS, MIDNIGHT + 2 * HOUR_MS]


@pytest.mark.parametrize(
    ("hours", "step", "buckets"), [(1, "hour", 1), (24, "hour", 24), (72, "hour", 72), (73, "day", 4), (168, "day", 7)]
)
def test_the_step_follows_from_the_length(hours: int, step: str, buckets: int) -> None:
    """Periods up to three days are divided into hours, longer ones into days."""
    period = period_of(MIDNIGHT, MIDNIGHT + hours * HOUR_MS)

    assert (period.step, len(list(period.buckets()))) == (step, buckets)


@pytest.mark.parametrize(
    ("offset", "first"), [(60, -1), (-300, -19), (330, -5.5), (0, 0), (840, -14), (-840, -10)], ids=str
)
def test_days_begin_at_the_askers_midnight(offset: int, first: float) -> None:
    """In each time zone the first bucket is the asker's day that contains the first hour."""
    period = period_of(MIDNIGHT, MIDNIGHT + 4 * DAY_MS, step="day", offset=offset)
    begins = list(period.buckets())

    assert begins[0] == MIDNIGHT + first * HOUR_MS
    assert all((begin + offset * 60_000) % DAY_MS == 0 for begin in begins)


def test_a_long_period_is_of_whole_days_of_utc() -> None:
    """A period over eight days is widened to UTC days, since it is read from daily sums."""
    period = period_of(MIDNIGHT + 5 * HOUR_MS, MIDNIGHT + 9 * DAY_MS + 5 * HOUR_MS, offset=120)

    assert period.is_long
    assert (period.since_ms, period.until_ms) == (MIDNIGHT, MIDNIGHT + 10 * DAY_MS)
    assert list(period.buckets()) == [MIDNIGHT + day * DAY_MS for day in range(10)]


def test_the_period_before_ends_where_this_one_begins() -> None:
    """The period before is as long as this one, and is left out if it would exceed the retention of rollups."""
    period = period_of(MIDNIGHT, MIDNIGHT + 7 * DAY_MS)

    assert (period.before.since_ms, period.before.until_ms) == (MIDNIGHT - 7 * DAY_MS, MIDNIGHT)
    assert period.has_before
    assert not period_of(MIDNIGHT, MIDNIGHT + 201 * DAY_MS).has_before


@pytest.mark.parametrize(
    ("since", "until", "more", "accepted"),
    [
        (2, 2, {}, "the earlier one first"),
        (3, 2, {}, "the earlier one first"),
        (-1, 2, {}, "the earlier one first"),
        (0, 401 * DAY_MS, {}, "at most 400 days"),
        (0, DAY_MS, {"offset": 841}, "-840 to 840"),
        (0, DAY_MS, {"step": "week"}, "step"),
        (0, 9 * DAY_MS, {"step": "hour"}, "at most 8 days"),
    ],
)
def test_what_is_no_period_is_refused_with_what_is_accepted(
    since: int, until: int, more: dict[str, int | str], accepted: str
) -> None:
    """A wrong bound, length, step or offset is named, with what is accepted."""
    with pytest.raises(BadPeriodError, match=accepted):
        period_of(since, until, **more)  # type: ignore[arg-type]


@given(
    st.integers(0, 30_000 * DAY_MS),
    st.integers(1, 400 * DAY_MS),
    st.integers(-840, 840),
    st.sampled_from(["", "day"]),
)
def test_each_hour_has_its_bucket(since: int, length: int, offset: int, step: str) -> None:
    """In any period each hour, the first and last included, belongs to one bucket, and buckets are in order."""
    period = period_of(since, since + length, step=step, offset=offset)
    buckets = list(period.buckets())
    hours = range(period.since_hour, period.until_hour, 7)

    assert buckets == sorted(set(buckets))
    assert {period.bucket(hour) for hour in (*hours, period.until_hour - 1)} <= set(buckets)
    assert period.since_ms <= since
    assert period.until_ms >= since + length

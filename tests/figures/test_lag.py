"""Delivery lag: quantiles are given as two bounds, never as a number that was not measured."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.figures.lag import LagRange, lag_of
from proxy.model.rollup import LAG_BOUNDS_MS, LAG_SLOTS


def slots(counts: dict[int, int]) -> Sequence[int]:
    return [counts.get(slot, 0) for slot in range(LAG_SLOTS)]


@pytest.mark.parametrize(
    ("counts", "median", "p95"),
    [
        ({0: 1}, LagRange(0, 100), LagRange(0, 100)),
        ({1: 3}, LagRange(100, 250), LagRange(100, 250)),
        ({0: 50, 2: 50}, LagRange(0, 100), LagRange(250, 500)),
        ({0: 49, 2: 51}, LagRange(250, 500), LagRange(250, 500)),
        ({0: 95, 5: 5}, LagRange(0, 100), LagRange(0, 100)),
        ({0: 94, 5: 6}, LagRange(0, 100), LagRange(2500, 5000)),
        ({LAG_SLOTS - 1: 2}, LagRange(86_400_000, None), LagRange(86_400_000, None)),
    ],
)
def test_quantiles_are_bounds(counts: dict[int, int], median: LagRange, p95: LagRange) -> None:
    """A quantile, the shortest time within which that part of the events was done, lies within its slot's bounds."""
    found = lag_of([slots(counts)])

    assert found
    assert (found.median, found.p95) == (median, p95)


def test_without_events_there_is_no_lag() -> None:
    """Without events there is no lag."""
    assert lag_of([]) is lag_of([slots({})]) is None


@given(st.lists(st.integers(0, 2 * LAG_BOUNDS_MS[-1]), min_size=1, max_size=60))
def test_the_true_quantiles_lie_between_the_bounds(lags: list[int]) -> None:
    """For any lags in any histograms, the true median and 95th percentile lie within the bounds given for them."""
    histograms = []
    for lag in lags:
        slot = next((place for place, bound in enumerate(LAG_BOUNDS_MS) if lag <= bound), LAG_SLOTS - 1)
        histograms.append(slots({slot: 1}))
    found = lag_of(histograms)
    order = sorted(lags)

    assert found
    assert found.events == sum(found.counts) == len(lags)
    for between, true in (
        (found.median, order[(len(order) + 1) // 2 - 1]),
        (found.p95, order[-(-95 * len(order) // 100) - 1]),
    ):
        assert between.over <= true
        assert between.up_to is None or true <= between.up_to

"""Waits grow from less than a second to five minutes, and are never shorter than Graph asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.delivery import pace
from proxy.delivery.pace import backoff, probe_wait, resumption

JUST_BELOW_ONE = 1.0 - 2**-53

# Failures in a row; the longest wait in seconds.
CEILINGS = [(1, 0.8), (2, 1.6), (3, 3.2), (4, 6.4), (5, 12.8), (9, 204.8), (10, 300.0), (100, 300.0), (10**9, 300.0)]
# Probes made; seconds until the next.
PROBES = [(0, 5.0), (1, 10.0), (2, 20.0), (3, 40.0), (4, 80.0), (5, 160.0), (6, 300.0), (7, 300.0), (10**9, 300.0)]
# Failures, random number, seconds that Graph asked for; the wait in seconds.
WAITS = [
    (1, 0.0, 0.0, 0.0),
    (1, 0.5, 0.0, 0.4),
    (3, 0.25, 0.0, 0.8),
    (10, 0.5, 0.0, 150.0),
    (1, 0.5, 7.0, 7.0),
    (10, 0.0, 7.0, 7.0),
    (10, 0.5, 7.0, 150.0),
    (1, 0.5, 3600.0, 3600.0),
]


@pytest.mark.parametrize(("failures", "ceiling"), CEILINGS)
def test_the_ceiling_doubles_up_to_five_minutes(failures: int, ceiling: float) -> None:
    """The longest wait starts below a second, doubles with each failure, and ends at five minutes."""
    assert backoff(failures, JUST_BELOW_ONE) == pytest.approx(ceiling)


@pytest.mark.parametrize(("failures", "chance", "asked", "expected"), WAITS)
def test_the_wait_is_jittered_and_never_shorter_than_asked(
    failures: int, chance: float, asked: float, expected: float
) -> None:
    """The random number picks a point below the ceiling; the wait is at least what Graph asked for."""
    assert backoff(failures, chance, asked=asked) == pytest.approx(expected)


@pytest.mark.parametrize(("probes", "expected"), PROBES)
def test_a_pause_is_probed_ever_more_rarely(probes: int, expected: float) -> None:
    """The first probe comes after 5 s, the later ones at doubling distances up to five minutes."""
    assert probe_wait(probes) == expected


@pytest.mark.parametrize(
    ("left", "paused", "expected"),
    [
        (-10.0, False, 0.0),
        (-10.0, True, 0.0),
        (3.0, True, 3.0),
        (300.0, True, 5.0),
        (300.0, False, 300.0),
        (10**9, False, 3600.0),
    ],
)
def test_a_new_process_waits_for_what_the_one_before_was_asked(left: float, expected: float, *, paused: bool) -> None:
    """The rest of a wait is kept, within bounds; a pause, which a restart may have fixed, is probed soon."""
    assert resumption(left, paused=paused) == expected


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True), st.floats(0, 3600))
def test_every_wait_has_its_bounds(failures: int, chance: float, asked: float) -> None:
    """No number of failures makes a wait negative, or longer than both five minutes and what Graph asked for."""
    assert asked <= backoff(failures, chance, asked=asked) <= max(300.0, asked)


def test_the_window_widens_on_good_answers_and_halves_on_failures() -> None:
    """It grows by one request after a quick answer, shrinks by one after a slow one, and halves after a failure."""
    assert [pace.window_after(window, [0.1, 0.1]) for window in (1, 4, pace.WINDOW_MOST)] == [2, 5, pace.WINDOW_MOST]
    assert [pace.window_after(window, [0.1, 1.0]) for window in (1, 4)] == [1, 3]
    assert [pace.narrower_window(window) for window in (1, 2, 7, 8)] == [1, 1, 3, 4]


def test_batches_are_compared_with_their_like() -> None:
    """Answer times are compared only between batches of similar size."""
    assert len({pace.size_class(events) for events in (1, 10, 100, 1000)}) == 4
    assert pace.size_class(700) == pace.size_class(1000)


@given(st.integers(1, 1000))
def test_a_bound_is_the_next_power_of_two(events: int) -> None:
    """A bound is at least the number of events, and less than twice as large."""
    assert events <= pace.next_power_of_two(events) < 2 * events
    assert pace.next_power_of_two(events).bit_count() == 1


def test_refused_batches_become_small_and_taken_ones_large_again() -> None:
    """The batch halves after a refusal, down to eight, and doubles after a delivery, up to what Meta accepts."""
    assert [pace.smaller_batch(events) for events in (1000, 17, 9, 1)] == [500, 8, 8, 8]
    assert [pace.larger_batch(events) for events in (8, 500, 501, 1000)] == [16, 1000, 1000, 1000]


def test_events_gather_only_while_few_wait() -> None:
    """With half a batch or more waiting there is no pause; otherwise it is at most 0.1 s."""
    assert [pace.gathering(waiting, 1000) for waiting in (0, 499, 500, 10**7)] == [pace.GATHER_S] * 2 + [0.0] * 2
    assert [pace.gathering(waiting, 8) for waiting in (3, 4)] == [pace.GATHER_S, 0.0]
    assert pace.GATHER_S <= 0.1

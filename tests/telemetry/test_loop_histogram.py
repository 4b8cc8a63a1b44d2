"""Histograms of the event loop have the same text as prometheus_client would give them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.registry import Collector

from proxy.telemetry.loop_counter import MOST_LABEL_SETS, LoopCounters
from proxy.telemetry.loop_histogram import LoopHistogram

_NAME, _TEXT, _BOUNDS = "capi_proxy_lag_seconds", 'How long, "quoted"\\ and in\nlines', (0.1, 1.0, 30.0)


def _shown(*collectors: Collector) -> list[str]:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


@given(st.lists(st.tuples(st.sampled_from(["1", "2"]), st.integers(0, 400)), max_size=20))
def test_the_text_is_that_of_the_library(observed: list[tuple[str, int]]) -> None:
    """Names, labels, slots, order, sums and counts are the same, also for values that lie on a bound."""
    registry = CollectorRegistry()
    theirs = Histogram(_NAME, _TEXT, ["pixel"], buckets=_BOUNDS, registry=registry)
    ours = LoopHistogram(_NAME, _TEXT, ["pixel"], _BOUNDS)
    for pixel, tenths in observed:
        theirs.labels(pixel).observe(tenths / 10)
        ours.observe(tenths / 10, pixel)
    expected = [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]

    assert _shown(ours) == expected


def test_a_histogram_without_labels_is_shown_before_it_counts() -> None:
    """A histogram without labels has figures of 0 from the start, as an alert rule needs."""
    assert _shown(LoopHistogram(_NAME, "Text", (), _BOUNDS))[-2:] == [f"{_NAME}_count 0.0", f"{_NAME}_sum 0.0"]


def test_a_clock_that_was_set_back_takes_nothing_off() -> None:
    """A negative duration counts as 0, since a falling sum would look like a restart."""
    histogram = LoopHistogram(_NAME, _TEXT, (), _BOUNDS)
    histogram.observe(-5.0)

    assert histogram.counts == {("0",): 1.0}


@given(st.lists(st.lists(st.integers(0, 400), max_size=8), max_size=4))
def test_processes_add_up(fronts: list[list[int]]) -> None:
    """The counts by slot that fronts send add up to the histogram of a single process."""
    alone, back = (LoopHistogram(_NAME, _TEXT, ["pixel"], _BOUNDS) for _ in range(2))
    counters = LoopCounters()
    counters.add(back)
    for front in fronts:
        theirs, told = LoopHistogram(_NAME, _TEXT, ["pixel"], _BOUNDS), LoopCounters()
        told.add(theirs)
        for tenths in front:
            theirs.observe(tenths, "1")
            alone.observe(tenths, "1")
        for (name, labels), by in told.counts().items():
            counters.grow(name, labels, by)

    assert _shown(back) == _shown(alone)


@pytest.mark.parametrize("labels", [("1", "5"), ("1", "-1"), ("1", "x"), ("1", ""), ("sum",), ("1", "2", "3")])
def test_a_slot_that_is_none_is_refused(labels: tuple[str, ...]) -> None:
    """Labels that the back's histogram does not have are refused; a front of another version might send them."""
    counters = LoopCounters()
    counters.add(LoopHistogram(_NAME, _TEXT, ["pixel"], _BOUNDS))

    with pytest.raises(LookupError):
        counters.grow(_NAME, labels, 1)


def test_there_are_never_very_many_series() -> None:
    """Even labels with unbounded values make a bounded number of series, and no observation is lost."""
    histogram = LoopHistogram(_NAME, _TEXT, ["pixel"], _BOUNDS)
    for number in range(3 * MOST_LABEL_SETS):
        histogram.observe(1.0, str(number))
    counts = [line for line in _shown(histogram) if line.startswith(f"{_NAME}_count")]

    assert len(counts) == MOST_LABEL_SETS + 1
    assert sum(float(line.split()[1]) for line in counts) == 3 * MOST_LABEL_SETS

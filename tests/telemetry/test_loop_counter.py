"""Counters of the event loop have the same text as prometheus_client would give them."""

import time

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from proxy.model.event import BrowserCopy
from proxy.telemetry.loop_counter import LoopCounter

_NAME, _TEXT = "capi_proxy_events", 'Events, "quoted"\\ and in\nlines'


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1764000000.25)


def _shown(counter: LoopCounter) -> bytes:
    registry = CollectorRegistry()
    registry.register(counter)
    return generate_latest(registry)


def test_the_text_is_that_of_the_library() -> None:
    """Names, labels, order, figures and times are the same, also for enum labels and for increments above 1."""
    registry = CollectorRegistry()
    theirs = Counter(_NAME, _TEXT, ["result", "reason"], registry=registry)
    ours = LoopCounter(_NAME, _TEXT, ["result", "reason"])
    for values, by in ((("stored", ""), 3), (("dropped", BrowserCopy.FIRED), 1), (("stored", ""), 0), (("a", 'b"'), 0)):
        theirs.labels(*values).inc(by)
        ours.inc(*values, by=by)
    theirs.labels("stored", "late").inc(2)
    ours.counts["stored", "late"] += 2
    assert _shown(ours) == generate_latest(registry)


def test_a_counter_without_labels_is_shown_before_it_counts() -> None:
    """A counter without labels is 0 from the start, as an alert on its growth needs."""
    registry = CollectorRegistry()
    theirs, ours = Counter(_NAME, _TEXT, registry=registry), LoopCounter(_NAME, _TEXT, ())
    assert _shown(ours) == generate_latest(registry)
    theirs.inc(2)
    ours.inc(by=2)
    assert _shown(ours) == generate_latest(registry)


def test_no_name_is_used_twice() -> None:
    """A registry refuses a second counter with the same name, as it does with the library's counters."""
    registry = CollectorRegistry()
    registry.register(LoopCounter(_NAME, _TEXT, ()))
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(LoopCounter(_NAME, _TEXT, ()))

"""The board of conditions: states, passing events, and the bound for what strangers cause."""

import logging

import pytest

from proxy.model.condition import ConditionCode
from proxy.telemetry.conditions import Conditions


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="conditions")
def _conditions(clock: Clock) -> Conditions:
    return Conditions(clock)


def test_a_state_stands_until_cleared(conditions: Conditions, clock: Clock) -> None:
    """A reported state keeps its first time and has its latest detail, until it is cleared."""
    conditions.report("clock", detail="+61 s")
    clock.now += 10**9
    conditions.report("clock", detail="+70 s")
    (standing,) = conditions.current()
    conditions.clear("clock")

    assert (standing.since, standing.detail, conditions.current()) == (1_000, "+70 s", [])


def test_a_thing_that_happens_passes(conditions: Conditions, clock: Clock) -> None:
    """A condition about an occurrence ends a given time after the last one."""
    conditions.report("limited", lasts_ms=100)
    clock.now += 99
    conditions.report("limited", lasts_ms=100)
    clock.now += 99
    current = conditions.current()
    clock.now += 1

    assert ([condition.code for condition in current], conditions.current()) == (["limited"], [])


def test_failing_conditions_come_first(conditions: Conditions, clock: Clock) -> None:
    """Failures are listed before warnings, each with the oldest first."""
    codes: tuple[ConditionCode, ...] = ("limited", "queue", "clock", "delivery_late")
    for code in codes:
        conditions.report(code)
        clock.now += 1

    current = [(condition.code, condition.failing) for condition in conditions.current()]
    assert current == [("queue", True), ("delivery_late", True), ("limited", False), ("clock", False)]


def test_strangers_cannot_fill_the_board(conditions: Conditions) -> None:
    """For each code at most 20 subjects are kept, so that one code cannot displace another."""
    for number in range(1_000):
        conditions.report("foreign_origin", f"https://{number}.example")
    conditions.report("queue")

    assert len(conditions.current()) == 21


def test_the_log_has_one_line_for_a_beginning_and_one_for_an_end(
    conditions: Conditions, caplog: pytest.LogCaptureFixture
) -> None:
    """Further reports of a condition that has begun write no line."""
    with caplog.at_level(logging.INFO):
        for number in range(100):
            conditions.report("pixel_paused", "55", f"token {number}")
        conditions.clear("pixel_paused", "55")
        conditions.clear("pixel_paused", "55")

    assert [record.getMessage() for record in caplog.records] == ["pixel_paused 55: token 0", "pixel_paused 55: over"]

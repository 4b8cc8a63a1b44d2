"""A search runs at full speed in an idle process, and leaves most of a busy one to its events."""

from dataclasses import dataclass

import pytest

from proxy.operator.search_pace import SearchPace


@dataclass
class Machine:
    """A clock on which only rests take time, and a processor with a given load meanwhile."""

    load: float
    now: float = 0.0
    used: float = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.used += self.load * seconds

    @property
    def pace(self) -> SearchPace:
        return SearchPace(lambda: self.now, lambda: self.used, self.sleep)


async def rested(machine: Machine, pace: SearchPace, took: float, most: float) -> float:
    """Return how many seconds a search rests after a step that took ``took``."""
    before = machine.now
    await pace.rest(took, most)
    return round(machine.now - before, 6)


@pytest.mark.parametrize(("load", "seconds"), [(0.0, 0.003), (0.2, 0.003), (0.65, 1.0), (1.0, 2.0), (1.9, 2.0)])
async def test_the_busier_the_process_the_longer_the_rest(load: float, seconds: float) -> None:
    """With a fully used core the rest is a hundred times as long as the step."""
    machine = Machine(load)
    pace = machine.pace

    assert [await rested(machine, pace, 0.02, 5.0) for _ in range(3)] == [seconds] * 3


async def test_a_rest_is_never_longer_than_it_may_be() -> None:
    """A rest is no longer than the time that is left for the answer."""
    machine = Machine(1.0)
    pace = machine.pace

    assert [await rested(machine, pace, 0.02, most) for most in (1.0, 0.3, 0.0, -1.0)] == [1.0, 0.3, 0.0, 0.0]


async def test_work_that_is_soon_over_holds_no_search_up() -> None:
    """A rest that began under load ends early when a measurement finds none."""
    machine = Machine(1.0)
    pace = machine.pace
    await pace.rest(0.02, 5.0)
    machine.load = 0.0

    assert await rested(machine, pace, 0.02, 5.0) == 0.05
    assert await rested(machine, pace, 0.02, 5.0) == 0.003


async def test_a_look_that_is_too_short_tells_nothing() -> None:
    """If the time left is too short to measure the load, the last measurement still counts."""
    machine = Machine(1.0)
    pace = machine.pace
    await pace.rest(0.02, 5.0)
    machine.load = 0.0
    await pace.rest(0.02, 0.001)

    assert await rested(machine, pace, 0.02, 5.0) == 0.05

"""A search goes on at once in an idle process, and leaves a busy one to its events."""

from dataclasses import dataclass, field

import pytest

from proxy.operator.search_pace import SearchPace


@dataclass
class Machine:
    """A clock that only rests move, and a processor of which so much is used meanwhile."""

    load: float
    now: float = 0.0
    used: float = 0.0
    rests: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.rests.append(round(seconds, 6))
        self.now += seconds
        self.used += self.load * seconds

    @property
    def pace(self) -> SearchPace:
        return SearchPace(lambda: self.now, lambda: self.used, self.sleep)


@pytest.mark.parametrize(
    ("load", "rests"),
    [(0.0, [0.003, 0.003, 0.003]), (0.2, [0.003, 0.003, 0.003]), (0.65, [0.003, 1.0, 1.0]), (1.9, [0.003, 2.0, 2.0])],
)
async def test_the_busier_the_process_the_longer_the_rest(load: float, rests: list[float]) -> None:
    """From the second rest on it is known how busy the process is; a full core makes it a hundred times the step."""
    machine = Machine(load)
    pace = machine.pace
    for _ in rests:
        await pace.rest(0.02, 5.0)

    assert machine.rests == rests


async def test_a_rest_is_never_longer_than_it_may_be() -> None:
    """What is left of the time of an answer bounds it, and no look that short says how busy the process is."""
    machine = Machine(1.0)
    pace = machine.pace
    await pace.rest(0.02, 1.0)
    await pace.rest(0.02, 0.3)
    machine.load = 0.0
    await pace.rest(0.02, 0.0)
    await pace.rest(0.02, -1.0)
    await pace.rest(0.02, 0.4)
    await pace.rest(0.02, 0.4)

    assert machine.rests == [0.003, 0.3, 0.0, 0.0, 0.4, 0.003]

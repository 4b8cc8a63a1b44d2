"""One attempt at a batch: bad events are found, good ones delivered, a sick pixel is not mistaken for sick events."""

import math
from collections.abc import Callable, Sequence

import pytest
from support import record

from proxy.edge.attempt import Attempt, attempt
from proxy.model import Dead, Delivered, Pause, Record, Retry, Split, Verdict, Words

CONTENT = Words(100, 2804017, "bad event")
ODD = Words(100, None, "bad pixel")


class FakeGraph:
    """Refuses a batch that holds a bad event, as Graph does; counts the requests."""

    def __init__(self, bad: Callable[[Record], Words | None]) -> None:
        self._bad = bad
        self.requests = 0

    async def __call__(self, records: Sequence[Record]) -> Verdict:
        self.requests += 1
        words = next((words for one in records if (words := self._bad(one))), None)
        if words is None:
            return Delivered(len(records), len(records))
        return Split(words) if len(records) > 1 else Dead("rejected", words)


def poisoned(numbers: set[int], words: Words = CONTENT) -> FakeGraph:
    ids = {f"id-{number}" for number in numbers}
    return FakeGraph(lambda one: words if one.id in ids else None)


def ids(result: Attempt) -> tuple[list[str], list[str], list[str]]:
    delivered = sorted(one.id for one, _ in result.delivered)
    return delivered, sorted(one.id for one, _ in result.dead), sorted(one.id for one in result.left)


@pytest.mark.parametrize("position", [0, 1, 333, 499, 500, 998, 999])
async def test_one_bad_event_in_a_thousand_costs_22_requests_at_most(position: int) -> None:
    """Wherever it stands, one bad event is isolated in about 2·log₂ n requests and the other 999 are delivered."""
    graph = poisoned({position})
    result = await attempt([record(number) for number in range(1000)], graph)

    assert [one.id for one, _ in result.dead] == [f"id-{position}"]
    assert len(result.delivered) == 999
    assert graph.requests <= 22


async def test_ten_bad_events_in_a_thousand_cost_no_good_one() -> None:
    """Ten scattered bad events are buried, the other 990 are delivered."""
    graph = poisoned({number * 97 for number in range(10)})
    result = await attempt([record(number) for number in range(1000)], graph)

    assert (len(result.delivered), len(result.dead), result.left, result.halt) == (990, 10, [], None)
    assert graph.requests <= 10 * 2 * math.ceil(math.log2(1000)) + 1


async def test_bad_neighbours_are_not_a_sick_pixel() -> None:
    """Ten bad events side by side at the head of a batch are buried even when their code is a general one."""
    graph = poisoned(set(range(10)), ODD)
    result = await attempt([record(number) for number in range(1000)], graph)

    assert (len(result.delivered), len(result.dead), result.halt) == (990, 10, None)


async def test_a_sick_pixel_pauses_and_buries_nothing() -> None:
    """When every event fails alone with one general code, the pixel pauses, soon, and all events are left."""
    graph = FakeGraph(lambda _: ODD)
    result = await attempt([record(number) for number in range(1000)], graph)

    assert (result.delivered, result.dead, len(result.left)) == ([], [], 1000)
    assert result.halt == Pause("systemic", ODD)
    assert graph.requests < 40


@pytest.mark.parametrize(("count", "halted"), [(7, False), (8, True), (9, True), (16, True)])
async def test_eight_events_are_the_least_that_speak_for_a_pixel(count: int, *, halted: bool) -> None:
    """Fewer than eight events that all fail alike are buried; eight or more pause the pixel."""
    result = await attempt([record(number) for number in range(count)], FakeGraph(lambda _: ODD))

    assert (result.halt is not None, len(result.dead)) == (halted, 0 if halted else count)


async def test_a_whole_batch_of_bad_content_is_buried() -> None:
    """Subcodes that speak of one event's content never pause a pixel, however many events they hit."""
    result = await attempt([record(number) for number in range(40)], FakeGraph(lambda _: CONTENT))

    assert (len(result.dead), result.halt) == (40, None)


async def test_events_that_fail_differently_are_buried() -> None:
    """Different codes are different faults of events, not one of the pixel."""
    words = [ODD, Words(100, 34, "another")]
    graph = FakeGraph(lambda one: words[int(one.id.removeprefix("id-")) % 2])
    result = await attempt([record(number) for number in range(20)], graph)

    assert (len(result.dead), result.halt) == (20, None)


@pytest.mark.parametrize("halt", [Retry("down"), Pause("token")])
async def test_a_fault_on_the_way_keeps_what_is_undecided(halt: Retry | Pause) -> None:
    """When Graph fails in the middle of halving, what was decided stays decided and every other event is left."""
    answers = iter([Split(CONTENT), Delivered(4, 4), Split(CONTENT), Dead("never"), halt])

    async def send(_records: Sequence[Record]) -> Verdict:
        return next(answers)

    async def failing(records: Sequence[Record]) -> Verdict:
        verdict = await send(records)
        return halt if isinstance(verdict, Dead) else verdict

    result = await attempt([record(number) for number in range(8)], failing)

    assert ids(result) == (["id-0", "id-1", "id-2", "id-3"], [], ["id-4", "id-5", "id-6", "id-7"])
    assert result.halt == halt

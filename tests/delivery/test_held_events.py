"""A lane wakes by itself when held events are due: soon after, never before, and without needless claims."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from clock import NOON, Clock
from lane_rig import emptied, made_lane, running
from queues import open_queue
from support import PIXEL, record, until

from proxy.config.schema import Pixel
from proxy.delivery import pace
from proxy.delivery.lane import Lane
from proxy.delivery.lateness import LatenessCheck
from proxy.model.record import Record
from proxy.model.verdict import Delivered, Retry, Verdict
from proxy.queue.contract import Segment
from proxy.queue.sqlite.engine import LocalQueue
from proxy.telemetry.conditions import Conditions


class Graph:
    """A Graph that gives the listed answers, then delivers; it records events with the seconds after noon."""

    def __init__(self, clock: Clock, *answers: Verdict) -> None:
        self.clock = clock
        self.answers = list(answers)
        self.sent: list[tuple[int, str]] = []

    async def send(self, _pixel: Pixel, records: Sequence[Record]) -> Verdict:
        self.sent += [((self.clock.now - NOON) // 1000, found.id) for found in records]
        return self.answers.pop(0) if self.answers else Delivered(len(records), len(records), "trace")


class CountingLane(Lane):
    """A lane that counts how often it looks at the clock while it sleeps until a held event is due."""

    looks = 0

    def _next_look(self) -> float:
        self.looks += 1
        return super()._next_look()


def lane_of(queue: LocalQueue, graph: Graph) -> CountingLane:
    return made_lane(CountingLane, queue, graph, graph.clock)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LOOK_S", 0.01)


def held_event(number: int, seconds: float, *, pixel: str = PIXEL) -> Record:
    """Return an event that is due ``seconds`` seconds after noon."""
    return record(number, pixel=pixel, time_s=NOON // 1000)._replace(not_before=NOON + int(seconds * 1000))


async def slept(lane: CountingLane, looks: int = 3) -> None:
    """Wait until a lane has looked at the clock ``looks`` more times."""
    seen = lane.looks
    await until(lambda: lane.looks >= seen + looks, what="looks at the clock")


async def sent(graph: Graph, number: int) -> list[tuple[int, str]]:
    await until(lambda: len(graph.sent) >= number, what=f"{number} events at Graph")
    return graph.sent


async def test_a_sleeping_lane_delivers_what_becomes_due(queue: LocalQueue, clock: Clock) -> None:
    """Each event is sent once it is due by the server's clock, and not before, without a call to ``wake``."""
    graph = Graph(clock)
    async with running(lane_of(queue, graph)) as lane:
        await queue.append([held_event(1, 5), held_event(2, 9)])
        lane.wake()
        for second in (0, 4, 5, 8, 9):
            clock.now = NOON + second * 1000
            await slept(lane) if second not in {5, 9} else await sent(graph, 1 if second == 5 else 2)
        await emptied(queue)

    assert graph.sent == [(5, "id-1"), (9, "id-2")]


async def test_a_lane_that_starts_sleeps_until_what_an_earlier_process_left_is_due(
    tmp_path: Path, clock: Clock
) -> None:
    """Events that became due while no process ran are sent at once, later ones when they are due."""
    queue, graph = open_queue(tmp_path, clock), Graph(clock)
    await queue.append([held_event(1, 5), held_event(2, 9)])
    await queue.close()
    clock.now += 6000
    queue = open_queue(tmp_path, clock)
    async with running(lane_of(queue, graph)) as lane:
        await sent(graph, 1)
        await slept(lane)
        clock.now = NOON + 9000
        await emptied(queue)
    await queue.close()

    assert graph.sent == [(6, "id-1"), (9, "id-2")]


async def test_a_clock_that_steps_is_noticed(queue: LocalQueue, clock: Clock) -> None:
    """After a step back the lane sleeps on without a claim; after a step forward it sends the due events at once."""
    graph = Graph(clock)
    await queue.append([held_event(1, 60)])
    async with running(lane_of(queue, graph)) as lane:
        await slept(lane)
        clock.now -= 3_600_000
        await slept(lane)
        early = list(graph.sent)
        clock.now += 10 * 3_600_000
        await emptied(queue)

    assert early == []
    assert [identity for _, identity in graph.sent] == ["id-1"]


async def test_a_real_clock_wakes_the_lane_in_time(queue: LocalQueue, clock: Clock) -> None:
    """A lane sleeps until the next event is due, or until its next look at the clock if that is earlier."""
    lane = lane_of(queue, Graph(clock))
    rests = []
    for seconds in (0.004, 0.5):
        await queue.append([held_event(1 + int(seconds), seconds)._replace(id=f"id-{seconds}")])
        rests.append(lane._next_look())
        clock.now += 1000
        await queue.claim(PIXEL, most=10)
        clock.now = NOON

    assert rests == [0.004, 0.01]
    assert lane._next_look() == float("inf")


def counted(queue: LocalQueue, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each claim from now on."""
    claims: list[str] = []
    claim = queue.claim

    async def claimed(pixel: str, **how: Any) -> tuple[Segment, ...]:
        claims.append(pixel)
        return await claim(pixel, **how)

    monkeypatch.setattr(queue, "claim", claimed)
    return claims


async def test_a_sleeping_lane_asks_the_queue_for_nothing(
    queue: LocalQueue, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no event is due, a lane makes no claim, however often it looks at the clock."""
    graph = Graph(clock)
    await queue.append([held_event(number, 90) for number in range(3000)])
    async with running(lane_of(queue, graph)) as lane:
        await slept(lane)
        claims = counted(queue, monkeypatch)
        await slept(lane, 10)

        assert claims == []
        assert lane._delivery.fresh_events() == 0
        assert not any(lane._may_help(rank) for rank in range(1, pace.WINDOW_MOST))


async def test_what_another_pixel_holds_wakes_no_lane(queue: LocalQueue, clock: Clock) -> None:
    """Another pixel's held event is for the lane of that pixel, which may be paused or missing."""
    lane = lane_of(queue, Graph(clock))
    await queue.append([held_event(1, 5, pixel="2")])
    clock.now += 60_000

    assert lane._next_look() == float("inf")


async def test_a_paused_neighbour_makes_no_lane_spin(
    queue: LocalQueue, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A due event of a paused pixel is released with the next claim, and wakes no other lane again."""
    await queue.append([held_event(1, 5, pixel="2"), held_event(2, 5), held_event(3, 90)])
    graph = Graph(clock)
    async with running(lane_of(queue, graph)) as lane:
        await slept(lane)
        clock.now += 10_000
        await sent(graph, 1)
        await slept(lane)
        claims = counted(queue, monkeypatch)
        await slept(lane, 10)

        assert claims == []
        assert queue.stats().held == {PIXEL: 1}
        assert queue.stats().waiting == {"2": 1, PIXEL: 1}


@pytest.mark.parametrize("reason", ["down", "throttled"])
async def test_what_becomes_due_cuts_a_long_rest_short_as_new_events_do(
    queue: LocalQueue, clock: Clock, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """After a failure of Graph, an event that becomes due is tried at once, as Graph may work again."""
    monkeypatch.setattr(pace, "FRESH_S", 0.01)
    monkeypatch.setattr(pace, "FIRST_S", 3600.0)
    monkeypatch.setattr(pace, "MOST_S", 3600.0)
    graph = Graph(clock, Retry(reason))
    await queue.append([record(1, time_s=NOON // 1000), held_event(2, 5)])
    async with running(lane_of(queue, graph)) as lane:
        await sent(graph, 1)
        await slept(lane)
        failed = list(graph.sent)
        clock.now += 5000
        await emptied(queue)

    assert failed == [(0, "id-1")]
    assert sorted(graph.sent[1:]) == [(5, "id-1"), (5, "id-2")]


async def test_a_wait_that_graph_asked_for_is_kept(
    queue: LocalQueue, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that become due during a wait that Graph asked for are sent after it."""
    monkeypatch.setattr(pace, "FRESH_S", 0.01)
    graph = Graph(clock, Retry("throttled", 3600.0))
    await queue.append([record(1, time_s=NOON // 1000), held_event(2, 5)])
    async with running(lane_of(queue, graph)) as lane:
        await until(lambda: lane.state.retry_at > 0, what="the wait")
        looks = lane.looks
        clock.now += 60_000
        lane.wake()

        assert lane.looks == looks
        assert graph.sent == [(0, "id-1")]


async def test_a_hold_is_no_delay(queue: LocalQueue, clock: Clock) -> None:
    """Held events make delivery late only if they wait for long after they are due."""
    conditions = Conditions(clock)
    lane = lane_of(queue, Graph(clock))
    check = LatenessCheck({PIXEL: lane}, queue=queue, conditions=conditions, now=clock)
    day = 86_400
    await queue.append([held_event(1, day)])
    reports = []
    for seconds in (day - 1, day + 60, day + 3600):
        clock.now = NOON + seconds * 1000
        await queue.release(await queue.claim(PIXEL, most=1))
        await check.check()
        reports.append([condition.code for condition in conditions.current()])

    assert reports == [[], [], ["delivery_late"]]

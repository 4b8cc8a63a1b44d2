"""A lane when the queue is in trouble, with a backlog, and after failures of Graph."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import SecretStr
from support import PIXEL, record, until

from proxy.config.schema import Pixel
from proxy.delivery import pace
from proxy.delivery.lane import Lane
from proxy.model.record import Record
from proxy.model.verdict import Delivered, Retry, Verdict
from proxy.queue.contract import DeliveryState, QueueError, QueueFullError, Segment, Settlement, Stats
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics


class FakeQueue:
    """A queue of one segment, whose first ``full`` settlements fail, as on a full disk."""

    def __init__(self, full: int, error: QueueError | None = None) -> None:
        self.segments = [Segment(1, PIXEL, 0, 0, (record(1),))]
        self.full = full
        self.error = error or QueueFullError("the disk is full")
        self.asked = 0
        self.settled: list[Settlement] = []

    async def claim(
        self, _pixel: str, *, most: int, newest: bool = False, suspect: bool = False
    ) -> tuple[Segment, ...]:
        del most, newest
        if suspect:
            return ()
        claimed, self.segments = tuple(self.segments), []
        return claimed

    def stats(self) -> Stats:
        return Stats({PIXEL: len(self.segments)}, 0)

    def term(self, _pixel: str) -> int:
        return 1

    async def lane_state(self, _pixel: str) -> DeliveryState:
        return DeliveryState()

    async def keep_lane_state(self, _pixel: str, _state: DeliveryState) -> None:
        pass

    async def release(self, segments: Sequence[Segment]) -> None:
        self.segments += segments

    async def settle(self, _segments: Sequence[Segment], settlement: Settlement) -> None:
        self.asked += 1
        if self.asked <= self.full:
            raise self.error
        self.settled.append(settlement)


class FakeGraph:
    """A Graph that accepts everything, and counts its requests."""

    def __init__(self) -> None:
        self.requests = 0

    async def send(self, _pixel: Pixel, records: Sequence[Record]) -> Verdict:
        self.requests += 1
        return Delivered(len(records), len(records), "trace")


def lane(queue: Any, graph: Any) -> Lane:
    pixel = Pixel.model_construct(id=PIXEL, access_token=SecretStr("t"))
    now = record(1).time_s * 1000
    return Lane(
        pixel,
        queue=queue,
        graph=graph,
        metrics=Metrics(),
        conditions=Conditions(lambda: now),
        now=lambda: now,
        chance=lambda: 0.5,
    )


async def graph_after_settling(queue: FakeQueue, monkeypatch: pytest.MonkeyPatch) -> FakeGraph:
    """Run a lane until something is settled; return the Graph it used."""
    monkeypatch.setattr(pace, "PROBE_S", 0.01)
    graph = FakeGraph()
    pixel_lane = lane(queue, graph)
    running = asyncio.create_task(pixel_lane.run())
    await until(lambda: bool(queue.settled), what="the settlement", seconds=60)
    pixel_lane.stop()
    await running
    return graph


async def test_a_full_disk_makes_no_lane_send_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery made while the disk is full is recorded when there is room again, and not repeated."""
    queue = FakeQueue(full=3)
    graph = await graph_after_settling(queue, monkeypatch)

    assert (graph.requests, queue.asked) == (1, 4)
    assert [row.id for row in queue.settled[0].rows] == ["id-1"]


async def test_a_settlement_that_fails_once_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the queue while a delivery is recorded causes no second delivery."""
    queue = FakeQueue(full=1, error=QueueError("OSError in the queue"))
    graph = await graph_after_settling(queue, monkeypatch)

    assert (graph.requests, queue.asked) == (1, 2)


async def test_what_can_never_be_recorded_is_given_up_to_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the queue refuses a settlement again and again, the claim is released and the events are sent once more."""
    queue = FakeQueue(full=7, error=QueueError("TypeError in the queue"))
    graph = await graph_after_settling(queue, monkeypatch)

    assert (graph.requests, queue.asked) == (2, 8)


async def test_a_lane_ends_though_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane that is stopped while it cannot record a delivery gives up; the event is delivered again later."""
    monkeypatch.setattr(pace, "PROBE_S", 0.01)
    queue, graph = FakeQueue(full=10**9), FakeGraph()
    the_lane = lane(queue, graph)
    running = asyncio.create_task(the_lane.run())

    async def refused() -> bool:
        return queue.asked > 1

    await until(refused, what="a refused settlement")
    the_lane.stop()
    await asyncio.wait_for(running, 60)

    assert queue.settled == []


class Backlog(FakeQueue):
    """A queue with many segments of one event each, which records the claims."""

    def __init__(self, deep: int) -> None:
        super().__init__(full=0)
        self.segments = [Segment(number, PIXEL, 0, 0, (record(number),)) for number in range(deep)]
        self.claims: list[tuple[bool, int]] = []

    def stats(self) -> Stats:
        return Stats({PIXEL: 1000 * len(self.segments)}, 0)

    async def claim(
        self, _pixel: str, *, most: int, newest: bool = False, suspect: bool = False
    ) -> tuple[Segment, ...]:
        del most
        if suspect or not self.segments:
            return ()
        segment = self.segments.pop(-1 if newest else 0)
        self.claims.append((newest, int(str(segment.ref))))
        return (segment,)

    async def empty(self) -> bool:
        return len(self.settled) >= len(self.claims) > 0 and not self.segments


class Moody(FakeGraph):
    """A Graph that gives the listed answers, then delivers, and records how many requests were in progress at once."""

    def __init__(self, *answers: Verdict) -> None:
        super().__init__()
        self.answers = list(answers)
        self.under_way = self.most_under_way = 0
        self.ids: list[str] = []

    async def send(self, pixel: Pixel, records: Sequence[Record]) -> Verdict:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        self.ids += [record.id for record in records]
        good = await super().send(pixel, records)
        return self.answers.pop(0) if self.answers else good


async def test_a_backlog_is_delivered_from_both_ends() -> None:
    """The newest events are claimed first while helpers claim the oldest, several at a time; no event is sent twice."""
    queue, graph = Backlog(60), Moody()
    the_lane = lane(queue, graph)
    running = asyncio.create_task(the_lane.run())
    await until(queue.empty, what="the empty backlog")
    the_lane.stop()
    await running
    led = [number for newest, number in queue.claims if newest]
    helped = [number for newest, number in queue.claims if not newest]

    assert (led[0], helped[0]) == (59, 0)
    assert led == sorted(led, reverse=True)
    assert helped == sorted(helped)
    assert sorted(graph.ids) == sorted(f"id-{number}" for number in range(60))
    assert 1 < graph.most_under_way <= pace.WINDOW_MOST


async def test_while_graph_is_unwell_one_request_at_a_time_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure only the leading task tries again; helpers return with the first good answer."""
    monkeypatch.setattr(pace, "FIRST_S", 0.001)
    queue = Backlog(30)
    graph = Moody(*[Retry("down")] * 5)
    settle = queue.settle

    async def give_back(segments: Sequence[Segment], settlement: Settlement) -> None:
        if settlement.tried:
            queue.segments += segments
        else:
            await settle(segments, settlement)

    queue.settle = give_back  # type: ignore[method-assign,assignment]
    the_lane = lane(queue, graph)
    running = asyncio.create_task(the_lane.run())

    async def delivered() -> bool:
        return len(queue.settled) == 30

    await until(delivered, what="30 deliveries")
    the_lane.stop()
    await running

    assert [newest for newest, _ in queue.claims[:6]] == [True] * 6
    assert graph.requests == 35


async def test_fresh_events_cut_a_long_wait_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """During an outage a lane without fresh events waits long, and one with fresh events tries again soon."""
    monkeypatch.setattr(pace, "FRESH_S", 0.01)
    monkeypatch.setattr(pace, "FIRST_S", 1000.0)
    queue, graph = Backlog(3), Moody(Retry("down"))
    the_lane = lane(queue, graph)
    running = asyncio.create_task(the_lane.run())

    async def tried() -> bool:
        return graph.requests == 1 and the_lane.state.failures == 1

    await until(tried, what="the first try")
    with pytest.raises(TimeoutError):
        await until(lambda: _at_least(graph, 2), seconds=0.3)
    the_lane.wake()
    await until(lambda: _at_least(graph, 2), seconds=60, what="the next try")
    the_lane.stop()
    await running


async def _at_least(graph: FakeGraph, requests: int) -> bool:
    return graph.requests >= requests


async def test_a_fault_of_ours_does_not_end_the_lane(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After an unforeseen error the lane goes on, and the claimed event is delivered."""
    monkeypatch.setattr(pace, "PROBE_S", 0.01)
    queue, graph = FakeQueue(full=0), FakeGraph()
    send, broken = graph.send, iter([True])

    async def stumble(pixel: Pixel, records: Sequence[Record]) -> Verdict:
        if next(broken, False):
            raise ValueError("unforeseen")
        return await send(pixel, records)

    graph.send = stumble  # type: ignore[method-assign,assignment]
    the_lane = lane(queue, graph)
    running = asyncio.create_task(the_lane.run())

    async def settled() -> bool:
        return bool(queue.settled)

    await until(settled, what="the delivery")
    the_lane.stop()
    await running

    assert "a fault of ours" in caplog.text


class Slow(FakeGraph):
    """A Graph that is slow for batches of several events, and records how many of those were in progress at once."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way = self.most_under_way = 0

    async def send(self, pixel: Pixel, records: Sequence[Record]) -> Verdict:
        if len(records) > 1:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            # Far more than three times the time for a lone event.
            await asyncio.sleep(0.05)
            self.under_way -= 1
        return await super().send(pixel, records)


async def test_one_quick_small_batch_does_not_narrow_the_window_for_good() -> None:
    """After a lone event that was answered at once, a backlog of full batches still uses the whole window."""
    queue, graph = Backlog(40), Slow()
    full = [
        Segment(number, PIXEL, 0, 0, tuple(record(k) for k in range(number * 9, number * 9 + 9)))
        for number in range(40)
    ]
    queue.segments = [*full, Segment(99, PIXEL, 0, 0, (record(999),))]
    the_lane = lane(queue, graph)
    running = asyncio.create_task(the_lane.run())
    await until(queue.empty, what="the empty backlog")
    the_lane.stop()
    await running

    assert queue.claims[0] == (True, 99)
    assert graph.most_under_way == pace.WINDOW_MOST


class Together(FakeQueue):
    """A queue that gives out all waiting events, in segments of one event."""

    def add(self, numbers: Sequence[int]) -> None:
        self.segments += [Segment(number, PIXEL, 0, 0, (record(number),)) for number in numbers]


async def test_fresh_events_gather_while_few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a batch leaves few events, the next request waits a moment and takes all events that came meanwhile."""
    rests: list[float] = []
    gathered = asyncio.Event()

    async def rest(seconds: float, **_fresh: bool) -> None:
        rests.append(seconds)
        if seconds == pace.GATHER_S:
            await gathered.wait()

    queue, graph = Together(full=0), Moody()
    the_lane = lane(queue, graph)
    monkeypatch.setattr(the_lane, "_sleep_interruptibly", rest)
    running = asyncio.create_task(the_lane.run())

    async def rested() -> bool:
        return pace.GATHER_S in rests

    await until(rested, what="a rest after the first event")
    for number in range(2, 22):
        queue.add([number])
        the_lane.wake()
        await asyncio.sleep(0)
    alone = graph.requests, list(graph.ids)
    gathered.set()

    async def all_sent() -> bool:
        return len(graph.ids) == 21

    await until(all_sent, what="the events that came meanwhile")
    the_lane.stop()
    await running

    assert alone == (1, ["id-1"])
    assert graph.requests == 2

"""A lane on a real queue: refused batches do not delay fresh events, and the bad events in them are found."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from lane_rig import delivering, emptied, lane_of, opened
from support import PIXEL, record, until

from proxy.config.schema import Pixel
from proxy.delivery import pace
from proxy.model.ledger import Status
from proxy.model.record import Record
from proxy.model.verdict import Dead, Delivered, GraphError, Retry, Split, Verdict
from proxy.queue.contract import Filter
from proxy.queue.sqlite.engine import LocalQueue

CONTENT = GraphError(100, 2804017, "bad event")
GENERAL = GraphError(100, None, "bad pixel")


class FakeGraph:
    """A Graph that refuses a batch with a bad event, and records what it was sent and what it accepted."""

    def __init__(self, bad: Callable[[Record], GraphError | None]) -> None:
        self.bad = bad
        self.batches: list[list[str]] = []
        self.taken: Counter[str] = Counter()
        self.under_way: Counter[str] = Counter()
        self.wait: Callable[[Sequence[Record]], asyncio.Event | None] = lambda _records: None
        self.on_batch: Callable[[], None] = lambda: None

    async def send(self, _pixel: Pixel, records: Sequence[Record]) -> Verdict:
        ids = [record.id for record in records]
        self.batches.append(ids)
        self.on_batch()
        self.under_way.update(ids)
        if gate := self.wait(records):
            await gate.wait()
        await asyncio.sleep(0)
        self.under_way.subtract(ids)
        graph_error = next((graph_error for record in records if (graph_error := self.bad(record))), None)
        if graph_error is None:
            self.taken.update(ids)
            return Delivered(len(ids), len(ids), "trace")
        return Split(graph_error) if len(ids) > 1 else Dead("rejected", graph_error)


@pytest.fixture(name="quick", autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PROBE_S", 0.01)
    monkeypatch.setattr(pace, "FIRST_S", 0.01)


async def buried(queue: LocalQueue) -> set[str]:
    return {letter.event_id for letter in await queue.dead_letters(Filter(limit=1000))}


def among(bad: set[int], graph_error: GraphError = CONTENT) -> Callable[[Record], GraphError | None]:
    ids = {f"id-{number}" for number in bad}
    return lambda record: graph_error if record.id in ids else None


async def append(queue: LocalQueue, numbers: Sequence[int], group: int) -> None:
    for start in range(0, len(numbers), group):
        await queue.append([record(number) for number in numbers[start : start + group]])


@pytest.mark.parametrize(
    ("position", "group"),
    [(333, 1), *((position, group) for position in (0, 333, 499, 500, 999) for group in (7, 250, 1000))],
)
async def test_one_bad_event_in_a_thousand_costs_22_requests_at_most(tmp_path: Path, position: int, group: int) -> None:
    """One bad event is found in about 2·log₂ n requests wherever it is, and the other 999 are delivered once."""
    graph = FakeGraph(among({position}))
    async with opened(tmp_path) as queue:
        await append(queue, range(1000), group)
        async with delivering(queue, graph):
            await emptied(queue)
        assert await buried(queue) == {f"id-{position}"}

    assert (len(graph.taken), set(graph.taken.values())) == (999, {1})
    assert len(graph.batches) <= 22


async def test_ten_bad_events_in_a_thousand_cost_no_good_one(tmp_path: Path) -> None:
    """Ten scattered bad events become dead letters, the other 990 are delivered, and each event has a ledger row."""
    bad = {number * 97 for number in range(10)}
    graph = FakeGraph(among(bad))
    async with opened(tmp_path) as queue:
        await append(queue, range(1000), 10)
        async with delivering(queue, graph):
            await emptied(queue)
        assert await buried(queue) == {f"id-{number}" for number in bad}
        rows = Counter([row.status async for row in queue.events(Filter(limit=2000))])

    assert rows == {Status.DELIVERED: 990, Status.DEAD: 10}
    assert (len(graph.taken), set(graph.taken.values())) == (990, {1})
    assert len(graph.batches) <= 10 * 20 + 1


async def test_fresh_events_never_wait_for_the_search_for_bad_ones(tmp_path: Path) -> None:
    """Fresh events are delivered while every request with suspects hangs."""
    gate = asyncio.Event()
    graph = FakeGraph(lambda record: CONTENT if record.visitor == b"evil" else None)
    # The first request with bad events is answered; every later request with such an event hangs.
    graph.wait = lambda records: gate if len(graph.batches) > 1 and any(r.visitor == b"evil" for r in records) else None
    async with opened(tmp_path) as queue:
        await queue.append([record(number, visitor=b"evil") for number in range(800)])
        async with delivering(queue, graph) as lane:

            async def searching() -> bool:
                return queue.stats().suspects == {PIXEL: 800} and graph.under_way.total() > 0

            await until(searching, what="the search")
            for number in range(1000, 1055):
                await queue.append([record(number)])
                lane.wake()

            async def delivered() -> bool:
                return len(graph.taken) == 55

            await until(delivered, what="55 honest events")
            assert queue.stats().suspects == {PIXEL: 800}
            gate.set()
            await emptied(queue)
        assert len(await buried(queue)) == 800


async def test_what_was_decided_before_a_crash_is_not_sent_again(tmp_path: Path) -> None:
    """A lane that is killed during the search has settled every answer, so that no delivered event is sent twice."""
    graph = FakeGraph(among({500}))
    async with opened(tmp_path) as queue:
        await append(queue, range(1000), 20)
        task = asyncio.create_task(lane_of(queue, graph).run())

        async def half_done() -> bool:
            return len(graph.taken) >= 500

        await until(half_done, what="half of the events")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        taken = set(graph.taken)
        # The last answers, of the batches in progress, may not have been settled.
        assert sum(queue.stats().waiting.values()) <= 1000 - len(taken) + 512
        ended = 1000 - sum(queue.stats().waiting.values())

    assert ended >= 256
    async with opened(tmp_path) as queue:
        assert queue.stats().suspects == queue.stats().waiting
        async with delivering(queue, graph):
            await emptied(queue)
        assert await buried(queue) == {"id-500"}
    assert len(graph.taken) == 999


async def test_a_stranger_with_bad_events_does_not_hold_honest_ones(tmp_path: Path) -> None:
    """With three bad events for each honest one, an honest event is in few batches, and none waits or is given up."""
    graph = FakeGraph(lambda record: CONTENT if record.visitor == b"evil" else None)
    async with opened(tmp_path) as queue, delivering(queue, graph) as lane:
        for number in range(100):
            await queue.append([record(number)])
            await queue.append([record(10_000 + 3 * number + k, visitor=b"evil") for k in range(3)])
            lane.wake()
            honest = f"id-{number}"

            async def arrived(identity: str = honest) -> bool:
                return graph.taken[identity] == 1

            await until(arrived, what=honest)
        await emptied(queue)
        assert len(await buried(queue)) == 300
    tries = Counter(identity for batch in graph.batches for identity in batch)
    assert max(tries[f"id-{number}"] for number in range(100)) <= 4
    assert {graph.taken[f"id-{number}"] for number in range(100)} == {1}


async def test_a_sick_pixel_pauses_within_forty_requests(tmp_path: Path) -> None:
    """If every event is refused with one general code, the pixel soon pauses, keeps all events and sends them later."""
    graph = FakeGraph(lambda _: GENERAL)
    async with opened(tmp_path) as queue:
        await append(queue, range(1000), 50)
        async with delivering(queue, graph) as lane:

            async def paused() -> bool:
                return lane.state.paused == "systemic"

            await until(paused, what="the pause")
            assert len(graph.batches) < 40
            assert (queue.stats().waiting, queue.stats().dead) == ({PIXEL: 1000}, 0)

            async def probed() -> bool:
                return lane.state.failures > 2

            await until(probed, what="probes")
            assert queue.stats().dead == 0
            graph.bad = lambda _: None
            await emptied(queue)
            assert not lane.state.paused
    assert len(graph.taken) == 1000


async def test_suspects_wait_while_graph_is_unwell_and_one_request_at_a_time_asks(tmp_path: Path) -> None:
    """After a failure during the search only the leading task tries again, even if no fresh event waits."""
    graph = FakeGraph(among({3}))
    send, answers = graph.send, iter([None, *[Retry("down")] * 6])
    most = 0

    async def moody(pixel: Pixel, records: Sequence[Record]) -> Verdict:
        nonlocal most
        answer = next(answers, None)
        if answer is None:
            return await send(pixel, records)
        graph.batches.append([record.id for record in records])
        graph.under_way["requests"] += 1
        most = max(most, graph.under_way["requests"])
        await asyncio.sleep(0.001)
        graph.under_way["requests"] -= 1
        return answer

    graph.send = moody  # type: ignore[method-assign,assignment]
    async with opened(tmp_path) as queue:
        await append(queue, range(64), 8)
        async with delivering(queue, graph):
            await emptied(queue)
        assert await buried(queue) == {"id-3"}
    # The search has up to eight requests in progress when Graph fails; then there is one at a time.
    assert most <= 8
    assert len(graph.taken) == 63


async def test_an_event_that_makes_graph_fail_does_not_hold_those_behind_it(tmp_path: Path) -> None:
    """If Graph fails for every batch with a certain event, newer and older events are still delivered."""
    graph = FakeGraph(lambda _: None)
    send = graph.send

    async def ill(pixel: Pixel, records: Sequence[Record]) -> Verdict:
        if any(record.id == "id-500" for record in records):
            return Retry("down")
        return await send(pixel, records)

    graph.send = ill  # type: ignore[method-assign,assignment]
    async with opened(tmp_path) as queue:
        await append(queue, range(1000), 1)
        async with delivering(queue, graph):

            async def past() -> bool:
                return len(graph.taken) >= 490

            await until(past, what="newer events", seconds=60)
        assert queue.stats().dead == 0


async def test_a_honest_event_ends_a_pause_that_bad_ones_led_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad events alone look like a bad pixel; the next good event is tried soon instead of at the next probe."""
    monkeypatch.setattr(pace, "PROBE_S", 1000.0)
    monkeypatch.setattr(pace, "FRESH_S", 0.01)
    graph = FakeGraph(among(set(range(20)), GENERAL))
    async with opened(tmp_path) as queue:
        await append(queue, range(20), 1)
        async with delivering(queue, graph) as lane:

            async def paused() -> bool:
                return lane.state.paused == "systemic"

            await until(paused, what="the pause")
            await queue.append([record(100)])
            lane.wake()

            async def delivered() -> bool:
                return graph.taken["id-100"] == 1

            await until(delivered, what="the honest event")

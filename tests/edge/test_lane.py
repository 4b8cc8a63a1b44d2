"""A lane's manners: what it does when the queue is in trouble."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import SecretStr
from support import PIXEL, record, until

from proxy.edge.metrics import Metrics
from proxy.edge.sender import Lane
from proxy.model import Delivered, Record, Verdict
from proxy.queue.base import QueueFullError, Segment, Settlement
from proxy.rules import pace
from proxy.settings import Pixel


class FakeQueue:
    """Has one segment; is out of disk for the first so many settlements."""

    def __init__(self, full: int) -> None:
        self.segments = [Segment(1, PIXEL, 0, 0, (record(1),))]
        self.full = full
        self.asked = 0
        self.settled: list[Settlement] = []

    async def claim(self, _pixel: str, *, most: int) -> tuple[Segment, ...]:
        del most
        claimed, self.segments = tuple(self.segments), []
        return claimed

    async def release(self, segments: Sequence[Segment]) -> None:
        self.segments += segments

    async def settle(self, _segments: Sequence[Segment], settlement: Settlement) -> None:
        self.asked += 1
        if self.asked <= self.full:
            raise QueueFullError("the disk is full")
        self.settled.append(settlement)


class FakeGraph:
    """Takes everything, and counts how often it was asked."""

    def __init__(self) -> None:
        self.requests = 0

    async def send(self, _pixel: Pixel, records: Sequence[Record]) -> Verdict:
        self.requests += 1
        return Delivered(len(records), len(records), "trace")


def lane(queue: Any, graph: Any) -> Lane:
    pixel = Pixel.model_construct(id=PIXEL, access_token=SecretStr("t"))
    now = record(1).time_s * 1000
    return Lane(pixel, queue=queue, graph=graph, metrics=Metrics(), now=lambda: now, chance=lambda: 0.5)


async def test_a_full_disk_makes_no_lane_send_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was delivered while the disk is full is recorded when there is room again, and not delivered again."""
    monkeypatch.setattr(pace, "PROBE_S", 0.01)
    queue, graph = FakeQueue(full=3), FakeGraph()
    one = lane(queue, graph)
    running = asyncio.create_task(one.run())

    async def settled() -> bool:
        return bool(queue.settled)

    await until(settled, what="the settlement")
    one.stop()
    await running

    assert (graph.requests, queue.asked) == (1, 4)
    assert [row.id for row in queue.settled[0].rows] == ["id-1"]


async def test_a_lane_ends_though_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked to stop, a lane that cannot record its delivery gives up; the event is delivered again after the start."""
    monkeypatch.setattr(pace, "PROBE_S", 0.01)
    queue, graph = FakeQueue(full=10**9), FakeGraph()
    one = lane(queue, graph)
    running = asyncio.create_task(one.run())

    async def refused() -> bool:
        return queue.asked > 1

    await until(refused, what="a refused settlement")
    one.stop()
    await asyncio.wait_for(running, 5)

    assert queue.settled == []

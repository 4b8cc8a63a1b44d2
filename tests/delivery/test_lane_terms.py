"""On a shared queue a lane works only while its process leads it, and continues from the shared state."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from lane_rig import NOW
from pydantic import SecretStr
from support import PIXEL, record, until

from proxy.config.schema import Pixel
from proxy.delivery import pace
from proxy.delivery.lane import Lane
from proxy.delivery.lateness import LatenessCheck
from proxy.model.record import Record
from proxy.model.verdict import Delivered, GraphError, Verdict
from proxy.queue.contract import DeliveryState, Oldest, Segment, Settlement, Stats
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

PAUSED = DeliveryState("token", 3, NOW + 300_000, "token", GraphError(190, 463, "expired", "trace"))


class SharedFake:
    """A shared queue whose events only a leader can claim, with the state that the previous leader left."""

    def __init__(self) -> None:
        self.leads = 0
        self.asked = 0
        self.waiting = [Segment(1, PIXEL, 0, 0, (record(1),))]
        self.state = DeliveryState()
        self.reads = 0

    def term(self, _pixel: str) -> int:
        return self.leads

    async def claim(
        self, _pixel: str, *, most: int, newest: bool = False, suspect: bool = False
    ) -> tuple[Segment, ...]:
        del most, newest
        self.asked += 1
        claimed, self.waiting = (tuple(self.waiting), []) if self.leads and not suspect else ((), self.waiting)
        return claimed

    async def release(self, segments: Sequence[Segment]) -> None:
        self.waiting += segments

    async def settle(self, _segments: Sequence[Segment], _settlement: Settlement) -> frozenset[int]:
        return frozenset()

    def stats(self) -> Stats:
        return Stats({PIXEL: len(self.waiting)}, 0)

    async def oldest(self, _pixels: object) -> dict[str, Oldest]:
        return {PIXEL: Oldest(NOW - 86_400_000, NOW - 86_400_000)}

    async def lane_state(self, _pixel: str) -> DeliveryState:
        self.reads += 1
        return self.state

    async def keep_lane_state(self, _pixel: str, state: DeliveryState) -> None:
        self.state = state if self.leads else self.state


class CountingGraph:
    """A Graph that accepts everything, and counts the events."""

    def __init__(self) -> None:
        self.sent = 0

    async def send(self, _pixel: Pixel, records: Sequence[Record]) -> Verdict:
        self.sent += len(records)
        return Delivered(len(records), len(records), "")


class Rig:
    """A lane on a shared queue."""

    def __init__(self) -> None:
        self.queue = SharedFake()
        self.graph = CountingGraph()
        self.conditions = Conditions(lambda: NOW)
        self.lane = Lane(
            Pixel.model_construct(id=PIXEL, access_token=SecretStr("t")),
            queue=self.queue,  # type: ignore[arg-type]
            graph=self.graph,  # type: ignore[arg-type]
            metrics=Metrics(),
            conditions=self.conditions,
            now=lambda: NOW,
            chance=lambda: 0.5,
        )

    def lead(self, term: int) -> None:
        self.queue.leads = term
        self.lane.wake()

    def codes(self) -> list[str]:
        return [str(condition.code) for condition in self.conditions.current()]


@asynccontextmanager
async def running() -> AsyncIterator[Rig]:
    rig = Rig()
    task = asyncio.create_task(rig.lane.run())
    try:
        yield rig
    finally:
        rig.lane.stop()
        await task


async def test_a_lane_works_only_while_its_process_leads() -> None:
    """Before its process leads, a lane claims nothing, even if it is woken; then it sends the waiting events."""
    async with running() as rig:
        for _ in range(5):
            rig.lane.wake()
            await asyncio.sleep(0)
        assert (rig.queue.asked, rig.graph.sent) == (0, 0)
        rig.lead(1)
        await until(lambda: rig.graph.sent, what="the delivery")


async def test_a_lane_goes_on_from_what_the_leader_before_kept() -> None:
    """A paused lane reports the pause before it claims anything; when the lane is lost, its report is removed."""
    async with running() as rig:
        rig.queue.state = PAUSED
        rig.lead(1)
        await until(lambda: rig.lane.state.paused, what="the pause")
        assert (rig.queue.asked, rig.graph.sent) == (0, 0)
        assert rig.codes() == ["pixel_paused"]
        rig.lead(0)
        await until(lambda: not rig.lane.state.paused, what="the loss")
        assert rig.codes() == []
        assert rig.queue.state == PAUSED


async def test_no_rest_outlasts_a_change_of_leaders(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new term ends the rest of a pause that another process has ended meanwhile."""
    monkeypatch.setattr(pace, "PROBE_S", 1000.0)
    async with running() as rig:
        rig.queue.state = PAUSED
        rig.lead(1)
        await until(lambda: rig.lane.state.paused, what="the pause")
        rig.queue.state = DeliveryState()
        rig.lead(3)
        await until(lambda: rig.graph.sent, what="the delivery")
        assert rig.queue.reads == 2


async def test_who_does_not_lead_says_nothing_of_late_events() -> None:
    """A proxy that does not lead cannot know whether the pixel is paused, so it reports no late events."""
    rig = Rig()
    late = LatenessCheck({PIXEL: rig.lane}, queue=rig.queue, conditions=rig.conditions, now=lambda: NOW)
    await late.check()
    assert rig.codes() == []
    rig.queue.leads = 1
    await late.check()
    assert sorted(rig.codes()) == ["delivery_late", "suspects_late"]

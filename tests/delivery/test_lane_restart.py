"""The state of a lane towards Graph survives a restart on the same data_dir."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import lane_rig
import orjson
import pytest
from aiohttp import web
from lane_rig import opened
from servers import stand_in
from support import PIXEL, TOKEN, get_json, raw_config, record, until

from proxy.app import run_proxy
from proxy.config import load
from proxy.config.schema import Pixel
from proxy.delivery import pace
from proxy.delivery.lane import Lane
from proxy.model.record import Record
from proxy.model.verdict import Delivered, GraphError, Pause, Retry, Verdict


class Graph:
    """A Graph that refuses the token until told otherwise, and counts its requests."""

    def __init__(self) -> None:
        self.refuses = True
        self.requests = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{version}/{pixel}/events", self._events)
        return app

    async def _events(self, request: web.Request) -> web.Response:
        self.requests += 1
        events = (await request.json())["data"]
        if not self.refuses:
            return web.json_response({"events_received": len(events), "messages": [], "fbtrace_id": "Trace2"})
        message = f"Error validating access token {TOKEN}"
        error = {"code": 190, "error_subcode": 463, "fbtrace_id": "Trace1", "message": message}
        return web.Response(status=401, body=orjson.dumps({"error": error}))


@asynccontextmanager
async def started(directory: Path, graph: str) -> AsyncIterator[Any]:
    """Run a proxy; yield a function that returns its status."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        loaded = load.parse(raw_config(graph, directory / "data"), {}, base=directory)
        proxy = await stack.enter_async_context(run_proxy(loaded))

        async def status() -> dict[str, Any]:
            return await get_json(session, f"http://{proxy.operator.host}:{proxy.operator.port}/api/status")

        yield status


def conditions_of(status: dict[str, Any]) -> list[tuple[str, str]]:
    return [(condition["code"], condition["subject"]) for condition in status["conditions"]]


async def test_a_pause_outlives_the_process_and_ends_with_a_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart a pixel with a bad token is paused before Graph is asked; a delivery ends the pause."""
    graph = Graph()
    async with stand_in(graph.app()) as address:
        monkeypatch.setattr(pace, "PROBE_S", 1000.0)
        (tmp_path / "data").mkdir()
        async with opened(tmp_path / "data") as queue:
            await queue.append([record(1), record(2)])
        async with started(tmp_path, address) as status:

            async def paused() -> dict[str, Any] | None:
                (lane,) = (found := await status())["lanes"]
                return found if lane["paused"] else None

            await until(paused, what="the pause")
        asked = graph.requests

        async with started(tmp_path, address) as status:
            restarted = await until(paused, what="the pause after the restart")
        (lane,) = restarted["lanes"]
        assert (graph.requests, restarted["status"]) == (asked, "failing")
        assert conditions_of(restarted) == [("pixel_paused", PIXEL)]
        assert (lane["paused"], lane["failures"], lane["last_error"], lane["waiting"]) == ("token", 1, "token", 2)
        assert (lane["graph_error"]["code"], lane["graph_error"]["subcode"]) == (190, 463)
        assert lane["graph_error"]["message"] == "Error validating access token [token]"
        assert "Meta says: code 190, subcode 463, trace Trace1" in restarted["conditions"][0]["detail"]

        monkeypatch.setattr(pace, "PROBE_S", 0.01)
        graph.refuses = False
        async with started(tmp_path, address) as status:

            async def delivered() -> bool:
                (lane,) = (await status())["lanes"]
                return not lane["waiting"]

            await until(delivered, what="the delivery")
            recovered = await status()
        monkeypatch.setattr(pace, "PROBE_S", 1000.0)
        async with started(tmp_path, address) as status:
            well = await status()

    for found in (recovered, well):
        (lane,) = found["lanes"]
        assert (found["status"], found["conditions"]) == ("ready", [])
        assert (lane["paused"], lane["failures"], lane["last_error"], lane["graph_error"]["code"]) == ("", 0, "", None)


class FakeGraph:
    """A Graph that gives one answer to everything, and counts its requests."""

    def __init__(self, answer: Verdict) -> None:
        self.answer = answer
        self.requests = 0

    async def send(self, _pixel: Pixel, _records: Sequence[Record]) -> Verdict:
        self.requests += 1
        return self.answer

    async def was_asked(self) -> bool:
        return self.requests > 0


@asynccontextmanager
async def delivering(directory: Path, graph: FakeGraph) -> AsyncIterator[Lane]:
    async with opened(directory) as queue, lane_rig.delivering(queue, graph) as lane:
        yield lane


async def test_what_graph_asked_for_is_waited_for_across_a_restart(tmp_path: Path) -> None:
    """A lane that Graph throttled for long sends nothing after a restart, not even fresh events."""
    async with opened(tmp_path) as queue:
        await queue.append([record(1)])
    throttled = FakeGraph(Retry("throttled", after=1000.0, graph_error=GraphError(4, None, "slow down")))
    async with delivering(tmp_path, throttled) as lane:
        await until(throttled.was_asked, what="the first request")

    after = FakeGraph(Delivered(1, 1))
    async with delivering(tmp_path, after) as lane:

        async def resumed() -> bool:
            return lane.state.failures == 1

        await until(resumed, what="the state of the process before")
        lane.wake()
        with pytest.raises(TimeoutError):
            await until(after.was_asked, seconds=0.3)
        assert (lane.state.last_error, lane.state.graph_error) == ("throttled", GraphError(4, None, "slow down"))


async def test_probes_go_on_at_their_pace_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause counts the probes of all processes, so that a bad token is probed more and more rarely."""
    monkeypatch.setattr(pace, "PROBE_S", 0.001)
    async with opened(tmp_path) as queue:
        await queue.append([record(1)])
    graph = FakeGraph(Pause("token", GraphError(190)))
    failures = []
    for _ in range(3):
        graph.requests = 0
        async with delivering(tmp_path, graph) as lane:
            await until(graph.was_asked, what="a probe")
        failures.append(lane.state.failures)
        async with opened(tmp_path) as queue:
            assert await queue.lane_state(PIXEL) == lane.state

    assert failures[0] >= 1
    assert failures[0] < failures[1] < failures[2]

"""Servers for tests on free ports; a stand-in for Graph fails the test if it receives what it should not."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from machine import TOKEN

from proxy.simulator.graph.answers import Answer, ApiError
from proxy.simulator.graph.app import make_app
from proxy.simulator.graph.edge import EventsEdge, EventsRequest, Extra
from proxy.simulator.graph.rules import Event
from proxy.simulator.graph.state import SIMULATOR, Simulator


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """Serve an application on a free port of loopback; yield its address."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def stand_in(app: web.Application) -> AsyncIterator[str]:
    """Serve a stand-in for Graph; yield its address.

    Raises:
        AssertionError: at the end, if it got a request with a path or method that it does not have.
    """
    unexpected: list[str] = []
    app.middlewares.append(_watching(unexpected))
    async with served(app) as address:
        yield address
    assert not unexpected, f"Graph was asked for what it does not have: {unexpected}"


def _watching(unexpected: list[str]) -> web.middleware:  # type: ignore[valid-type]
    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.http_exception is not None:
            unexpected.append(f"{request.method} {request.path}")
        return await handler(request)

    return watch


@asynccontextmanager
async def simulator(*, expected: Collection[int] = ()) -> AsyncIterator[str]:
    """Serve the simulator, with ``TOKEN`` for every pixel; yield its address.

    Args:
        expected: Graph's error codes that the test expects; a refusal by an ordered fault is always expected.

    Raises:
        AssertionError: at the end, if it got an unknown path, or refused something for another reason.
    """
    app = make_app()
    parts = app[SIMULATOR]
    graph = _Watched(_EveryPixel(), {}, parts.memory, parts.graph.now, frozenset(expected))
    app[SIMULATOR] = Simulator(graph, parts.memory, parts.faults)
    async with stand_in(app) as address:
        yield address
    assert not graph.unexpected, f"Graph refused unasked: {graph.unexpected}"


class _EveryPixel(dict[str, str]):
    """A mapping of every possible pixel to its token."""

    def __init__(self) -> None:
        super().__init__({"": TOKEN})

    def __contains__(self, pixel: object) -> bool:
        return True

    def __missing__(self, pixel: str) -> str:
        return TOKEN


@dataclass(frozen=True)
class _Watched(EventsEdge):
    """A Graph that records its unexpected refusals.

    Attributes:
        expected: error codes that are not recorded.
        unexpected: the errors that were recorded.
    """

    expected: frozenset[int] = frozenset()
    unexpected: list[object] = field(default_factory=list)

    def receive(self, posted: EventsRequest, trace: str, extra: Extra | None = None) -> Answer:
        """Accept all events of a request or none, and record an unexpected refusal."""
        ordered: list[ApiError] = []

        def asked(events: list[Event]) -> ApiError | None:
            refusal = extra(events) if extra else None
            ordered.extend([refusal] if refusal else [])
            return refusal

        answer = super().receive(posted, trace, asked)
        if answer.status != 200 and not ordered:
            error = orjson.loads(answer.body)["error"]
            self.unexpected.extend([error] if error["code"] not in self.expected else [])
        return answer

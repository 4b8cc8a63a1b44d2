"""What the simulator's handlers share."""

import secrets
from dataclasses import dataclass

from aiohttp import web

from proxy.simulator.graph.answers import Answer
from proxy.simulator.graph.edge import EventsEdge
from proxy.simulator.graph.faults import ActiveFaults
from proxy.simulator.graph.memory import Memory


@dataclass(frozen=True, slots=True)
class Simulator:
    """The parts of one running simulator."""

    graph: EventsEdge
    memory: Memory
    faults: ActiveFaults


SIMULATOR = web.AppKey("simulator", Simulator)


def response(answer: Answer) -> web.Response:
    """Return an answer as aiohttp sends it."""
    return web.Response(
        status=answer.status, body=answer.body, headers=answer.headers, content_type=answer.content_type
    )


def new_trace_id() -> str:
    """Return a new `fbtrace_id`."""
    return "A" + secrets.token_urlsafe(16)

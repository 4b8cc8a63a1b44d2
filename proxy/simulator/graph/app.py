"""The simulator as an aiohttp application: a strict look-alike of Meta's two endpoints, and what it saw.

`POST /{version}/{pixel}/events` answers as the Conversions API does, `/tr/` records what a browser's Pixel sends,
`/sim/…` shows both halves of every event and orders faults. Nothing is written to disk.
"""

import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from proxy.simulator.graph import endpoints, panel
from proxy.simulator.graph import tokens as token_endpoint
from proxy.simulator.graph.answers import ApiError, no_object
from proxy.simulator.graph.edge import EventsEdge
from proxy.simulator.graph.faults import ActiveFaults
from proxy.simulator.graph.memory import Memory
from proxy.simulator.graph.state import SIMULATOR, Simulator, new_trace_id, response

MAX_BODY = 16 * 1024 * 1024
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(
    *,
    tokens: Mapping[str, str] | None = None,
    app_secrets: Mapping[str, str] | None = None,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> web.Application:
    """Return the simulator as an application.

    Args:
        tokens: The access token of each pixel; None admits every pixel with any non-empty token.
        app_secrets: The app secret of a pixel, to verify `appsecret_proof` where it is given.
        now: Server time, Unix seconds.
        clock: The monotonic clock, in seconds, by which faults end.
    """
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_graph_errors])
    memory = Memory()
    app[SIMULATOR] = Simulator(EventsEdge(tokens, app_secrets or {}, memory, now), memory, ActiveFaults(clock))
    app.router.add_routes([*endpoints.ROUTES, *token_endpoint.ROUTES, *panel.ROUTES])
    app.on_response_prepare.append(_allow_all_origins)
    app.on_shutdown.append(_end_faults)
    return app


async def _end_faults(app: web.Application) -> None:
    # A request that a fault holds up would otherwise keep the server from closing.
    app[SIMULATOR].faults.clear()


async def _allow_all_origins(_: web.Request, answer: web.StreamResponse) -> None:
    answer.headers["Access-Control-Allow-Origin"] = "*"


@web.middleware
async def _graph_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method == "OPTIONS":
        return web.Response(status=204, headers=PREFLIGHT)
    try:
        return await handler(request)
    except (web.HTTPClientError, web.RequestPayloadError, ConnectionError) as error:
        return response(_refusal(error, ascii(request.path)[1:-1]).answer(new_trace_id()))


def _refusal(error: Exception, path: str) -> ApiError:
    match error:
        case web.HTTPRequestEntityTooLarge():
            return ApiError(f"(#100) The body is larger than {MAX_BODY} bytes", status=413)
        case web.HTTPMethodNotAllowed():
            return no_object(path)
        case web.HTTPNotFound():
            return ApiError(f"Unknown path components: {path}", code=2500)
        case _:
            return ApiError("(#100) The body cannot be read")

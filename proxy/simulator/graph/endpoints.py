"""Meta's two endpoints: the Conversions API's events edge, and the `/tr/` of browser Pixels."""

import base64
import math
import socket
import struct

from aiohttp import web

from proxy.simulator.graph import batch, faults, wire
from proxy.simulator.graph.answers import Answer, ApiError, success_answer
from proxy.simulator.graph.edge import EventsRequest, browser_copy_of
from proxy.simulator.graph.state import SIMULATOR, new_trace_id, response

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
NO_LINGER = struct.pack("ii", 1, 0)


async def _events(request: web.Request) -> web.Response:
    posted = await _posted(request)
    fault = request.app[SIMULATOR].faults.fault_for(posted.pixel)
    return await _misbehave(request, posted, fault) if fault else response(_receive(request, posted))


async def _posted(request: web.Request) -> EventsRequest:
    return EventsRequest(
        wire.clean(request.match_info["pixel"]),
        request.rel_url.raw_query_string,
        request.headers.get("Content-Type", ""),
        request.headers.get("Authorization", ""),
        await request.read(),
    )


def _receive(request: web.Request, posted: EventsRequest, poison: faults.FaultOrder | None = None) -> Answer:
    extra = None if poison is None else lambda events: faults.poison_refusal(poison, events)
    return request.app[SIMULATOR].graph.receive(posted, new_trace_id(), extra)


async def _batch(request: web.Request) -> web.Response:
    headers = [request.headers.get(name, "") for name in ("Content-Type", "Authorization")]
    try:
        calls = batch.calls(request.rel_url.raw_query_string, headers[0], headers[1], await request.read())
    except wire.UnreadableError as error:
        return response(ApiError(f"(#100) {error}").answer(new_trace_id()))
    return response(batch.batch_answer(_call(request, call) for call in calls))


def _call(request: web.Request, call: EventsRequest | ApiError) -> Answer:
    return (
        call.answer(new_trace_id())
        if isinstance(call, ApiError)
        else request.app[SIMULATOR].graph.receive(call, new_trace_id())
    )


async def _misbehave(request: web.Request, posted: EventsRequest, fault: faults.Fault) -> web.Response:
    order = fault.order
    if order.mode == "poison":
        return response(_receive(request, posted, order))
    stored = _receive(request, posted) if order.after else None
    if order.mode in faults.ERRORS:
        return response(faults.answer(order, posted.pixel, new_trace_id()))
    if order.mode == "count":
        return response(success_answer(order.received, new_trace_id()))
    if order.mode == "half":
        await _send_half(request, stored or success_answer(0, new_trace_id()))
    if order.mode == "slow":
        await _hold(request, fault, order.delay)
        return response(stored or _receive(request, posted))
    if order.mode == "timeout":
        await _hold(request, fault, math.inf)
    return _hang_up(request, reset=order.mode == "reset")


async def _send_half(request: web.Request, answer: Answer) -> None:
    stream = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    stream.content_length = len(answer.body)
    await stream.prepare(request)
    await stream.write(answer.body[: len(answer.body) // 2])


async def _hold(request: web.Request, fault: faults.Fault, seconds: float) -> None:
    await request.app[SIMULATOR].faults.hold(fault, lambda: request.transport is not None, seconds)


def _hang_up(request: web.Request, *, reset: bool) -> web.Response:
    transport = request.transport
    if transport is not None:
        if reset:
            # Only without lingering does closing send a RST, which is what clients call a reset.
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        transport.abort()
    return web.Response()


async def _pixel(request: web.Request) -> web.Response:
    simulator = request.app[SIMULATOR]
    copy = browser_copy_of(await _pixel_parameters(request), simulator.graph.now())
    simulator.memory.add([copy] if copy else [])
    return web.Response(body=GIF, content_type="image/gif", headers={"Cache-Control": "no-store"})


async def _pixel_parameters(request: web.Request) -> wire.Pairs:
    query, body = request.rel_url.raw_query_string, await request.read()
    try:
        return wire.parameters(query, request.headers.get("Content-Type", ""), body)
    except wire.UnreadableError:
        return wire.urlencoded(query)


# As Graph reads addresses: slashes may be doubled, the version may lack its minor part or be missing.
ROUTES = [
    web.post(r"/{lead:/*}{version:v\d+(?:\.\d+)?}/{gap:/*}{pixel}/{more:/*}events{end:/*}", _events),
    web.post(r"/{lead:/*}{pixel:\d+}/{more:/*}events{end:/*}", _events),
    web.post(r"/{lead:/*}{version:v\d+(?:\.\d+)?}{end:/*}", _batch),
    web.post("/", _batch),
    web.get("/tr", _pixel),
    web.get("/tr/", _pixel),
    web.post("/tr", _pixel),
    web.post("/tr/", _pixel),
]

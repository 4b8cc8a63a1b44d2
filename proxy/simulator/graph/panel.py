"""The simulator's own addresses: what it accepted, how Meta would count it, and which faults are in force."""

import re
from collections.abc import Mapping
from typing import Any, get_args

import orjson
from aiohttp import web

from proxy.simulator.graph import wire
from proxy.simulator.graph.dedup import Copy
from proxy.simulator.graph.faults import Mode, WrongOrderError, read_order
from proxy.simulator.graph.memory import missing_events
from proxy.simulator.graph.state import SIMULATOR

ADDRESSES = {
    "POST /{version}/{pixel}/events": "the Conversions API",
    "GET, POST /tr/": "what a browser's Pixel sends",
    "POST /{version}": "the batch endpoint",
    "GET /sim/events": "what was accepted, newest first; ?limit= ?source= ?pixel= ?name= ?id= ?action_source= ?read=1",
    "GET /sim/report": "how Meta would count it, match keys, lint; each ?expect=name:id adds to what is missing",
    "GET /sim/faults": "the faults in force",
    "POST /sim/faults": f'add a fault: {{"mode": "{"|".join(get_args(Mode))}", "for": seconds, …}}',
    "POST /sim/reset": "forget all events and faults",
}
FILTERS = ("source", "pixel", "name", "id", "action_source")
ACCEPTED = {
    "source": ('"server" or "browser"', re.compile("server|browser")),
    "read": ("1", re.compile("1")),
    "limit": ("a whole number of at most nine digits", re.compile(r"\d{1,9}", re.ASCII)),
}


async def _home(_: web.Request) -> web.Response:
    return _json(ADDRESSES)


async def _events(request: web.Request) -> web.Response:
    query = _query(request)
    errors = _errors(query)
    if errors:
        return _json({"errors": errors}, status=400)
    copies = [copy for copy in request.app[SIMULATOR].memory.newest() if _wanted(copy, query)]
    chosen = copies[: int(query.get("limit", len(copies)))]
    return _json({"events": [_copy_json(copy, with_read="read" in query) for copy in chosen]})


def _copy_json(copy: Copy, *, with_read: bool) -> dict[str, Any]:
    return {
        "received_at": copy.received_at,
        "source": copy.source,
        "pixel": copy.pixel,
        "name": copy.name,
        "id": copy.id,
        "action_source": copy.action_source,
        "request": copy.request,
        "event": copy.event,
        **({"read": copy.read} if with_read else {}),
    }


def _query(request: web.Request) -> dict[str, str]:
    return wire.flat(wire.urlencoded(request.rel_url.raw_query_string))


def _errors(query: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"field": field, "value": query[field], "accepted": description}
        for field, (description, pattern) in ACCEPTED.items()
        if field in query and not pattern.fullmatch(query[field])
    ]


def _wanted(copy: Copy, query: Mapping[str, str]) -> bool:
    return all(getattr(copy, name) == query[name] for name in FILTERS if name in query)


async def _report(request: web.Request) -> web.Response:
    memory = request.app[SIMULATOR].memory
    report = memory.report()
    expected = [value for name, value in wire.urlencoded(request.rel_url.raw_query_string) if name == "expect"]
    if expected:
        report["missing"] = missing_events(memory.newest(), expected)
    return _json(report)


async def _faults(request: web.Request) -> web.Response:
    return _json({"faults": request.app[SIMULATOR].faults.listed()})


async def _order(request: web.Request) -> web.Response:
    try:
        request.app[SIMULATOR].faults.apply(read_order(await request.read()))
    except WrongOrderError as error:
        return _json({"errors": error.errors}, status=400)
    return await _faults(request)


async def _reset(request: web.Request) -> web.Response:
    request.app[SIMULATOR].memory.clear()
    request.app[SIMULATOR].faults.clear()
    return _json({})


def _json(content: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type="application/json")


ROUTES = [
    web.get("/", _home),
    web.get("/sim/events", _events),
    web.get("/sim/report", _report),
    web.get("/sim/faults", _faults),
    web.post("/sim/faults", _order),
    web.post("/sim/reset", _reset),
]

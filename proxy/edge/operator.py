"""The operator listener: dashboard, metrics, health, and the JSON that the dashboard and the commands use."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from aiohttp import hdrs, web

from proxy.edge.conditions import Conditions
from proxy.edge.files import static_file
from proxy.edge.guesses import Guesses
from proxy.edge.metrics import Metrics
from proxy.edge.password import PasswordGate
from proxy.edge.people import BadQueryError, PeopleApi
from proxy.edge.sender import Lane
from proxy.model import MAX_AGE_MS, LedgerRow, Status
from proxy.queue.base import DeadLetter, Filter, Queue, QueueError
from proxy.rules.identity import host_of
from proxy.rules.ingest import problem

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_MOST_ROWS = 1000
# Delivery that has not succeeded for so long, with work waiting, is a fault somebody should look at.
_LAG_SECONDS = 15 * 60
_SCRIPTS = ("operator.js", "operator-elements.js", "operator-words.js")
_PAGES = {"/": ("operator.html", "text/html"), **{f"/{name}": (name, "text/javascript") for name in _SCRIPTS}}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask."""

    host: str
    """The address listened on."""
    password: str


class Operator:
    """Answers the owner."""

    def __init__(  # noqa: PLR0913 - everything the owner may look at
        self,
        access: Access,
        *,
        queue: Queue,
        metrics: Metrics,
        lanes: Mapping[str, Lane],
        conditions: Conditions,
        now: Callable[[], int],
        people_keys: Sequence[bytes] = (),
    ) -> None:
        self._access = access
        self._queue = queue
        self._metrics = metrics
        self._lanes = lanes
        self._conditions = conditions
        self._now = now
        self._people = PeopleApi(queue, metrics, now=now, people_keys=people_keys)
        self._password = PasswordGate(access.password, Guesses(conditions, now))
        self._pages = {path: (static_file(name), kind) for path, (name, kind) in _PAGES.items()}

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(middlewares=[self._guard])
        for path in self._pages:
            app.router.add_get(path, self._page)
        app.router.add_get("/metrics", self._render)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/api/status", self._status)
        app.router.add_get("/api/events", self._events)
        app.router.add_get("/api/dead", self._dead)
        app.router.add_post("/api/dead/replay", self._replay)
        app.router.add_post("/api/dead/discard", self._discard)
        self._people.add_to(app)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Ask for the password where there is one; without one, only loopback names are answered (DNS rebinding)."""
        if self._access.password and (refused := await self._password.refusal(request)):
            return refused
        if not self._access.password and host_of(request.headers.get(hdrs.HOST, "")) not in _LOOPBACK:
            return _json({"error": "host: accepted: localhost"}, 403)
        if request.method == hdrs.METH_POST and request.content_type != "application/json":
            return _json({"error": "content-type: accepted: application/json"}, 415)
        try:
            return await handler(request)
        except BadQueryError as error:
            return web.Response(status=400, body=problem(str(error)), content_type="application/json")
        except QueueError as error:
            return _json({"error": str(error)}, 503)

    async def _page(self, request: web.Request) -> web.Response:
        body, kind = self._pages[request.path]
        headers = {"Content-Security-Policy": _POLICY, hdrs.CACHE_CONTROL: "no-store"}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    async def _render(self, _request: web.Request) -> web.Response:
        body = self._metrics.render(self._queue.stats())
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: "text/plain; version=0.0.4; charset=utf-8"})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        readiness = await self._readiness()
        return _json(readiness, 503 if readiness["status"] == "failing" else 200)

    async def _readiness(self) -> dict[str, Any]:
        await self._look_at_queue()
        for pixel, lane in self._lanes.items():
            self._look_at_lane(pixel, lane)
        conditions = self._conditions.current()
        failing = any(condition.failing for condition in conditions)
        status = "failing" if failing else "degraded" if conditions else "ready"
        return {
            "status": status,
            "reasons": [str(one) for one in conditions],
            "conditions": list(map(asdict, conditions)),
        }

    async def _look_at_queue(self) -> None:
        try:
            await self._queue.ready()
        except QueueError as error:
            self._conditions.report("queue", detail=str(error), failing=True)
        else:
            self._conditions.clear("queue")

    def _look_at_lane(self, pixel: str, lane: Lane) -> None:
        if not lane.state.paused and self._lag(lane) > _LAG_SECONDS:
            detail = f"nothing delivered for {self._lag(lane):.0f} s"
            self._conditions.report("delivery_late", pixel, detail, failing=True)
        else:
            self._conditions.clear("delivery_late", pixel)

    def _lag(self, lane: Lane) -> float:
        since = lane.state.working_since
        return 0.0 if since is None else time.monotonic() - since

    async def _status(self, _request: web.Request) -> web.Response:
        stats = self._queue.stats()
        lanes = [
            {
                "pixel": pixel,
                "waiting": stats.waiting.get(pixel, 0),
                "paused": lane.state.paused,
                "failures": lane.state.failures,
                "last_error": lane.state.last_error,
            }
            for pixel, lane in self._lanes.items()
        ]
        return _json({**await self._readiness(), "lanes": lanes, "dead": stats.dead})

    async def _events(self, request: web.Request) -> web.Response:
        wanted = _filter(request.query)
        return _json({"events": [event_json(row) async for row in self._queue.events(wanted)]})

    async def _dead(self, request: web.Request) -> web.Response:
        return _json({"dead": [letter_json(letter) for letter in await self._queue.dead(_filter(request.query))]})

    async def _replay(self, request: web.Request) -> web.Response:
        ids = await _ids(request)
        replayed = await self._queue.replay(ids, not_before_s=(self._now() - MAX_AGE_MS) // 1000)
        for lane in self._lanes.values():
            lane.wake()
        return _json({"replayed": replayed, "left": len(ids) - replayed})

    async def _discard(self, request: web.Request) -> web.Response:
        return _json({"discarded": await self._queue.discard(await _ids(request))})


def event_json(row: LedgerRow) -> dict[str, Any]:
    """Return a finished event as the API and the command print it."""
    return asdict(row)


def letter_json(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as the API and the command print it: hashes and addresses stay out."""
    event = orjson.loads(letter.payload or b"{}")
    event["user_data"] = sorted(event.get("user_data", {}))
    facts = {key: value for key, value in asdict(letter).items() if key not in {"payload", "words"}}
    return {**facts, **asdict(letter.words), "event": event}


def _filter(query: Mapping[str, str]) -> Filter:
    limit, status = query.get("limit", "100"), query.get("status", "")
    if not limit.isdecimal() or not 0 < int(limit) <= _MOST_ROWS:
        raise BadQueryError(f"limit: {limit[:20]!r}; accepted: 1 to {_MOST_ROWS}")
    if status and status not in set(Status):
        raise BadQueryError(f"status: {status[:20]!r}; accepted: {', '.join(Status)}")
    before = query.get("before", "0")
    if not before.isdecimal() or int(before) >= 1 << 62:
        raise BadQueryError(f"before: {before[:20]!r}; accepted: the number of a dead letter")
    texts = {key: query.get(key, "") for key in ("pixel", "name", "id", "reason")}
    return Filter(**texts, status=Status(status) if status else None, before=int(before), limit=int(limit))


async def _ids(request: web.Request) -> Sequence[int]:
    try:
        document = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        document = None
    ids = document.get("ids") if isinstance(document, dict) else None
    if not isinstance(ids, list) or not all(isinstance(number, int) and 0 < number < 1 << 62 for number in ids):
        raise BadQueryError('ids: accepted: {"ids": [numbers of dead letters]}')
    return ids


def _json(document: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")

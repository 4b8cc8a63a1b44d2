"""The operator listener: dashboard, metrics, health, and the JSON that the dashboard and the commands use."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from aiohttp import hdrs, web

from proxy.delivery.lane import Lane
from proxy.edge.answers import problem
from proxy.graph.law import MAX_AGE_MS
from proxy.model.ledger import LedgerRow, Status
from proxy.operator.password import PasswordGate
from proxy.operator.persons import BadQueryError, PersonApi
from proxy.operator.wrong_passwords import WrongPasswords
from proxy.queue.contract import Archive, DeadLetter, Filter, Lifetime, Oldest, QueueError, Stats
from proxy.rules.request.sites import host_of
from proxy.static_files import static_file
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_MOST_ROWS = 1000
# An event that waits so long for its first delivery is a fault somebody should look at.
_LATE_MS = 15 * 60 * 1000
# The search for bad events may take its time, and whoever sends them must not make readiness fail.
_SUSPECTS_LATE_MS = 60 * 60 * 1000
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
        queue: Archive,
        lifetime: Lifetime,
        metrics: Metrics,
        lanes: Mapping[str, Lane],
        conditions: Conditions,
        now: Callable[[], int],
        person_keys: Sequence[bytes] = (),
    ) -> None:
        self._access = access
        self._queue = queue
        self._lifetime = lifetime
        self._metrics = metrics
        self._lanes = lanes
        self._conditions = conditions
        self._now = now
        self._people = PersonApi(queue, metrics, now=now, person_keys=person_keys)
        self._password = PasswordGate(access.password, WrongPasswords(conditions, now))
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
        for pixel, oldest in (await self._oldest()).items():
            self._look_at_lane(pixel, oldest)
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
            await self._lifetime.ready()
        except QueueError as error:
            self._conditions.report("queue", detail=str(error), failing=True)
        else:
            self._conditions.clear("queue")

    async def _oldest(self) -> Mapping[str, Oldest]:
        """Return since when events of each pixel wait; nothing while the queue cannot tell."""
        try:
            return await self._queue.oldest(self._lanes.keys())
        except QueueError:
            return {}

    def _look_at_lane(self, pixel: str, oldest: Oldest) -> None:
        state = self._lanes[pixel].state
        fresh = 0 if state.paused else self._age(oldest.fresh)
        suspect = 0 if state.failures else self._age(oldest.suspect)
        self._report_age("delivery_late", pixel, fresh, _LATE_MS, failing=True)
        self._report_age("suspects_late", pixel, suspect, _SUSPECTS_LATE_MS, failing=False)

    def _report_age(self, code: str, pixel: str, age: int, most: int, *, failing: bool) -> None:
        if age > most:
            self._conditions.report(code, pixel, f"the oldest arrived {age // 60_000} min ago", failing=failing)
        else:
            self._conditions.clear(code, pixel)

    def _age(self, arrived: int | None) -> int:
        return 0 if arrived is None else max(0, self._now() - arrived)

    async def _status(self, _request: web.Request) -> web.Response:
        readiness, oldest = await self._readiness(), await self._oldest()
        stats = self._queue.stats()
        lanes = [self._lane(pixel, stats, oldest.get(pixel, Oldest())) for pixel in self._lanes]
        return _json({**readiness, "lanes": lanes, "dead": stats.dead})

    def _lane(self, pixel: str, stats: Stats, oldest: Oldest) -> Mapping[str, Any]:
        state = self._lanes[pixel].state
        return {
            "pixel": pixel,
            "waiting": stats.waiting.get(pixel, 0),
            "suspects": stats.suspects.get(pixel, 0),
            "oldest": self._age(oldest.fresh),
            "oldest_suspect": self._age(oldest.suspect),
            "paused": state.paused,
            "failures": state.failures,
            "last_error": state.last_error,
            "graph_error": asdict(state.graph_error),
        }

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
    return {key: value for key, value in asdict(row).items() if key != "visitor"}


def letter_json(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as the API and the command print it: hashes and addresses stay out."""
    event = orjson.loads(letter.payload or b"{}")
    event["user_data"] = sorted(event.get("user_data", {}))
    facts = {key: value for key, value in asdict(letter).items() if key not in {"payload", "graph_error"}}
    return {**facts, **asdict(letter.graph_error), "event": event}


def _filter(query: Mapping[str, str]) -> Filter:
    limit, status = query.get("limit", "100"), query.get("status", "")
    if not limit.isdecimal() or not 0 < int(limit) <= _MOST_ROWS:
        raise BadQueryError(f"limit: {limit[:20]!r}; accepted: 1 to {_MOST_ROWS}")
    if status and status not in set(Status):
        raise BadQueryError(f"status: {status[:20]!r}; accepted: {', '.join(Status)}")
    texts = {key: query.get(key, "") for key in ("pixel", "name", "id", "reason")}
    return Filter(
        **texts,
        status=Status(status) if status else None,
        before=_number(query, "before", "a dead letter") or 0,
        since=_number(query, "since", "an event"),
        limit=int(limit),
    )


def _number(query: Mapping[str, str], key: str, numbered: str) -> int | None:
    text = query.get(key)
    if text is None:
        return None
    if not text.isdecimal() or int(text) >= 1 << 62:
        raise BadQueryError(f"{key}: {text[:20]!r}; accepted: the number of {numbered}")
    return int(text)


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

"""The JSON about delivery that the dashboard and the commands use: lanes, finished events, dead letters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import web

from proxy.delivery.lane import Lane
from proxy.graph.law import MAX_AGE_MS
from proxy.model.event_facts import PARTS, EventFacts, names_of
from proxy.model.ledger import LedgerRow, Status
from proxy.operator.documents import BadQueryError, json_object, json_response, row_limit, whole_number
from proxy.operator.health import health_json
from proxy.queue.contract import Archive, DeadLetter, Filter, LaneReport, Oldest, QueueError, Replica, Stats
from proxy.telemetry.readiness import Readiness


class DeliveryApi:
    """Answers questions about events."""

    def __init__(
        self, queue: Archive, *, lanes: Mapping[str, Lane], readiness: Readiness, now: Callable[[], int]
    ) -> None:
        """Take what is shown.

        Args:
            queue: Where events wait, and what is kept of them.
            lanes: By pixel id.
            readiness: Says whether the proxy is ready.
            now: Server clock in milliseconds.
        """
        self._queue = queue
        self._lanes = lanes
        self._readiness = readiness
        self._now = now

    def add_to(self, app: web.Application) -> None:
        """Add the addresses of this part."""
        app.router.add_get("/api/status", self._status)
        app.router.add_get("/api/events", self._events)
        app.router.add_get("/api/dead", self._dead)
        app.router.add_post("/api/dead/replay", self._replay)
        app.router.add_post("/api/dead/discard", self._discard)

    async def _status(self, _request: web.Request) -> web.Response:
        health, oldest = await self._readiness.health(), await self._oldest()
        stats, (replicas, reports) = self._queue.stats(), await self._shared()
        lanes = [
            self._lane_json(lane, stats, oldest.get(pixel, Oldest()), reports.get(pixel))
            for pixel, lane in self._lanes.items()
        ]
        return json_response({**health_json(health), "lanes": lanes, "dead": stats.dead, "replicas": replicas})

    async def _shared(self) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, LaneReport]]:
        """Return the proxies that share the queue, and what they deliver; nothing while the queue cannot tell."""
        try:
            replicas, reports = await self._queue.replicas(), await self._queue.lane_reports()
        except QueueError:
            return (), {}
        return [_replica_json(replica) for replica in replicas], reports

    async def _oldest(self) -> Mapping[str, Oldest]:
        """Return since when events of each pixel wait; nothing while the queue cannot tell."""
        try:
            return await self._queue.oldest(self._lanes.keys())
        except QueueError:
            return {}

    def _lane_json(self, lane: Lane, stats: Stats, oldest: Oldest, report: LaneReport | None) -> Mapping[str, Any]:
        """Return how a pixel is delivered: as this proxy knows it, or as the one has told that delivers it."""
        pixel = lane.pixel.id
        state = lane.state if report is None or report.is_this else report.state
        return {
            "pixel": pixel,
            "replica": report.replica if report else "",
            "waiting": stats.waiting.get(pixel, 0),
            "held": stats.held.get(pixel, 0),
            "suspects": stats.suspects.get(pixel, 0),
            "oldest": self._age(oldest.fresh),
            "oldest_suspect": self._age(oldest.suspect),
            "paused": state.paused,
            "failures": state.failures,
            "last_error": state.last_error,
            "graph_error": asdict(state.graph_error),
        }

    def _age(self, arrived: int | None) -> int:
        return 0 if arrived is None else max(0, self._now() - arrived)

    async def _events(self, request: web.Request) -> web.Response:
        rows = self._queue.events(_filter(request.query))
        return json_response({"events": [event_json(row) async for row in rows]})

    async def _dead(self, request: web.Request) -> web.Response:
        dead = await self._queue.dead(_filter(request.query))
        return json_response({"dead": list(map(dead_letter_json, dead))})

    async def _replay(self, request: web.Request) -> web.Response:
        ids = await _ids(request)
        replayed = await self._queue.replay(ids, not_before_s=(self._now() - MAX_AGE_MS) // 1000)
        for lane in self._lanes.values():
            lane.wake()
        return json_response({"replayed": replayed, "left": len(ids) - replayed})

    async def _discard(self, request: web.Request) -> web.Response:
        return json_response({"discarded": await self._queue.discard(await _ids(request))})


def _replica_json(replica: Replica) -> dict[str, Any]:
    times = {"started": replica.started_at, "seen": replica.seen_at, "silent": replica.silent_ms}
    return {"name": replica.name, "version": replica.version, **times, "answers": replica.is_this}


def event_json(row: LedgerRow) -> dict[str, Any]:
    """Return a finished event as the API and the command print it; the browser copy of a server's is empty."""
    members = {key: value for key, value in row._asdict().items() if key not in {"visitor", "facts"}}
    return {**members, "browser_copy": row.browser_copy or "", **facts_json(row.facts)}


def facts_json(facts: EventFacts) -> dict[str, Any]:
    """Return the facts of an event as the API and the command print them; the value in units of the currency."""
    value = None if facts.value is None else facts.value / PARTS
    return {**facts._asdict(), "match_keys": names_of(facts.match_keys), "value": value}


def dead_letter_json(dead_letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as the API and the command print it: of match keys their names alone."""
    event = orjson.loads(dead_letter.payload or b"{}")
    event["user_data"] = sorted(event.get("user_data", {}))
    columns = {key: value for key, value in asdict(dead_letter).items() if key not in {"payload", "graph_error"}}
    return {**columns, **asdict(dead_letter.graph_error), "event": event}


def _filter(query: Mapping[str, str]) -> Filter:
    status = query.get("status", "")
    if status and status not in set(Status):
        raise BadQueryError(f"status: {status[:20]!r}; accepted: {', '.join(Status)}")
    return Filter(
        pixel=query.get("pixel", ""),
        name=query.get("name", ""),
        id=query.get("id", ""),
        reason=query.get("reason", ""),
        action_source=query.get("action_source", ""),
        status=Status(status) if status else None,
        before=_number(query, "before", "a dead letter") or 0,
        since=_number(query, "since", "an event"),
        limit=row_limit(query),
    )


def _number(query: Mapping[str, str], key: str, numbered: str) -> int | None:
    text = query.get(key)
    if text is None:
        return None
    number = whole_number(text)
    if number is None:
        raise BadQueryError(f"{key}: {text[:20]!r}; accepted: the number of {numbered}")
    return number


async def _ids(request: web.Request) -> Sequence[int]:
    ids = (await json_object(request)).get("ids")
    if not isinstance(ids, list) or not all(isinstance(number, int) and 0 < number < 1 << 62 for number in ids):
        raise BadQueryError('ids: accepted: {"ids": [numbers of dead letters]}')
    return ids

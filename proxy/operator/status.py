"""The status: conditions, the delivery of each pixel, the proxies that share the queue."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from proxy.delivery.lane import Lane
from proxy.operator.documents import json_response
from proxy.operator.health import health_json
from proxy.queue.contract import Archive, DeliveryState, LaneReport, Oldest, QueueError, Replica, Stats
from proxy.telemetry.readiness import Health, Readiness


class StatusApi:
    """Answers with the status."""

    def __init__(
        self,
        queue: Archive,
        *,
        lanes: Mapping[str, Lane],
        readiness: Readiness,
        sites: Sequence[str],
        now: Callable[[], int],
    ) -> None:
        """Take what is shown.

        Args:
            queue: Where events wait.
            lanes: By pixel id.
            readiness: Says whether the proxy is ready.
            sites: The names of the sites.
            now: Server clock in milliseconds.
        """
        self._queue = queue
        self._lanes = lanes
        self._readiness = readiness
        self._sites = sites
        self._now = now

    def add_to(self, app: web.Application) -> None:
        """Add the route of this part."""
        app.router.add_get("/api/status", self._status)

    async def _status(self, _request: web.Request) -> web.Response:
        return json_response(await self._document(await self._readiness.health()))

    async def known_status(self) -> dict[str, Any]:
        """Return the status with the health as it was last seen, without a new check."""
        return await self._document(self._readiness.known_health())

    async def _document(self, health: Health) -> dict[str, Any]:
        oldest = await self._oldest()
        stats, (replicas, reports) = self._queue.stats(), await self._shared()
        lanes = [
            self._lane_json(lane, stats, oldest.get(pixel, Oldest()), reports.get(pixel))
            for pixel, lane in self._lanes.items()
        ]
        lists = {"lanes": lanes, "replicas": replicas, "sites": list(self._sites)}
        return {**health_json(health), **lists, "dead": stats.dead}

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
        pixel, state = lane.pixel.id, state_of(lane, report)
        return {
            "pixel": pixel,
            "replica": report.replica if report else "",
            "waiting": stats.waiting.get(pixel, 0),
            "held": stats.held.get(pixel, 0),
            "suspects": stats.suspects.get(pixel, 0),
            "oldest": self._age(oldest.fresh),
            "oldest_suspect": self._age(oldest.suspect),
            "paused": state.paused,
            "by_operator": lane.order.is_paused,
            "failures": state.failures,
            "last_error": state.last_error,
            "graph_error": asdict(state.graph_error),
        }

    def _age(self, arrived: int | None) -> int:
        return 0 if arrived is None else max(0, self._now() - arrived)


def state_of(lane: Lane, report: LaneReport | None) -> DeliveryState:
    """Return the state of a pixel's delivery: this proxy's own, or the one that the delivering proxy has reported."""
    return lane.state if report is None or report.is_this else report.state


def _replica_json(replica: Replica) -> dict[str, Any]:
    times = {"started": replica.started_at, "seen": replica.seen_at, "silent": replica.silent_ms}
    return {"name": replica.name, "version": replica.version, **times, "answers": replica.is_this}

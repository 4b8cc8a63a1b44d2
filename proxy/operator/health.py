"""What monitoring asks: liveness, readiness, metrics."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aiohttp import hdrs, web

from proxy.operator.documents import json_response
from proxy.queue.contract import Backlog
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.readiness import Health, Readiness


class HealthApi:
    """Answers monitoring."""

    def __init__(self, readiness: Readiness, metrics: Metrics, queue: Backlog) -> None:
        """Take what monitoring sees.

        Args:
            readiness: Says whether the proxy is ready.
            metrics: The counters.
            queue: Its figures are shown as gauges.
        """
        self._readiness = readiness
        self._metrics = metrics
        self._queue = queue

    def add_to(self, app: web.Application) -> None:
        """Add the routes of this part."""
        app.router.add_get("/metrics", self._prometheus)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)

    async def _prometheus(self, _request: web.Request) -> web.Response:
        body = self._metrics.render(self._queue.stats(), self._readiness.known_conditions())
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: "text/plain; version=0.0.4; charset=utf-8"})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        health = await self._readiness.health()
        return json_response(health_json(health), 503 if health.status == "failing" else 200)


def health_json(health: Health) -> Mapping[str, Any]:
    """Return the health as ``/readyz`` and ``/api/status`` show it."""
    return {
        "status": health.status,
        "reasons": [str(condition) for condition in health.conditions],
        "conditions": [{**asdict(condition), "failing": condition.failing} for condition in health.conditions],
    }

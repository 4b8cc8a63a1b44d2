"""The doctor over the operator listener: begins one examination at a time, and shows the last."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from proxy.operator.documents import json_response

log = logging.getLogger(__name__)
Examine = Callable[[], Awaitable[Mapping[str, Any]]]
"""Returns the report of an examination, which ends by itself within its time."""


class DoctorApi:
    """Answers questions about the last examination."""

    def __init__(self, examine: Examine, now: Callable[[], int]) -> None:
        self._examine = examine
        self._now = now
        self._report: Mapping[str, Any] | None = None
        self._running: asyncio.Task[None] | None = None
        self._started: int | None = None

    def add_to(self, app: web.Application) -> None:
        """Add the routes of this part."""
        app.router.add_get("/api/doctor", self._show)
        app.router.add_post("/api/doctor", self._begin)
        app.on_cleanup.append(self._end)

    async def _show(self, _request: web.Request) -> web.Response:
        return json_response(self._document())

    async def _begin(self, _request: web.Request) -> web.Response:
        if self._running is None:
            self._started = self._now()
            self._running = asyncio.create_task(self._run())
        return json_response(self._document(), 202)

    async def _run(self) -> None:
        try:
            self._report = await self._examine()
        except Exception as error:  # noqa: BLE001 - the next examination may come to its end
            log.warning("an examination failed: %s", type(error).__name__)
        finally:
            self._running = self._started = None

    def _document(self) -> dict[str, Any]:
        report = self._report and {**self._report, "age": max(0, self._now() - self._report["at"])}
        return {"running": self._running is not None, "started": self._started, "report": report}

    async def _end(self, _app: web.Application) -> None:
        if task := self._running:
            task.cancel()
            await asyncio.wait([task])

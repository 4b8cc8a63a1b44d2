"""Events: the finished, the waiting, and all that is known of a single event."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from aiohttp import web

from proxy.delivery.lane import Lane
from proxy.model.ledger import LedgerRow
from proxy.operator.documents import BadQueryError, json_response
from proxy.operator.event_json import event_json, waiting_json
from proxy.operator.queries import event_filter
from proxy.operator.search_pace import SearchPace
from proxy.operator.story import EventHistory, story_json
from proxy.queue.contract import Archive, EventPage, Filter

_SEARCH_S = 1.0
"""Seconds after which a search answers with what it has found; the next page continues there."""
_MOST_ROWS_OF_EVENT = 100


class EventApi:
    """Answers questions about events."""

    def __init__(self, queue: Archive, lanes: Mapping[str, Lane], now: Callable[[], int]) -> None:
        """Take what keeps and what delivers events.

        Args:
            queue: Where events wait, and where finished ones are recorded.
            lanes: By pixel id.
            now: Server clock in milliseconds.
        """
        self._queue = queue
        self._lanes = lanes
        self._now = now
        self._pace = SearchPace()

    def add_to(self, app: web.Application) -> None:
        """Add the routes of this part."""
        app.router.add_get("/api/events", self._events)
        app.router.add_get("/api/waiting", self._waiting)
        app.router.add_get("/api/event", self._event)

    async def _events(self, request: web.Request) -> web.Response:
        wanted = event_filter(request.query)
        if wanted.since is not None:
            newer = [event_json(row) async for row in self._queue.events(wanted)]
            return json_response({"events": newer, "below": None})
        page = await self._page(wanted)
        return json_response({"events": list(map(event_json, page.rows)), "below": page.below})

    async def _page(self, wanted: Filter) -> EventPage:
        """Search until the page is full, nothing is left, or the search took long."""
        rows: list[LedgerRow] = []
        began = time.monotonic()
        end = began + _SEARCH_S
        while True:
            page = await self._queue.event_page(replace(wanted, limit=wanted.limit - len(rows)))
            rows += page.rows
            if page.below is None or len(rows) >= wanted.limit:
                return EventPage(rows, page.below)
            now = time.monotonic()
            await self._pace.rest(now - began, end - now)
            began = time.monotonic()
            if began >= end:
                return EventPage(rows, page.below)
            wanted = replace(wanted, below=page.below)

    async def _waiting(self, request: web.Request) -> web.Response:
        wanted = event_filter(request.query)
        return json_response({"waiting": [waiting_json(event) for event in await self._queue.waiting_events(wanted)]})

    async def _event(self, request: web.Request) -> web.Response:
        pixel, name, identity = (request.query.get(key, "") for key in ("pixel", "name", "id"))
        if not (pixel and name and identity):
            raise BadQueryError("pixel, name, id: accepted: all three")
        wanted = Filter(pixel=pixel, name=name, id=identity, limit=_MOST_ROWS_OF_EVENT)
        page = await self._page(wanted)
        chapters = EventHistory(
            page.rows, await self._queue.waiting_events(wanted), await self._queue.dead_letters(wanted)
        )
        if not any(chapters):
            return json_response({"error": "nothing is known of this event"}, 404)
        lane = self._lanes.get(pixel)
        return json_response(story_json((pixel, name, identity), chapters, lane.state if lane else None, self._now()))

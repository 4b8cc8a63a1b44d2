"""Pixels: how each is delivered, what Meta says of its token, and the operator's orders."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, time, timedelta
from typing import Any

from aiohttp import web

from proxy.config.schema import Pixel, Site
from proxy.delivery.lane import Lane
from proxy.delivery.order_book import OrderBook
from proxy.delivery.token_watch import TokenWatch
from proxy.model.ledger import Status
from proxy.model.rollup import RollupQuery
from proxy.operator.documents import BadQueryError, json_object, json_response
from proxy.operator.queries import TimeRange, time_range
from proxy.operator.status import state_of
from proxy.queue.contract import Archive, DeliveryState, Filter, LaneReport, Oldest

_CODE = re.compile(r"[A-Za-z0-9_-]{1,40}")
_MOST_MINUTES = 24 * 60
_COUNTED = tuple(map(str, (Status.DELIVERED, Status.DEAD, Status.DROPPED, Status.DUPLICATE)))


class PixelApi:
    """Answers questions about pixels, and takes orders."""

    def __init__(  # noqa: PLR0913 - a pixel is where much comes together
        self,
        queue: Archive,
        *,
        lanes: Mapping[str, Lane],
        orders: OrderBook,
        tokens: TokenWatch,
        sites: Sequence[Site],
        now: Callable[[], int],
    ) -> None:
        """Take what the answers are made of.

        Args:
            queue: Where events wait, and where finished ones are recorded.
            lanes: By pixel id.
            orders: What the operator ordered.
            tokens: What Meta says of the access tokens.
            sites: The sites, which list the pixels.
            now: Server clock in milliseconds.
        """
        self._queue = queue
        self._lanes = lanes
        self._orders = orders
        self._tokens = tokens
        self._sites = sites
        self._now = now

    def add_to(self, app: web.Application) -> None:
        """Add the routes of this part."""
        app.router.add_get("/api/pixels", self._pixels)
        app.router.add_post("/api/pixels/{pixel}/pause", self._pause)
        app.router.add_post("/api/pixels/{pixel}/resume", self._resume)
        app.router.add_post("/api/pixels/{pixel}/test", self._test)
        app.router.add_post("/api/pixels/{pixel}/token", self._token)

    async def _pixels(self, request: web.Request) -> web.Response:
        wanted = time_range(request.query, self._now())
        return json_response({"pixels": await self._pixels_json(list(self._lanes.values()), wanted)})

    async def _pause(self, request: web.Request) -> web.Response:
        lane = await self._requested_lane(request)
        if not self._orders.order_of(lane.pixel.id).is_paused:
            await self._orders.change(lane.pixel.id, paused_at=max(1, self._now()))
        return await self._answer(lane)

    async def _resume(self, request: web.Request) -> web.Response:
        lane = await self._requested_lane(request)
        await self._orders.change(lane.pixel.id, paused_at=0)
        lane.probe()
        return await self._answer(lane)

    async def _test(self, request: web.Request) -> web.Response:
        lane = await self._requested_lane(request)
        order = await json_object(request)
        code, minutes = order.get("code"), order.get("minutes", 60)
        if code == "":
            await self._orders.change(lane.pixel.id, test_code="", test_until=0)
            return await self._answer(lane)
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise BadQueryError("code: accepted: a test event code of Events Manager, or nothing to end it")
        if type(minutes) is not int or not 0 < minutes <= _MOST_MINUTES:
            raise BadQueryError(f"minutes: accepted: 1 to {_MOST_MINUTES}")
        await self._orders.change(lane.pixel.id, test_code=code, test_until=self._now() + minutes * 60_000)
        return await self._answer(lane)

    async def _token(self, request: web.Request) -> web.Response:
        lane = await self._requested_lane(request)
        await self._tokens.health(lane.pixel.id)
        return await self._answer(lane)

    async def _requested_lane(self, request: web.Request) -> Lane:
        await json_object(request)
        lane = self._lanes.get(request.match_info["pixel"])
        if lane is None:
            raise BadQueryError(f"pixel: accepted: {', '.join(self._lanes)}")
        return lane

    async def _answer(self, lane: Lane) -> web.Response:
        (told,) = await self._pixels_json([lane], time_range({}, self._now()))
        return json_response(told)

    async def _pixels_json(self, lanes: Sequence[Lane], wanted: TimeRange) -> list[dict[str, Any]]:
        """Return the state of pixels; only the last success takes one query for each pixel."""
        counts, reports = await self._counts(wanted), await self._queue.lane_reports()
        oldest = await self._queue.oldest([lane.pixel.id for lane in lanes])
        return [
            await self._pixel_json(lane, counts, reports.get(lane.pixel.id), oldest.get(lane.pixel.id, Oldest()))
            for lane in lanes
        ]

    async def _pixel_json(
        self, lane: Lane, counts: Mapping[tuple[str, str], int], report: LaneReport | None, oldest: Oldest
    ) -> dict[str, Any]:
        pixel, stats = lane.pixel.id, self._queue.stats()
        state, order = state_of(lane, report), self._orders.order_of(pixel)
        return {
            "pixel": pixel,
            "sites": [site.name for site in self._sites if any(each.id == pixel for each in site.pixel)],
            "state": _state_word(state, is_stopped=order.is_paused),
            "waiting": stats.waiting.get(pixel, 0),
            "held": stats.held.get(pixel, 0),
            "suspects": stats.suspects.get(pixel, 0),
            "oldest": max(0, self._now() - oldest.fresh) if oldest.fresh else 0,
            **asdict(state),
            "retry_at": state.retry_at or None,
            "stopped_at": order.paused_at or None,
            "test": self._test_json(lane.pixel),
            "last_success": await self._last_success(pixel),
            "token": self._tokens.known_health(pixel)._asdict(),
            **{status: counts.get((pixel, status), 0) for status in _COUNTED},
        }

    def _test_json(self, pixel: Pixel) -> dict[str, Any] | None:
        order, now = self._orders.order_of(pixel.id), self._now()
        if code := order.test_code_at(now):
            return {"code": code, "until": order.test_until}
        last = pixel.test_event_until
        end = datetime.combine(last + timedelta(days=1), time(), UTC) if last else None
        until = int(end.timestamp() * 1000) if end else None
        is_over = until is not None and now >= until
        return None if is_over or not pixel.test_event_code else {"code": pixel.test_event_code, "until": until}

    async def _last_success(self, pixel: str) -> int | None:
        """Return when Graph last took an event, as far as a short search of the ledger tells."""
        wanted = Filter(pixel=pixel, status=Status.DELIVERED, limit=1)
        rows = (await self._queue.event_page(wanted)).rows
        return rows[0].at if rows else None

    async def _counts(self, wanted: TimeRange) -> Mapping[tuple[str, str], int]:
        """Return how many events have ended, by pixel and status."""
        counts: Counter[tuple[str, str]] = Counter()
        query = RollupQuery(wanted.since_hour, wanted.until_hour, by_day=wanted.is_long)
        for rollup in await self._queue.event_counts(query):
            counts[rollup.key.pixel, rollup.key.status] += rollup.events
        return counts


def _state_word(state: DeliveryState, *, is_stopped: bool) -> str:
    if is_stopped:
        return "stopped"
    if state.paused:
        return "paused"
    return "failing" if state.failures else "delivering"

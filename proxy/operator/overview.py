"""The figures of a period: the part of the operator API behind the dashboard's first page and ``stats``."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiohttp import hdrs, web

from proxy.figures.document import overview_bytes
from proxy.figures.overview import overview
from proxy.figures.period import BadPeriodError, Period, period_of
from proxy.model.rollup import Rollup, RollupQuery
from proxy.model.units import DAY_MS
from proxy.operator.costly_answers import CostlyAnswers
from proxy.operator.documents import BadQueryError, whole_number


class RollupBooks(Protocol):
    """Whatever has rollups: a queue at work, or its files as somebody reads them."""

    async def rollups(self, wanted: RollupQuery) -> list[Rollup]:
        """Return rollups, as ``Books`` says it."""


@dataclass(frozen=True, slots=True)
class WantedFigures:
    """Which figures are wanted; empty fields match all."""

    period: Period
    site: str = ""
    pixel: str = ""
    name: str = ""

    @property
    def query(self) -> RollupQuery:
        """The rollups of the period and, where there may be any, of the one before."""
        period = self.period
        since_hour = (period.before if period.has_before else period).since_hour
        return RollupQuery(since_hour, period.until_hour, self.site, self.pixel, self.name, by_day=period.is_long)


class OverviewApi:
    """Answers what happened in a period."""

    def __init__(self, queue: RollupBooks, now: Callable[[], int]) -> None:
        """Take what is asked.

        Args:
            queue: What is kept of events.
            now: Server clock in milliseconds.
        """
        self._queue = queue
        self._now = now
        self._answers = CostlyAnswers()

    def add_to(self, app: web.Application) -> None:
        """Add the address of this part."""
        app.router.add_get("/api/overview", self._overview)

    async def _overview(self, request: web.Request) -> web.Response:
        asked = asked_of(request.query, self._now())
        body = await self._answers.of(asked, lambda: overview_json(self._queue, asked))
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: "application/json"})


async def overview_json(queue: RollupBooks, asked: WantedFigures) -> bytes:
    """Return figures as JSON; a long period is added up beside the event loop.

    Args:
        queue: What is kept of events.
        asked: Which figures.

    Raises:
        QueueError: when the queue cannot tell.
    """
    rollups = await queue.rollups(asked.query)

    def written() -> bytes:
        found = overview(asked.period, rollups, name=asked.name)
        return overview_bytes(found, site=asked.site, pixel=asked.pixel, name=asked.name)

    return await asyncio.to_thread(written)


def asked_of(query: Mapping[str, str], now: int) -> WantedFigures:
    """Return which figures a query asks for.

    Args:
        query: The parameters.
        now: Server clock in milliseconds.

    Raises:
        BadQueryError: when one of them cannot be used.
    """
    since, until = _moments(query, now)
    try:
        period = period_of(since, until, step=query.get("step", ""), offset=_offset(query.get("offset", "0")))
    except BadPeriodError as error:
        raise BadQueryError(str(error)) from None
    return WantedFigures(period, query.get("site", ""), query.get("pixel", ""), query.get("name", ""))


def _moments(query: Mapping[str, str], now: int) -> tuple[int, int]:
    """Return from when to when; a day, where only one of both or none is given."""
    since, until = _moment(query, "from"), _moment(query, "to")
    if until is None:
        until = now if since is None else since + DAY_MS
    return (max(0, until - DAY_MS) if since is None else since), until


def _moment(query: Mapping[str, str], key: str) -> int | None:
    text = query.get(key)
    if text is None:
        return None
    moment = whole_number(text)
    if moment is None:
        raise BadQueryError(f"{key}: {text[:20]!r}; accepted: milliseconds since 1970")
    return moment


def _offset(text: str) -> int:
    minutes = whole_number(text.removeprefix("-"))
    if minutes is None:
        raise BadQueryError(f"offset: {text[:20]!r}; accepted: minutes")
    return -minutes if text.startswith("-") else minutes

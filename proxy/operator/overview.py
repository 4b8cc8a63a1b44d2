"""The figures of a period: the part of the operator API behind the dashboard's first page and ``stats``."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeAlias

from aiohttp import hdrs, web

from proxy.figures.document import overview_bytes
from proxy.figures.overview import OverviewPart, overview, part_of, wanted_sums
from proxy.figures.period import BadPeriodError, Period, period_of
from proxy.model.rollup_sums import PeriodQuery, PeriodSums
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.operator.costly_answers import CostlyAnswers
from proxy.operator.documents import BadQueryError, whole_number

CLOSED_DAYS: Final = 21
"""Days after which the figures of a day no longer change: an event waits a week at most, a dead letter can be put back
for a week, and browser copy updates come within days. Older figures are still read again after some minutes."""
_CLOSED_S = 600.0
# Buckets that are read together: others get their turn in between, and no read takes so long that the disk seems stuck.
_BUCKETS_PER_READ = 200
# Parts of older figures that are kept; each has up to _AT_ONCE buckets, some hundred kilobytes.
_MOST_CLOSED = 16
ClosedParts: TypeAlias = CostlyAnswers[OverviewPart]


class RollupBooks(Protocol):
    """Anything that has rollups: a running queue, or a reader of a stopped queue's files."""

    async def period_sums(self, wanted: PeriodQuery) -> PeriodSums:
        """Return sums of rollups; see ``Books``."""


@dataclass(frozen=True, slots=True)
class WantedFigures:
    """Which figures are wanted; empty fields match all."""

    period: Period
    site: str = ""
    pixel: str = ""
    name: str = ""

    @property
    def query(self) -> PeriodQuery:
        """The sums of rollups that these figures need."""
        return wanted_sums(self.period, site=self.site, pixel=self.pixel, name=self.name)


class OverviewApi:
    """Answers with the figures of a period."""

    def __init__(self, queue: RollupBooks, now: Callable[[], int]) -> None:
        """Take what has the rollups.

        Args:
            queue: Has the rollups.
            now: Server clock in milliseconds.
        """
        self._queue = queue
        self._now = now
        self._answers: CostlyAnswers[bytes] = CostlyAnswers()
        self._closed: ClosedParts = CostlyAnswers(lasts=lambda _: _CLOSED_S, most=_MOST_CLOSED)

    def add_to(self, app: web.Application) -> None:
        """Add the route of this part."""
        app.router.add_get("/api/overview", self._overview)

    async def _overview(self, request: web.Request) -> web.Response:
        now = self._now()
        asked = wanted_figures_of(request.query, now)
        closed_hour = (now // DAY_MS - CLOSED_DAYS) * DAY_MS // HOUR_MS
        body = await self._answers.get_or_make(asked, lambda: self._overview_body(asked, closed_hour))
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: "application/json"})

    async def _overview_body(self, asked: WantedFigures, closed_hour: int) -> bytes:
        closed, lately = asked.query.split(closed_hour)
        cut = (asked.period.step, asked.period.offset)
        parts = [
            await self._closed.get_or_make((cut, piece), partial(_part, self._queue, asked, piece))
            for piece in _pieces(closed)
        ]
        return await _encode_overview(
            asked, [*parts, *[await _part(self._queue, asked, piece) for piece in _pieces(lately)]]
        )


async def overview_json(queue: RollupBooks, asked: WantedFigures) -> bytes:
    """Return figures as JSON; they are added up in threads, not on the event loop.

    Args:
        queue: Has the rollups.
        asked: Which figures.

    Raises:
        QueueError: when the rollups cannot be read.
    """
    return await _encode_overview(asked, [await _part(queue, asked, piece) for piece in _pieces(asked.query)])


def _pieces(wanted: PeriodQuery) -> Iterator[PeriodQuery]:
    """Yield the pieces of a query that are read one by one; none when the query is empty."""
    while len(wanted.buckets) > _BUCKETS_PER_READ:
        piece, wanted = wanted.split(wanted.buckets[_BUCKETS_PER_READ].since)
        yield piece
    if wanted.buckets or wanted.before:
        yield wanted


async def _part(queue: RollupBooks, asked: WantedFigures, wanted: PeriodQuery) -> OverviewPart:
    return await asyncio.to_thread(part_of, asked.period, wanted, await queue.period_sums(wanted))


async def _encode_overview(asked: WantedFigures, parts: Sequence[OverviewPart]) -> bytes:
    def written() -> bytes:
        found = overview(asked.period, parts, name=asked.name)
        return overview_bytes(found, site=asked.site, pixel=asked.pixel, name=asked.name)

    return await asyncio.to_thread(written)


def wanted_figures_of(query: Mapping[str, str], now: int) -> WantedFigures:
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
    """Return begin and end in milliseconds; they are a day apart if only one of them or none is given."""
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

"""Checks the figures once a minute, and reports to the board the troubles that they show."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple, Protocol

from proxy.background import repeat_forever
from proxy.model import condition_details as details
from proxy.model.condition import ConditionBoard, ConditionCode
from proxy.model.rollup import RollupQuery
from proxy.model.units import HOUR_MS
from proxy.queue.contract import Archive, QueueError
from proxy.watch.filling import Trend, duration_text
from proxy.watch.graph_versions import version_end
from proxy.watch.hours import KEPT_HOURS, WEEK, Hours
from proxy.watch.pair_rate import pair_rate_fall
from proxy.watch.silence import silence

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0
_DISK_S = 5.0
_DAY = 24
_SLICE = 6
"""How many hours are read at once, so that reading a long history does not hold up other reads."""
_UP_FOR_SILENCE_MS, _UP_FOR_TAG_MS = 10 * 60_000, HOUR_MS
_FULL, _FULL_OVER = 0.8, 0.7
_FILLING, _FILLING_OVER = 0.05, 0.04
_FREE_TIMES, _FREE_OVER, _FREE_FOR_TREND = 4, 1.25, 10
_LEAST_FREE = 64 << 20
_DEAD_ONE_IN, _DEAD_ONE_IN_OVER = 1000, 2000


class Watched(NamedTuple):
    """What is watched."""

    sites: Mapping[str, Sequence[str]]
    """The ids of each site's pixels, by its name."""
    version: str
    """The version of the Graph API."""
    min_free_bytes: int


class WatchedQueue(Archive, Protocol):
    """The part of the queue that the watch uses."""

    def fullness(self) -> float:
        """See ``Intake``."""


class Watch:
    """Reports what the figures show; a condition begins at one bound and ends at another, so that it does not flap."""

    def __init__(
        self,
        watched: Watched,
        *,
        queue: WatchedQueue,
        board: ConditionBoard,
        free_bytes: Callable[[], int],
        now: Callable[[], int],
    ) -> None:
        """Begin without figures.

        Args:
            watched: What is watched.
            queue: Has the figures.
            board: Is told of troubles.
            free_bytes: Measures the free space on the disk of data_dir; called in a thread, as it may block.
            now: Server clock in milliseconds.
        """
        self._watched = watched
        self._queue = queue
        self._board = board
        self._free_bytes = free_bytes
        self._now = now
        self._started = now()
        self._hours = Hours()
        self._read_until = 0  # the hour after the latest that was read
        self._standing: set[tuple[ConditionCode, str]] = set()
        self._queue_trend, self._disk_trend = Trend(), Trend()
        self._measuring: asyncio.Task[int] | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        await repeat_forever(self.look, every_s=EVERY_S, what="the watch")

    async def look(self) -> None:
        """Check everything once."""
        now = self._now()
        self._look_at_version(now)
        self._look_at_queue(now)
        await self._look_at_disk(now)
        try:
            await self._read(now // HOUR_MS)
        except QueueError as error:
            log.info("the figures cannot be read (%s)", error)  # conditions stay as they were
            return
        for site, pixels in self._watched.sites.items():
            self._look_at_site(site, pixels, now)
            await asyncio.sleep(0)  # with many sites, requests get their turn in between
        for pixel in {pixel for pixels in self._watched.sites.values() for pixel in pixels}:
            self._look_at_dead(pixel, now // HOUR_MS)

    # -- figures

    async def _read(self, hour: int) -> None:
        """Read the rollups since the last look; once an hour also the last day, where events may have ended since."""
        since = hour - self._hours_back(hour)
        for begin in range(since, hour + 1, _SLICE):
            end = min(begin + _SLICE, hour + 1)
            self._hours.replace(begin, end, await self._queue.rollups(RollupQuery(begin, end)))
        self._read_until = hour + 1

    def _hours_back(self, hour: int) -> int:
        """Return how many hours before this one to read: all at first, and again after the clock was set."""
        passed = hour + 1 - self._read_until
        if not 0 <= passed <= KEPT_HOURS:
            return KEPT_HOURS
        return max(_DAY, passed) if passed else 1

    def _look_at_site(self, site: str, pixels: Sequence[str], now: int) -> None:
        pages, servers = self._hours.pages(site), self._hours.servers(site)
        self._look_at_silence(site, pixels, pages, now)
        self._look_at_silence(f"{site} servers", pixels, servers, now)
        self._look_for_tag(site, pages, servers, now)
        stands = ("pair_rate_fell", site) in self._standing
        fell = pair_rate_fall(partial(self._hours.copies, site), now // HOUR_MS, stands=stands)
        self._report_or_clear(
            "pair_rate_fell", site, details.pair_rate_fell(fell.now, fell.usual, fell.hours) if fell else ""
        )

    def _look_at_silence(self, subject: str, pixels: Sequence[str], counts: Mapping[int, int], now: int) -> None:
        stats = self._queue.stats()
        # The figures count only events that have ended; those that wait have come too.
        waits = any(stats.waiting.get(pixel, 0) > stats.held.get(pixel, 0) for pixel in pixels)
        is_up = now - self._started >= _UP_FOR_SILENCE_MS
        found = silence(counts, now) if is_up and not waits else None
        self._report_or_clear("silence", subject, details.no_events_since(found.missed, found.since) if found else "")

    def _look_for_tag(self, site: str, pages: Mapping[int, int], servers: Mapping[int, int], now: int) -> None:
        is_missing = (
            now - self._started >= _UP_FOR_TAG_MS
            and not any(hour > now // HOUR_MS - WEEK for hour in pages)
            and (pages or not servers)
            and ("silence", site) not in self._standing
        )
        waits = any(self._queue.stats().waiting.get(pixel) for pixel in self._watched.sites[site])
        detail = details.tag_missing(WEEK // _DAY if pages else 0)
        self._report_or_clear("tag_not_seen", site, detail if is_missing and not waits else "")

    def _look_at_dead(self, pixel: str, hour: int) -> None:
        delivered, dead = self._hours.ended(pixel, range(hour - _DAY + 1, hour + 1))
        times = _DEAD_ONE_IN_OVER if ("dead_letters", pixel) in self._standing else _DEAD_ONE_IN
        is_much = dead * times >= delivered + dead and dead > 0 and self._queue.stats().dead > 0
        self._report_or_clear("dead_letters", pixel, details.dead_in_a_day(dead, delivered + dead) if is_much else "")

    # -- what needs no figures

    def _look_at_version(self, now: int) -> None:
        version = self._watched.version
        end = version_end(version, now)
        self._report_or_clear("graph_version", version, details.ends_on(*end) if end else "")

    def _look_at_queue(self, now: int) -> None:
        stands = ("queue_filling", "") in self._standing
        part = self._queue.fullness()
        self._queue_trend.add(now, part)
        fills = part >= (_FILLING_OVER if stands else _FILLING) and self._queue_trend.reaches_soon(1.0, stands=stands)
        is_full = part >= (_FULL_OVER if stands else _FULL)
        detail = details.queue_fills(part, _time_until_text(self._queue_trend, 1.0))
        self._report_or_clear("queue_filling", "", detail if is_full or fills else "")

    async def _look_at_disk(self, now: int) -> None:
        """Check the free space; while a measurement hangs, go on after ``_DISK_S`` and start no further one."""
        if self._measuring is None:
            self._measuring = asyncio.create_task(asyncio.to_thread(self._free_bytes))
        await asyncio.wait([self._measuring], timeout=_DISK_S)
        if not self._measuring.done():
            return
        measured, self._measuring = self._measuring, None
        with suppress(OSError):  # the queue reports a disk that fails
            self._judge_disk(measured.result(), now)

    def _judge_disk(self, free: int, now: int) -> None:
        stands = ("disk_short", "") in self._standing
        least = self._watched.min_free_bytes
        bound = _FREE_TIMES * max(least, _LEAST_FREE)
        self._disk_trend.add(now, free)
        shrinks = free < bound * _FREE_FOR_TREND and self._disk_trend.reaches_soon(least, stands=stands)
        is_short = free < (bound * _FREE_OVER if stands else bound)
        detail = details.disk_short(free, _time_until_text(self._disk_trend, least))
        self._report_or_clear("disk_short", "", detail if is_short or shrinks else "")

    def _report_or_clear(self, code: ConditionCode, subject: str, detail: str) -> None:
        """Report a condition with its detail; clear it when the detail is empty."""
        if detail:
            self._standing.add((code, subject))
            self._board.report(code, subject, detail)
        else:
            self._standing.discard((code, subject))
            self._board.clear(code, subject)


def _time_until_text(trend: Trend, bound: float) -> str:
    reached = trend.ms_until(bound)
    return duration_text(reached) if reached is not None else ""

"""Held events, and the figures that a queue states about them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from clock import NOON, Clock
from queues import open_queue
from support import PIXEL, record

from proxy.model.record import Record
from proxy.queue.contract import Segment, Stats, WholeQueue
from proxy.queue.sqlite.engine import LocalQueue


def ids(segments: Sequence[Segment]) -> list[str]:
    return [found.id for segment in segments for found in segment.records]


async def claimed(queue: WholeQueue, *, newest: bool = False) -> list[str]:
    return ids(await queue.claim(PIXEL, most=1000, newest=newest))


def held_event(number: int, seconds: int, *people: bytes, source: Record | None = None) -> Record:
    """Return an event that is due ``seconds`` seconds after noon."""
    event = source or record(number, time_s=NOON // 1000)
    return event._replace(not_before=NOON + seconds * 1000, person_digests=people)


def figures(stats: Stats) -> tuple[int, int, int | None]:
    """Return how many of the pixel's events wait, how many are held, and the next due time in seconds after noon."""
    due = None if stats.next_due is None else (stats.next_due - NOON) // 1000
    return stats.waiting.get(PIXEL, 0), stats.held.get(PIXEL, 0), due


@asynccontextmanager
async def opened(directory: Path, clock: Clock) -> AsyncIterator[LocalQueue]:
    queue = open_queue(directory, clock)
    try:
        yield queue
    finally:
        await queue.close()

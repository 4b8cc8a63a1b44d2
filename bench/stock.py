"""Fills a queue in this process before a proxy starts on it, as fast as appends go."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from rig import SECRET

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.event import BrowserCopy
from proxy.model.record import Record
from proxy.model.units import DAY_MS
from proxy.queue.contract import QueueBrokenError
from proxy.queue.postgres.engine import SharedQueue
from proxy.queue.postgres.opening import make_database
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.data_dir import DataDirLock
from proxy.queue.sqlite.engine import LocalQueue

# About as many events as a commit contains under load.
_GROUP = 64
_PIXEL = "1001"
# More than the default of the setting.
_MOST_EVENTS = 20_000_000
# How many appends share a commit.
_TOGETHER = 64
_numbers = itertools.count()


def records(count: int, pixel: str, *, days: float = 0.0) -> Iterator[Record]:
    """Yield events of one pixel, the oldest first, spread evenly over the last ``days``."""
    chance = random.Random(count)
    now = time.time()
    for place in range(count):
        happened = int(now - days * DAY_MS / 1000 * (1 - place / count))
        identity = f"stock-{next(_numbers)}"
        payload = {
            "event_name": "ViewContent",
            "event_time": happened,
            "event_id": identity,
            "action_source": "website",
            "user_data": {
                "client_ip_address": "93.184.216.34",
                "client_user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
                "(KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
                "fbp": f"fb.1.1763000000000.{chance.randrange(1 << 31)}",
            },
            "event_source_url": "https://www.shop.example/women/shoes/sneaker-white-42?utm_source=meta",
            "referrer_url": "https://www.shop.example/women/shoes",
            "custom_data": {
                "content_ids": ["sku-10042", "sku-10043"],
                "contents": [{"id": "sku-10042", "quantity": 1, "item_price": 79.9}],
                "content_type": "product",
                "value": 79.9,
                "currency": "EUR",
            },
        }
        visitor = chance.randbytes(4)
        yield Record(pixel, "ViewContent", identity, happened, visitor, BrowserCopy.FIRED, "", orjson.dumps(payload))


def _broken(error: QueueBrokenError) -> None:
    raise error


@asynccontextmanager
async def queue_of(directory: Path) -> AsyncIterator[LocalQueue]:
    """Open the queue of a machine's directory while its proxy does not run."""
    data = directory / "data"
    lock = DataDirLock(data)
    queue = LocalQueue.open(
        data,
        Sealer(SECRET),
        limits=QueueSettings(max_events=_MOST_EVENTS),
        retention=RetentionSettings(),
        now=lambda: time.time_ns() // 1_000_000,
        on_broken=_broken,
    )
    try:
        yield queue
    finally:
        await queue.close()
        lock.close()


async def fill(queue: LocalQueue, count: int, pixel: str = "1001", *, days: float = 0.0, group: int = _GROUP) -> float:
    """Append ``count`` events, ``group`` in a commit; return the seconds that it took."""
    started = time.monotonic()
    source = records(count, pixel, days=days)
    while some := tuple(itertools.islice(source, group)):
        await queue.append(some)
        await asyncio.sleep(0)
    return time.monotonic() - started


async def fill_within(queue: LocalQueue, count: int, seconds: float, *, group: int = _GROUP) -> None:
    """Append ``count`` events, or as many as the time allows; many segments share a commit.

    Args:
        queue: The queue.
        count: How many events.
        seconds: No further commit begins after this time.
        group: Events of a segment.
    """
    started = time.monotonic()
    source = records(count, _PIXEL)
    while segments := [some for _ in range(_TOGETHER) if (some := tuple(itertools.islice(source, group)))]:
        # Events with different ``not_before`` moments get different segments. All these moments are past.
        await asyncio.gather(*(queue.append(some, not_before=moment) for moment, some in enumerate(segments)))
        if time.monotonic() - started > seconds:
            break


@asynccontextmanager
async def shared_queue_of(url: str, now: Callable[[], int] | None = None) -> AsyncIterator[SharedQueue]:
    """Open the queue in a PostgreSQL database, without a spool."""
    sealer = Sealer(SECRET)
    database = make_database(url, sealer, commit_timeout=30.0)
    await database.start(patience=30.0)
    queue = SharedQueue(
        database,
        None,
        sealer,
        limits=QueueSettings(max_events=_MOST_EVENTS),
        retention=RetentionSettings(),
        now=now or (lambda: time.time_ns() // 1_000_000),
        lease_s=15.0,
    )
    await queue.start()
    try:
        yield queue
    finally:
        await queue.close()

"""The watch from its start to its end."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.background import run_in_background
from proxy.config.schema import Settings
from proxy.model.condition import ConditionBoard
from proxy.watch.watch import Watch, Watched, WatchedQueue


@asynccontextmanager
async def watching(
    settings: Settings,
    data_dir: Path,
    *,
    queue: WatchedQueue,
    board: ConditionBoard,
    now: Callable[[], int],
) -> AsyncIterator[None]:
    """Watch the figures until the context ends.

    Args:
        settings: The sites, the version of Graph and the limits that are watched.
        data_dir: The free space of its disk is watched.
        queue: Has the figures.
        board: Is told of troubles.
        now: Server clock in milliseconds.
    """

    def free_bytes() -> int:
        disk = os.statvfs(data_dir)
        return disk.f_bavail * disk.f_frsize

    sites = {site.name: [pixel.id for pixel in site.pixel] for site in settings.site}
    watched = Watched(sites, settings.graph.version, settings.queue.min_free_bytes)
    watch = Watch(watched, queue=queue, board=board, free_bytes=free_bytes, now=now)
    async with run_in_background(watch.run(), "watch"):
        yield

"""A queue on a disk of its own whose clock the test sets."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from clock import Clock
from support import SECRET

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.queue.contract import WholeQueue
from proxy.queue.seal import Sealer
from proxy.queue.sieve import Sieve
from proxy.queue.sqlite.engine import LocalQueue


def open_queue(
    directory: Path, clock: Clock, retention: RetentionSettings | None = None, *, sieve: Sieve | None = None
) -> LocalQueue:
    """Open a queue; that it breaks is nobody's concern."""
    return LocalQueue.open(
        directory,
        Sealer(SECRET),
        limits=QueueSettings(),
        retention=retention or RetentionSettings(),
        now=clock,
        on_broken=lambda _error: None,
        sieve=sieve,
    )


def local(queue: WholeQueue) -> LocalQueue:
    """Return a queue whose engine a test looks into."""
    assert isinstance(queue, LocalQueue)
    return queue


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="queue")
async def _queue(tmp_path: Path, clock: Clock) -> AsyncIterator[LocalQueue]:
    queue = open_queue(tmp_path, clock)
    yield queue
    await queue.close()

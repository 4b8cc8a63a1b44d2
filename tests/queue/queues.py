"""A queue on a disk of its own whose clock the test sets."""

from pathlib import Path

from clock import Clock
from support import SECRET

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.engine import LocalQueue


def open_queue(directory: Path, clock: Clock, retention: RetentionSettings | None = None) -> LocalQueue:
    """Open a queue; that it breaks is nobody's concern."""
    return LocalQueue.open(
        directory,
        Sealer(SECRET),
        limits=QueueSettings(),
        retention=retention or RetentionSettings(),
        now=clock,
        on_broken=lambda _error: None,
    )

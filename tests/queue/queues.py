"""A queue on a disk of its own whose clock the test sets."""

from pathlib import Path

from clock import Clock
from support import SECRET, record

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.record import Record
from proxy.model.server_request import NO_FIELDS, RequestFields
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


def server_record(
    number: int = 1, fields: RequestFields = NO_FIELDS, source: str = "website", *, time_s: int | None = None
) -> Record:
    """Return a record of a server: without a visitor and without a browser copy."""
    made = record(number, visitor=b"", time_s=time_s)
    return made._replace(browser_copy=None, action_source=source, fields=fields)

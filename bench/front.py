"""The proxy with something changed, for comparison: ``serve`` with parts switched off, or with a slow fsync."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import apsw
import click
import rig  # noqa: F401 - finds the proxy

from proxy.cli.commands import main as cli
from proxy.edge import collect
from proxy.model.decision import Decision
from proxy.model.record import Record
from proxy.model.request import BrowserRequest
from proxy.queue.contract import Segment, Stored
from proxy.queue.grouper import Grouper
from proxy.queue.sqlite import connection
from proxy.queue.sqlite.engine import LocalQueue
from proxy.rules.effort import Parts
from proxy.rules.policy import Policy
from proxy.telemetry.metrics import Metrics


class _SlowFile(apsw.VFSFile):
    """A file whose every sync takes longer."""

    def __init__(self, base: str, name: apsw.URIFilename | str | None, flags: list[int], seconds: float) -> None:
        super().__init__(base, name, flags)
        self._seconds = seconds

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Sleep, then sync."""
        time.sleep(self._seconds)
        super().xSync(flags)


class _SlowDisk(apsw.VFS):
    """A VFS that the queue uses in this process instead of its own, and whose files sync slowly."""

    def __init__(self, seconds: float) -> None:
        self._base, self._seconds = connection.VFS, seconds
        super().__init__("slow", self._base)
        connection.VFS = "slow"

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Open a file that syncs slowly."""
        return _SlowFile(self._base, name, flags, self._seconds)


def _store_nothing() -> None:
    async def append(_grouper: Grouper, _records: Sequence[Record]) -> Stored:
        return Stored()

    # A real lane stops to ask while Graph is down; one whose claim returned nothing would ask again at each request.
    async def claim(_queue: LocalQueue, _pixel: str, **_wishes: object) -> tuple[Segment, ...]:
        await asyncio.Event().wait()
        return ()

    for owner, name, method in ((Grouper, "append", append), (LocalQueue, "claim", claim)):
        setattr(owner, name, method)


def _judge_nothing() -> None:
    def ingest_parts(_request: BrowserRequest, _policy: Policy) -> Parts[Decision]:
        yield from ()
        return Decision(taken=1)

    vars(collect)["ingest_parts"] = ingest_parts


def _count_nothing() -> None:
    def count(_metrics: Metrics, *_what: object) -> None:
        pass

    for name in ("request", "decision"):
        setattr(Metrics, name, count)


@click.command()
@click.option("--config", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--store/--no-store", default=True, help="Whether events are stored at all.")
@click.option("--rules/--no-rules", default=True, help="Whether requests are judged; if not, none brings events.")
@click.option("--metrics/--no-metrics", default=True, help="Whether requests and events are counted.")
@click.option("--fsync-ms", type=float, help="Milliseconds added to each fsync, through a VFS in Python.")
def main(config: Path, *, store: bool, rules: bool, metrics: bool, fsync_ms: float | None) -> None:
    """Serve, with parts switched off or with a slower fsync."""
    disk = None if fsync_ms is None else _SlowDisk(fsync_ms / 1000)
    if not store:
        _store_nothing()
    if not rules:
        _judge_nothing()
    if not metrics:
        _count_nothing()
    cli(["serve", "--config", str(config)])
    del disk


if __name__ == "__main__":
    main()

"""The proxy with one thing changed, for comparison: ``serve`` whose queue stores nothing, or whose fsync is slow."""

import time
from collections.abc import Sequence
from pathlib import Path

import apsw
import click
import rig  # noqa: F401 - finds the proxy

from proxy.cli.commands import main as cli
from proxy.model.record import Record
from proxy.queue.contract import Segment, Stored
from proxy.queue.sqlite import connection
from proxy.queue.sqlite.engine import LocalQueue


class _SlowFile(apsw.VFSFile):
    """A file whose every flush takes longer."""

    def __init__(self, base: str, name: apsw.URIFilename | str | None, flags: list[int], seconds: float) -> None:
        super().__init__(base, name, flags)
        self._seconds = seconds

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Flush, later."""
        time.sleep(self._seconds)
        super().xSync(flags)


class _SlowDisk(apsw.VFS):
    """Takes the place of the queue's VFS in this process."""

    def __init__(self, seconds: float) -> None:
        self._base, self._seconds = connection.VFS, seconds
        super().__init__("slow", self._base)
        connection.VFS = "slow"

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Open a file."""
        return _SlowFile(self._base, name, flags, self._seconds)


def _store_nothing() -> None:
    async def append(_queue: LocalQueue, _records: Sequence[Record]) -> Stored:
        return Stored()

    async def claim(_queue: LocalQueue, _pixel: str, **_wishes: object) -> tuple[Segment, ...]:
        return ()

    for name, method in (("append", append), ("claim", claim)):
        setattr(LocalQueue, name, method)


@click.command()
@click.option("--config", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--store/--no-store", default=True, help="Whether events are stored at all.")
@click.option("--fsync-ms", type=float, help="Milliseconds added to each fsync, through a VFS in Python.")
def main(config: Path, *, store: bool, fsync_ms: float | None) -> None:
    """Serve, with one thing changed."""
    disk = None if fsync_ms is None else _SlowDisk(fsync_ms / 1000)
    if not store:
        _store_nothing()
    cli(["serve", "--config", str(config)])
    del disk


if __name__ == "__main__":
    main()

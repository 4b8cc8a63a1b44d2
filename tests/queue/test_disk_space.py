"""How the queue watches its disk, and how often it reports."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support import SECRET, record, until

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.condition import ConditionCode
from proxy.queue.contract import QueueFullError
from proxy.queue.seal import Sealer
from proxy.queue.sqlite import housekeeping
from proxy.queue.sqlite.disk_space import DiskSpace
from proxy.queue.sqlite.engine import LocalQueue
from proxy.queue.sqlite.troubles import Troubles


class Heard:
    """A board that remembers what was reported and cleared."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def report(self, code: ConditionCode, subject: str = "", detail: str = "", *, lasts_ms: int | None = None) -> None:
        del detail, lasts_ms
        self.lines.append(f"{code} {subject}".rstrip())

    def clear(self, code: ConditionCode, subject: str = "") -> None:
        self.lines.append(f"{code} {subject}".rstrip() + ": over")


class SameThread:
    """A stand-in for the event loop that calls at once."""

    def call_soon_threadsafe(self, call: Callable[[], None]) -> None:
        call()


def room(directory: Path, heard: Heard, reserve: int = 0) -> DiskSpace:
    return DiskSpace(directory, reserve, Troubles(heard, SameThread()))


def failing(monkeypatch: pytest.MonkeyPatch, name: str, error: int) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, name, fail)


def test_a_disk_that_cannot_be_measured_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the measurement fails, one report is made and later cleared, and events are accepted."""
    heard = Heard()
    looked = room(tmp_path, heard)
    with monkeypatch.context() as patch:
        failing(patch, "statvfs", errno.EIO)
        for _ in range(100):
            looked.look()
        assert looked.short == ""
    looked.look()

    assert heard.lines == ["housekeeping disk", "housekeeping disk: over"]


@pytest.mark.parametrize("name", ["open", "posix_fallocate", "ftruncate", "close"])
def test_a_ballast_that_cannot_be_made_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without a descriptor, or on a file system without the call, one report is made and no partial ballast is left."""
    heard = Heard()
    with monkeypatch.context() as patch:
        failing(patch, name, errno.EMFILE)
        looked = room(tmp_path, heard)
        for _ in range(100):
            looked.look()
        assert (looked.short, list(tmp_path.iterdir())) == ("", [])
    looked.look()

    assert heard.lines == ["housekeeping ballast", "housekeeping ballast: over"]


def test_a_disk_that_was_full_has_room_again_when_the_ballast_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free bytes that a quota denies do not count as room; that is reported once, until the ballast can be made."""
    heard = Heard()
    looked = room(tmp_path, heard)
    assert looked.remove_ballast()
    with monkeypatch.context() as patch:
        failing(patch, "posix_fallocate", errno.EDQUOT)
        for _ in range(100):
            looked.look()
            looked.mark_full()
        assert looked.short
        assert not looked.remove_ballast()
    looked.look()

    assert (looked.short, heard.lines) == ("", ["queue", "queue: over"])


async def test_a_full_disk_is_told_once_however_often_it_is_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk is full, housekeeping goes on trying; it reports once, and clears once there is room."""
    monkeypatch.setattr(housekeeping, "_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(housekeeping, "_NOTE_EVERY_S", 0.0)
    heard = Heard()
    queue = LocalQueue.open(
        tmp_path,
        Sealer(SECRET),
        limits=QueueSettings(min_free_bytes=0),
        retention=RetentionSettings(),
        now=lambda: 0,
        on_broken=lambda _error: None,
        conditions=heard,
    )
    tended = 0
    tend = queue._store.tend

    def counted() -> bool:
        nonlocal tended
        tended += 1
        return tend()

    queue._store.tend = counted  # type: ignore[method-assign]
    with monkeypatch.context() as patch:
        failing(patch, "posix_fallocate", errno.ENOSPC)
        await queue._writer.do(lambda: queue._store.disk_space.remove_ballast() and None)
        refused = 0
        while tended < 200:
            try:
                await queue.append([record(tended)])
            except QueueFullError:
                refused += 1
            await queue._writer.do(lambda: None)
    await until(lambda: _takes(queue), what="room")
    await asyncio.sleep(0)
    await queue.close()

    assert refused
    assert heard.lines == ["queue", "queue: over"]


async def _takes(queue: LocalQueue) -> bool:
    return not queue.refusal_reason()

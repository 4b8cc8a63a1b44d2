"""The disk under ``data_dir``: its file system, its free space, and how long a flush takes.

The flush is measured on a file without a name (``O_TMPFILE``): nothing appears in the directory, whose times do not
change either, and the few blocks are free again before the measurement returns. Where the file system has no such
files, nothing is measured.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from proxy.config.load import Config
from proxy.doctor.finding import Finding

_KEY = "server.data_dir"
_VOLATILE = {"tmpfs", "ramfs"}
_NETWORK = {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "nfs", "nfs4", "smb3", "smbfs"}
_OF_CONTAINERS = {"aufs", "overlay"}
_MOUNTS = Path("/proc/self/mountinfo")
_MEASUREMENTS = 15
_MOST_SECONDS = 2.0
"""For all measurements together."""
_SLOW_S = 0.05
_BLOCK = 4096


def findings(config: Config, mounts: Path = _MOUNTS, slow_s: float = _SLOW_S) -> Iterator[Finding]:
    """Yield what is wrong with the disk.

    Args:
        config: Says where the queue is, and how much it may hold.
        mounts: What the system says of its file systems, as ``/proc/self/mountinfo``.
        slow_s: The disk is slow if a flush takes so many seconds or more.
    """
    directory = place = config.data_dir.absolute()
    try:
        place = next(each for each in (directory, *directory.parents) if each.exists())
        yield from _kind(place, mounts)
        yield from _room(config, place)
        if directory.is_dir() and os.access(directory, os.W_OK):
            yield from _speed(directory, slow_s)
    except OSError as error:
        yield Finding("disk_unmeasured", _KEY, f"{place}: {error.strerror}")


def _kind(place: Path, mounts: Path) -> Iterator[Finding]:
    kind = file_system(place.resolve(), mounts)
    if kind in _VOLATILE:
        yield Finding("disk_volatile", _KEY, f"{place} is on {kind}, which is memory")
    elif kind in _NETWORK:
        yield Finding("disk_network", _KEY, f"{place} is on {kind}")
    elif kind in _OF_CONTAINERS:
        yield Finding("disk_of_container", _KEY, f"{place} is on {kind}", f"docker run -v capi-proxy-data:{place} …")


def file_system(place: Path, mounts: Path = _MOUNTS) -> str:
    """Return the type of the file system that an absolute path is on, as ``mounts`` has it; empty if not known."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    deepest, kind = -1, ""
    for line in lines:
        head, _, tail = line.partition(" - ")
        fields = head.split()
        point = Path(_unescaped(fields[4])) if len(fields) > 4 else None
        # The later of two mounts at one place covers the other.
        if point and place.is_relative_to(point) and len(point.parts) >= deepest:
            deepest, kind = len(point.parts), tail.split(" ", 1)[0]
    return kind


def _unescaped(field: str) -> str:
    """Return a path of ``mountinfo`` with its octal escapes of blanks and the like undone (proc(5))."""
    return field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _room(config: Config, place: Path) -> Iterator[Finding]:
    queue, disk = config.settings.queue, os.statvfs(place)
    free = disk.f_bavail * disk.f_frsize
    if free < queue.min_free_bytes:
        seen = f"{_mib(free)} free in {place}, and queue.min_free_bytes is {_mib(queue.min_free_bytes)}"
        yield Finding("disk_short", "queue.min_free_bytes", seen)
    elif queue.engine == "sqlite" and free - queue.min_free_bytes < _needed_bytes(config):
        seen = f"{_mib(free)} free in {place}"
        yield Finding("disk_nearly_short", "queue.max_bytes", seen, f"max_bytes = {max(free // 2, 1 << 20)}")


def _needed_bytes(config: Config) -> int:
    """Return how many bytes should be free for the queue at any time: a tenth of what it may hold.

    An event counts as 1,000 bytes.
    """
    return min(config.settings.queue.max_bytes // 10, config.settings.queue.max_events * 100)


def _speed(directory: Path, slow_s: float) -> Iterator[Finding]:
    try:
        seconds = flush_seconds(directory)
    except OSError as error:
        yield Finding("disk_unmeasured", _KEY, f"{directory}: no file without a name can be made ({error.strerror})")
        return
    if seconds >= slow_s:
        yield Finding("disk_slow", _KEY, f"{seconds * 1000:.0f} ms to make sure of one block in {directory}")


def flush_seconds(directory: Path) -> float:
    """Return the median time in seconds, of a few measurements, to write a block and flush it to the disk.

    Raises:
        OSError: when the file system has no files without a name.
    """
    file = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        begun, measured = time.perf_counter(), list[float]()
        while len(measured) < _MEASUREMENTS and time.perf_counter() - begun < _MOST_SECONDS:
            started = time.perf_counter()
            os.pwrite(file, bytes(_BLOCK), _BLOCK * len(measured))
            os.fdatasync(file)
            measured.append(time.perf_counter() - started)
        return median(measured)
    finally:
        os.close(file)


def _mib(count: int) -> str:
    return f"{count / (1 << 20):.0f} MiB"

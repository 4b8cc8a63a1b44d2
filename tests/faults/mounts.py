"""Mounts for tests: a small disk that a test fills, and a directory that cannot be written."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

TMPFS_BYTES = 24 << 20
LIBC = ctypes.CDLL(None, use_errno=True)
READ_ONLY, REMOUNT, BIND, DETACH = 1, 32, 4096, 2


@contextmanager
def mounted(source: Path | str, place: Path, kind: str, flags: int = 0, options: str = "") -> Iterator[None]:
    """Mount for a while; skip the test with a message if that is not allowed."""
    mount(source, place, kind, flags, options)
    try:
        yield
    finally:
        assert LIBC.umount2(os.fsencode(place), DETACH) == 0


def mount(source: Path | str, place: Path, kind: str, flags: int = 0, options: str = "") -> None:
    if LIBC.mount(os.fsencode(source), os.fsencode(place), kind.encode(), flags, options.encode()):
        pytest.skip(f"NOT TESTED: mounting on {place}: {os.strerror(ctypes.get_errno())} (be root)")


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    directory.mkdir(mode=0o700)
    with mounted("tmpfs", directory, "tmpfs", options=f"size={TMPFS_BYTES},mode=700"):
        yield


@contextmanager
def unwritable(place: Path) -> Iterator[None]:
    """Make a place unwritable; as root, who may write everything, by a read-only mount of the place on itself."""
    if os.geteuid() == 0:
        with mounted(place, place, "", BIND):
            mount(place, place, "", BIND | REMOUNT | READ_ONLY)
            yield
        return
    mode = place.stat().st_mode
    place.chmod(mode & ~0o222)
    try:
        yield
    finally:
        place.chmod(mode)

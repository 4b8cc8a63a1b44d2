"""Helpers for a process and its children."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from postgres_server import as_server


def family(pid: int) -> list[int]:
    """Return a process, and then its children."""
    everybody = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid, *(each for each in everybody if _parent(each) == pid)]


def send(pid: int, what: signal.Signals) -> None:
    """Send a signal to a process, if it still exists."""
    with suppress(ProcessLookupError):
        os.kill(pid, what)


def limit_files(pid: int, size: str) -> None:
    """Limit the file size of a server's process to ``size`` bytes, or ``unlimited``; 0 is nearest to a full disk.

    Only a process's own user may limit it, so the command runs as that user.
    """
    subprocess.run(as_server("prlimit", f"--pid={pid}", f"--fsize={size}:"), check=False, capture_output=True)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0

"""A process and those that it started."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def family(pid: int) -> list[int]:
    """Return a process, and then its children."""
    everybody = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid, *(each for each in everybody if _parent(each) == pid)]


def send(pid: int, what: signal.Signals) -> None:
    """Send a signal to a process, if it is there still."""
    with suppress(ProcessLookupError):
        os.kill(pid, what)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0

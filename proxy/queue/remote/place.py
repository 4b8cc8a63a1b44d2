"""Where the socket of the back is: a file in data_dir that only the proxy's user may open."""

import os
import socket
from contextlib import suppress
from pathlib import Path

SOCKET_FILE = "back.sock"
_LONGEST = 100
"""Longest address, in bytes, that every system takes (unix(7): on Linux 108 with the final zero byte)."""
_BACKLOG = 64


def address_of(path: Path) -> str:
    """Return a path as the address of a socket; for a long path a short form, which this process alone can use."""
    if len(os.fsencode(path)) <= _LONGEST:
        return str(path)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{directory}/{path.name}"


def listening_socket(address: str) -> socket.socket:
    """Listen at an address of ``address_of``; what an earlier process left there is removed.

    Raises:
        OSError: when the directory cannot be written.
    """
    with suppress(FileNotFoundError):
        os.unlink(address)  # noqa: PTH108 - an address is no path
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    finally:
        os.umask(mask)
    return listening

"""What the parent makes before it forks, so that all its children share it."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from mmap import mmap

from proxy.installation import Installation
from proxy.queue.remote.messages import new_token
from proxy.queue.remote.place import SOCKET_FILE, address_of
from proxy.queue.sieve import Sieve


@dataclass(frozen=True, slots=True)
class Shared:
    """What fronts and back share."""

    installation: Installation
    address: str
    """Where the back listens for fronts."""
    token: bytes
    """See ``messages.new_token``."""
    sieve: mmap
    """Memory of the sieve: the back writes, the fronts read."""

    @property
    def fronts(self) -> int:
        """How many fronts there are."""
        return self.installation.settings.server.workers


def make_shared(installation: Installation) -> Shared:
    """Return what the processes of an installation share.

    Raises:
        OSError: when data_dir cannot be opened.
    """
    address = address_of(installation.config.data_dir / SOCKET_FILE)
    return Shared(installation, address, new_token(), mmap(-1, Sieve.BYTES))


@dataclass(frozen=True, slots=True)
class FrontResources:
    """What one front gets from the parent."""

    shared: Shared
    number: int
    """The number of the front, from 1."""
    sockets: Sequence[socket.socket]
    """The sockets on which the front accepts connections."""

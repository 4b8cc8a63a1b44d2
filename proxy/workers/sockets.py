"""The listening sockets of all fronts, which their parent opens and keeps.

Each front has a socket of its own, and the kernel spreads connections over them. Since the parent keeps it open, the
connections that wait at a front's socket when that front dies are served by the next one.
"""

import socket
from collections.abc import Sequence
from typing import Any

from proxy.config.address import Address
from proxy.edge.net.listener import BACKLOG


def listening_sockets(address: Address, fronts: int) -> list[list[socket.socket]]:
    """Return the sockets of each front: one for each address that the host has.

    Args:
        address: Where to listen; port 0 finds a free one.
        fronts: How many fronts there are.

    Raises:
        OSError: when the address cannot be listened on, or another process listens there.
    """
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = dict.fromkeys((family, where) for family, _, _, _, where in found)
    opened = [_shared(family, where, fronts) for family, where in addresses]
    return [list(sockets) for sockets in zip(*opened, strict=True)]


def _shared(family: int, where: Any, count: int) -> Sequence[socket.socket]:
    _require_free(family, where)
    sockets: list[socket.socket] = []
    for _ in range(count):
        listening = socket.create_server(where, family=family, backlog=BACKLOG, reuse_port=True)
        listening.setblocking(False)
        sockets.append(listening)
        where = listening.getsockname()  # the port that was found, if none was asked for
    return sockets


def _require_free(family: int, where: Any) -> None:
    """Raise OSError if another proxy of this user listens there: each would get half of the visitors."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind(where)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} ({where[0]}:{where[1]})") from error

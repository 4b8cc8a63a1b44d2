"""The sockets by which fronts share an address, and the limits that they share."""

import socket
from contextlib import ExitStack

import pytest

from proxy.config.address import Address
from proxy.config.schema import LimitSettings
from proxy.edge.net.terms import shared_limits
from proxy.workers.sockets import listening_sockets


def test_each_front_listens_at_the_one_free_port_that_was_found() -> None:
    """With port 0 all fronts get sockets on the same free port, a socket for each address of the host."""
    with ExitStack() as stack:
        fronts = listening_sockets(Address("127.0.0.1", 0), 3)
        names = [stack.enter_context(each).getsockname() for sockets in fronts for each in sockets]

    assert len(names) == 3
    assert len(set(names)) == 1
    assert names[0][1] > 0


@pytest.mark.parametrize("shares", [True, False], ids=["another proxy of several processes", "of one process"])
def test_an_address_where_somebody_listens_is_refused(shares: bool) -> None:  # noqa: FBT001 - a table row
    """Only fronts of one proxy share a port; with another program's, the kernel would mix the visitors."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=shares) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}"):
            listening_sockets(Address("127.0.0.1", port), 2)


@pytest.mark.parametrize(("fronts", "expected"), [(2, 2000), (3, 1333), (64, 62)])
def test_connections_are_divided_and_what_an_address_may_take_is_not(fronts: int, expected: int) -> None:
    """The fronts share the connection limit of one process; the limits for a client address are not divided.

    A client with a single connection reaches only one front, and must have its whole rate there.
    """
    limits = LimitSettings()
    shared = shared_limits(limits, fronts)

    assert shared == limits.model_copy(update={"connections": expected})
    assert shared_limits(LimitSettings(connections=10), fronts).connections == 10

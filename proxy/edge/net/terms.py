"""The limits and settings by which a listener serves its clients."""

import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy.config.schema import LimitSettings
from proxy.edge.exchange import HttpAnswer, HttpRequest
from proxy.edge.net.plain_http import PlainPosts
from proxy.rules.request.client_address import Networks
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

_FEW_CONNECTIONS = 64
_FEWEST_CONNECTIONS = 10


@dataclass(frozen=True, slots=True)
class FastWay:
    """The fast way: plain POSTs are read and answered without the listener's aiohttp application."""

    posts: PlainPosts
    """Reads the requests that go the fast way."""
    answer: Callable[[HttpRequest], Coroutine[Any, Any, HttpAnswer]]
    """Answers those requests."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The limits and settings of a listener, its trusted peers, and where it reports."""

    name: str
    limits: LimitSettings
    conditions: Conditions
    metrics: Metrics
    trusted: Networks = field(default_factory=Networks)
    proxy_protocol: bool = False
    """Whether trusted peers begin with a header of the PROXY protocol."""
    fast: FastWay | None = None
    """None: every request goes to the application."""
    sockets: Sequence[socket.socket] = ()
    """Sockets that listen already and that another process keeps open; empty: the listener opens its own."""


def shared_limits(limits: LimitSettings, fronts: int) -> LimitSettings:
    """Return the limits of one of several processes that listen at the same address.

    The number of all connections is divided by ``fronts``. The number for one address is not: all connections of a
    client may reach the same process. So a client whose connections spread can get up to ``fronts`` times its limit.
    """
    return limits.model_copy(update={"connections": max(limits.connections // fronts, _FEWEST_CONNECTIONS)})


def few_connections(limits: LimitSettings) -> LimitSettings:
    """Return the limits of a listener that only a few clients use, any of whom may take all its connections."""
    few = {"connections": _FEW_CONNECTIONS, "connections_per_address": _FEW_CONNECTIONS + 1}
    return limits.model_copy(update=few)

"""What a listener serves its clients by."""

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
    """The short way of some requests past the listener's application."""

    posts: PlainPosts
    """Reads the requests that go it."""
    answer: Callable[[HttpRequest], Coroutine[Any, Any, HttpAnswer]]
    """Answers them."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a listener serves its clients by: limits, trust, and where it reports."""

    name: str
    limits: LimitSettings
    conditions: Conditions
    metrics: Metrics
    trusted: Networks = field(default_factory=Networks)
    proxy_protocol: bool = False
    """Trusted peers speak the PROXY protocol first."""
    fast: FastWay | None = None
    """None: every request goes to the application."""
    sockets: Sequence[socket.socket] = ()
    """They listen already, where another process keeps them open; none: the listener makes its own."""


def shared_limits(limits: LimitSettings, fronts: int) -> LimitSettings:
    """Return the limits of one of several processes that listen at the same address.

    The connections in all are divided. What one address may take is not: a client whose connections all lead to one
    process shall not be refused what it may have, so one who spreads them gets up to so many times as much.
    """
    return limits.model_copy(update={"connections": max(limits.connections // fronts, _FEWEST_CONNECTIONS)})


def few_connections(limits: LimitSettings) -> LimitSettings:
    """Return the limits of a listener that only a few clients use, any of whom may take all its connections."""
    few = {"connections": _FEW_CONNECTIONS, "connections_per_address": _FEW_CONNECTIONS + 1}
    return limits.model_copy(update=few)

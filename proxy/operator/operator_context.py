"""Everything that the parts of the operator listener need, to show it to the owner or to change it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from proxy.alerts.alerter import Alerter
from proxy.config.schema import Site
from proxy.delivery.lane import Lane
from proxy.delivery.order_book import OrderBook
from proxy.delivery.token_watch import TokenWatch
from proxy.operator.doctor import Examine
from proxy.queue.contract import Archive
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.readiness import Readiness


class Part(Protocol):
    """A part of the operator listener, which answers some of its routes."""

    def add_to(self, app: web.Application) -> None:
        """Add the routes of the part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorContext:
    """What a process that owns a queue gives to its operator listener."""

    password: str
    """In clear or hashed; without one, only requests to a loopback name are answered."""
    queue: Archive
    """Where events wait, and where finished ones are recorded."""
    metrics: Metrics
    lanes: Mapping[str, Lane]
    """By pixel id."""
    orders: OrderBook
    tokens: TokenWatch
    conditions: Conditions
    readiness: Readiness
    now: Callable[[], int]
    """Server clock in milliseconds."""
    examine: Examine
    """Looks at configuration, machine and public addresses."""
    sites: Sequence[Site]
    prefixes: Mapping[str, str]
    """By the name of a site: the prefix of its public paths."""
    parts: Sequence[Part] = ()
    """Further parts, besides those that the listener makes itself."""
    alerter: Alerter | None = None
    """Sends alerts about conditions; None when the configuration has no receiver."""
    person_keys: Sequence[bytes] = ()
    """Keys of the digests of persons, the current one first."""

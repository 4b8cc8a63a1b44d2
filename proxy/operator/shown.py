"""What the owner may look at and order: everything that the parts of the operator listener are made of."""

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
    """A part of what the listener answers."""

    def add_to(self, app: web.Application) -> None:
        """Add the addresses of the part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Of one process that owns a queue."""

    password: str
    """In clear or hashed; without one, only requests to a loopback name are answered."""
    queue: Archive
    """Where events wait, and what is kept of them."""
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
    """By the name of a site, where its public paths begin."""
    parts: Sequence[Part] = ()
    """What answers beside the parts that are made of all this."""
    alerter: Alerter | None = None
    """Tells of conditions; None where nobody is to be told."""
    person_keys: Sequence[bytes] = ()
    """Keys of the digests of persons, the current one first."""

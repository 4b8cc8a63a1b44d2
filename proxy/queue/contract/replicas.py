"""Which proxies work on one queue, and which of them delivers what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.queue.contract.outbox import DeliveryState


@dataclass(frozen=True, slots=True)
class Replica:
    """A proxy that works on the queue, or did so within the last day."""

    name: str
    version: str
    started_at: int
    """By the database's clock, in milliseconds, as the next."""
    seen_at: int
    """When it last said that it lives."""
    silent_ms: int
    """How long ago that is."""
    is_this: bool


@dataclass(frozen=True, slots=True)
class LaneReport:
    """Who delivers a pixel, and how that stands, as far as the others have heard."""

    replica: str
    """Its name; empty while none does."""
    is_this: bool
    state: DeliveryState


class Replicas(Protocol):
    """Tells of the proxies that share a queue."""

    async def replicas(self) -> Sequence[Replica]:
        """Return all of them, in the order of their names; none where one process has the queue to itself.

        Raises:
            QueueError: when that cannot be read.
        """

    async def lane_reports(self) -> Mapping[str, LaneReport]:
        """Return by pixel who delivers it; nothing where one process has the queue to itself.

        Raises:
            QueueError: when that cannot be read.
        """

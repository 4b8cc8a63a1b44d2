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
    """By the database's clock, in milliseconds; so is ``seen_at``."""
    seen_at: int
    """When it last wrote that it lives."""
    silent_ms: int
    """How long ago that is."""
    is_this: bool


@dataclass(frozen=True, slots=True)
class LaneReport:
    """Which replica delivers a pixel, and the state of that delivery as the replica last wrote it."""

    replica: str
    """Its name; empty while no replica delivers the pixel."""
    is_this: bool
    state: DeliveryState


class Replicas(Protocol):
    """Tells of the proxies that share a queue."""

    async def replicas(self) -> Sequence[Replica]:
        """Return all of them, ordered by name; nothing where one process has the queue to itself.

        Raises:
            QueueError: when that cannot be read.
        """

    async def lane_reports(self) -> Mapping[str, LaneReport]:
        """Return by pixel who delivers it; nothing where one process has the queue to itself.

        Raises:
            QueueError: when that cannot be read.
        """

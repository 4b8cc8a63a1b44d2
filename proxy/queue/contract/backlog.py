"""How much the queue holds, and since when events wait."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from proxy.model.event import DropReason
from proxy.model.suppression import SuppressionKind


@dataclass(frozen=True, slots=True)
class Stats:
    """How full the queue is."""

    waiting: Mapping[str, int]
    """Events by pixel."""
    dead: int
    withheld: Mapping[DropReason, int] = field(default_factory=dict)
    """Events since start that waited and were dropped."""
    lost_notes: int = 0
    """Ledger rows and updates of browser copies since start that were left out of the ledger."""
    suppressions: Mapping[SuppressionKind, int] = field(default_factory=dict)
    """How many there are."""
    foreign_updates: int = 0
    """Updates since start of browser copies of somebody else's events, which were ignored."""
    suspects: Mapping[str, int] = field(default_factory=dict)
    """How many of the waiting events are suspects, by pixel."""
    held: Mapping[str, int] = field(default_factory=dict)
    """How many of the waiting events are held, that is not due yet, by pixel."""
    next_due: int | None = None
    """When the next held event is due, or an earlier moment: server clock in milliseconds."""
    spooled: int = 0
    """Events that rest on this machine because the shared database does not have them yet."""


@dataclass(frozen=True, slots=True)
class Oldest:
    """Since when the oldest due events of a pixel wait: when they arrived, or became due if they were held.

    Server clock in milliseconds, None if no such events wait.
    """

    fresh: int | None = None
    suspect: int | None = None


class Backlog(Protocol):
    """Tells how much waits."""

    def stats(self) -> Stats:
        """Return how full the queue is, as the engine last counted, at no cost."""

    async def oldest(self, pixels: Collection[str]) -> dict[str, Oldest]:
        """Return by pixel since when its oldest events wait; held events do not count."""

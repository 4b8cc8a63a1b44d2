"""What the operator asks of the queue: what happened, what Graph refused, and who is suppressed."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.model.ledger import LedgerRow, Status
from proxy.model.suppression import SuppressionKind
from proxy.model.verdict import GraphError
from proxy.queue.contract.backlog import Backlog
from proxy.queue.contract.replicas import Replicas
from proxy.queue.contract.suppressing import Suppressing, Suppression


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as it is kept; ``payload`` is what Graph refused, empty when the disk damaged it."""

    id: int
    at: int
    pixel: str
    name: str
    event_id: str
    time_s: int
    reason: str
    graph_error: GraphError
    attempts: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Filter:
    """Which finished events or dead letters; empty fields match all."""

    pixel: str = ""
    name: str = ""
    id: str = ""
    status: Status | None = None
    reason: str = ""
    action_source: str = ""
    """Only finished events that happened there, in Meta's words; dead letters of any."""
    before: int = 0
    """Only dead letters with a smaller number than this one."""
    since: int | None = None
    """Only events with a larger number than this one, in the order of their numbers; without it, newest first."""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Erased:
    """How many events and dead letters about a person were removed."""

    waiting: int = 0
    dead: int = 0


class Books(Suppressing, Protocol):
    """Shows the operator what is kept, and changes it."""

    def events(self, wanted: Filter) -> AsyncIterator[LedgerRow]:
        """Yield finished events, each with the latest state of its browser copy, in the order of ``wanted.since``."""

    async def dead(self, wanted: Filter) -> list[DeadLetter]:
        """Return dead letters, newest first."""

    async def replay(self, ids: Sequence[int], *, not_before_s: int) -> int:
        """Put dead letters back to be delivered with the same event ids; return how many.

        Args:
            ids: Numbers of dead letters; those that do not exist are left out.
            not_before_s: Unix time in seconds; letters of events that age from before (``age.aging_from_s``), which for
                nearly all is when they happened, stay dead.
        """

    async def discard(self, ids: Sequence[int]) -> int:
        """Remove dead letters for good; return how many."""

    async def suppressions(
        self, kind: SuppressionKind | None = None, *, limit: int = 100, after: bytes | None = None
    ) -> list[Suppression]:
        """Return suppressions of a kind, or of any, newest first.

        Args:
            kind: Only these; None: of all kinds.
            limit: How many at the most.
            after: Only those with larger digests than this one, in the order of digests; of the last digest all, beyond
                the limit, so that a list that goes on behind it misses none.
        """

    async def erase(self, person_digests: Collection[bytes], at: int) -> Erased:
        """Remove what waits and the dead letters about these people, and refuse what happened up to ``at``.

        What is being delivered at this moment is not called back; should it fail, it is dropped.
        """


class ClosedBooks(Books, Protocol):
    """The books for whoever opens them alone, and closes them."""

    async def close(self) -> None:
        """Finish what was asked, then close."""


class Archive(Backlog, Books, Replicas, Protocol):
    """All that is asked about a queue while it works."""

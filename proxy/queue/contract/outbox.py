"""What delivery asks of the queue: to claim what waits, and to record how attempts ended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from proxy.model.ledger import LedgerRow
from proxy.model.record import Record
from proxy.model.verdict import GraphError
from proxy.queue.contract.backlog import Backlog

SegmentRef: TypeAlias = int | bytes
"""Names a segment to the engine that gave it out; others only compare it."""


class Segment(NamedTuple):
    """Claimed records of one pixel, with the history they share."""

    ref: SegmentRef
    pixel: str
    attempts: int
    strikes: int
    """How many attempts had the outcome ``Settlement.struck``."""
    records: tuple[Record, ...]
    at: int = 0
    """Server clock in milliseconds when its events arrived, or became due if they were held."""
    suspect: int = 0
    """0 for fresh events. Once a batch with these events was refused: the most events that a batch with them may have.

    Negative if they came from the same network as other bad events; such suspects come after all others.
    """


@dataclass(frozen=True, slots=True)
class Remainder:
    """Records that outlive their segment: the survivors of a partial failure."""

    pixel: str
    attempts: int
    strikes: int
    records: tuple[Record, ...]
    at: int = 0
    """``Segment.at`` of the segment they come from; 0: they arrive now."""
    suspect: int = 0
    """See ``Segment.suspect``."""


@dataclass(frozen=True, slots=True)
class NewDeadLetter:
    """A record about to become a dead letter."""

    record: Record
    reason: str
    graph_error: GraphError
    attempts: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an attempt decided, applied whole or not at all."""

    done: tuple[SegmentRef, ...] = ()
    """Segments that are gone."""
    tried: tuple[SegmentRef, ...] = ()
    """Segments that stay, one attempt older."""
    struck: bool = False
    """Whether Graph answered the attempt with 2xx, but counted no event."""
    suspects: tuple[tuple[SegmentRef, int], ...] = ()
    """Segments that stay, one attempt older, as suspects: which, and their new ``suspect``."""
    remainders: tuple[Remainder, ...] = ()
    dead: tuple[NewDeadLetter, ...] = ()
    rows: tuple[LedgerRow, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """How delivery of a pixel stands with Graph: what its lane must remember across a restart."""

    paused: str = ""
    """Why nothing can be delivered until somebody fixes the cause; empty while events can be delivered."""
    failures: int = 0
    """Attempts in a row that failed."""
    retry_at: int = 0
    """Server clock in milliseconds before which nothing is tried again."""
    last_error: str = ""
    """The reason of the last failure; empty after a success."""
    graph_error: GraphError = field(default_factory=GraphError)
    """What Graph said with it, without the access token."""


class Outbox(Backlog, Protocol):
    """Gives events out to be delivered."""

    def register_lanes(self, wakes: Mapping[str, Callable[[], None]]) -> None:
        """Apply to lead the delivery of pixels; wake a lane when its leader changes or another process adds events.

        Args:
            wakes: What wakes the lane, by pixel; called on the event loop.
        """

    def term(self, pixel: str) -> int:
        """Return the number of the term in which this process leads the delivery of a pixel; 0 while it does not lead.

        Each time the process begins to lead, the number is another one. ``claim`` returns events only to the leader; a
        process that has the queue to itself always leads.
        """

    async def claim(self, pixel: str, *, most: int, newest: bool = False, suspect: bool = False) -> tuple[Segment, ...]:
        """Claim unclaimed segments of a pixel that are due, ``most`` events together, at least one if there is any.

        All events of a claim have the same request fields; those without any take every second turn. Nothing is
        claimed while another process leads the delivery of the pixel, or the database is away.

        Args:
            pixel: Its id.
            most: The bound; only a single segment may hold more.
            newest: The youngest come first, by ``Segment.at``, otherwise the oldest.
            suspect: Claim suspects, which are not claimed otherwise: those that may ride in the largest batches, the
                youngest of them first, as many as together fill one such batch.
        """

    async def release(self, segments: Sequence[Segment]) -> None:
        """Give claimed segments back untouched."""

    async def settle(self, segments: Sequence[Segment], settlement: Settlement) -> frozenset[SegmentRef]:
        """Record durably how an attempt at claimed segments ended, and give up the claim.

        Return the segments that another process had settled before, of which nothing was recorded; a process that has
        the queue to itself gets none.
        """

    async def expire(self, *, before_s: int) -> tuple[dict[str, int], bool]:
        """Make unclaimed events that are too old dead letters with the reason ``too_old``, a bounded number at a time.

        Too old are events that age from before ``before_s``, Unix time in seconds. An event ages from
        ``age.aging_from_s``, for nearly all events when they happened.

        Return how many became dead letters, by pixel, and whether there may be more.
        """

    async def lane_state(self, pixel: str) -> DeliveryState:
        """Return how delivery of a pixel stands, as kept last, also by an earlier process."""

    async def keep_lane_state(self, pixel: str, state: DeliveryState) -> None:
        """Keep durably how delivery of a pixel stands; costs no write when that is what was kept last."""

"""What any queue promises, and the words spoken with it.

``append`` returns after the records are durable: on this disk (SQLite) or in the shared engine. From then on a
record leaves the queue only through ``settle``. Claimed segments are nobody else's until settled or released; a
claim does not survive the process, so after a crash they are delivered again with the same ids.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from proxy.model.event import DropReason
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow, Status
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.model.verdict import Dead, GraphError


class QueueError(Exception):
    """Nothing was stored; say so to whoever waits."""


class QueueFullError(QueueError):
    """No room now: too many events wait, or the disk is full. Later it may work."""


class QueueBrokenError(QueueError):
    """The disk failed under us: what is on it is unknown, and only a restart can tell."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What an append came to: all is durable, but these were known already and will not be sent again."""

    duplicates: tuple[Record, ...] = ()
    reused: int = 0
    """Ids that another visitor had brought before (a cached page); sent all the same."""
    refused: tuple[tuple[Record, DropReason], ...] = ()
    """Not stored, since a suppression speaks against their people."""
    conflicts: tuple[Record, ...] = ()
    """Of the reused: Purchases that another visitor brought with another value."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Claimed records of one pixel, with the history they share."""

    id: int
    pixel: str
    attempts: int
    strikes: int
    records: tuple[Record, ...]
    at: int = 0
    """Server clock in milliseconds when its events arrived."""
    suspect: int = 0
    """Not 0 once a batch with these events was refused: they ride in batches of at most so many events.

    Negative where they came from the same network as other bad events: those come after all other suspects.
    """


@dataclass(frozen=True, slots=True)
class NewDeadLetter:
    """A record about to become a dead letter."""

    record: Record
    reason: str
    graph_error: GraphError
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A kept dead letter; ``payload`` is what Graph refused, empty when the disk damaged it."""

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
class Remainder:
    """Records that outlive their segment: the survivors of a partial failure."""

    pixel: str
    attempts: int
    strikes: int
    records: tuple[Record, ...]
    at: int = 0
    """As of their segment; 0: they arrive now."""
    suspect: int = 0
    """See ``Segment.suspect``."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an attempt decided, applied whole or not at all."""

    done: tuple[int, ...] = ()
    """Segments that are gone."""
    tried: tuple[int, ...] = ()
    """Segments that stay, one attempt older."""
    struck: bool = False
    """The attempt was a 2xx that counted nothing."""
    suspects: tuple[tuple[int, int], ...] = ()
    """Segments that stay, one attempt older, as suspects: which, and their new ``suspect``."""
    remainders: tuple[Remainder, ...] = ()
    dead: tuple[NewDeadLetter, ...] = ()
    rows: tuple[LedgerRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """Which finished events or dead letters; empty fields match all."""

    pixel: str = ""
    name: str = ""
    id: str = ""
    status: Status | None = None
    reason: str = ""
    before: int = 0
    """Only dead letters with a smaller number than this one."""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Suppression:
    """Nothing more is sent about somebody: an opt-out, a withdrawal of consent or an erasure that is remembered."""

    digest: bytes
    """16 bytes that say nothing without the installation's secret."""
    kind: SuppressionKind
    at: int
    """Server clock in milliseconds."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was kept of a person, and is no more."""

    waiting: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """How full the queue is."""

    waiting: Mapping[str, int]
    """Events by pixel."""
    dead: int
    withheld: Mapping[DropReason, int] = field(default_factory=dict)
    """Events since start that waited when their people were suppressed, and were dropped."""
    lost_notes: int = 0
    """Ledger rows and news of browser copies since start that were left out of the ledger."""
    suppressions: Mapping[SuppressionKind, int] = field(default_factory=dict)
    """How many there are."""
    foreign_news: int = 0
    """News since start of browser copies of somebody else's events, which were ignored."""
    suspects: Mapping[str, int] = field(default_factory=dict)
    """How many of the waiting events are suspects, by pixel."""


@dataclass(frozen=True, slots=True)
class Oldest:
    """When the oldest waiting events of a pixel arrived: server clock in milliseconds, None where none wait."""

    fresh: int | None = None
    suspect: int | None = None


def dropped_row(record: Record, reason: DropReason, now: int) -> LedgerRow:
    """Return the ledger row of a record that is not sent after all."""
    identity = (record.pixel, record.name, record.id, record.time_s)
    facts = (now, *identity, Status.DROPPED, reason, record.browser_copy)
    return LedgerRow(*facts, findings=record.findings, visitor=record.visitor)


def dead_row(record: Record, verdict: Dead, now: int, attempts: int) -> LedgerRow:
    """Return the ledger row of a record that becomes a dead letter."""
    identity = (record.pixel, record.name, record.id, record.time_s)
    trace = verdict.graph_error.fbtrace_id
    facts = (now, *identity, Status.DEAD, verdict.reason, record.browser_copy, trace, attempts)
    return LedgerRow(*facts, record.findings, record.visitor)


class Queue(Protocol):
    """The seam between acknowledgement and delivery."""

    async def append(self, records: Sequence[Record]) -> Stored:
        """Make records durable.

        Raises:
            QueueError: when nothing of this call was stored.
        """

    def note(
        self,
        rows: Sequence[LedgerRow],
        copy_updates: Sequence[BrowserCopyUpdate] = (),
        pixels: Sequence[str] = (),
        visitors: Sequence[bytes] = (b"",),
    ) -> None:
        """Write ledger rows, and news of browser copies, soon; nobody waits, and a crash may lose them.

        Args:
            rows: Finished events.
            copy_updates: News of browser copies.
            pixels: Of whose events the news may be.
            visitors: Who brought the news, or who it was before the browser had an id. They join the events of the
                first of these who brought any.
        """

    async def claim(self, pixel: str, *, most: int, newest: bool = False, suspect: bool = False) -> tuple[Segment, ...]:
        """Claim unclaimed segments of a pixel, ``most`` events together, at least one segment if there is any.

        Args:
            pixel: Its id.
            most: The bound; only a single segment may hold more.
            newest: The youngest come first, otherwise the oldest.
            suspect: Claim suspects, which are not claimed otherwise: those that may ride in the largest batches, the
                youngest of them first, as many as together fill one such batch.
        """

    async def release(self, segments: Sequence[Segment]) -> None:
        """Give claimed segments back untouched."""

    async def settle(self, segments: Sequence[Segment], settlement: Settlement) -> None:
        """Record durably how an attempt at claimed segments ended, and give up the claim."""

    def events(self, wanted: Filter) -> AsyncIterator[LedgerRow]:
        """Yield finished events, newest first, each with the latest news of its browser copy."""

    async def dead(self, wanted: Filter) -> list[DeadLetter]:
        """Return dead letters, newest first."""

    async def replay(self, ids: Sequence[int], *, not_before_s: int) -> int:
        """Put dead letters back to be delivered, same ids; those that happened before are left. Return how many."""

    async def discard(self, ids: Sequence[int]) -> int:
        """Remove dead letters for good; return how many."""

    async def suppress(self, person_digests: Collection[bytes], kind: SuppressionKind, at: int) -> None:
        """Durably refuse what is about these people, what waits too.

        Raises:
            QueueError: when it was not stored.
        """

    async def lift(
        self, person_digests: Collection[bytes], kinds: Collection[SuppressionKind], at: int
    ) -> list[SuppressionKind]:
        """Durably end what suppressions of these kinds there are up to ``at``; return the kind of each that ended.

        Costs next to nothing when there are none, which is so for nearly everybody.

        Raises:
            QueueError: when it was not stored.
        """

    async def suppressed(self, person_digests: Collection[bytes]) -> set[SuppressionKind]:
        """Return the kinds of suppression that people have; at the cost of ``lift``."""

    async def suppressions(self, kind: SuppressionKind | None = None, *, limit: int = 100) -> list[Suppression]:
        """Return suppressions of a kind, or of any, newest first."""

    async def erase(self, person_digests: Collection[bytes], at: int) -> Erased:
        """Remove what waits and the dead letters about these people, and refuse what happened up to ``at``.

        What is being delivered at this moment is not called back; should it fail, it is dropped.
        """

    async def expire(self, *, before_s: int) -> tuple[dict[str, int], bool]:
        """Make dead letters ``too_old`` of a bounded number of unclaimed events that happened before a moment.

        Return how many of each pixel, and whether there may be more.
        """

    async def oldest(self, pixels: Collection[str]) -> dict[str, Oldest]:
        """Say since when events of these pixels wait."""

    def stats(self) -> Stats:
        """Say how full the queue is, at no cost."""

    def fullness(self) -> float:
        """Say which part of its bounds is taken, 0 to 1, at little cost."""

    def refuses(self) -> str:
        """Say why nothing new is taken now; empty while it is."""

    async def ready(self) -> None:
        """Commit something small; answers within about a second, whatever the disk does.

        Raises:
            QueueError: when the queue cannot be written, or takes nothing new.
        """

    async def close(self) -> None:
        """Finish what was asked, then close."""

"""What the operator asks of the queue: what happened, what Graph refused, and who is suppressed."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import EventFacts
from proxy.model.ledger import LedgerRow, Status
from proxy.model.rollup import Rollup, RollupQuery, Tally
from proxy.model.rollup_sums import PeriodQuery, PeriodSums
from proxy.model.suppression import SuppressionKind
from proxy.model.verdict import GraphError
from proxy.queue.contract.backlog import Backlog
from proxy.queue.contract.pixel_orders import PixelOrders
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


FROM_SERVER: Final = "server"
"""As ``Filter.browser_copy``: events that came from a server, and so have no browser copy."""
MOST_IDS: Final = 20
"""Ids that one ``Filter`` may name; further ones are not looked for."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which finished or waiting events, or dead letters; empty fields match all."""

    pixel: str = ""
    name: str = ""
    id: str = ""
    status: Status | None = None
    reason: str = ""
    action_source: str = ""
    """Only events that happened there, in Meta's words; not applied to dead letters."""
    before: int = 0
    """Only dead letters with a smaller number than this one."""
    since: int | None = None
    """Only events with a larger number than this one, in the order of their numbers; without it, newest first."""
    limit: int = 100
    site: str = ""
    """Only events of this site. This field and the next five are not applied to dead letters."""
    browser_copy: str = ""
    """A word of ``BrowserCopy`` as it is known now, or FROM_SERVER."""
    since_ms: int | None = None
    """Only what arrived at this moment or later: server clock in milliseconds."""
    until_ms: int | None = None
    """Only what arrived before this moment."""
    ids: tuple[str, ...] = ()
    """Only events with any of these ids, found by an index; up to MOST_IDS."""
    below: str = ""
    """``EventPage.below`` of the page before: only events that follow it; a text of another form matches nothing."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """Finished events, the latest arrivals first."""

    rows: Sequence[LedgerRow]
    """May be fewer than wanted, and even none, though there are more."""
    below: str | None = None
    """Where the next page begins; None if this is the last."""


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An acknowledged event that is not finished."""

    pixel: str
    name: str
    id: str
    time_s: int
    """When it happened, in seconds."""
    arrived: int
    """Server clock in milliseconds."""
    facts: EventFacts
    browser_copy: BrowserCopy | None
    action_source: str
    findings: tuple[str, ...]
    attempts: int
    """How often it was sent in vain."""
    held_until: int = 0
    """Server clock in milliseconds before which it is not sent; 0 where it is due."""
    is_suspect: bool = False
    """It was in a batch that Graph refused, and is sent in ever smaller ones until it is known which event is bad."""


@dataclass(frozen=True, slots=True)
class Erased:
    """How many events and dead letters about a person were removed."""

    waiting: int = 0
    dead: int = 0


class Books(Suppressing, Protocol):
    """Shows the operator what is kept, and changes it."""

    def events(self, wanted: Filter) -> AsyncIterator[LedgerRow]:
        """Yield finished events, each with the latest state of its browser copy, in the order of ``wanted.since``."""

    async def event_page(self, wanted: Filter) -> EventPage:
        """Return a page of finished events, the latest arrivals first; a bounded number of rows is looked at."""

    async def waiting_events(self, wanted: Filter) -> list[WaitingEvent]:
        """Return events that wait, the latest arrivals first; of very many only the newest and the oldest."""

    async def rollups(self, wanted: RollupQuery) -> list[Rollup]:
        """Return the rollups of hours or of days, ordered by hour; events with status REPLAYED are not counted."""

    async def event_counts(self, wanted: RollupQuery) -> list[Rollup]:
        """Return for each kind of event how many there are and the last hour of any; other figures stay empty."""

    async def period_sums(self, wanted: PeriodQuery) -> PeriodSums:
        """Return rollups added up over a period, all as of one moment."""

    async def tallies(self, since_hour: int, until_hour: int) -> list[Tally]:
        """Return the small counts of some hours, ordered by hour.

        Args:
            since_hour: The first of them: hours since 1970, UTC.
            until_hour: The first that is not wanted.
        """

    async def dead_letters(self, wanted: Filter) -> list[DeadLetter]:
        """Return dead letters, newest first."""

    async def replay(self, ids: Sequence[int], *, not_before_s: int) -> int:
        """Put dead letters back to be delivered with the same event ids; return how many.

        Their ledger rows then have the status REPLAYED, and no rollup counts them any more.

        Args:
            ids: Numbers of dead letters; those that do not exist are left out.
            not_before_s: Unix time in seconds; letters whose events age from an earlier moment stay dead. The moment
                is ``age.aging_from_s``, for nearly all events when they happened.
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
            after: Only those with a larger digest than this one, ordered by digest. Of the last digest all are
                returned, even beyond the limit, so that a caller who goes on after it misses none.
        """

    async def erase(self, person_digests: Collection[bytes], at: int) -> Erased:
        """Remove waiting events and dead letters about these people, and refuse events that happened up to ``at``.

        An event that is being delivered at this moment is not called back; if its delivery fails, it is dropped.
        """


class ClosableBooks(Books, Protocol):
    """The books of a queue that is opened for them alone; the caller must close them."""

    async def close(self) -> None:
        """Finish what was asked, then close."""


class Archive(Backlog, Books, Replicas, PixelOrders, Protocol):
    """All that is asked about a queue while it works."""

    async def add_tallies(self, tallies: Sequence[Tally]) -> None:
        """Add to the small counts, about once a minute; in an hour a bounded number of subjects is counted separately.

        Raises:
            QueueError: when nothing of it was stored.
        """

"""How events ended, and what was learned later of their browser copies."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import NO_FACTS, EventFacts


class Status(StrEnum):
    """How an event ended."""

    DELIVERED = "delivered"
    DROPPED = "dropped"
    DUPLICATE = "duplicate"
    DEAD = "dead"
    REPLAYED = "replayed"
    """It was a dead letter and was put back into the queue; how it then ended has a row of its own. No rollup counts
    this row."""


REPEATS_SERVER = "server_copy"
"""The reason of a page's event that is a duplicate because a server's event of the same order is sent in its place;
other duplicates have no reason."""


@dataclass(frozen=True, slots=True)
class BrowserCopyUpdate:
    """What a page learned later of a browser copy; the page knows names and ids, not which pixels took the event."""

    name: str
    id: str
    browser_copy: BrowserCopy


class LedgerRow(NamedTuple):
    """One finished event, without personal data. Two rows are equal if all their fields but ``number`` are."""

    at: int
    """When it ended: server clock in milliseconds; the row is in the table of that day."""
    pixel: str
    name: str
    id: str
    time_s: int
    """When it happened, in seconds."""
    status: Status
    reason: str = ""
    browser_copy: BrowserCopy | None = BrowserCopy.PENDING
    """None where the event came from a server and not from a page."""
    fbtrace_id: str = ""
    attempts: int = 0
    findings: tuple[str, ...] = ()
    visitor: bytes = b""
    """The visitor who may send a ``BrowserCopyUpdate`` of the event; written as a keyed hash, never read back."""
    action_source: str = "website"
    """Where it happened, in Meta's words."""
    arrived: int = 0
    """When it arrived: server clock in milliseconds; 0 where an older version wrote the row."""
    facts: EventFacts = NO_FACTS
    code: int = 0
    """Meta's error code if Graph refused the event for good, or refused it at first and took it later; otherwise 0."""
    subcode: int = 0
    message: str = ""
    """Meta's words, as ``safe_meta_message`` bounds them."""
    number: int = 0
    """The row's number, larger than that of every row written before; 0 until it is written, and in rows of layout 5
    and before."""

    def __eq__(self, other: object) -> bool:
        """Compare all fields but ``number``."""
        return isinstance(other, LedgerRow) and self[:-1] == other[:-1]

    def __ne__(self, other: object) -> bool:
        """Compare likewise: ``!=`` of a tuple would otherwise compare all fields."""
        return not self == other

    def __hash__(self) -> int:
        """Hash the fields that are compared."""
        return hash(self[:-1])

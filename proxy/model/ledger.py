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
    """It was dead and was put back: what became of it then has a row of its own. No rollup counts it."""


REPEATS_SERVER = "server_copy"
"""Why a page's event is a duplicate where a server's event of the same order is sent in its place; other
duplicates have no reason."""


@dataclass(frozen=True, slots=True)
class BrowserCopyUpdate:
    """What a page learned later of a browser copy; it knows names and ids, not which pixels took the event."""

    name: str
    id: str
    browser_copy: BrowserCopy


class LedgerRow(NamedTuple):
    """One finished event, without personal data; equal to another that says the same, whatever their numbers."""

    at: int
    """When it ended: server clock in milliseconds; its table is that of the day."""
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
    """Who may bring a ``BrowserCopyUpdate``; written as a keyed hash, never read back."""
    action_source: str = "website"
    """Where it happened, in Meta's words."""
    arrived: int = 0
    """When it arrived: server clock in milliseconds; 0 where an older version wrote the row."""
    facts: EventFacts = NO_FACTS
    code: int = 0
    """Meta's error code, where Graph refused it for good, or refused it before it took it; otherwise 0."""
    subcode: int = 0
    message: str = ""
    """Meta's words, as ``meta_words`` bounds them."""
    number: int = 0
    """Larger than that of every row written before; 0 until it is written, and in rows of layout 5 and before."""

    def __eq__(self, other: object) -> bool:
        """Compare what they say."""
        return isinstance(other, LedgerRow) and self[:-1] == other[:-1]

    def __ne__(self, other: object) -> bool:
        """Compare what they say; a tuple has a comparison of its own here."""
        return not self == other

    def __hash__(self) -> int:
        """Hash what is compared."""
        return hash(self[:-1])

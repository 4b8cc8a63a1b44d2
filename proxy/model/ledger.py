"""How events ended, and what was learned later of their browser copies."""

from dataclasses import dataclass, field
from enum import StrEnum

from proxy.model.event import BrowserCopy


class Status(StrEnum):
    """How an event ended."""

    DELIVERED = "delivered"
    DROPPED = "dropped"
    DUPLICATE = "duplicate"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class BrowserCopyUpdate:
    """What a page learned later of a browser copy; it knows names and ids, not which pixels took the event."""

    name: str
    id: str
    browser_copy: BrowserCopy


@dataclass(slots=True, unsafe_hash=True)
class LedgerRow:
    """One finished event, without personal data.

    A request may come to hundreds: nothing changes one, but a frozen one takes four times as long to make.
    """

    at: int
    """When it ended: server clock in milliseconds; its table is that of the day."""
    pixel: str
    name: str
    id: str
    time_s: int
    """When it happened, in seconds."""
    status: Status
    reason: str = ""
    browser_copy: BrowserCopy = BrowserCopy.PENDING
    fbtrace_id: str = ""
    attempts: int = 0
    findings: tuple[str, ...] = ()
    visitor: bytes = b""
    """Who may bring a ``BrowserCopyUpdate``; written as a keyed hash, never read back."""
    number: int = field(default=0, compare=False)
    """Larger than that of every row written before; 0 until it is written, and in rows of layout 5 and before."""

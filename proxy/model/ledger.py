"""How events ended, and later news of their browser copies."""

from dataclasses import dataclass
from enum import StrEnum

from proxy.model.event import BrowserCopy


class Status(StrEnum):
    """How an event ended, in the ledger."""

    DELIVERED = "delivered"
    DROPPED = "dropped"
    DUPLICATE = "duplicate"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class BrowserCopyUpdate:
    """Later news of a browser copy; a page knows names and ids, not which pixels took it."""

    name: str
    id: str
    browser_copy: BrowserCopy


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One finished event, without personal data."""

    at: int
    pixel: str
    name: str
    id: str
    time_s: int
    status: Status
    reason: str = ""
    browser_copy: BrowserCopy = BrowserCopy.PENDING
    fbtrace_id: str = ""
    attempts: int = 0
    findings: tuple[str, ...] = ()
    visitor: bytes = b""
    """Who may bring later news of its browser copy; written as a keyed hash, never read back."""

"""What a browser's request is, and what the page claims in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from proxy.model.event import BrowserCopy
from proxy.model.ledger import BrowserCopyUpdate


class Consent(StrEnum):
    """What the page told ``fbq`` about consent."""

    GRANTED = "granted"
    UNKNOWN = "unknown"
    REVOKED = "revoked"


class BrowserRequest(NamedTuple):
    """One public request as plain values; behind the edge nothing sees the socket."""

    now: int
    entropy: int
    """128 random bits, so that the rules need no randomness of their own."""
    peer: str
    host: str = ""
    secure: bool = False
    origin: str = ""
    referer: str = ""
    cookie: str = ""
    user_agent: str = ""
    brands: str = ""
    """``Sec-CH-UA``; with the next, what Chromium says of itself beside the user agent."""
    platform: str = ""
    """``Sec-CH-UA-Platform``."""
    gpc: str = ""
    dnt: str = ""
    forwarded: str = ""
    """The configured client-address header; several lines joined by commas."""
    forwarded_pseudo: str = ""
    """``CF-Connecting-IPv6``."""
    forwarded_proto: str = ""
    forwarded_host: str = ""
    body: bytes = b""


class Hit(NamedTuple):
    """One event as the page claims it; ``at`` is the browser's clock."""

    name: str
    id: str
    at: int
    pixels: tuple[str, ...]
    data: Mapping[str, Any]
    browser_copy: BrowserCopy
    place: int = 0
    """Its index among the ``events`` of the body."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A member of ``events`` that is no event, or one too many: which one, and why."""

    index: int
    id: str
    why: str


class Visit(NamedTuple):
    """What one body says of all its events; ``sent`` is the browser's clock."""

    sent: int
    url: str = ""
    referrer: str = ""
    fbp: str = ""
    fbc: str = ""
    consent: Consent = Consent.UNKNOWN
    dpo: tuple[tuple[str, ...], int, int] | None = None
    webdriver: bool = False
    gpc: bool = False
    match: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    hits: tuple[Hit, ...] = ()
    copy_updates: tuple[BrowserCopyUpdate, ...] = ()
    refused: tuple[Refusal, ...] = ()
    surplus: int = 0
    """Further members of ``events`` that are refused without being looked at or named."""
    findings: tuple[str, ...] = ()
    """What of it was too long to be read, as an event's findings say it."""

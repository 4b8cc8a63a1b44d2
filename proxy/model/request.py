"""What a browser's request is, and what the page claims in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from proxy.model.event import BrowserCopy
from proxy.model.ledger import BrowserCopyUpdate

Options = tuple[tuple[str, ...], int, int]
"""Data processing options, country and state (Meta, data processing options)."""


class Consent(StrEnum):
    """What the page told ``fbq`` about consent."""

    GRANTED = "granted"
    UNKNOWN = "unknown"
    REVOKED = "revoked"


class Client(NamedTuple):
    """Who sent a request; ``untrusted_forwarding`` marks a forwarding header of a peer that should be trusted."""

    address: str
    """The visitor's IP address; empty when it is not known."""
    public: bool = False
    """Whether the address may be sent to Meta: it is public, not private, reserved or for documentation."""
    untrusted_forwarding: bool = False
    believed: bool = False
    """Whether the request came through a trusted proxy, whose headers are believed."""


class BrowserRequest(NamedTuple):
    """One public request as plain values: only the code in ``edge`` sees the socket."""

    now: int
    entropy: int
    """128 random bits, so that the rules need no randomness of their own."""
    client: Client
    host: str = ""
    """The host that the visitor asked for; like ``secure``, it is what a trusted proxy says, if there is one."""
    secure: bool = False
    """Whether the visitor came by https."""
    origin: str = ""
    referer: str = ""
    cookie: str = ""
    user_agent: str = ""
    brands: str = ""
    """``Sec-CH-UA``; with ``platform``, what Chromium says of itself besides the user agent."""
    platform: str = ""
    """``Sec-CH-UA-Platform``."""
    gpc: str = ""
    dnt: str = ""
    body: bytes = b""


class Hit(msgspec.Struct, frozen=True, gc=False):
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
class RefusedEvent:
    """A member of ``events`` that is no event, or that exceeds a limit: which one, and why it is refused."""

    index: int
    id: str
    why: str


class Visit(msgspec.Struct, frozen=True, gc=False):
    """What one body says of all its events; ``sent`` is the browser's clock."""

    sent: int
    url: str = ""
    referrer: str = ""
    fbp: str = ""
    fbc: str = ""
    consent: Consent = Consent.UNKNOWN
    dpo: Options | None = None
    webdriver: bool = False
    gpc: bool = False
    match: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    hits: tuple[Hit, ...] = ()
    copy_updates: tuple[BrowserCopyUpdate, ...] = ()
    refused: tuple[RefusedEvent, ...] = ()
    surplus: int = 0
    """Further members of ``events`` that are refused without being looked at or named."""
    findings: tuple[str, ...] = ()
    """What in the body was too long to be read, in the form of an event's findings."""

"""What the rules decide about a request, before anything is stored or answered."""

import msgspec

from proxy.model.event import Redaction
from proxy.model.join import Sighting
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow
from proxy.model.record import Record
from proxy.model.request import RefusedEvent
from proxy.model.server_request import NO_FIELDS, RefusedHit, RequestFields


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The outcome of one browser request; each kind of endpoint turns it into its own kind of answer."""

    records: tuple[Record, ...] = ()
    dropped: tuple[LedgerRow, ...] = ()
    copy_updates: tuple[BrowserCopyUpdate, ...] = ()
    withdrawn: tuple[bytes, ...] = ()
    """Person digest of the visitor who withdraws consent with this request; empty unless the visitor cookie proves who
    that is."""
    granted: tuple[bytes, ...] = ()
    """Likewise, the digests of a visitor who grants consent with this request, which lifts an earlier withdrawal."""
    cookies: tuple[str, ...] = ()
    """``Set-Cookie`` values."""
    unreadable: str = ""
    """Why the body cannot be judged at all; empty if it can. When set, nothing else is, but ``is_too_large`` and
    ``faults``."""
    is_too_large: bool = False
    """Whether the body is unreadable because it is too large."""
    refusals: tuple[RefusedEvent, ...] = ()
    """Members of ``events`` that are no event, or that exceed a limit, in their order."""
    surplus: int = 0
    """How many further members are refused without being listed in ``refusals``."""
    refused: int = 0
    """How many members are refused in all."""
    taken: int = 0
    """How many members of ``events`` were stored or knowingly dropped."""
    unknown_pixels: int = 0
    """How many pairs of an event and an unlisted pixel the one ledger row with the reason ``unknown_pixel`` stands
    for."""
    visitors: tuple[bytes, ...] = ()
    """The visitors whose browser copies ``copy_updates`` may concern: four bytes each, as in ``Record.visitor``."""
    pixels: tuple[str, ...] = ()
    """The ids of the site's pixels: ``copy_updates`` may concern any of them."""
    redactions: tuple[Redaction, ...] = ()
    """What was taken out of the records: for a browser's request, what stood in the page's addresses is listed once,
    and what stood in custom data once for each event."""
    untrusted_forwarding: bool = False
    """Whether a forwarding header came from a peer on a private network that is not trusted: most likely a mistake in
    the settings."""
    gpc: bool = False
    """Whether the browser asked for Global Privacy Control, whatever the settings make of that."""
    sightings: tuple[Sighting, ...] = ()
    """What the events leave of their visitor, for a server's events of the same orders."""
    faults: tuple[str, ...] = ()
    """Errors of ours that the request led to, one for each event that could not be read: type and place in our code."""


class ServerDecision(msgspec.Struct, frozen=True, gc=False):
    """The outcome of one request of a server; each kind of endpoint turns it into its own kind of answer."""

    decision: Decision = Decision()
    """What is stored and noted: records, drops, redactions and faults; only faults if one bad event refuses the whole
    request."""
    received: int = 0
    """How many events the request held, including those knowingly dropped and those refused; if one bad event refuses
    the whole request, the events up to and including that one."""
    refused: tuple[RefusedHit, ...] = ()
    """Events that Graph would not take, in their order; if one bad event refuses the whole request, only that one."""
    fields: RequestFields = NO_FIELDS
    unreadable: str = ""
    """Why the request cannot be judged at all: the member that is wrong, and what is accepted. When set, nothing else
    is, but ``decision.faults``."""

"""What the rules make of a request, before anything is stored or answered."""

import msgspec

from proxy.model.event import Redaction
from proxy.model.join import Sighting
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow
from proxy.model.record import Record
from proxy.model.request import RefusedEvent
from proxy.model.server_request import NO_FIELDS, RefusedHit, RequestFields


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What one browser request comes to; each door makes its own answer of it."""

    records: tuple[Record, ...] = ()
    dropped: tuple[LedgerRow, ...] = ()
    copy_updates: tuple[BrowserCopyUpdate, ...] = ()
    withdrawn: tuple[bytes, ...] = ()
    """Digests of the visitor whose consent ends here, as far as the visitor cookie proves who it is."""
    granted: tuple[bytes, ...] = ()
    """Likewise, of the visitor whose withdrawal ends here, if there was one."""
    cookies: tuple[str, ...] = ()
    """``Set-Cookie`` values."""
    unreadable: str = ""
    """Why nothing of the body can be judged; then the decision holds nothing else but faults."""
    is_too_large: bool = False
    """It is unreadable for its size."""
    refusals: tuple[RefusedEvent, ...] = ()
    """Members of ``events`` that are no event, or too many, in their order."""
    surplus: int = 0
    """Further ones that are refused without being named."""
    refused: int = 0
    """How many are refused in all."""
    taken: int = 0
    """Members of ``events`` that were stored or knowingly dropped."""
    unknown_pixels: int = 0
    """Events, for each pixel counted, that the one ledger row with this reason stands for."""
    visitors: tuple[bytes, ...] = ()
    """Whose browser copies the updates may be of: four bytes each, as in a record."""
    pixels: tuple[str, ...] = ()
    """The site's pixels: the updates may speak of any of them."""
    redactions: tuple[Redaction, ...] = ()
    """What the records would have leaked: of addresses once, of custom data once for each event."""
    untrusted_forwarding: bool = False
    """A forwarding header came from a peer nobody trusts, on a private network: most likely a mistake."""
    gpc: bool = False
    """The browser asked for Global Privacy Control, whatever came of it."""
    sightings: tuple[Sighting, ...] = ()
    """What the events leave of their visitor for servers' events of the same orders."""
    faults: tuple[str, ...] = ()
    """Errors of ours that the request led to, one for each event that could not be read: type and place in our code."""


class ServerDecision(msgspec.Struct, frozen=True, gc=False):
    """What one server's request comes to; each door makes its own answer of it."""

    decision: Decision = Decision()
    """What is stored and noted: records, drops, redactions and faults; nothing where one bad event refuses all."""
    received: int = 0
    """How many events the request held, those knowingly dropped and the refused ones included; where one refuses all,
    those up to it."""
    refused: tuple[RefusedHit, ...] = ()
    """Events that Graph would not take, in their order; where one refuses all, the first alone."""
    fields: RequestFields = NO_FIELDS
    unreadable: str = ""
    """Why nothing of the request can be judged: the member, and what is accepted. Nothing else is set then."""

"""What the rules make of a request."""

from typing import NamedTuple

from proxy.model.event import Redaction
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow
from proxy.model.record import Record


class Decision(NamedTuple):
    """What one browser request comes to, before anything is stored."""

    status: int
    body: bytes = b""
    cookies: tuple[str, ...] = ()
    """``Set-Cookie`` values."""
    withdrawn: tuple[bytes, ...] = ()
    """Digests of the visitor whose consent ends here, as far as the visitor cookie proves who it is."""
    granted: tuple[bytes, ...] = ()
    """Likewise, of the visitor whose withdrawal ends here, if there was one."""
    records: tuple[Record, ...] = ()
    dropped: tuple[LedgerRow, ...] = ()
    refused: int = 0
    """Members of ``events`` that were none, or too many."""
    unknown_pixels: int = 0
    """Events, for each pixel counted, that the one ledger row with this reason stands for."""
    copy_updates: tuple[BrowserCopyUpdate, ...] = ()
    visitors: tuple[bytes, ...] = ()
    """Whose news ``fates`` may be: four bytes each, as in a record."""
    pixels: tuple[str, ...] = ()
    """The site's pixels: ``fates`` may speak of any of them."""
    redactions: tuple[Redaction, ...] = ()
    """What the records would have leaked: of addresses once, of custom data once for each event."""
    misdirected: bool = False
    """A forwarding header came from a peer nobody trusts, on a private network: most likely a mistake."""
    faults: tuple[str, ...] = ()
    """Errors of ours that the request led to, one for each event that could not be read: type and place in our code."""

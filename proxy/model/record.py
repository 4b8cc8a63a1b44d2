"""An event at rest."""

from typing import NamedTuple

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import NO_FACTS, EventFacts
from proxy.model.join import Join, Twin
from proxy.model.server_request import NO_FIELDS, RequestFields


class Record(NamedTuple):
    """An event at rest: its CAPI payload and what the queue must know without opening it.

    The payload is in two JSON objects: what is the event's own, and what all events of one request and pixel share.
    """

    pixel: str
    name: str
    id: str
    time_s: int
    visitor: bytes
    """Four bytes that tell visitors apart; empty where the browser has no id."""
    browser_copy: BrowserCopy | None
    """None where the event came from a server and not from a page: such an event has no browser copy."""
    bot_reason: str
    """The same as the event's; the ledger row of its delivery says it beside the status."""
    payload: bytes
    findings: tuple[str, ...] = ()
    person_digests: tuple[bytes, ...] = ()
    """Keyed hashes of the person, 16 bytes each, by which suppressions are found."""
    worth: bytes = b""
    """Four bytes that tell the values of Purchases apart; stored in the duplicate memory only."""
    shared: bytes = b""
    """The other part of the payload, with other members than ``payload``; empty when that is the whole."""
    action_source: str = "website"
    """Where the event happened, in Meta's words; it decides how old the event may be."""
    fields: RequestFields = NO_FIELDS
    """What the request that carries it to Graph says beside it; of a browser's event nothing."""
    order: bytes = b""
    """Keys of ``order.order_key`` where the event is to be sent once for an order: a repeat if any of them was met.
    Stored in the order memory only."""
    not_before: int = 0
    """Server clock in milliseconds; not delivered before. Stored beside the segment, not in it."""
    pending: Join | Twin | None = None
    """What is looked up when it is claimed for the first time."""
    facts: EventFacts = NO_FACTS
    """What its ledger row says beside its identity and its fate."""
    arrived: int = 0
    """Server clock in milliseconds when its request arrived; 0 where an older version stored it."""

    @property
    def whole(self) -> bytes:
        """The payload as Graph takes it."""
        return b"%b,%b" % (self.payload[:-1], self.shared[1:]) if self.shared else self.payload

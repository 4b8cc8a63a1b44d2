"""The record: an event as the queue stores it."""

from typing import NamedTuple

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import NO_FACTS, EventFacts
from proxy.model.join import Join, Twin
from proxy.model.server_request import NO_FIELDS, RequestFields


class Record(NamedTuple):
    """An event as the queue stores it: its CAPI payload, and what the queue must know without reading the payload.

    The payload is in two JSON objects: the event's own members, and those that all events of one request and pixel
    share.
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
    """See ``Event.bot_reason``; the ledger row of its delivery has it besides the status."""
    payload: bytes
    findings: tuple[str, ...] = ()
    person_digests: tuple[bytes, ...] = ()
    """Keyed hashes of the person, 16 bytes each, by which suppressions are found."""
    worth: bytes = b""
    """Four bytes that tell the values of Purchases apart; stored in the duplicate memory only."""
    shared: bytes = b""
    """The other part of the payload, with other members than ``payload``; empty when ``payload`` is the whole."""
    action_source: str = "website"
    """Where the event happened, in Meta's words; it decides how old the event may be."""
    fields: RequestFields = NO_FIELDS
    """Members of the request to Graph besides the events; a browser's event has none."""
    order: bytes = b""
    """Keys of ``order.order_key``, one after the other, if the event is to be sent only once for an order: it is a
    repeat if any of these keys was seen before. Stored in the order memory only."""
    not_before: int = 0
    """When it may be delivered at the earliest: server clock in milliseconds. Stored beside the segment, not in it."""
    pending: Join | Twin | None = None
    """What is looked up when the event is first claimed for delivery."""
    facts: EventFacts = NO_FACTS
    """What its ledger row says besides its ids and how it ended."""
    arrived: int = 0
    """Server clock in milliseconds when its request arrived; 0 where an older version stored it."""

    @property
    def whole(self) -> bytes:
        """The whole payload as Graph takes it, in one JSON object."""
        return b"%b,%b" % (self.payload[:-1], self.shared[1:]) if self.shared else self.payload

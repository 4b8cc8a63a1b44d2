"""What the steps of a server's request work on: the request so far, and each of its events so far."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from proxy.config.schema import Pixel
from proxy.model.event import DropReason, Redaction
from proxy.model.event_facts import NO_FACTS, EventFacts
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.model.request import Options
from proxy.model.server_request import RefusedHit, ServerHit, ServerRequest
from proxy.rules.effort import Effort
from proxy.rules.identity.person import Person
from proxy.rules.policy import Policy

_NOBODY = Person({}, (), is_too_broad=True, findings=())


class ServerCase(msgspec.Struct):
    """What is known of one request so far."""

    request: ServerRequest
    policy: Policy
    pixel: Pixel
    faults: list[str]
    records: list[Record] = []
    dropped: list[LedgerRow] = []
    refused: list[RefusedHit] = []
    redactions: list[Redaction] = []
    alike: dict[bytes, int] = {}
    """By a digest of the content, how many events without an id came before with the same content."""
    facts: EventFacts = NO_FACTS
    """The facts for the ledger that all its events share."""
    written: int = 0
    """Bytes of records since the last pause."""


class ServerEventCase(msgspec.Struct):
    """What is known of one event so far. Each step writes its own part; none changes that of another."""

    case: ServerCase
    hit: ServerHit
    effort: Effort = msgspec.field(default_factory=Effort)
    """Each event has a budget of its own: its neighbours are other people's orders."""
    time_s: int = 0
    data: Mapping[str, Any] = {}
    """Its custom data."""
    order_id: str = ""
    """The order id of a Purchase; empty if it has none, or is only one line of an order."""
    person: Person = _NOBODY
    options: Options | None = None
    findings: tuple[str, ...] = ()
    """What is wrong with its custom data."""
    redactions: list[Redaction] = []
    is_dropped: bool = False

    def drop(self, reason: DropReason, findings: tuple[str, ...] = ()) -> None:
        """Note that it is knowingly not sent.

        Args:
            reason: Why.
            findings: What led to that.
        """
        hit = self.hit
        self.is_dropped = True
        row = (self.case.request.now, self.case.pixel.id, hit.name, hit.id, self.time_s, Status.DROPPED, reason)
        source = hit.action_source
        rest = LedgerRow(*row, browser_copy=None, findings=findings, action_source=source)
        self.case.dropped.append(rest._replace(arrived=self.case.request.now, facts=self.case.facts))


class ServerStep(NamedTuple):
    """Something that happens to each event of a server's request."""

    name: str
    run: Callable[[ServerEventCase], None]
    drops: tuple[DropReason, ...] = ()
    """Why an event may be dropped there: knowingly not sent."""
    refuses: tuple[int, ...] = ()
    """Subcodes with which an event may be refused there, as Graph would refuse it."""

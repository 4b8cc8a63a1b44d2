"""What the public listener asks of the queue: to acknowledge events, and to suppress people."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.model.event import DropReason
from proxy.model.join import Sighting
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow
from proxy.model.record import Record
from proxy.queue.contract.suppressing import Suppressing


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of the records of an append, all of which are durable now.

    An engine that stores while its database is away finds repeats later, and writes their ledger rows then.
    """

    duplicates: tuple[Record, ...] = ()
    """Records that are not sent again: the same visitor or a server brought the event before, or a server repeats what
    a page brought, or its order was met. A Purchase whose copy had another value has the finding ``id:conflict``."""
    reused: int = 0
    """Ids that another visitor had brought before (a cached page); sent all the same."""
    refused: tuple[tuple[Record, DropReason], ...] = ()
    """Not stored, since a suppression speaks against the person."""
    conflicts: tuple[Record, ...] = ()
    """Of the reused: Purchases that another visitor brought with another value."""


class Intake(Suppressing, Protocol):
    """Takes events from the public listener."""

    async def append(
        self, records: Sequence[Record], *, not_before: int = 0, sightings: Sequence[Sighting] = ()
    ) -> Stored:
        """Make records durable, and in the same commit what they leave of their visitors.

        Args:
            records: Events of any pixels. Those that name their order (``Record.order``) are stored once for it within
                90 days, whatever their ids.
            not_before: Server clock in milliseconds; none of them is claimed before that moment, or before its own
                (``Record.not_before``) where that is later. A lane that was woken when they came wakes by itself when
                they are due.
            sightings: What a later event of a server can find of its visitor; stored even if no record is.

        Raises:
            QueueError: when nothing of this call was stored.
        """

    async def known_server_orders(self, pixel: str, orders: Collection[bytes]) -> frozenset[bytes]:
        """Return which of these events of orders servers brought in the last 90 days, as far as they were acknowledged.

        Args:
            pixel: For which pixel.
            orders: Keys of ``order.order_key``, one for each event of an order.

        Raises:
            QueueError: when that cannot be read.
        """

    def note(
        self,
        rows: Sequence[LedgerRow],
        copy_updates: Sequence[BrowserCopyUpdate] = (),
        pixels: Sequence[str] = (),
        visitors: Sequence[bytes] = (b"",),
    ) -> None:
        """Write ledger rows, and updates of browser copies, soon; nobody waits, and a crash may lose them.

        Args:
            rows: Finished events.
            copy_updates: Later states of browser copies.
            pixels: Ids of the pixels whose events the updates may be about.
            visitors: 4 bytes each: the visitor who brought the updates, then the one that the browser counted as before
                it had an id. An update applies to the event of the first of these visitors who brought the event.
        """

    def fullness(self) -> float:
        """Return which part of its bounds the queue has filled, 0 to 1, at little cost."""

    def refusal_reason(self) -> str:
        """Return why nothing new is accepted now; an empty text while it is."""

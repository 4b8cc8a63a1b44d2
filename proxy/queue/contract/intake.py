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
    """Not sent again: what the same visitor or a server brought before, what a server repeats, and what is about an
    order that was met. Of Purchases whose copy had another value each has the finding ``id:conflict``."""
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
            sightings: What a later event of a server finds of its visitor; kept where no record is, too.

        Raises:
            QueueError: when nothing of this call was stored.
        """

    async def met_orders(self, pixel: str, orders: Collection[bytes]) -> frozenset[bytes]:
        """Return which events of orders were acknowledged in the last 90 days.

        Args:
            pixel: For which pixel.
            orders: As ``order.order_key`` makes them.

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
            visitors: 4 bytes each: who brought the updates, or who it was before the browser had an id. They join the
                events of the first of these who brought any.
        """

    def fullness(self) -> float:
        """Return which part of its bounds the queue has filled, 0 to 1, at little cost."""

    def refuses(self) -> str:
        """Return why nothing new is taken now; empty while it is."""

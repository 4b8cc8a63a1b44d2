"""One attempt: a batch is sent once, and what its answer decides is settled at once.

Graph refuses a whole batch for one bad event (Meta, using the API), and its texts do not say which. So the events of a
refused batch become suspects, and are sent in ever smaller batches until the bad one is alone: about 2·log₂ n requests
for each bad event among n. Each answer on the way is settled at once.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from proxy.delivery.refused_networks import RefusedNetworks
from proxy.model.record import Record
from proxy.model.verdict import Dead, Delivered, Pause, Retry, Split, Verdict

Send: TypeAlias = Callable[[Sequence[Record]], Awaitable[Verdict]]


@dataclass(slots=True)
class Attempt:
    """The outcome of an attempt; each of its records is in one of the lists."""

    delivered: list[tuple[Record, Delivered]] = field(default_factory=list)
    dead: list[tuple[Record, Dead]] = field(default_factory=list)
    suspects: list[tuple[Record, int]] = field(default_factory=list)
    """Records that were refused together, each with its new ``Segment.suspect``."""
    undecided: list[Record] = field(default_factory=list)
    """Records about which nothing was decided."""
    halt: Pause | Retry | None = None
    """The answer after which nothing more is sent; None if there was none such."""

    def decide(self, records: Sequence[Record], verdict: Verdict, networks: RefusedNetworks) -> None:
        """Add what an answer decides about the records of its batch.

        Args:
            records: The batch.
            verdict: The answer to it.
            networks: Say which events of a refused batch are suspected first.
        """
        match verdict:
            case Delivered():
                self.delivered += [(record, verdict) for record in records]
            case Split():
                self.suspects += networks.bounds(records)
            case Dead():
                self.dead += [(record, verdict) for record in records]
            case Pause() | Retry():
                self.undecided += records
                self.halt = verdict
            case _:
                assert_never(verdict)


async def attempt(records: Sequence[Record], send: Send, networks: RefusedNetworks) -> Attempt:
    """Send a batch, and return what its answer decides.

    Args:
        records: Events of one pixel, at most as many as Graph takes together; without any, no request is sent.
        send: Sends a batch.
        networks: Say which events of a refused batch are suspected first.
    """
    result = Attempt()
    if records:
        result.decide(records, await send(records), networks)
    return result

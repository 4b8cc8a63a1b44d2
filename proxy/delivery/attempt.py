"""One attempt: a batch goes out once, and what its answer decides is settled at once.

Graph refuses a whole batch for one bad event (Meta, using the API), and its texts do not say which. So the events of a
refused batch become suspects, and ride in ever smaller batches until the bad one is alone: about 2·log₂ n requests for
each bad event among n. What is decided on the way is settled on the way.
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
    """What an attempt came to."""

    delivered: list[tuple[Record, Delivered]] = field(default_factory=list)
    dead: list[tuple[Record, Dead]] = field(default_factory=list)
    suspects: list[tuple[Record, int]] = field(default_factory=list)
    """What was refused together, and its ``Segment.suspect`` from now on."""
    undecided: list[Record] = field(default_factory=list)
    """What is as it was before."""
    halt: Pause | Retry | None = None
    """Why nothing more was sent."""

    def decide(self, records: Sequence[Record], verdict: Verdict, networks: RefusedNetworks) -> None:
        """Add what an answer decides.

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
        records: Events of one pixel, at most as many as Graph takes together; none are sent as no request.
        send: Sends a batch.
        networks: Say which events of a refused batch are suspected first.
    """
    result = Attempt()
    if records:
        result.decide(records, await send(records), networks)
    return result

"""Large requests, worked on a part at a time, so that visitors have their turn between two parts."""

from typing import TypeVar

from proxy.edge.turns import Turns
from proxy.rules.effort import Parts
from proxy.rules.fairness import ClientNetwork

T = TypeVar("T")


async def worked(turns: Turns, network: ClientNetwork, parts: Parts[T]) -> T:
    """Work on a client's request, a part at each of its turns, the first at once; return the result of the last.

    Args:
        turns: Whose part is next.
        network: The client.
        parts: The work.
    """
    while True:
        try:
            next(parts)
        except StopIteration as end:
            result: T = end.value
            return result
        await turns.mine(network)

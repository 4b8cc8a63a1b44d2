"""Large requests, worked on a part at a time, so that visitors have their turn between two parts."""

import asyncio
from typing import TypeVar

from proxy.edge.turns import Turns
from proxy.rules.effort import Parts
from proxy.rules.fairness import ClientNetwork

T = TypeVar("T")
_ROUNDS = 3
"""Rounds of the event loop between two parts."""


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
        # A visitor's request takes some rounds of the event loop; not each of them shall wait for a part.
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        await turns.mine(network)

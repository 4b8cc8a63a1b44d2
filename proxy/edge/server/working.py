"""Large requests, worked on a part at a time, so that visitors are answered between two parts."""

import asyncio
from typing import TypeVar

from proxy.edge.turns import Turns
from proxy.rules.effort import Parts
from proxy.rules.fairness import ClientNetwork

T = TypeVar("T")
_ROUNDS = 2
"""Rounds of the event loop until a visitor's request that lies in its socket is under way."""


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
        await turn(turns, network)


async def turn(turns: Turns, network: ClientNetwork) -> None:
    """Return when a part of a client's request may be worked on: no visitor waits, and it is the client's turn.

    Args:
        turns: Whose part is next.
        network: The client.
    """
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
    await turns.without_visitors()
    await turns.mine(network)

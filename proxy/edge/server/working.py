"""Large requests of servers, worked on in parts, so that visitors are answered between two parts."""

import asyncio
from typing import TypeVar

from proxy.edge.turns import Turns
from proxy.rules.effort import Parts
from proxy.rules.fairness import ClientNetwork

T = TypeVar("T")
_ROUNDS = 2
"""How many rounds of the event loop pass until a visitor's request, unread in its socket, is under way."""


async def work_in_turns(turns: Turns, network: ClientNetwork, parts: Parts[T]) -> T:
    """Work on a client's request: the first part at once, each further part at a turn of the client; return the result.

    Args:
        turns: Decide which client's part is next.
        network: The client.
        parts: The work.
    """
    while True:
        try:
            next(parts)
        except StopIteration as end:
            result: T = end.value
            return result
        await take_turn(turns, network)


async def take_turn(turns: Turns, network: ClientNetwork) -> None:
    """Wait until no visitor waits, at most ``PATIENCE_S``, and it is the client's turn.

    Args:
        turns: Decide which client's part is next.
        network: The client.
    """
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
    await turns.yield_to_visitors()
    await turns.wait_for_turn(network)

"""Whose turn it is: each round of the event loop works on one request, or a part of a large one, of the next client.

Without it a client with sixty requests ready would have all of them worked on before anybody else's.
"""

import asyncio
from collections import deque
from typing import TypeVar

from proxy.rules.effort import Parts
from proxy.rules.fairness import ClientNetwork

AT_ONCE = 1
"""Requests in one round: with four, visitors beside a flood waited twice as long, and no more was served."""

T = TypeVar("T")


class Turns:
    """Clients that wait for their turn, in a circle."""

    def __init__(self) -> None:
        self._circle: deque[ClientNetwork] = deque()
        self._waiting: dict[ClientNetwork, deque[asyncio.Future[None]]] = {}
        self._taken = 0
        self._is_armed = False

    async def mine(self, network: ClientNetwork) -> None:
        """Return when it is the turn of a client's oldest request; at once while nobody waits."""
        self._arm()
        if not self._circle and self._taken < AT_ONCE:
            self._taken += 1
            return
        turn = asyncio.get_running_loop().create_future()
        if network not in self._waiting:
            self._waiting[network] = deque()
            self._circle.append(network)
        self._waiting[network].append(turn)
        await turn

    async def work(self, network: ClientNetwork, parts: Parts[T]) -> T:
        """Work on a client's request, a part at each of its turns, the first at once."""
        while True:
            try:
                next(parts)
            except StopIteration as end:
                result: T = end.value
                return result
            await self.mine(network)

    def _arm(self) -> None:
        if not self._is_armed:
            self._is_armed = True
            asyncio.get_running_loop().call_soon(self._round)

    def _round(self) -> None:
        self._is_armed = False
        self._taken = 0
        while self._circle and self._taken < AT_ONCE:
            self._taken += 1
            self._let_in(self._circle.popleft())
        if self._taken:
            self._arm()

    def _let_in(self, network: ClientNetwork) -> None:
        turns = self._waiting[network]
        turn = turns.popleft()
        if turns:
            self._circle.append(network)
        else:
            del self._waiting[network]
        if not turn.done():
            turn.set_result(None)

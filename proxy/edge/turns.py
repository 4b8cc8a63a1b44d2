"""Turns of clients: in each round of the event loop, one request of a client, or a part of a large one, is worked on.

Without turns, a client with sixty requests ready would have all of them worked on before any other client's.

Each round also gives way to the queue's writer thread. The interpreter has one lock, and an event loop that is never
idle lets go of it only for moments, too short for a thread of the same core to wake. A commit then waits up to 5 ms
(``sys.getswitchinterval``) at its start and again after its fsync, and so does every request of that commit.

Requests of servers come after all requests of visitors. A visitor's request takes several steps, and each step would
wait for a part of a large request; this way only the first step does, and a commit has the processor to itself.
"""

import asyncio
import os
from collections import deque

from proxy.rules.fairness import ClientNetwork

CLIENTS = 8
"""How many clients have a turn in one round, each for one request. With four requests of the same client in a round,
visitors waited twice as long during a flood. Different clients share a round, as a round for each would cost time.
"""
PATIENCE_S = 0.005
"""How many seconds a part of a server's request waits for visitors at most: they may never all be answered."""


class Turns:
    """Clients that wait for their turn, in a circle."""

    def __init__(self, *, gives_way: bool = True) -> None:
        """Begin with no clients.

        Args:
            gives_way: Whether each round yields the processor to a writer thread. In a process without one, yielding
                would only give the core to another process, and this one would continue with a cold cache.
        """
        self._gives_way = gives_way
        self._circle: deque[ClientNetwork] = deque()
        self._waiting: dict[ClientNetwork, deque[asyncio.Future[None]]] = {}
        self._served: list[ClientNetwork] = []
        """The clients that have had their turn in this round."""
        self._is_armed = False
        self.visitors = 0
        """How many visitors wait for an answer. A door that lowers it then calls ``release_server_request``, if
        ``patient`` is not empty.

        Doors change the number themselves, since a method call would cost time for each event of each visitor."""
        self.patient: dict[asyncio.Future[None], None] = {}
        """Parts of servers' requests that wait for visitors, the longest waiting first."""

    def release_server_request(self) -> None:
        """Let the longest waiting server's request go on, if no visitor waits; ``patient`` must not be empty."""
        if not self.visitors:
            _end(next(iter(self.patient)))

    async def yield_to_visitors(self) -> None:
        """Wait until no visitor waits for an answer, at most ``PATIENCE_S``; each such moment releases one caller."""
        if not self.visitors:
            return
        loop = asyncio.get_running_loop()
        gone = loop.create_future()
        self.patient[gone] = None
        timer = loop.call_later(PATIENCE_S, _end, gone)
        try:
            await gone
        finally:
            timer.cancel()
            del self.patient[gone]

    def request_turn(self, network: ClientNetwork) -> asyncio.Future[None] | None:
        """Return a future that is done at the turn of a client's request; None when its turn is now."""
        if not self._is_armed:
            self._arm()
        if network not in self._waiting and network not in self._served and len(self._served) < CLIENTS:
            self._served.append(network)
            return None
        place = asyncio.get_running_loop().create_future()
        if network not in self._waiting:
            self._waiting[network] = deque()
            self._circle.append(network)
        self._waiting[network].append(place)
        return place

    async def wait_for_turn(self, network: ClientNetwork) -> None:
        """Wait for the turn of a client's request; return at once where ``request_turn`` returns None."""
        if place := self.request_turn(network):
            await place

    def _arm(self) -> None:
        self._is_armed = True
        asyncio.get_running_loop().call_soon(self._round)

    def _round(self) -> None:
        self._is_armed = False
        if self._gives_way:
            os.sched_yield()
        self._served = [self._circle.popleft() for _ in range(min(len(self._circle), CLIENTS))]
        for network in self._served:
            self._let_in(network)
        if self._served:
            self._arm()

    def _let_in(self, network: ClientNetwork) -> None:
        places = self._waiting[network]
        place = places.popleft()
        if places:
            self._circle.append(network)
        else:
            del self._waiting[network]
        _end(place)


def _end(wait: asyncio.Future[None]) -> None:
    if not wait.done():
        wait.set_result(None)

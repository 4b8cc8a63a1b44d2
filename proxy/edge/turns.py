"""Whose turn it is: in each round of the event loop a client has one request, or a part of a large one, worked on.

Without it a client with sixty requests ready would have all of them worked on before anybody else's.

Each round also gives way to the queue's writer thread. The interpreter has one lock, and an event loop that is never
idle lets go of it only for moments, too short for a thread of the same core to wake. A commit then waits up to 5 ms
(``sys.getswitchinterval``) at its start and again after its fsync, and with it everybody who waits for that group.

What servers ask for comes behind visitors altogether. A visitor's request takes several steps, and each of them would
wait for a part of a large request; now only the first does, and a commit has the processor to itself.
"""

import asyncio
import os
from collections import deque

from proxy.rules.fairness import ClientNetwork

CLIENTS = 8
"""Clients whose turn may come in one round, each once: four requests of the same client in a round made visitors beside
a flood wait twice as long; those of different clients are worked on together, as a round of its own costs each of them.
"""
PATIENCE_S = 0.005
"""How long a part of a server's request waits for visitors; there may be no moment without any."""


class Turns:
    """Clients that wait for their turn, in a circle."""

    def __init__(self, *, gives_way: bool = True) -> None:
        """Begin with nobody.

        Args:
            gives_way: Whether each round gives way to a writer thread; where there is none it would only give the
                core to another process, and come back to a cold cache.
        """
        self._gives_way = gives_way
        self._circle: deque[ClientNetwork] = deque()
        self._waiting: dict[ClientNetwork, deque[asyncio.Future[None]]] = {}
        self._served: list[ClientNetwork] = []
        """Whose turn it has been in this round."""
        self._is_armed = False
        self.visitors = 0
        """Visitors who wait for an answer; who counts the last one out calls ``visitors_left`` if anybody is patient.

        Counted where they are answered, without a call: that costs each event of each visitor."""
        self.patient: dict[asyncio.Future[None], None] = {}
        """Parts of servers' requests that wait for visitors, the longest waiting first."""

    def visitors_left(self) -> None:
        """Let one server's request go on, now that no visitor waits."""
        if not self.visitors:
            _end(next(iter(self.patient)))

    async def without_visitors(self) -> None:
        """Return when no visitor waits for an answer, or when that has taken too long."""
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

    def place(self, network: ClientNetwork) -> asyncio.Future[None] | None:
        """Return the place in the circle of a client's request; None when its turn is now, the first of this round."""
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

    async def mine(self, network: ClientNetwork) -> None:
        """Return when it is the turn of a client's oldest request; at once if it has had none in this round."""
        if place := self.place(network):
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

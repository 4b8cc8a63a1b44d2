"""The open connections of a listener: how many there may be, and how long each may keep the proxy waiting.

The client that has been silent longest makes room when all places are taken, so a crowd of silent connections shuts
nobody out. A connection on which a whole request is being answered is never taken away. All time limits are looked at
by one sweep a second: a limit costs a request one assignment, and ends up to a second late.
"""

import asyncio
import math
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from proxy.config.schema import LimitSettings
from proxy.rules.fairness import ClientNetwork, client_network
from proxy.rules.request.client_address import Networks, is_trusted
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

SWEEP_SECONDS = 1.0
_CLOSING_SWEEPS = 5
"""How many sweeps a closing connection has for the rest of its answer."""
_MOST_LOOKS = 64
_SILENT_S = 1.0
"""How long a connection without any request must have been silent to make room for another of its address. A crowd that
connects again as soon as it is closed would else cost more than being refused; a carrier's visitors have all asked.
"""
_FREED = 16
_LASTS_MS = 60_000
_FEW_CONNECTIONS = 64

Peer = tuple[str, int]
Order = OrderedDict["Connection", None]


@dataclass(frozen=True, slots=True)
class Terms:
    """On what a listener talks to clients."""

    name: str
    limits: LimitSettings
    conditions: Conditions
    metrics: Metrics
    trusted: Networks = field(default_factory=Networks)
    announced: bool = False
    """Trusted peers speak the PROXY protocol first."""


def few_connections(limits: LimitSettings) -> LimitSettings:
    """Return the limits of a listener that only a few clients use, any of whom may take all its connections."""
    few = {"connections": _FEW_CONNECTIONS, "connections_per_address": _FEW_CONNECTIONS + 1}
    return limits.model_copy(update=few)


class Speaker(Protocol):
    """The protocol that speaks on a connection, as the sweep sees it."""

    def waits(self) -> bool:
        """Tell whether it waits for its client: nothing is lost by closing it."""

    def expire(self) -> None:
        """End what took too long."""

    def listening_ended(self) -> None:
        """Take note that the listener stops."""


class Connection:
    """One connection: whose it is, and until when it may stay as it is."""

    __slots__ = ("_connections", "closing", "deadline", "party", "peer", "seen", "speaker", "spoke", "transport")

    def __init__(self, connections: "Connections", peer: Peer, who: ClientNetwork | None) -> None:
        self._connections = connections
        self.peer = peer
        self.party = who
        """None for a trusted proxy, which speaks for many."""
        self.transport: asyncio.Transport | None = None
        self.speaker: Speaker | None = None
        self.deadline = math.inf
        """Time of the event loop, as with ``seen``."""
        self.seen = asyncio.get_running_loop().time()
        """When the client last gave a sign of life."""
        self.spoke = False
        """It has sent a request."""
        self.closing = 0

    def touch(self) -> None:
        """Note a sign of life."""
        self._connections.touched(self)

    def ended(self, reason: str) -> None:
        """Count an end that the client caused."""
        self._connections.count(reason)

    def lost(self) -> None:
        """Note that it is closed."""
        self._connections.remove(self)

    def announce(self, peer: Peer) -> None:
        """Take a trusted proxy's word for who is behind it (PROXY protocol); close it when that one has too many."""
        if not self._connections.renamed(self, peer):
            self.abort()

    def abort(self) -> None:
        """Close it at once."""
        if self.transport:
            self.transport.abort()


class Connections:
    """The places of one listener."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._all: Order = OrderedDict()
        self._strangers: Order = OrderedDict()
        """The longest silent first, as in each party."""
        self._parties: dict[ClientNetwork, Order] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._all)

    def admit(self, peer: Peer) -> Connection | None:
        """Give a place to whoever connected from an address, or None when there is none left."""
        who = self._party(peer)
        if not (self._room_for(who) and self._room()):
            return None
        connection = Connection(self, peer, who)
        self._all[connection] = None
        self._join(connection)
        return connection

    def renamed(self, connection: Connection, peer: Peer) -> bool:
        """Count a connection to the client behind its proxy; tell whether that one may have it."""
        who = self._party(peer)
        self._part(connection)
        connection.peer, connection.party = peer, who
        has_room = self._room_for(who)
        self._join(connection)
        return has_room

    def touched(self, connection: Connection) -> None:
        """Put a connection behind those that have been silent longer."""
        connection.seen = asyncio.get_running_loop().time()
        if connection in self._strangers:
            self._strangers.move_to_end(connection)
            if connection.party is not None:
                self._parties[connection.party].move_to_end(connection)

    def remove(self, connection: Connection) -> None:
        """Free the place of a connection; once is enough."""
        if connection in self._all:
            del self._all[connection]
            self._part(connection)

    def out_of_descriptors(self) -> None:
        """Close some of the longest silent connections, since the process can open nothing more."""
        self._terms.conditions.report(
            "descriptors", detail="no file descriptor is left (ulimit -n)", lasts_ms=_LASTS_MS
        )
        for _ in range(_FREED):
            self._evicted(self._strangers)

    def count(self, reason: str) -> None:
        """Count a connection that was refused or ended early."""
        self._terms.metrics.connection(self._terms.name, reason)

    def start(self) -> None:
        """Begin to sweep."""
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def stop(self) -> None:
        """Sweep no more, and tell who is connected."""
        if self._sweeper:
            self._sweeper.cancel()
        for connection in list(self._all):
            if connection.speaker:
                connection.speaker.listening_ended()

    def _party(self, peer: Peer) -> ClientNetwork | None:
        return None if is_trusted(peer[0], self._terms.trusted) else client_network(peer[0])

    def _join(self, connection: Connection) -> None:
        if connection.party is not None:
            self._strangers[connection] = None
            self._parties.setdefault(connection.party, OrderedDict())[connection] = None

    def _part(self, connection: Connection) -> None:
        if connection.party is None:
            return
        del self._strangers[connection]
        theirs = self._parties[connection.party]
        del theirs[connection]
        if not theirs:
            del self._parties[connection.party]

    def _room_for(self, who: ClientNetwork | None) -> bool:
        most = self._terms.limits.connections_per_address
        if who is None or len(self._parties.get(who, ())) < most:
            return True
        detail = f"{most} connections of one address are open (limits.connections_per_address)"
        self._terms.conditions.report("address_full", self._terms.name, detail, lasts_ms=_LASTS_MS)
        return self._make_way(self._parties[who], "address", silent_s=_SILENT_S)

    def _room(self) -> bool:
        if len(self._all) < self._terms.limits.connections:
            return True
        detail = f"{self._terms.limits.connections} connections are open"
        self._terms.conditions.report("connections_full", self._terms.name, detail, lasts_ms=_LASTS_MS)
        return self._make_way(self._strangers, "full")

    def _make_way(self, order: Order, reason: str, *, silent_s: float = 0.0) -> bool:
        has_room = self._evicted(order, silent_s)
        if not has_room:
            self.count(reason)
        return has_room

    def _evicted(self, order: Order, silent_s: float = 0.0) -> bool:
        latest = asyncio.get_running_loop().time() - silent_s
        for connection in islice(order, _MOST_LOOKS):
            may_go = connection.transport and (connection.spoke or connection.seen <= latest)
            if may_go and connection.speaker and connection.speaker.waits():
                self.count("silent")
                self.remove(connection)
                connection.abort()
                return True
        return False

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep)
        now = loop.time()
        for connection in list(self._all):
            if connection.transport and connection.transport.is_closing():
                self._look_at_closing(connection)
            elif connection.deadline <= now and connection.speaker:
                connection.speaker.expire()

    def _look_at_closing(self, connection: Connection) -> None:
        """A client that does not read holds a closing connection until its answer is given up."""
        connection.closing += 1
        if connection.closing > _CLOSING_SWEEPS:
            self.count("write")
            connection.abort()

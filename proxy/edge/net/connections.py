"""The open connections of a listener: how many there may be, and how long each may keep the proxy waiting.

When all places are taken, the connection that has been silent longest is closed for the next one, so a crowd of silent
connections cannot lock other clients out. A connection on which a whole request is being answered is never closed for
another. One sweep a second looks at all time limits: a limit costs a request one assignment.

A limit takes effect at the second sweep after it, one to two seconds late. After a stall (a paused machine, a processor
that others use) libuv runs timers before it reads sockets, so the first sweep could end clients whose bytes are there.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from proxy.edge.net.terms import Terms
from proxy.model import condition_details as details
from proxy.rules.fairness import ClientNetwork, client_network
from proxy.rules.request.client_address import is_trusted

SWEEP_SECONDS = 1.0
_ENDED_AT_ONCE = 16
"""How many connections a sweep ends in one turn of the event loop: connections opened together also expire together,
and answering a thousand of them took as long as a hundred requests."""
_CLOSING_SWEEPS = 5
"""How many sweeps a closing connection has for the rest of its answer."""
_MOST_LOOKS = 64
"""How many connections are looked at to find one that may be closed for another."""
_SILENT_S = 1.0
"""How many seconds a connection without any request must have been silent to be closed for another of its address.
Otherwise clients that reconnect at once would cost more than refusing them; a carrier's visitors, who share an address,
have all sent a request.
"""
_FREED = 16
"""How many connections are closed when no file descriptor is left."""
_LASTS_MS = 60_000

Peer = tuple[str, int]
Order = OrderedDict["Connection", None]


class ConnectionProtocol(Protocol):
    """The protocol that reads and writes on a connection, as the sweep sees it."""

    def is_waiting_for_client(self) -> bool:
        """Tell whether the connection waits for its client, so that closing it loses no answer."""

    def expire(self) -> None:
        """End the request or connection whose time limit has passed."""

    def listening_ended(self) -> None:
        """Note that the listener stops."""


class Connection:
    """The record of one connection: its client, and until when that client may be silent or slow."""

    __slots__ = ("_connections", "closing", "deadline", "missed", "network", "peer", "protocol", "seen", "spoke",
                 "transport")  # fmt: skip

    def __init__(self, connections: "Connections", peer: Peer, network: ClientNetwork | None) -> None:
        self._connections = connections
        self.peer = peer
        self.network = network
        """None for a trusted proxy, which has many clients."""
        self.transport: asyncio.Transport | None = None
        self.protocol: ConnectionProtocol | None = None
        self.deadline = math.inf
        """When its time limit passes, by the clock of the event loop, as ``seen`` is."""
        self.missed = math.inf
        """The deadline that had passed at the last sweep."""
        self.seen = asyncio.get_running_loop().time()
        """When the client last sent something."""
        self.spoke = False
        """Whether the client has sent a request on it."""
        self.closing = 0
        """How many sweeps have passed since it began to close."""

    def touch(self) -> None:
        """Note that the client sent something."""
        self._connections.touched(self)

    def count_end(self, reason: str) -> None:
        """Count, by reason, that the connection ended because of its client."""
        self._connections.count(reason)

    def free_place(self) -> None:
        """Free the place of the connection, which is closed."""
        self._connections.remove(self)

    def take_source(self, peer: Peer) -> None:
        """Count the connection to the client that a trusted proxy names; close it when that client has too many."""
        if not self._connections.move_to_client(self, peer):
            self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        if self.transport:
            self.transport.abort()


class Connections:
    """All connections of one listener, within its limits."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._all: Order = OrderedDict()
        self._strangers: Order = OrderedDict()
        """Connections of untrusted peers, the longest silent first; ``_networks`` has the same order for each."""
        self._networks: dict[ClientNetwork, Order] = {}
        self._sweeper: asyncio.Handle | None = None

    def __len__(self) -> int:
        return len(self._all)

    def admit(self, peer: Peer) -> Connection | None:
        """Return the record of a new connection from an address, or None when no place is left for it."""
        network = self._network_of(peer)
        if not (self._has_place_for(network) and self._has_place()):
            return None
        connection = Connection(self, peer, network)
        self._all[connection] = None
        self._join_network(connection)
        return connection

    def move_to_client(self, connection: Connection, peer: Peer) -> bool:
        """Count a connection to the client behind its proxy; tell whether that client has a place for it."""
        network = self._network_of(peer)
        self._leave_network(connection)
        connection.peer, connection.network = peer, network
        has_place = self._has_place_for(network)
        self._join_network(connection)
        return has_place

    def touched(self, connection: Connection) -> None:
        """Note that the client sent something: the connection moves to the end of the order of silence."""
        connection.seen = asyncio.get_running_loop().time()
        if connection in self._strangers:
            self._strangers.move_to_end(connection)
            if connection.network is not None:
                self._networks[connection.network].move_to_end(connection)

    def remove(self, connection: Connection) -> None:
        """Free the place of a connection; a second call changes nothing."""
        if connection in self._all:
            del self._all[connection]
            self._leave_network(connection)

    def free_descriptors(self) -> None:
        """Close some of the longest silent connections, since the process has no file descriptor left."""
        self._terms.conditions.report("descriptors", detail=details.NO_DESCRIPTOR, lasts_ms=_LASTS_MS)
        for _ in range(_FREED):
            self._evict_silent(self._strangers)

    def count(self, reason: str) -> None:
        """Count a connection that was refused or ended early."""
        self._terms.metrics.connection(self._terms.name, reason)

    def start(self) -> None:
        """Begin to sweep."""
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def stop(self) -> None:
        """End the sweeps, and tell every connection that the listener stops."""
        if self._sweeper:
            self._sweeper.cancel()
        for connection in list(self._all):
            if connection.protocol:
                connection.protocol.listening_ended()

    def _network_of(self, peer: Peer) -> ClientNetwork | None:
        return None if is_trusted(peer[0], self._terms.trusted) else client_network(peer[0])

    def _join_network(self, connection: Connection) -> None:
        if connection.network is not None:
            self._strangers[connection] = None
            self._networks.setdefault(connection.network, OrderedDict())[connection] = None

    def _leave_network(self, connection: Connection) -> None:
        if connection.network is None:
            return
        del self._strangers[connection]
        connections = self._networks[connection.network]
        del connections[connection]
        if not connections:
            del self._networks[connection.network]

    def _has_place_for(self, network: ClientNetwork | None) -> bool:
        most = self._terms.limits.connections_per_address
        if network is None or len(self._networks.get(network, ())) < most:
            return True
        detail = details.address_full(most)
        self._terms.conditions.report("address_full", self._terms.name, detail, lasts_ms=_LASTS_MS)
        return self._freed_place(self._networks[network], "address", silent_s=_SILENT_S)

    def _has_place(self) -> bool:
        if len(self._all) < self._terms.limits.connections:
            return True
        detail = details.connections_full(self._terms.limits.connections)
        self._terms.conditions.report("connections_full", self._terms.name, detail, lasts_ms=_LASTS_MS)
        return self._freed_place(self._strangers, "full")

    def _freed_place(self, order: Order, reason: str, *, silent_s: float = 0.0) -> bool:
        has_place = self._evict_silent(order, silent_s)
        if not has_place:
            self.count(reason)
        return has_place

    def _evict_silent(self, order: Order, silent_s: float = 0.0) -> bool:
        latest = asyncio.get_running_loop().time() - silent_s
        for connection in islice(order, _MOST_LOOKS):
            may_close = connection.transport and (connection.spoke or connection.seen <= latest)
            if may_close and connection.protocol and connection.protocol.is_waiting_for_client():
                self.count("silent")
                self.remove(connection)
                connection.abort()
                return True
        return False

    def _sweep(self) -> None:
        self._look_through(iter(list(self._all)))

    def _look_through(self, connections: Iterator[Connection]) -> None:
        """End connections whose limit has passed, a few in each turn of the event loop."""
        loop = asyncio.get_running_loop()
        # Scheduled before any connection is ended: an error in ending one must not stop all sweeps.
        self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep)
        now, ended = loop.time(), 0
        for connection in connections:
            if connection.transport and connection.transport.is_closing():
                self._expire_closing(connection)
            elif connection.deadline <= now and connection.protocol:
                if connection.missed == connection.deadline:
                    connection.protocol.expire()
                    ended += 1
                else:
                    connection.missed = connection.deadline
            if ended == _ENDED_AT_ONCE:
                self._sweeper.cancel()
                self._sweeper = loop.call_soon(self._look_through, connections)
                return

    def _expire_closing(self, connection: Connection) -> None:
        """Close a connection whose client does not read the end of its answer."""
        connection.closing += 1
        if connection.closing > _CLOSING_SWEEPS:
            self.count("write")
            connection.abort()

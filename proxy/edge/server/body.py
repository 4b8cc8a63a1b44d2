"""Bodies of servers: up to 16 MiB each, and in all no more at once than there is room for."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from io import BytesIO

from proxy.edge.exchange import BodyTooLargeError, HttpRequest
from proxy.edge.server.unpacking import PACKED, unpacked
from proxy.edge.server.working import turn, worked
from proxy.edge.turns import Turns
from proxy.rules import server_limits
from proxy.rules.fairness import ClientNetwork

MOST_BYTES = 64 << 20
"""Bytes of such bodies that may be in memory, on their way or being read."""


class UnknownCodingError(Exception):
    """The body has a ``Content-Encoding`` that is not read."""


class NoRoomError(Exception):
    """Too many bytes of bodies are under way already."""


class BodyRoom:
    """The bytes of all bodies under way, by client.

    Up to half of it anybody may take; beyond, a client may hold its part of that half, divided among all that hold
    something. What counts are bytes that have come, not what a head announces, which costs a stranger nothing.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._total = 0
        self._held: dict[ClientNetwork, int] = {}

    def take(self, network: ClientNetwork, size: int) -> None:
        """Count bytes in.

        Raises:
            NoRoomError: when they do not fit, and were not counted.
        """
        mine, total = self._held.get(network, 0) + size, self._total + size
        clients = len(self._held) + (network not in self._held)
        if total > self._most or (total * 2 > self._most and mine * 2 * clients > self._most):
            raise NoRoomError
        self._held[network], self._total = mine, total

    def free(self, network: ClientNetwork, size: int) -> None:
        """Count bytes out."""
        self._total -= size
        self._held[network] -= size
        if not self._held[network]:
            del self._held[network]


class _Hold:
    """What one request has taken of the room."""

    def __init__(self, room: BodyRoom, network: ClientNetwork) -> None:
        self._room, self._network = room, network
        self._size = self._unpacked = 0

    def grow(self, size: int) -> None:
        """Take room for bytes that came."""
        if size:
            self._room.take(self._network, size)
            self._size += size
        if self._size > server_limits.BODY:
            raise BodyTooLargeError

    def grow_unpacked(self, size: int) -> None:
        """Take room for bytes that were unpacked, which are bounded for themselves."""
        self._room.take(self._network, size)
        self._size += size
        self._unpacked += size
        if self._unpacked > server_limits.BODY:
            raise BodyTooLargeError

    def end(self) -> None:
        """Give it all back."""
        if self._size:
            self._room.free(self._network, self._size)


class ServerBodyReader:
    """Reads bodies, each client's in turn."""

    def __init__(self, turns: Turns, room: BodyRoom) -> None:
        """Read bodies; parts of packed ones are unpacked as ``turns`` says, and ``room`` bounds them all."""
        self._turns = turns
        self._room = room

    @asynccontextmanager
    async def body(self, request: HttpRequest, network: ClientNetwork) -> AsyncIterator[bytes]:
        """Hold a whole body, unpacked, while the context lasts.

        Raises:
            BodyTooLargeError: when it is too long, packed or unpacked.
            BodyTooSlowError: when it comes too slowly.
            BodyLostError: when it will not come.
            NoRoomError: when too much is under way.
            UnknownCodingError: when it is packed in another way than gzip or deflate.
            UnpackableError: when it cannot be unpacked.
        """
        coding = request.headers.get("content-encoding", "").strip().lower() or "identity"
        if coding != "identity" and coding not in PACKED:
            raise UnknownCodingError
        if request.size > server_limits.BODY:
            raise BodyTooLargeError
        hold = _Hold(self._room, network)
        try:
            body = await self._whole(request, hold)
            await turn(self._turns, network)
            if coding in PACKED:
                body = await worked(self._turns, network, unpacked(body, coding, hold.grow_unpacked))
            yield body
        finally:
            hold.end()

    async def _whole(self, request: HttpRequest, hold: _Hold) -> bytes:
        # It grows as pieces come: to join megabytes of them at the end would take 5 ms at a stretch.
        body = BytesIO()
        async with aclosing(request.pieces()) as coming:
            async for piece in coming:
                hold.grow(len(piece))
                body.write(piece)
                # What nobody takes stays in the socket, and then with the sender.
                await self._turns.without_visitors()
        return body.getvalue()

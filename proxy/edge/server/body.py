"""Bodies of servers' requests: up to 16 MiB each, and ``MOST_BYTES`` in memory at once."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from io import BytesIO

from proxy.edge.exchange import BodyTooLargeError, HttpRequest
from proxy.edge.server.unpacking import PACKED, unpacked
from proxy.edge.server.working import take_turn, work_in_turns
from proxy.edge.turns import Turns
from proxy.rules import server_limits
from proxy.rules.fairness import ClientNetwork

MOST_BYTES = 64 << 20
"""How many bytes of all such bodies may be in memory, while they arrive or are worked on."""


class UnknownCodingError(Exception):
    """The body has a ``Content-Encoding`` that is not supported."""


class NoRoomError(Exception):
    """Too many bytes of bodies are under way already."""


class BodyRoom:
    """The bytes of all bodies under way, by client.

    While less than half of the room is taken, any client may take more. Beyond that, a client may hold as much as half
    of the room divided by the number of clients that hold something. Only bytes that have come count, not the length
    that a head announces, which costs a client nothing.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._total = 0
        self._held: dict[ClientNetwork, int] = {}

    def take(self, network: ClientNetwork, size: int) -> None:
        """Count bytes of a client.

        Raises:
            NoRoomError: when they do not fit; then they are not counted.
        """
        mine, total = self._held.get(network, 0) + size, self._total + size
        clients = len(self._held) + (network not in self._held)
        if total > self._most or (total * 2 > self._most and mine * 2 * clients > self._most):
            raise NoRoomError
        self._held[network], self._total = mine, total

    def free(self, network: ClientNetwork, size: int) -> None:
        """Subtract bytes that a client no longer holds."""
        self._total -= size
        self._held[network] -= size
        if not self._held[network]:
            del self._held[network]


class _Hold:
    """The part of the room that one request has taken."""

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
        """Take room for unpacked bytes, which have a limit of their own."""
        self._room.take(self._network, size)
        self._size += size
        self._unpacked += size
        if self._unpacked > server_limits.BODY:
            raise BodyTooLargeError

    def end(self) -> None:
        """Give back all that was taken."""
        if self._size:
            self._room.free(self._network, self._size)


class ServerBodyReader:
    """Reads bodies, each client's in turn."""

    def __init__(self, turns: Turns, room: BodyRoom) -> None:
        """Read bodies; unpack compressed ones in parts, in the clients' ``turns``; ``room`` limits all bodies."""
        self._turns = turns
        self._room = room

    @asynccontextmanager
    async def body(self, request: HttpRequest, network: ClientNetwork) -> AsyncIterator[bytes]:
        """Hold a whole body, unpacked, while the context lasts.

        Raises:
            BodyTooLargeError: when it is too long, packed or unpacked.
            BodyTooSlowError: when it comes too slowly.
            BodyLostError: when the client hung up, or the body cannot be read.
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
            await take_turn(self._turns, network)
            if coding in PACKED:
                body = await work_in_turns(self._turns, network, unpacked(body, coding, hold.grow_unpacked))
            yield body
        finally:
            hold.end()

    async def _whole(self, request: HttpRequest, hold: _Hold) -> bytes:
        # A growing buffer: joining megabytes of pieces at the end would block the event loop for 5 ms.
        body = BytesIO()
        async with aclosing(request.pieces()) as coming:
            async for piece in coming:
                hold.grow(len(piece))
                body.write(piece)
                # Meanwhile unread bytes fill the socket's buffer, and then the sender has to wait.
                await self._turns.yield_to_visitors()
        return body.getvalue()

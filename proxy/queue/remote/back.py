"""The back's end of the socket: stores what fronts send, and tells them the state of the queue."""

import asyncio
import os
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress

from proxy.queue.remote import messages
from proxy.queue.remote.front_connection import FrontConnection
from proxy.queue.remote.messages import State
from proxy.queue.remote.place import listening_socket
from proxy.queue.remote.questions import Questions
from proxy.queue.remote.taker import FrontWatch, GroupTaker

_STATE_S = 0.5
_MOST_CONNECTIONS = 256


class Back:
    """The server that fronts connect to; used on the event loop only."""

    def __init__(
        self,
        queue: GroupTaker,
        token: bytes,
        *,
        watch: FrontWatch,
        wake: Callable[[Collection[str]], None],
    ) -> None:
        """Take the parts; nobody can connect before ``start``.

        Args:
            queue: The queue that everything goes to.
            token: Proves that a front belongs to this start of the proxy.
            watch: Is told about fronts.
            wake: Tells the lanes of pixels that there is something to deliver.
        """
        self.queue = queue
        self.questions = Questions(queue)
        self.token = token
        self.watch = watch
        self.wake = wake
        self._connections: set[FrontConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._nobody_left = asyncio.Event()
        self._nobody_left.set()
        self._address = ""
        self._server: asyncio.Server | None = None

    async def start(self, address: str) -> None:
        """Listen for fronts at an address of ``place.address_of``.

        Raises:
            OSError: when the socket cannot be made.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._connection, sock=listening_socket(address))
        self._address = address
        self.spawn(self._tell_states())

    async def close(self, seconds: float) -> None:
        """Wait until all fronts have hung up, for at most ``seconds``; then hang up on the others."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._nobody_left.wait()
        if self._server:
            self._server.close()
            with suppress(OSError):
                os.unlink(self._address)  # noqa: PTH108 - an address is no path
        for connection in list(self._connections):
            connection.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def state(self) -> bytes:
        """Return the state of the queue as the body of a frame."""
        queue = self.queue
        return messages.encode(
            State(queue.suppressions_version(), queue.fullness(), queue.refusal_reason(), queue.full_reason())
        )

    def forget(self, connection: FrontConnection) -> None:
        """Take note that a connection is lost."""
        self._connections.discard(connection)
        if connection.front:
            self.watch.left(connection.front)
        if not self._connections:
            self._nobody_left.set()

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Do something in a task that ends with the back."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _connection(self) -> FrontConnection:
        connection = FrontConnection(self)
        self._connections.add(connection)
        self._nobody_left.clear()
        if len(self._connections) > _MOST_CONNECTIONS:
            asyncio.get_running_loop().call_soon(connection.abort)
        return connection

    async def _tell_states(self) -> None:
        while True:
            await asyncio.sleep(_STATE_S)
            if why := self.queue.full_reason():
                self.watch.refused(why)
            body = self.state()
            for connection in list(self._connections):
                connection.tell_state(body)

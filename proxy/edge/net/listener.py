"""Accepts connections: as many as the limits allow, and again after the process had no descriptor left.

asyncio accepts any connection, and pauses a second when descriptors run out; uvloop then closes the listening socket
for good. Here a connection first gets its place, and one without a place is closed at once, so it costs no descriptor.
"""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, ExitStack
from typing import Any, cast

from aiohttp import hdrs, web

from proxy.config.address import Address
from proxy.edge.net.connections import Connection, Connections
from proxy.edge.net.fast import FastConnection
from proxy.edge.net.http import HttpConnection
from proxy.edge.net.proxy_protocol import ProxyHeaderReader
from proxy.edge.net.terms import Terms
from proxy.model import condition_details as details
from proxy.telemetry.faults import FaultReporter

_AT_ONCE = 16
"""Connections accepted in one turn of the event loop. A visitor's request takes some turns, each after so many."""
_PAUSE_S = 0.2
"""For how many seconds nothing is accepted after descriptors ran out."""
BACKLOG = 2048
"""Connections that the kernel keeps until they are accepted."""
_GRACE_S = 10.0
_LASTS_MS = 60 * 60_000
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class _Sockets:
    """The listening sockets, as aiohttp expects a server to show them."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.sockets = sockets

    def close(self) -> None:
        for listening in self.sockets:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()


class Listener(web.BaseSite):
    """One address to listen on, and the connections to it."""

    def __init__(self, runner: web.AppRunner, address: Address, terms: Terms) -> None:
        """Prepare to listen.

        Args:
            runner: Runs the application that answers; set up already.
            address: Where to listen; port 0 finds a free one.
            terms: The limits of its connections, and where it reports.
        """
        super().__init__(runner, backlog=BACKLOG)
        self._address = address
        self._terms = terms
        self._connections = Connections(terms)
        self._faults = FaultReporter(terms.conditions, terms.metrics)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """The address as aiohttp logs it."""
        return f"tcp://{self._address.host}:{self._address.port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: when the address cannot be listened on.
        """
        await super().start()
        loop = asyncio.get_running_loop()
        sockets = list(self._terms.sockets) or await self._listening_sockets()
        self._server = cast("asyncio.AbstractServer", _Sockets(sockets))
        for listening in sockets:
            loop.add_reader(listening, self._accept, listening)
        self._connections.start()

    async def _listening_sockets(self) -> list[socket.socket]:
        host, port = self._address
        resolved = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        return _listening_sockets({(family, where) for family, _, _, _, where in resolved}, self._backlog)

    async def stop(self) -> None:
        """Stop listening; requests under way go on."""
        await super().stop()
        self._connections.stop()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, peer = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # All other errors concern one connection that ended before it was accepted (accept(2)).
                if error.errno in _OUT_OF_RESOURCES:
                    self._pause_accepting(listening)
                    return
                continue
            self._take(accepted, peer)

    def _take(self, accepted: socket.socket, peer: Any) -> None:
        connection = self._connections.admit(peer[:2])
        if connection is None:
            accepted.close()
            return
        accepted.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._hand_over(accepted, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hand_over(self, accepted: socket.socket, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: self._protocol(connection), accepted)
        except OSError:
            accepted.close()
            connection.free_place()

    def _protocol(self, connection: Connection) -> asyncio.Protocol:
        if self._terms.proxy_protocol and connection.network is None:
            return ProxyHeaderReader(connection, self._http, self._report_missing_header)
        return self._http(connection)

    def _http(self, connection: Connection) -> asyncio.Protocol:
        server, terms = cast("web.Server", self._runner.server), self._terms
        if terms.fast:
            return FastConnection(server, connection, terms, self._faults, terms.fast)
        return HttpConnection(server, connection, terms, self._faults)

    def _report_missing_header(self) -> None:
        self._terms.conditions.report("proxy_protocol", detail=details.NO_PROXY_HEADER, lasts_ms=_LASTS_MS)

    def _pause_accepting(self, listening: socket.socket) -> None:
        self._connections.free_descriptors()
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(_PAUSE_S, self._resume_accepting, listening)

    def _resume_accepting(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)


def _listening_sockets(addresses: Iterable[tuple[int, Any]], backlog: int) -> list[socket.socket]:
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(where, family=family, backlog=backlog))
            for family, where in addresses
        ]
        for listening in sockets:
            listening.setblocking(False)
        stack.pop_all()
        return sockets


async def listen(
    stack: AsyncExitStack,
    app: web.Application,
    address: Address,
    terms: Terms,
    *,
    drain: Callable[[float], Awaitable[None]] | None = None,
) -> Address:
    """Serve an application until the stack unwinds; return the address with the port that it really listens on.

    Args:
        stack: Ends the listener when it unwinds: it stops listening, drains, then closes its connections.
        app: Answers the requests.
        address: Where to listen; port 0 finds a free one.
        terms: Limits of its connections, and where it reports.
        drain: Waits until no request is under way, at most as many seconds as it is given.

    Raises:
        OSError: when the address cannot be listened on.
    """
    # aiohttp does not cancel a handler when its client hangs up (its default), so what was sent is still stored.
    app.on_response_prepare.append(_remove_server_header)
    runner = web.AppRunner(app, shutdown_timeout=_GRACE_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = Listener(runner, address, terms)
    await site.start()
    if drain:
        stack.push_async_callback(drain, _GRACE_S)
    stack.push_async_callback(site.stop)
    host, port = runner.addresses[0][:2]
    return Address(host, port)


async def _remove_server_header(_request: web.Request, response: web.StreamResponse) -> None:
    """Leave out the versions of Python and aiohttp, which would tell an attacker what to try."""
    response.headers.pop(hdrs.SERVER, None)

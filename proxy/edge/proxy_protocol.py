"""The PROXY protocol, versions 1 and 2 (HAProxy, proxy-protocol.txt): who is behind a balancer that passes bytes on.

The header comes before the first byte of HTTP. It is read from trusted peers only, and there it must come; what any
other peer sends goes to HTTP as it is. After the header the connection is aiohttp's alone, at no cost to a request.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, cast

from aiohttp import web

from proxy.rules.address import Networks, is_trusted

log = logging.getLogger(__name__)

HEADER_SECONDS = 5.0
"""How long a balancer may take for its header; it has it ready when it connects."""
_V1, _V1_LONGEST = b"PROXY ", 107
_V1_LINE = re.compile(rb"PROXY (?:UNKNOWN(?: .*)?|TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (\d{1,5}) (\d{1,5}))")
_V2, _V2_HEAD, _V2_LONGEST = b"\r\n\r\n\x00\r\nQUIT\n", 16, 2048
_V2_ADDRESS = {0x11: (IPv4Address, 4), 0x21: (IPv6Address, 16)}  # TCP over IPv4 and over IPv6
_V2_NAMELESS = {0x00, 0x31}  # unspecified, a socket file

Peer = tuple[str, int]


class MalformedHeaderError(Exception):
    """What a trusted peer sent is no header of the PROXY protocol."""


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header: how many bytes it took, and who is behind it; nobody when the peer speaks for itself."""

    length: int
    source: Peer | None = None


def parse(head: bytes) -> Header | None:
    """Read the header at the start of a connection; None while it is incomplete.

    Raises:
        MalformedHeaderError: when it can never become one.
    """
    if head.startswith(_V2):
        return _version_2(head)
    if head.startswith(_V1):
        return _version_1(head)
    if _V1.startswith(head) or _V2.startswith(head):
        return None
    raise MalformedHeaderError


def _version_1(head: bytes) -> Header | None:
    line, end, _ = head[:_V1_LONGEST].partition(b"\r\n")
    if not end:
        if len(head) < _V1_LONGEST:
            return None
        raise MalformedHeaderError
    match = _V1_LINE.fullmatch(line)
    if match is None:
        raise MalformedHeaderError
    return Header(len(line) + 2, _named(*(part.decode() for part in match.groups())) if match[1] else None)


def _named(version: str, source: str, destination: str, port: str, other_port: str) -> Peer:
    try:
        addresses = ip_address(source), ip_address(destination)
    except ValueError:
        raise MalformedHeaderError from None
    if {address.version for address in addresses} != {int(version)} or max(int(port), int(other_port)) > 65535:
        raise MalformedHeaderError
    return source, int(port)


def _version_2(head: bytes) -> Header | None:
    if len(head) < _V2_HEAD:
        return None
    command, family, size = head[12], head[13], int.from_bytes(head[14:16], "big")
    if command not in {0x20, 0x21} or size > _V2_LONGEST:
        raise MalformedHeaderError
    if len(head) < _V2_HEAD + size:
        return None
    is_local = command == 0x20  # the balancer's own health check
    return Header(_V2_HEAD + size, None if is_local else _packed(family, head[_V2_HEAD : _V2_HEAD + size]))


def _packed(family: int, addresses: bytes) -> Peer | None:
    if family in _V2_NAMELESS:
        return None
    kind, width = _V2_ADDRESS.get(family, (None, 0))
    if kind is None or len(addresses) < 2 * width + 4:
        raise MalformedHeaderError
    return str(kind(addresses[:width])), int.from_bytes(addresses[2 * width : 2 * width + 2], "big")


class _Introduced:
    """A transport whose peer is the one that was announced."""

    __slots__ = ("_peer", "_transport")

    def __init__(self, transport: asyncio.Transport, peer: Peer) -> None:
        self._transport = transport
        self._peer = peer

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._peer if name == "peername" else self._transport.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Greeter(asyncio.Protocol):
    """Reads the header of one connection, then hands it to HTTP."""

    def __init__(self, site: "ProxyProtocolSite", http: Callable[[], asyncio.Protocol]) -> None:
        self._site = site
        self._http = http
        self._head = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not is_trusted(self._transport.get_extra_info("peername")[0], self._site.trusted):
            self._hand_over(Header(0))
            return
        self._site.waiting.add(self._transport)
        self._timer = asyncio.get_running_loop().call_later(HEADER_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._head += data
        try:
            header = parse(self._head)
        except MalformedHeaderError:
            self._site.complain()
            self._transport.abort()
        else:
            if header:
                self._hand_over(header)

    def connection_lost(self, _error: Exception | None) -> None:
        self._settle()

    def _hand_over(self, header: Header) -> None:
        self._settle()
        http = self._http()
        self._transport.set_protocol(http)
        introduced = _Introduced(self._transport, header.source) if header.source else self._transport
        http.connection_made(cast("asyncio.Transport", introduced))
        if rest := self._head[header.length :]:
            http.data_received(rest)

    def _settle(self) -> None:
        self._site.waiting.discard(self._transport)
        if self._timer:
            self._timer.cancel()


class ProxyProtocolSite(web.BaseSite):
    """A listener whose trusted peers announce the client."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, *, trusted: Networks, backlog: int) -> None:
        super().__init__(runner, backlog=backlog)
        self.trusted = trusted
        self.waiting: set[asyncio.Transport] = set()
        self._address = host, port
        self._complained = False

    @property
    def name(self) -> str:
        """The address as aiohttp logs it."""
        host, port = self._address
        return f"tcp://{host}:{port}"

    async def start(self) -> None:
        """Listen."""
        await super().start()
        http = cast("Callable[[], asyncio.Protocol]", self._runner.server)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Greeter(self, http), *self._address, backlog=self._backlog
        )

    async def stop(self) -> None:
        """Stop listening; whoever has not announced anybody yet is sent away."""
        await super().stop()
        for transport in self.waiting:
            transport.abort()

    def complain(self) -> None:
        """Say once that a balancer does not speak the protocol; it would say so with each connection."""
        if not self._complained:
            self._complained = True
            log.warning("a trusted peer sent no header of the PROXY protocol: is server.proxy_protocol right?")

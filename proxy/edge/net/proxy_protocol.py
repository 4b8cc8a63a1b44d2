"""The PROXY protocol, versions 1 and 2 (HAProxy, proxy-protocol.txt): the client's address behind a TCP balancer.

The header comes before the first byte of HTTP. Only trusted peers send one, and they must; what any other peer sends
is HTTP from its first byte. After the header the HTTP protocol takes over, so requests cost no more than without.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import cast

from proxy.edge.net.connections import Connection, Peer

HEADER_SECONDS = 5.0
"""How many seconds a balancer may take to send its header, which it has ready when it connects."""
_V1, _V1_LONGEST = b"PROXY ", 107
_V1_LINE = re.compile(rb"PROXY (?:UNKNOWN(?: .*)?|TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (\d{1,5}) (\d{1,5}))")
_V2, _V2_HEAD, _V2_LONGEST = b"\r\n\r\n\x00\r\nQUIT\n", 16, 2048
_V2_ADDRESS = {0x11: (IPv4Address, 4), 0x21: (IPv6Address, 16)}  # TCP over IPv4 and over IPv6
_V2_WITHOUT_ADDRESS = {0x00, 0x31}  # unspecified, a socket file


class MalformedHeaderError(Exception):
    """A trusted peer sent bytes that are no header of the PROXY protocol."""


@dataclass(frozen=True, slots=True)
class Header:
    """A complete header of the PROXY protocol."""

    length: int
    """The length of the header in bytes."""
    source: Peer | None = None
    """The client behind the balancer; None when the header names no client, as for the balancer's own checks."""


def parse(head: bytes) -> Header | None:
    """Read the header at the start of a connection; None while it is incomplete.

    Raises:
        MalformedHeaderError: when the bytes can never become a header.
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
    return Header(len(line) + 2, _peer_of_text(*(part.decode() for part in match.groups())) if match[1] else None)


def _peer_of_text(version: str, source: str, destination: str, port: str, destination_port: str) -> Peer:
    try:
        addresses = ip_address(source), ip_address(destination)
    except ValueError:
        raise MalformedHeaderError from None
    if {address.version for address in addresses} != {int(version)} or max(int(port), int(destination_port)) > 65535:
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
    return Header(_V2_HEAD + size, None if is_local else _peer_of_bytes(family, head[_V2_HEAD : _V2_HEAD + size]))


def _peer_of_bytes(family: int, addresses: bytes) -> Peer | None:
    if family in _V2_WITHOUT_ADDRESS:
        return None
    kind, width = _V2_ADDRESS.get(family, (None, 0))
    if kind is None or len(addresses) < 2 * width + 4:
        raise MalformedHeaderError
    return str(kind(addresses[:width])), int.from_bytes(addresses[2 * width : 2 * width + 2], "big")


class ProxyHeaderReader(asyncio.Protocol):
    """Reads the header of one connection of a trusted peer, then hands the connection to HTTP."""

    def __init__(
        self,
        connection: Connection,
        http: Callable[[Connection], asyncio.Protocol],
        malformed: Callable[[], None],
    ) -> None:
        """Take a connection.

        Args:
            connection: The record of the connection.
            http: Makes the protocol that takes over after the header.
            malformed: Called when the peer sends no header.
        """
        self._connection = connection
        self._http = http
        self._malformed = malformed
        self._head = b""
        connection.protocol = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the header."""
        self._connection.transport = cast("asyncio.Transport", transport)
        self._connection.deadline = asyncio.get_running_loop().time() + HEADER_SECONDS

    def data_received(self, data: bytes) -> None:
        """Collect bytes until the header is whole."""
        self._head += data
        try:
            header = parse(self._head)
        except MalformedHeaderError:
            self._malformed()
            self._connection.abort()
        else:
            if header:
                self._hand_over(header)

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the connection's place; the health check of a load balancer connects and sends nothing."""
        del exc
        self._connection.free_place()

    def is_waiting_for_client(self) -> bool:
        """Return True: before its header a connection has no request under way."""
        return True

    def expire(self) -> None:
        """Close the connection of a balancer that took too long; before the header no answer can be sent."""
        self._connection.count_end("first_byte")
        self._connection.abort()

    def listening_ended(self) -> None:
        """Close the connection: a proxy that stops does not wait for a header."""
        self._connection.abort()

    def _hand_over(self, header: Header) -> None:
        if header.source:
            self._connection.take_source(header.source)
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            return
        http = self._http(self._connection)
        transport.set_protocol(http)
        http.connection_made(transport)
        if rest := self._head[header.length :]:
            http.data_received(rest)

"""A name server on loopback that knows only the names of its zone."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[str, Sequence[str]]
"""The records of each name, such as ``A 192.0.2.1``."""


class _Answers(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone, *, silent: bool) -> None:
        self._zone = zone
        self._silent = silent
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self._silent and self._transport:
            self._transport.sendto(self._answer(dns.message.from_wire(data)).to_wire(), addr)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        (question,) = query.question
        name, kind = str(question.name).rstrip("."), dns.rdatatype.to_text(question.rdtype)
        if name not in self._zone:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        while name in self._zone:
            records = [record.split(" ") for record in self._zone[name]]
            aliases = [value for type_, value in records if type_ == "CNAME"]
            for value in aliases or [value for type_, value in records if type_ == kind]:
                found = dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME" if aliases else kind, value)
                answer.answer.append(found)
            name = aliases[0].rstrip(".") if aliases else ""
        return answer


@asynccontextmanager
async def name_server(zone: Zone, *, silent: bool = False) -> AsyncIterator[tuple[str, int]]:
    """Serve a zone; yield host and port.

    Args:
        zone: The names it knows; every other name does not exist.
        silent: It answers nothing at all.
    """
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Answers(zone, silent=silent), ("127.0.0.1", 0))
    try:
        host, port = transport.get_extra_info("sockname")[:2]
        yield host, port
    finally:
        transport.close()

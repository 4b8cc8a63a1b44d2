"""How the doctor reaches public addresses: by what name servers say, as visitors do, not by this machine's own files.

Single names can be led elsewhere: by tests, and by owners before they switch DNS over.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TypeAlias

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

_LOOKUP_S = 4.0
"""The most seconds for one question, however many name servers are asked."""
Endpoint: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class NameFacts:
    """What name servers say of a name."""

    name: str
    addresses: Sequence[str] = ()
    aliases: Sequence[str] = ()
    """The names that CNAME records lead through, the last one included."""
    unanswered: str = ""
    """Why there was no answer; empty when there was one."""


@dataclass(frozen=True, slots=True)
class NetworkAccess:
    """How names are resolved, and how long is waited."""

    connect_to: Mapping[Endpoint, Endpoint] = field(default_factory=dict)
    """Host and port → where to connect in their place, as with curl's ``--connect-to``."""
    nameserver: Endpoint | None = None
    """The name server to ask in place of this machine's own."""
    authorities: str | None = None
    """A file of certificates that are trusted, in place of the system's."""
    seconds: float = 8.0
    """For one request."""
    _known: dict[str, NameFacts] = field(default_factory=dict)

    async def facts(self, name: str) -> NameFacts:
        """Return what name servers say of a name; they are asked only once."""
        if name not in self._known:
            self._known[name] = await self._look_up(name)
        return self._known[name]

    async def endpoints(self, host: str, port: int) -> Sequence[Endpoint]:
        """Return the addresses and ports to connect to for a host; empty if none is known."""
        if (host, port) in self.connect_to:
            return [self.connect_to[host, port]]
        return [(address, port) for address in (await self.facts(host)).addresses]

    async def _look_up(self, name: str) -> NameFacts:
        if _is_address(name):
            return NameFacts(name, (name,))
        try:
            resolver = self._resolver()
            answers = await asyncio.gather(*(_answer(resolver, name, kind) for kind in ("A", "AAAA")))
        except dns.exception.Timeout:
            return NameFacts(name, unanswered="no name server answered in time")
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            return NameFacts(name, unanswered=f"{type(error).__name__}: {error}"[:200])
        addresses = [address for answer in answers for address in answer.addresses]
        return NameFacts(name, addresses, max((answer.aliases for answer in answers), key=len))

    def _resolver(self) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=self.nameserver is None)
        if self.nameserver:
            resolver.nameservers, resolver.port = [self.nameserver[0]], self.nameserver[1]
        resolver.lifetime = _LOOKUP_S
        return resolver


def own_addresses(endpoints: Sequence[Endpoint]) -> frozenset[str]:
    """Return this machine's own addresses, from which it would connect to these endpoints; nothing is sent."""
    found = set()
    for host, port in endpoints:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((host, port))
                found.add(str(probe.getsockname()[0]))
        except OSError:
            continue
    return frozenset(found)


async def _answer(resolver: dns.asyncresolver.Resolver, name: str, kind: str) -> NameFacts:
    try:
        answer = await resolver.resolve(dns.name.from_text(name), kind, raise_on_no_answer=False, search=False)
    except dns.resolver.NXDOMAIN:
        return NameFacts(name)
    aliases = [str(record.target).rstrip(".") for cname in answer.chaining_result.cnames for record in cname]
    return NameFacts(name, [str(record) for record in answer.rrset or ()], aliases)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True

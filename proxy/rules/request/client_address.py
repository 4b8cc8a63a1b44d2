"""The client's address: the peer's, or what a trusted proxy says of it; and whether it may be sent.

A forwarding list is written left to right, so only its right end was written by somebody we know. ``Forwarded`` is read
as RFC 7239 has it. A header that carries one address is overwritten by the proxy that sets it; two values in it mean
that somebody else wrote one of them, so neither counts. Behind Cloudflare's Pseudo IPv4 the visitor has an address of
class E, and the real one is in ``CF-Connecting-IPv6`` (Cloudflare, HTTP headers); without Pseudo IPv4 that header may
be forged, since Cloudflare passes unknown ones on.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from itertools import islice
from typing import NamedTuple

from proxy.model.request import Client
from proxy.rules.limits import cut_list
from proxy.rules.request.ip_numbers import ip_number

Network = IPv4Network | IPv6Network

PSEUDO_HEADER = "CF-Connecting-IPv6"
_CLOUDFLARE = "cf-connecting-ip"
_WITH_PORT = "cloudfront-viewer-address"  # a port always, and no brackets around IPv6
_ONE_ADDRESS = frozenset({_CLOUDFLARE, _WITH_PORT, "fastly-client-ip", "true-client-ip", "x-real-ip"})
_LONGEST = 80
# Characters and length of a bare address (IPv4 at the end of IPv6: RFC 4291); no other text is cached.
_IN_BARE, _LONGEST_BARE = "0123456789ABCDEFabcdef:.", 45
_PORT = r"(?::[\w.-]+)?"
_NODE = re.compile(rf"\[([^\]]*)\]{_PORT}|([^:]*){_PORT}|(.*)", re.ASCII)
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = rf'({_WORD})=({_WORD}|"(?:[^"\\]|\\.)*")'
# Blanks are taken whole: given back one by one before a semicolon that is missing, they would cost time squared.
_ELEMENT = re.compile(rf"\s*+{_PAIR}(?:\s*+;\s*+{_PAIR})*+(?:\s*+;)?\s*+")
_PAIRS = re.compile(_PAIR)
# No visitor comes through more proxies; a longer list was made up.
_MOST_HOPS = 50
# Commas that one element's quoted texts may hold.
_COMMAS = 4


class Networks:
    """Networks as sorted ranges of numbers: a look-up costs the same for one as for a CDN's list of hundreds."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        listed = tuple(networks)
        four = collapse_addresses(network for network in listed if isinstance(network, IPv4Network))
        six = collapse_addresses(network for network in listed if isinstance(network, IPv6Network))
        self._ranges = {4: _ranges(four), 6: _ranges(six)}

    def hold(self, version: int, number: int) -> bool:
        """Tell whether an address, given as its IP version and a number, lies in one of the networks."""
        first, last = self._ranges[version]
        at = bisect_right(first, number)
        return at > 0 and number <= last[at - 1]


def _ranges(networks: Iterable[Network]) -> tuple[list[int], list[int]]:
    listed = tuple(networks)
    return (
        [int(network.network_address) for network in listed],
        [int(network.broadcast_address) for network in listed],
    )


# What no visitor of a public site has (IANA, IPv4 and IPv6 Special-Purpose Address Registries): private, shared,
# documentation, benchmarks, protocols, multicast; IPv4-compatible, local translation, site-local, segment routing.
_SPECIAL = """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
    192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
    ::/96 ::ffff:0:0/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 3fff::/20 5f00::/16 fc00::/7 fe80::/10
    fec0::/10 ff00::/8
"""
_NON_PUBLIC = Networks(map(ip_network, _SPECIAL.split()))
_CLASS_E = Networks((IPv4Network("240.0.0.0/4"),))


class _Node(NamedTuple):
    text: str
    """Its shortest form."""
    version: int
    number: int
    public: bool
    """Whether the visitor of a public site may have it."""


def client_of(
    peer: str, forwarded: str, trusted: Networks, *, header: str = "X-Forwarded-For", pseudo: str = ""
) -> Client:
    """Return who sent a request: the peer, or the client that a trusted proxy names; never the proxy itself.

    In a list the right-most address that is not a trusted proxy wins; an entry that cannot be read ends the search
    without an address, since everything left of it may be forged.

    Args:
        peer: The address at the other end of the connection.
        forwarded: The value of ``header``.
        trusted: The proxies whose forwarding header is believed.
        header: The name of the header that carries the visitor's address.
        pseudo: The value of ``CF-Connecting-IPv6``.
    """
    near = _parsed(peer)
    if near is None:
        return Client("")
    if not trusted.hold(near.version, near.number):
        return Client(near.text, public=near.public, untrusted_forwarding=bool(forwarded) and not near.public)
    name = header.lower()
    said = _nearest_untrusted(_hops(name, cut_list(forwarded)), trusted)
    if name == _CLOUDFLARE and said and _CLASS_E.hold(said.version, said.number):
        said = _parsed(pseudo)
    if said is None:
        return Client("", believed=True)
    return Client(said.text, public=said.public, believed=True)


def host_asked_for(host: str, forwarded_host: str, client: Client) -> str:
    """Return the host the visitor asked for.

    Args:
        host: The ``Host`` header.
        forwarded_host: ``X-Forwarded-Host``, or "".
        client: Who sent the request.
    """
    return (forwarded_host.rpartition(",")[2].strip() or host) if client.believed and forwarded_host else host


def came_by_https(secure: bool, forwarded_proto: str, client: Client) -> bool:  # noqa: FBT001 - what was seen, no option
    """Tell whether the visitor came by https.

    Args:
        secure: Whether the connection itself is encrypted.
        forwarded_proto: ``X-Forwarded-Proto``, or "".
        client: Who sent the request.
    """
    return secure or (client.believed and forwarded_proto.rpartition(",")[2].strip().lower() == "https")


def is_trusted(peer: str, trusted: Networks) -> bool:
    """Tell whether the forwarding headers of this peer are believed."""
    near = _parsed(peer)
    return near is not None and trusted.hold(near.version, near.number)


def is_address(text: str) -> bool:
    """Tell whether a text is an address, not a name."""
    return _parsed(text) is not None


def _nearest_untrusted(hops: Iterator[str], trusted: Networks) -> _Node | None:
    for hop in map(_parsed, islice(hops, _MOST_HOPS)):
        if hop is None or not trusted.hold(hop.version, hop.number):
            return hop
    return None


def _hops(header: str, value: str) -> Iterator[str]:
    """Yield the nodes that a header names, the nearest first."""
    if header == "forwarded":
        return _forwarded_for(value)
    if header == _WITH_PORT and "[" not in value:
        return iter((value.rpartition(":")[0],))
    return iter((value,)) if "," not in value or header in _ONE_ADDRESS else reversed(value.split(","))


def _forwarded_for(value: str) -> Iterator[str]:
    """Yield the ``for`` of each element from the right; "" for an element without it, and for a malformed one.

    An element is the shortest well-formed text behind a comma, so a quote that a stranger left open cannot swallow what
    a proxy wrote behind it.
    """
    parts = value.split(",")
    while parts:
        element = parts.pop()
        for _ in range(_COMMAS):
            if _ELEMENT.fullmatch(element) or not parts:
                break
            element = f"{parts.pop()},{element}"
        yield _for(element)


def _for(element: str) -> str:
    if not _ELEMENT.fullmatch(element):
        return ""
    nodes = [value for name, value in _PAIRS.findall(element) if name.lower() == "for"]
    return nodes[0] if len(nodes) == 1 else ""


def _parsed(text: str) -> _Node | None:
    """Read an address with the port, brackets or zone that proxies add; IPv4-mapped IPv6 becomes IPv4."""
    if len(text) > _LONGEST:
        return None
    text = text.strip()
    return _remembered(text) if len(text) <= _LONGEST_BARE and not text.strip(_IN_BARE) else _read(text)


def _read(text: str) -> _Node | None:
    found = ip_number(text) or ip_number(_bare(text))
    if found is None:
        return None
    version, number, shortest = found
    return _Node(shortest, version, number, not _NON_PUBLIC.hold(version, number))


def _bare(text: str) -> str:
    match = _NODE.fullmatch(text.strip('"'))
    return next(filter(None, match.groups()), "").partition("%")[0] if match else ""


_remembered = lru_cache(maxsize=1024)(_read)

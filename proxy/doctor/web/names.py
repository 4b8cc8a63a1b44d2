"""Where the DNS names of site and proxy lead, and what that means to browsers and blockers."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from proxy.doctor.finding import Finding
from proxy.doctor.web.network_access import NameFacts
from proxy.rules.request.sites import registrable

_NETWORK_BITS = {4: 16, 6: 64}
"""Bits of an address that Safari compares (WebKit, Tracking Prevention; since 16.4)."""


def name_findings(facts: NameFacts) -> Iterator[Finding]:
    """Yield what is wrong with a public name by itself."""
    name = facts.name
    if facts.unanswered:
        yield Finding("name_unseen", name, facts.unanswered)
    elif not facts.addresses:
        yield Finding("name_missing", name, "no A and no AAAA record", f"{name}. 300 IN A <address of the web server>")
    else:
        private = [address for address in facts.addresses if not ip_address(address).is_global]
        if private:
            yield Finding("name_private", name, f"leads to {', '.join(private)}")
        if outside := [alias for alias in facts.aliases if registrable(alias) != registrable(name)]:
            paste = "\n".join(f"{name}. 300 IN {_record(address)} {address}" for address in facts.addresses)
            yield Finding("cname_out", name, f"a CNAME leads to {outside[0]}", paste)
        if not _has_ipv6(facts):
            yield Finding("ipv6_missing", name, "no AAAA record")


def proxy_name_findings(page: NameFacts, proxy: NameFacts) -> Iterator[Finding]:
    """Yield what is wrong with the relation of a page's name and a proxy's own name, where they differ."""
    if page.name == proxy.name or not (page.addresses and proxy.addresses):
        return
    near = _networks_of(page)
    if far := [address for address in proxy.addresses if _network_of(address) not in near]:
        seen = f"{', '.join(far)}, and {page.name} is at {', '.join(page.addresses)}"
        yield Finding("address_far", proxy.name, seen)
    if _has_ipv6(page) and not _has_ipv6(proxy):
        yield Finding("ipv6_of_proxy_missing", proxy.name, f"no AAAA record, which {page.name} has")


def www_findings(domain: NameFacts, www: NameFacts) -> Iterator[Finding]:
    """Yield a finding if the www name of a domain leads elsewhere than the domain."""
    if domain.addresses and www.addresses and not _networks_of(domain) & _networks_of(www):
        seen = f"{', '.join(www.addresses)}, and {domain.name} is at {', '.join(domain.addresses)}"
        yield Finding("www_elsewhere", www.name, seen)


def _has_ipv6(facts: NameFacts) -> bool:
    return any(":" in address for address in facts.addresses)


def _networks_of(facts: NameFacts) -> set[IPv4Network | IPv6Network]:
    return set(map(_network_of, facts.addresses))


def _network_of(address: str) -> IPv4Network | IPv6Network:
    return ip_network(f"{address}/{_NETWORK_BITS[ip_address(address).version]}", strict=False)


def _record(address: str) -> str:
    return "AAAA" if ":" in address else "A"

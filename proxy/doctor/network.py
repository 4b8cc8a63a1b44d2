"""Who can reach the listeners, and whose forwarding headers are believed."""

import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from proxy.config.address import Address
from proxy.config.schema import Settings
from proxy.doctor.finding import Finding

# Prefix lengths of networks that are too wide to trust: the largest that CDNs publish are /12 (IPv4) and /32 (IPv6).
_WIDEST = {4: 7, 6: 19}
_EVERY_INTERFACE = {"0.0.0.0", "::"}
_LOOPBACK = 'trusted_proxies = ["127.0.0.1/32", "::1/128"]'


def own_address() -> str:
    """Return this machine's IPv4 address towards the internet; empty if there is no route. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        address: str = probe.getsockname()[0]
        return address


def findings(settings: Settings, own: Callable[[], str] = own_address) -> Iterator[Finding]:
    """Yield listeners that are open to more than they should, and networks that are believed too easily.

    ``own`` returns the address of this machine's usual interface.
    """
    host = urlsplit(settings.graph.url).hostname or ""
    if settings.graph.url.startswith("http://") and not Address(host, 0).is_loopback:
        yield Finding("graph_plain_http", "graph.url", settings.graph.url, 'url = "https://graph.facebook.com"')
    yield from _trust(settings)
    yield from _public_listener(settings)
    yield from _operator_listener(settings.server.operator_listen, own)


def _trust(settings: Settings) -> Iterator[Finding]:
    for index, network in enumerate(settings.server.trusted_proxies):
        if network.prefixlen <= _WIDEST[network.version] and not network.is_private:
            subject = f"server.trusted_proxies[{index}]"
            yield Finding("trusted_proxies_wide", subject, f"{network} holds strangers", _LOOPBACK)


def _public_listener(settings: Settings) -> Iterator[Finding]:
    listen, trusted = settings.server.listen, settings.server.trusted_proxies
    if listen.is_loopback and not trusted:
        seen = f"empty, and {listen.authority} is loopback, so a web server stands in front"
        yield Finding("trusted_proxies_empty", "server.trusted_proxies", seen, _LOOPBACK)
    if not listen.is_loopback and all(network.is_loopback for network in trusted):
        seen = f"{listen.authority}, while no web server on another machine is trusted"
        yield Finding("listener_plain_http", "server.listen", seen, f'listen = "127.0.0.1:{listen.port}"')


def _operator_listener(listen: Address, own: Callable[[], str]) -> Iterator[Finding]:
    if listen.is_loopback:
        return
    host = own() if listen.host in _EVERY_INTERFACE else listen.host
    code = "operator_listener_open" if _is_public(host) else "operator_listener_network"
    paste = f'operator_listen = "127.0.0.1:{listen.port}"'
    yield Finding(code, "server.operator_listen", f"{listen.authority} is plain HTTP beyond this machine", paste)


def _is_public(host: str) -> bool:
    try:
        return ip_address(host).is_global
    except ValueError:
        return False

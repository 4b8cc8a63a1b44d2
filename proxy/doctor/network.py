"""Who can reach the listeners, and whose word is believed."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from proxy.config.address import Address
from proxy.config.schema import Settings
from proxy.doctor.finding import Finding

# Nobody's own proxies fill so much of the internet: the largest networks that CDNs publish are /12 and /32.
_WIDEST = {4: 7, 6: 19}


def findings(settings: Settings) -> Iterator[Finding]:
    """Yield listeners that are open to more than they should, and networks that are believed too easily."""
    host = urlsplit(settings.graph.url).hostname or ""
    if settings.graph.url.startswith("http://") and not Address(host, 0).is_loopback:
        yield Finding("graph.url", f"{settings.graph.url} would carry tokens unencrypted; use https", failing=True)
    yield from _trust(settings)
    yield from _listener(settings)


def _trust(settings: Settings) -> Iterator[Finding]:
    for index, network in enumerate(settings.server.trusted_proxies):
        if network.prefixlen <= _WIDEST[network.version] and not network.is_private:
            yield Finding(
                f"server.trusted_proxies[{index}]",
                f"{network} holds strangers, any of whom could write whom an event is"
                " from; list the web server in front, and nothing wider",
                failing=True,
            )


def _listener(settings: Settings) -> Iterator[Finding]:
    listen, trusted = settings.server.listen, settings.server.trusted_proxies
    if listen.is_loopback and not trusted:
        yield Finding(
            "server.trusted_proxies",
            "empty, but the public listener is loopback, so a proxy stands in front: every"
            ' visitor would have its address; usually ["127.0.0.1/32", "::1/128"]',
        )
    if not listen.is_loopback and all(network.is_loopback for network in trusted):
        yield Finding(
            "server.listen",
            f"{listen.authority} takes plain HTTP from everybody; behind a web server on this machine:"
            f' "127.0.0.1:{listen.port}"',
        )

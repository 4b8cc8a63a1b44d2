"""A browser's request as it is received, for tests of the rules without a socket."""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import NamedTuple

from proxy.model.decision import Decision
from proxy.model.request import BrowserRequest
from proxy.rules import browser
from proxy.rules.policy import Policy
from proxy.rules.request.client_address import Networks, came_by_https, client_of, host_asked_for

# Members that the listener derives from the peer and the forwarding headers.
_FOUND_OUT = {"client", "host", "secure"}


class Received(NamedTuple):
    """The peer and the headers of a request, before the listener derives anything from them."""

    now: int
    entropy: int
    peer: str
    host: str = ""
    secure: bool = False
    origin: str = ""
    referer: str = ""
    cookie: str = ""
    user_agent: str = ""
    brands: str = ""
    platform: str = ""
    gpc: str = ""
    dnt: str = ""
    forwarded: str = ""
    forwarded_pseudo: str = ""
    forwarded_proto: str = ""
    forwarded_host: str = ""
    body: bytes = b""

    def arrived(self, trusted: Networks | None = None, *, header: str = "X-Forwarded-For") -> BrowserRequest:
        """Return the request that the rules judge, as the listener makes it."""
        proxies = Networks() if trusted is None else trusted
        client = client_of(self.peer, self.forwarded, proxies, header=header, pseudo=self.forwarded_pseudo)
        unchanged = {name: getattr(self, name) for name in BrowserRequest._fields if name not in _FOUND_OUT}
        return BrowserRequest(
            **unchanged,
            client=client,
            host=host_asked_for(self.host, self.forwarded_host, client),
            secure=came_by_https(self.secure, self.forwarded_proto, client),
        )


def ingest(received: Received, policy: Policy, trusted: Sequence[str] = ()) -> Decision:
    """Judge a request to the collect endpoint; ``trusted`` are the networks of trusted proxies."""
    return browser.ingest(received.arrived(Networks(map(ip_network, trusted))), policy)


def ingest_image(received: Received, policy: Policy, trusted: Sequence[str] = ()) -> Decision:
    """Judge a request to the image endpoint; ``trusted`` are the networks of trusted proxies."""
    return browser.ingest_image(received.arrived(Networks(map(ip_network, trusted))), policy)

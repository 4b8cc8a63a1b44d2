"""A request as it arrives, before its body: what its headers say, who asks, and how long its body claims to be."""

from typing import NamedTuple

from proxy.config.schema import Site
from proxy.edge.exchange import HttpRequest
from proxy.rules.fairness import ClientNetwork
from proxy.rules.request.client_address import PSEUDO_HEADER, Networks, came_by_https, client_of, host_asked_for

_PSEUDO = PSEUDO_HEADER.lower()


class Arrival:
    """The head of one request: who asks, for which host, by which scheme."""

    __slots__ = ("client", "headers", "host", "is_secure", "request")

    def __init__(self, request: HttpRequest, trusted: Networks, client_header: str) -> None:
        """Read a head.

        Args:
            request: The request; its body stays unread.
            trusted: The proxies whose forwarding header is believed.
            client_header: The lower-case name of the header that carries the visitor's address.
        """
        self.request = request
        self.headers = headers = request.headers
        pseudo, forwarded = headers.get(_PSEUDO, ""), headers.get(client_header, "")
        self.client = client = client_of(request.peer, forwarded, trusted, header=client_header, pseudo=pseudo)
        self.host, self.is_secure = headers.get("host", ""), request.is_secure
        """The host that the visitor asked for, and whether by https (a trusted proxy's headers count first)."""
        if host := headers.get("x-forwarded-host"):
            self.host = host_asked_for(self.host, host, client)
        if scheme := headers.get("x-forwarded-proto"):
            self.is_secure = came_by_https(self.is_secure, scheme, client)


class AdmittedRequest(NamedTuple):
    """A request that was let in at one door of one site."""

    arrival: Arrival
    site: Site
    network: ClientNetwork
    """The client's network, by which turns and shares are counted."""
    is_ours: bool
    """Whether the page that sent the request belongs to the site."""

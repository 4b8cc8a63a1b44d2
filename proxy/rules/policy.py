"""What the rules need of the configuration."""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.config.schema import Site
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys
from proxy.rules.request import client_address


@dataclass(frozen=True, slots=True)
class Policy:
    """What the rules need of the configuration for one site."""

    site: Site
    trusted: client_address.Networks
    keys: VisitorCookieKeys
    client_ip_header: str = "X-Forwarded-For"
    person_keys: Sequence[bytes] = ()
    """Under which people have digests, the current one first."""

"""What the rules need of the configuration."""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.config.schema import Site
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys


@dataclass(frozen=True, slots=True)
class Policy:
    """What the rules need of the configuration for one site."""

    site: Site
    keys: VisitorCookieKeys
    """Of the visitor cookie."""
    person_keys: Sequence[bytes] = ()
    """Under which people have digests, the current one first."""

"""A usual request to a shop and the shop's policy; tests of whole requests change what they are about."""

from typing import Any

from received import Received

from proxy.config.schema import Site
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys
from proxy.rules.policy import Policy

NOW = 1_764_000_000_000
PIXEL = "1234567890"
KEYS = VisitorCookieKeys("a secret for tests that is long enough")
FACTS = Received(
    now=NOW,
    entropy=42,
    peer="93.184.216.34",
    host="t.shop.example",
    secure=True,
    origin="https://shop.example",
    user_agent="Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0",
)


def policy(**changes: Any) -> Policy:
    usual = {"name": "shop", "domains": ["shop.example"], "pixel": [{"id": PIXEL, "access_token": "t"}]}
    site = Site.model_validate(usual | changes, context={"resolve": str})
    return Policy(site, KEYS)

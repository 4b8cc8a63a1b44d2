"""Public addresses that filter lists are known to match: what an owner should not choose.

Lists have rules for particular hosts, and generic ones that match on every host by a name or a shape in the address.
The table below holds, in our own words, the generic rules that can match an address made of a prefix and a name; a test
with a blocker's own engine compares the table with the lists. One word alone is not enough: ``/api/e`` is not matched,
``/api/collect`` is. Our addresses have no query, so rules that need a ``?`` do not count.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.config.schema import Site

SCRIPT, FETCH, IMAGE = "script", "fetch", "image"
"""The kinds of request that rules distinguish, as far as the tag makes them."""
_ALL = (SCRIPT, FETCH, IMAGE)


@dataclass(frozen=True, slots=True)
class Pattern:
    """What rules of some lists match: a part of host and path together, in lower case."""

    kinds: tuple[str, ...]
    address: re.Pattern[str]
    lists: str


@dataclass(frozen=True, slots=True)
class Concern:
    """A setting because of which filter lists match a public address."""

    key: str
    value: str
    address: str
    lists: str
    better: str


def _pattern(kinds: tuple[str, ...], lists: str, *addresses: str) -> Pattern:
    return Pattern(kinds, re.compile("|".join(addresses)), lists)


_EASY = "EasyList or EasyPrivacy"
_TABLE = (
    _pattern(
        _ALL,
        _EASY,
        # Scripts by the names of products and of what they do, in any directory.
        r"/(?:beacon|clickstream|fbevents|fbpixel|fingerprint|ga2|gtag|gtm|i2a|matomo|newrelic|outbrain|pageview)\.js",
        r"/(?:plausible|referrer|snowplow|taboola|umami|xtcore)\.js",
        r"/(?:audience|beacon|fbevents|fingerprint|gtag|gtm|newrelic|rum|visitor)\.min\.js",
        r"/criteo\.|/piwik/|\.com/adv/",
        # A directory and a name that mean tracking only together.
        r"/analytics/(?:event|pageview|analytics\.js|ga\.js|tracker\.js)|/beacon/(?:metrics|stats)|/events?/tracking",
        r"/hit/tracker|/log/(?:analytics|pageview)|/metrics/(?:ga\.js|rum)|/rum/events|/stat/count",
        r"/stats/(?:ga\.js|impression|pageview)|/tracking/impression",
        r"/(?:facebook|script|v1)/pixel\.js|/v1/tracker\.js|/loader/counter\.js|/taboola/loader\.js",
        r"/o/o\.gif|/track/hit\.gif",
    ),
    _pattern((SCRIPT,), _EASY, r"/gpt\.js|/prebid\.|/(?:matomo|prebid|snowplow)/|/api/ad\."),
    _pattern((SCRIPT, IMAGE), _EASY, r"/(?:adserver|piwik)\."),
    _pattern((IMAGE,), _EASY, r"/advert\.|/ads/spacer\.", r"^t\..*/open(?:[/?]|$)"),
    _pattern((FETCH,), _EASY, r"/api/(?:collect|statsd)$|/stats/events"),
    _pattern((SCRIPT,), "AdGuard or Brave", r"/gdpr\.js|/facebook-pixel\.js|/js/pixel\.js"),
    _pattern((IMAGE,), "AdGuard or Brave", r"^t\..*/r(?:[/?]|$)"),
    # The shapes of Cloudflare's tag gateway and of DataUnlocker.
    _pattern((SCRIPT, FETCH), "AdGuard", r"/(?:public|resources|static|assets)/[a-f0-9]{28,31}$"),
    _pattern(_ALL, "AdGuard or uBlock", r"/[a-z0-9]{12}/[a-z0-9/+-]{97,106}$", r"^[^/]+/[a-z0-9/+-]{80,106}$"),
)
# A name that no pattern matches, to tell whether the prefix or the name of an address is at fault.
_NEUTRAL_NAME = "q"
_LEAVES = {
    "tag_name": (SCRIPT, '"m.js", or a word of the shop itself'),
    "collect_name": (FETCH, '"e", or a word of the shop itself'),
    "image_name": (IMAGE, '"n.gif", or a word of the shop itself'),
    "choice_name": (FETCH, '"c", or a word of the shop itself'),
}
_BETTER_PREFIX = '"" (derived from the secret), or a word of the shop itself such as "/shop-tools"'


def match(kind: str, host: str, path: str) -> Pattern | None:
    """Return the first pattern that matches an address, if any.

    Args:
        kind: ``SCRIPT``, ``FETCH`` or ``IMAGE``: the kind of request that the tag makes to it.
        host: Without a port.
        path: From the first slash.
    """
    address = f"{host}{path}".lower()
    return next((pattern for pattern in _TABLE if kind in pattern.kinds and pattern.address.search(address)), None)


def concerns(site: Site, prefix: str) -> Iterator[Concern]:
    """Yield the settings of a site because of which lists match one of its public addresses below ``prefix``."""
    concerns_by_key: dict[str, Concern] = {}
    for key in _LEAVES:
        for found in _concerns_of_key(site, prefix, key):
            concerns_by_key.setdefault(found.key, found)
    yield from concerns_by_key.values()


def _concerns_of_key(site: Site, prefix: str, key: str) -> Iterator[Concern]:
    kind, better = _LEAVES[key]
    name: str = getattr(site, key)
    for host in _hosts(site):
        if found := match(kind, host, f"{prefix}/{name}"):
            is_prefix = match(kind, host, f"{prefix}/{_NEUTRAL_NAME}") is not None
            at_fault, value = ("prefix", prefix) if is_prefix else (key, name)
            yield Concern(
                at_fault, value, f"{host}{prefix}/{name}", found.lists, _BETTER_PREFIX if is_prefix else better
            )
            return


def _hosts(site: Site) -> Iterator[str]:
    """Yield hosts that the proxy may have: each domain of the site, and ``www.`` and ``t.`` before it."""
    for domain in site.domains:
        yield from (domain, f"www.{domain}", f"t.{domain}")

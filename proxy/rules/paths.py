"""Names in public addresses that filter lists are known to match: what an owner should not choose.

Lists know names and shapes, not people. A name that says what it is for, that another product made famous, or that
looks like the random path of another product, is matched today or with the next line somebody writes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.settings import Site


@dataclass(frozen=True, slots=True)
class Concern:
    """One setting that makes a public address easy to match."""

    key: str
    value: str
    why: str
    better: str


@dataclass(frozen=True, slots=True)
class _Shape:
    """Names that one reason speaks against; a pattern is held against the whole of a lower-case name."""

    keys: tuple[str, ...]
    pattern: re.Pattern[str]
    why: str


_BETTER = {
    "prefix": '"" (derived from the secret), or a word of the shop itself such as "/shop-tools"',
    "tag_name": '"m.js", or a word of the shop itself',
    "collect_name": '"e", or a word of the shop itself',
    "image_name": '"n.gif", or a word of the shop itself',
    "choice_name": '"c", or a word of the shop itself',
}
_ALL = tuple(_BETTER)


def _words(text: str, ending: str = "") -> re.Pattern[str]:
    """Return what matches each of these words, with any ending unless one is given."""
    return re.compile(f"({'|'.join(map(re.escape, text.split()))}){ending or '([.].*)?'}")


# The first that fits says why.
_SHAPES = (
    _Shape(
        _ALL,
        _words(
            "analyticsdata capi capig clarity conversionsapi criteo facebook facebook-pixel facebookpixel fb fbevents "
            "fbpixel fbq ga ga2 google-analytics googletagmanager gpt gtag gtm gtmx hotjar i2a matomo meta-pixel "
            "metapixel mixpanel newrelic omniture openbridge openbridge3 outbrain piwik plausible prebid sgtm smarttag "
            "snowplow stape taboola tealium umami utag xtcore"
        ),
        "is the name of a tracking product, which lists look for on every host",
    ),
    _Shape(
        _ALL,
        _words(
            "ad ads adv advert advertising adverts adframe adsense adserver affiliate affiliates banner banners dfp "
            "popup popups sponsor sponsors"
        ),
        "is a word of advertising, which lists look for on every host",
    ),
    _Shape(
        ("prefix",),
        re.compile(
            r"analytics|api|assets|beacon|bi|collect|events?|hit|js|log|metrics|public|resources|static|stats|v\d"
        ),
        "is a directory that rules of lists begin with",
    ),
    _Shape(("prefix",), re.compile(r"[a-z0-9]{4}"), "has 4 characters, as the directories of a known tag gateway"),
    _Shape(("tag_name",), re.compile(r"[a-z0-9]{2,3}[.]js"), "is a script of 2 or 3 characters; lists know several"),
    _Shape(
        ("tag_name",),
        _words(
            "analytics audience beacon clickstream collect events fingerprint metrics pageview pageviews pixel "
            "referrer rum track tracker tracking visitor"
        ),
        "is a script name that lists block",
    ),
    _Shape(
        ("collect_name", "choice_name"),
        _words("activity beacon collect event events hit log pageview pageviews ping pixel statsd tr track tracking"),
        "is an endpoint that lists block in one place or another",
    ),
    _Shape(
        ("image_name",),
        re.compile(r"(?!n[.])[a-z0-9]{1,2}[.]gif"),
        "is an image of 1 or 2 characters; lists block many as soon as something is appended to their address",
    ),
    _Shape(
        ("image_name",),
        _words(
            "1x1 activity analytics audience beacon blank collect cookie count event events evt img impression log "
            "pageview pageviews ping pixel rum spacer stat stats track tracker tracking trk utm view visit",
            r"[.]gif",
        ),
        "is an image that lists block as soon as something is appended to its address",
    ),
    _Shape(
        ("image_name",),
        _words("1x1 count counter impression impressions pixel spacer track", r"([.](?!gif).*)?"),
        "is an image that lists block as soon as something is appended to its address",
    ),
    _Shape(
        _ALL,
        re.compile(r"(.*[^0-9a-f])?[0-9a-f]{28,31}([^0-9a-f].*)?"),
        "has a run of 28 to 31 hexadecimal digits, as the files of a known tag gateway",
    ),
    _Shape(_ALL, re.compile(r".{81,}"), "is longer than 80 characters, as the addresses of a known tag relay"),
)


def concerns(site: Site) -> Iterator[Concern]:
    """Yield what speaks against the names of a site's public addresses; those made here have nothing against them."""
    for key, better in _BETTER.items():
        value: str = getattr(site, key)
        name = value.removeprefix("/").lower()
        why = next((shape.why for shape in _SHAPES if key in shape.keys and shape.pattern.fullmatch(name)), "")
        if why:
            yield Concern(key, value, why, better)

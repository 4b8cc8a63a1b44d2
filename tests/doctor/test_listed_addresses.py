"""Addresses that filter lists match cause a finding; those that the proxy derives cause none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.schema import Site
from proxy.doctor.listed_addresses import concerns
from proxy.model.keys import prefix_of


def site(**changes: Any) -> Site:
    usual = {"name": "shop", "domains": ["shop.example"], "pixel": [{"id": "123", "access_token": "t"}]}
    return Site.model_validate(usual | changes, context={"resolve": str})


USUAL = "/k7f2q9w3"

# Prefix, changed names, and the settings that the finding names.
KNOWN: list[tuple[str, dict[str, str], list[str]]] = [
    # Product names, in any case
    (USUAL, {"tag_name": "fbevents.js"}, ["tag_name"]),
    (USUAL, {"tag_name": "FBEvents.min.js"}, ["tag_name"]),
    (USUAL, {"image_name": "criteo.png"}, ["image_name"]),
    ("/piwik", {}, ["prefix"]),
    ("/matomo", {}, ["prefix"]),
    ("/Prebid", {}, ["prefix"]),
    # A directory and a name that match together
    ("/api", {"collect_name": "collect"}, ["collect_name"]),
    ("/analytics", {"collect_name": "events", "tag_name": "tracker.js"}, ["tag_name", "collect_name"]),
    ("/log", {"choice_name": "pageview"}, ["choice_name"]),
    ("/api", {}, []),
    ("/analytics", {}, []),
    (USUAL, {"collect_name": "collect"}, []),
    # Matched by lists that the tests do not have
    (USUAL, {"tag_name": "gdpr.js"}, ["tag_name"]),
    ("/static", {"tag_name": "0123456789abcdef0123456789abcd"}, ["tag_name"]),
    ("/static", {"tag_name": "0123456789abcdef0123456789abcd.js"}, []),
    ("/a1b2c3d4e5f6", {"collect_name": "g" * 97}, ["collect_name"]),
    # Matched only on a sub-domain "t", and only as an image
    (USUAL, {"image_name": "r"}, ["image_name"]),
    (USUAL, {"image_name": "open"}, ["image_name"]),
    ("/open", {}, ["prefix"]),
    (USUAL, {"collect_name": "r", "tag_name": "r.js"}, []),
    # Nothing is appended to the image's address
    (USUAL, {"image_name": "p.gif"}, []),
    (USUAL, {"image_name": "pixel.gif"}, []),
    # Words that contain one of those words
    ("/adventure", {"tag_name": "pixelated.js"}, []),
    ("/a1b2", {"tag_name": "fr.js"}, []),
    ("/shop-tools", {}, []),
]


@pytest.mark.parametrize(("prefix", "names", "told"), KNOWN)
def test_addresses_that_lists_match_are_told(prefix: str, names: dict[str, str], told: list[str]) -> None:
    """The finding names the setting at fault, its value and the whole address, once; other addresses cause none."""
    found = list(concerns(site(**names), prefix))

    assert [concern.key for concern in found] == told
    for concern in found:
        assert concern.value == names.get(concern.key, prefix)
        assert concern.value in concern.address


def test_rules_of_one_suffix_count_there_alone() -> None:
    """A rule with ``.com`` before the path matches only sites under .com."""
    assert [concern.key for concern in concerns(site(domains=["shop.com"]), "/adv")] == ["prefix"]
    assert list(concerns(site(domains=["shop.de"]), "/adv")) == []


@pytest.mark.parametrize(
    ("key", "name"),
    [("tag_name", "gtm.js"), ("collect_name", "criteo.x"), ("image_name", "criteo.gif"), ("choice_name", "criteo.x")],
)
def test_what_is_better_is_good(key: str, name: str) -> None:
    """The names that a finding recommends cause no finding themselves."""
    (found,) = concerns(site(**{key: name}), USUAL)
    recommended = [part for index, part in enumerate(found.better.split('"')) if index % 2]

    assert recommended
    assert [list(concerns(site(**{key: name}), USUAL)) for name in recommended] == [[]] * len(recommended)


def test_the_better_prefix_is_good() -> None:
    """The prefix that a finding recommends causes no finding itself."""
    (found,) = concerns(site(), "/piwik")

    assert '"/shop-tools"' in found.better
    assert list(concerns(site(), "/shop-tools")) == []


@given(secret=st.text(min_size=1, max_size=64), name=st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True))
def test_derived_addresses_have_nothing_against_them(secret: str, name: str) -> None:
    """Whatever the secret and the site's name are, the derived prefix with the default names causes no finding."""
    assert list(concerns(site(name=name), prefix_of(secret, name))) == []

"""Names that lists know are told to the owner; those made here have nothing against them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.keys import prefix_of
from proxy.rules.paths import concerns
from proxy.settings import Site


def site(**changes: Any) -> Site:
    usual = {"name": "shop", "domains": ["shop.example"], "pixel": [{"id": "123", "access_token": "t"}]}
    return Site.model_validate(usual | changes, context={"resolve": str})


# Setting, value, a word of what is said about it.
KNOWN = [
    # The Pixel's own names and those of other products, whatever their ending and case
    ("tag_name", "fbevents.js", "product"),
    ("tag_name", "FBEvents.min.js", "product"),
    ("tag_name", "facebook-pixel.js", "product"),
    ("tag_name", "gtm.js", "product"),
    ("prefix", "/matomo", "product"),
    ("prefix", "piwik", "product"),
    ("collect_name", "snowplow", "product"),
    ("image_name", "criteo.png", "product"),
    # Advertising
    ("prefix", "/adv", "advertising"),
    ("image_name", "advert.gif", "advertising"),
    ("tag_name", "adserver.js", "advertising"),
    # Directories
    ("prefix", "/api", "directory"),
    ("prefix", "/v1", "directory"),
    ("prefix", "/js", "directory"),
    ("prefix", "/a1b2", "4 characters"),
    ("prefix", "/shop", "4 characters"),
    # Scripts
    ("tag_name", "ga.js", "product"),
    ("tag_name", "fr.js", "2 or 3 characters"),
    ("tag_name", "x7b.js", "2 or 3 characters"),
    ("tag_name", "beacon.js", "script name"),
    ("tag_name", "pageview.js", "script name"),
    ("tag_name", "rum.min.js", "script name"),
    # Endpoints
    ("collect_name", "collect", "endpoint"),
    ("collect_name", "hit", "endpoint"),
    ("collect_name", "tr", "endpoint"),
    ("collect_name", "pageview.php", "endpoint"),
    # Images
    ("image_name", "p.gif", "image"),
    ("image_name", "pixel.gif", "image"),
    ("image_name", "1x1.png", "image"),
    ("image_name", "count", "image"),
    # Shapes of others
    ("prefix", "/" + "0123456789abcdef" * 2, ""),
    ("tag_name", "0123456789abcdef0123456789abcde.js", "hexadecimal"),
    ("collect_name", "0123456789abcdef0123456789ab", "hexadecimal"),
    ("prefix", "/x-0123456789abcdef0123456789abc", "hexadecimal"),
    ("collect_name", "a" * 80, ""),
    ("collect_name", "g" * 81, "80 characters"),
    ("prefix", "/" + "g" * 97, "80 characters"),
    # Nothing known against them
    ("prefix", "", ""),
    ("prefix", "/shop-tools", ""),
    ("prefix", "/adventure", ""),
    ("prefix", "/apiary", ""),
    ("prefix", "/garden", ""),
    ("tag_name", "m.js", ""),
    ("tag_name", "garden.js", ""),
    ("tag_name", "pixelated.js", ""),
    ("collect_name", "e", ""),
    ("collect_name", "garden", ""),
    ("image_name", "n.gif", ""),
    ("image_name", "garden.gif", ""),
    ("image_name", "p.png", ""),
    ("choice_name", "adserver", "advertising"),
    ("choice_name", "matomo", "product"),
    ("choice_name", "c", ""),
    ("choice_name", "privacy", ""),
]


@pytest.mark.parametrize(("key", "value", "word"), KNOWN)
def test_known_names_are_told(key: str, value: str, word: str) -> None:
    """A name is told with its setting, its value, the reason and something better, or not at all."""
    found = list(concerns(site(**{key: value})))

    assert [(one.key, one.value.removeprefix("/")) for one in found] == [(key, value.removeprefix("/"))] * bool(word)
    assert all(word in one.why and one.better for one in found)


def test_each_setting_is_told_once() -> None:
    """Several bad names are told together, each with one reason."""
    found = concerns(site(prefix="/api", tag_name="gtm.js", collect_name="collect", image_name="t.gif"))

    assert [one.key for one in found] == ["prefix", "tag_name", "collect_name", "image_name"]


@pytest.mark.parametrize("key", ["prefix", "tag_name", "collect_name", "image_name", "choice_name"])
def test_what_is_better_is_good(key: str) -> None:
    """The names recommended in place of a bad one have nothing against them."""
    (found,) = concerns(site(**{key: "criteo"}))
    recommended = [part for index, part in enumerate(found.better.split('"')) if index % 2]

    assert recommended
    assert [list(concerns(site(**{key: name}))) for name in recommended] == [[]] * len(recommended)


@given(secret=st.text(min_size=1, max_size=64), name=st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True))
def test_derived_addresses_have_nothing_against_them(secret: str, name: str) -> None:
    """Whatever the secret and the site's name, the derived prefix with the default names raises no concern."""
    assert list(concerns(site(name=name, prefix=prefix_of(secret, name)))) == []

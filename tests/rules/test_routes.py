"""A path leads to one endpoint of one site, or to none."""

from typing import Any

import pytest

from proxy.config.schema import Site
from proxy.rules.request.routes import Door, Entrance, Routes, site_of
from proxy.rules.request.sites import belongs


def site(name: str, *domains: str, **changes: Any) -> Site:
    usual = {"name": name, "domains": domains, "pixel": [{"id": "123", "access_token": "t"}]}
    return Site.model_validate(usual | changes, context={"resolve": str})


SHOP = site("shop", "shop.example", "shop.co.uk")
BLOG = site("blog", "blog.example", tag_name="b.js", collect_name="in", image_name="b.gif")
SHARED = site("shared", "shared.example")
ROUTES = Routes([(SHOP, ["/k7f2q9w3", "/oldshop1"]), (BLOG, ["/blog-tools"]), (SHARED, ["/oldshop1"])])

# Host header, path; endpoint and site, None: no endpoint.
PATHS = [
    ("shop.example", "/k7f2q9w3/m.js", (Door.TAG, SHOP)),
    ("t.shop.example", "/k7f2q9w3/e", (Door.COLLECT, SHOP)),
    ("T.Shop.Example:8443", "/k7f2q9w3/n.gif", (Door.IMAGE, SHOP)),
    ("shop.example", "/k7f2q9w3/c", (Door.CHOICE, SHOP)),
    ("shop.co.uk.", "/k7f2q9w3/e", (Door.COLLECT, SHOP)),
    ("blog.example", "/blog-tools/b.js", (Door.TAG, BLOG)),
    ("blog.example", "/blog-tools/in", (Door.COLLECT, BLOG)),
    ("blog.example", "/blog-tools/b.gif", (Door.IMAGE, BLOG)),
    # Another host: the path of only one site is enough.
    ("blog.example", "/k7f2q9w3/e", (Door.COLLECT, SHOP)),
    ("127.0.0.1:8080", "/k7f2q9w3/e", (Door.COLLECT, SHOP)),
    ("", "/k7f2q9w3/e", (Door.COLLECT, SHOP)),
    # A path of two sites: the host decides.
    ("t.shop.example", "/oldshop1/e", (Door.COLLECT, SHOP)),
    ("shared.example", "/oldshop1/e", (Door.COLLECT, SHARED)),
    ("blog.example", "/oldshop1/e", None),
    ("", "/oldshop1/e", None),
    # Paths that lead to no endpoint
    ("shop.example", "/", None),
    ("shop.example", "", None),
    ("shop.example", "/k7f2q9w3", None),
    ("shop.example", "/k7f2q9w3/", None),
    ("shop.example", "/k7f2q9w3/e/", None),
    ("shop.example", "/k7f2q9w3//e", None),
    ("shop.example", "/K7F2Q9W3/e", None),
    ("shop.example", "/k7f2q9w3/b.js", None),
    ("blog.example", "/blog-tools/e", None),
    ("shop.example", "k7f2q9w3/e", None),
    ("shop.example", "/healthz", None),
]

# Host of a page; whether it belongs to the shop.
PAGES = [
    ("shop.example", True),
    ("www.shop.example", True),
    ("a.b.shop.example", True),
    ("shop.co.uk", True),
    ("other.co.uk", False),
    ("example", False),
    ("notshop.example", False),
    ("shop.example.evil.example", False),
    ("shopxexample", False),
    (".shop.example", True),
    ("", False),
]

# Sites, host; the site of the host.
OWNERS = [
    ([SHOP], "shop.example", SHOP),
    ([SHOP], "anything.example", SHOP),
    ([SHOP, BLOG], "www.blog.example:443", BLOG),
    ([SHOP, BLOG], "shop.co.uk", SHOP),
    ([SHOP, BLOG], "other.example", None),
    ([], "shop.example", None),
]


@pytest.mark.parametrize(("host", "path", "expected"), PATHS)
def test_a_path_leads_to_its_door(host: str, path: str, expected: tuple[Door, Site] | None) -> None:
    """The host's own site comes first, then the only site that has the path; any other path leads to no endpoint."""
    assert ROUTES.find(host, path) == (Entrance(*expected) if expected else None)


@pytest.mark.parametrize("prefix", ["/k7f2q9w3", "/oldshop1"])
def test_all_prefixes_of_a_site_are_served(prefix: str) -> None:
    """The current prefix and those of earlier secrets each have all three endpoints."""
    found = [ROUTES.find("shop.example", f"{prefix}/{leaf}") for leaf in ("m.js", "e", "n.gif")]

    assert found == [Entrance(door, SHOP) for door in (Door.TAG, Door.COLLECT, Door.IMAGE)]


def test_the_closest_domain_wins() -> None:
    """A host that belongs to two sites is taken for the one with the longer domain, also if both have the path."""
    german = SHOP.model_copy(update={"name": "german", "domains": ("de.shop.example",)})
    routes = Routes([(SHOP, ["/word"]), (german, ["/word"])])

    assert routes.find("t.de.shop.example", "/word/e") == Entrance(Door.COLLECT, german)
    assert routes.find("t.shop.example", "/word/e") == Entrance(Door.COLLECT, SHOP)
    assert routes.find("t.other.example", "/word/e") is None
    assert site_of([SHOP, german], "de.shop.example") is german


def test_a_prefix_given_twice_is_one() -> None:
    """An old secret that equals the current one gives the same prefix again, which still leads to its site."""
    routes = Routes([(SHOP, ["/k7f2q9w3", "/k7f2q9w3"])])

    assert routes.find("other.example", "/k7f2q9w3/e") == Entrance(Door.COLLECT, SHOP)


@pytest.mark.parametrize(("host", "expected"), PAGES)
def test_pages_belong_by_domain_and_sub_domain(host: str, *, expected: bool) -> None:
    """A domain covers its sub-domains, and nothing that only ends or begins like it."""
    assert belongs(SHOP, host) is expected


@pytest.mark.parametrize(("sites", "host", "expected"), OWNERS)
def test_a_host_has_one_site_or_the_only_one(sites: list[Site], host: str, expected: Site | None) -> None:
    """A host that belongs to no site gets the only site there is; among several it gets none."""
    assert site_of(sites, host) == expected

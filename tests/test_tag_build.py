"""The built tag: up to date, small, and with exactly one place for the settings."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from proxy.config.consent_managers import CONSENT_MANAGERS
from proxy.config.schema import Site
from proxy.edge.tag.build import checked_tag_of, tag_of, trap_of

ROOT = Path(__file__).parents[1]
STATIC = ROOT / "static"


def test_the_committed_tag_is_fresh() -> None:
    """The committed files are what the build makes of the source."""
    node = shutil.which("node")
    assert node, "node is missing: run `make tag`"
    command = [node, "tools/build.mjs", "--check"]
    build = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (build.returncode, build.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "places"),
    [
        ("tag.min.js", ["ORDERS", "SITE"]),
        ("tag.extras.min.js", ["EXTRAS", "ORDERS", "SITE"]),
        ("tag.check.min.js", ["ORDERS", "SITE"]),
        ("tag.extras.check.min.js", ["EXTRAS", "ORDERS", "SITE"]),
        ("trap.min.js", ["ORDERS"]),
    ],
)
def test_each_setting_has_one_place(file: str, places: list[str]) -> None:
    """Each placeholder of the server occurs exactly once."""
    source = (STATIC / file).read_text(encoding="utf-8")

    assert sorted(re.findall('"__([A-Z]+)__"', source)) == places
    assert source.isascii()


def site(**settings: Any) -> Site:
    settings = {"name": "shop", "domains": ["shop.example"], "pixel": [{"id": "1", "access_token": "t"}], **settings}
    return Site.model_validate(settings, context={"resolve": str})


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "defaults": ({}, '["e","shop.example","fb.1.",0,0,1]'),
    "everything else": (
        {"collect_name": "in", "consent": "required", "gpc": "ignore", "route_page_views": False},
        '["in","shop.example","fb.1.",1,1,0]',
    ),
    "Limited Data Use": ({"gpc": "ldu"}, "=[1,0]"),
    "orders with ids": ({}, '"order-shop-"+'),
    "orders without ids": ({"order_ids": False}, 'Date.now()+""+Math.random()+"-"+'),
    "a deep suffix": ({"domains": ["www.shop.co.uk", "shop.co.uk"]}, '"shop.co.uk","fb.2."'),
    "an address": ({"domains": ["127.0.0.1"]}, '"","fb.0."'),
    "several domains, one the end of the other": (
        {"domains": ["shop.example", "myshop.example", "shop.de"]},
        (
            '...location.hostname.endsWith("myshop.example")?["myshop.example","fb.1."]:'
            'location.hostname.endsWith("shop.example")?["shop.example","fb.1."]:["shop.de","fb.1."]'
        ),
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_the_settings_of_a_site_stand_in_its_tag(case: str) -> None:
    """The tag served for a site has the site's settings."""
    settings, part = SETTINGS[case]

    assert part in tag_of(site(**settings)).bodies[""].decode()


def test_extras_cost_only_the_sites_that_use_them() -> None:
    """A tag contains parts that few sites need only if its site uses them."""
    assert b"Object.assign((" not in tag_of(site()).bodies[""]
    assert b"Object.assign((" in tag_of(site(forwarded_pixel=True)).bodies[""]
    assert b"LDU" in tag_of(site(gpc="ldu")).bodies[""]


@pytest.mark.parametrize("settings", [{}, {"gpc": "ldu"}, {"load_pixel": True}])
def test_only_the_owners_tag_tells_what_it_does(settings: dict[str, Any]) -> None:
    """The visitors' tag contains nothing of the overlay, whatever the site's settings; the owner's contains all."""
    usual = tag_of(site(**settings)).bodies[""]
    checked = checked_tag_of(site(**settings), 1000, "/k/end")

    assert b"watch" not in usual
    assert b"attachShadow" not in usual
    assert checked.count(b"attachShadow") == 1
    assert checked.count(b"watch.call(") == 1
    assert usual.count(b"fbevents.js") == checked.count(b"fbevents.js")


BUDGET = 2200
# The shortest name, a usual one, and the worst to compress of some thousand long random ones.
NAMES = [
    "s",
    "shop",
    "VCh7dKIbRfeuCZ5EMW0Q-deHvVU3fisZleNFqnWQ",
    "UW9IT_4FqBD1sQgMwiPVxkYN5SHoGyX8RCjzp-Kb",
    "2TPD7-KZhjot9lIcRQ1V3Yw_MJmNSyv8rBOdiFek",
    "Jha6eKSVDRQBYT5_Wx2-wuErpoO3yLmZ0kiCzlIq",
]


@pytest.mark.parametrize("consent", ["pixel", "required"])
@pytest.mark.parametrize("name", NAMES)
def test_the_tag_keeps_its_budget(name: str, consent: str) -> None:
    """As served, with a site's settings, the tag stays within its budget, whatever the site's name."""
    assert len(tag_of(site(name=name, consent=consent)).bodies["br"]) <= BUDGET


@pytest.mark.parametrize("load_pixel", [False, True])
def test_the_tag_keeps_its_budget_with_all_adapters(*, load_pixel: bool) -> None:
    """With everything switched on that a site can use, the tag stays within a larger budget."""
    sources = {"consent": "required", "consent_from": list(CONSENT_MANAGERS), "gpc": "ldu", "forwarded_pixel": True}
    words = {"cmp": {"borlabs_service": "facebook-pixel", "didomi_vendor": "c:facebook", "klaro_service": "facebook"}}

    assert len(tag_of(site(**sources, **words, load_pixel=load_pixel)).bodies["br"]) <= 4352


def test_the_base_code_is_short() -> None:
    """A tag that loads the Pixel itself is at most 300 bytes larger."""
    assert len(tag_of(site(load_pixel=True)).bodies["br"]) - len(tag_of(site()).bodies["br"]) <= 300


@pytest.mark.parametrize("name", NAMES)
def test_the_trap_keeps_its_budget(name: str) -> None:
    """The script that is inlined in every page is short, whatever the site's name."""
    assert len(trap_of(site(name=name))) <= 680

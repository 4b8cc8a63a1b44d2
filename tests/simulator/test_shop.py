"""The sample shop as its server sees it."""

import re
from collections.abc import AsyncIterator
from itertools import product
from urllib.parse import urlencode, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from proxy.simulator.shop.app import ASSETS, ShopSettings, make_shop
from proxy.simulator.shop.products import PRODUCTS
from proxy.simulator.shop.switches import SWITCHES
from proxy.simulator.shop.templates import PAGES

SETTINGS = ShopSettings(
    pixel_id="1234567890",
    tag_url="http://tag.test/k7f2q9w3/m.js",
    image_url="http://tag.test/k7f2q9w3/n.gif",
    simulator_url="http://simulator.test",
    dashboard_url="http://dashboard.test/",
)
# The last is an XML namespace, never requested.
KNOWN = {"tag.test", "simulator.test", "dashboard.test", "127.0.0.1", "www.w3.org"}
SHOP_PAGES = ["/", *(f"/product/{slug}" for slug in PRODUCTS), "/cart", "/checkout", "/thank-you"]
COMBINATIONS = [dict(zip(SWITCHES, values, strict=True)) for values in product(*SWITCHES.values())]

Client = TestClient[web.Request, web.Application]


async def client_of(settings: ShopSettings) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_shop(settings))) as client:
        yield client


@pytest.fixture(name="shop")
async def _shop() -> AsyncIterator[Client]:
    async for client in client_of(SETTINGS):
        yield client


async def text_of(shop: Client, path: str, **switches: str) -> str:
    answer = await shop.get(path, params=switches)
    assert answer.status == 200
    return await answer.text()


@pytest.mark.parametrize("path", [*SHOP_PAGES, "/pairs"])
async def test_pages_answer(shop: Client, path: str) -> None:
    """Every page is HTML, complete and never cached."""
    answer = await shop.get(path)
    text = await answer.text()

    assert (answer.status, answer.content_type) == (200, "text/html")
    assert answer.headers["Cache-Control"] == "no-store"
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")


@pytest.mark.parametrize("path", ["/product/cactus", "/product/", "/assets/shop.py", "/assets/layout.html", "/nowhere"])
async def test_unknown_paths(shop: Client, path: str) -> None:
    """A path that the shop does not have is answered with 404."""
    answer = await shop.get(path)

    assert answer.status == 404


@pytest.mark.parametrize("path", SHOP_PAGES)
async def test_shop_pages_carry_the_base_code(shop: Client, path: str) -> None:
    """Each page of the shop has tag, stub, init and PageView in this order, and both images for no script."""
    text = await text_of(shop, path)
    places = [text.index(part) for part in ("/m.js", "window.fbq = ", 'fbq("init"', 'fbq("track", "PageView")')]

    assert sorted(places) == places
    assert [urlsplit(src).path for src in re.findall(r'<img [^>]*src="([^"]+)"', text)] == ["/k7f2q9w3/n.gif", "/tr/"]


async def test_only_a_product_is_viewed(shop: Client) -> None:
    """Only a product's page sends a ViewContent, with the product and its price."""
    text = await text_of(shop, "/product/fern")

    assert '"content_ids": ["fern"]' in text
    assert '"value": 24.0, "currency": "USD"' in text
    assert "ViewContent" not in await text_of(shop, "/")


async def test_events_page_has_no_pixel(shop: Client) -> None:
    """The page of events makes no event itself, and links to all three places."""
    text = await text_of(shop, "/pairs")

    assert "fbq" not in text
    assert "m.js" not in text
    for link in ("/", SETTINGS.simulator_url, SETTINGS.dashboard_url):
        assert f'href="{link}"' in text


@pytest.mark.parametrize("switches", COMBINATIONS, ids=urlencode)
async def test_switches_are_kept(shop: Client, switches: dict[str, str]) -> None:
    """A switch in the query becomes a cookie, and with the cookie alone the page is the same."""
    answer = await shop.get("/", params={**switches, "fbclid": "abc"}, allow_redirects=False)
    first = await answer.text()

    assert answer.status == 200
    assert {name: morsel.value for name, morsel in answer.cookies.items() if morsel.value} == {
        f"demo_{name}": value for name, value in switches.items()
    }
    assert await text_of(shop, "/") == first


async def test_wrong_switches_are_the_default(shop: Client) -> None:
    """An unknown value of a switch is read as its first choice."""
    text = await text_of(shop, "/", pixel="<b>", tag="", consent="perhaps")

    assert "<b>" not in text
    assert text == await text_of(shop, "/", pixel="normal", tag="trap", consent="granted")


async def test_pixel_switch(shop: Client) -> None:
    """The address of the Pixel's script, or only of its config, can be set to one that no browser can reach."""
    nowhere = "http://127.0.0.1:1/"
    addresses = {
        choice: re.search(r'document, "([^"]*)"', await text_of(shop, "/", pixel=choice))
        for choice in SWITCHES["pixel"]
    }
    tr = urlencode({"tr": "http://simulator.test/tr/"})

    assert {choice: found and found[1] for choice, found in addresses.items()} == {
        "normal": f"/standin/main.js?{tr}",
        "blocked": nowhere,
        "noconfig": f"/standin/main.js?{tr}&{urlencode({'config': nowhere})}",
    }


async def test_late_tag(shop: Client) -> None:
    """A late tag is not a script element of the page; the page's own script gets its address."""
    text = await text_of(shop, "/", tag="late")

    assert '<script src="http://tag.test' not in text
    assert f'"lateTag": "{SETTINGS.tag_url}"' in text


async def test_consent(shop: Client) -> None:
    """If consent is asked for, it is revoked before init; in the granted mode the page makes no consent call."""
    granted = await text_of(shop, "/")
    asked = await text_of(shop, "/", consent="ask")
    shop.session.cookie_jar.update_cookies({"demo_choice": "granted"}, shop.make_url("/"))
    page = await text_of(shop, "/")
    asked_again = await text_of(shop, "/", consent="ask")

    assert 'consent", "' not in granted
    assert asked.index('fbq("consent", "revoke")') < asked.index('fbq("init"')
    assert ('fbq("consent", "grant")' in asked, '"askConsent": true' in asked) == (False, True)
    assert 'fbq("consent"' not in page
    assert '"askConsent": false' in page
    assert asked_again == asked


async def test_no_outside_address(shop: Client) -> None:
    """No page and no file of the shop names a host other than the configured ones."""
    texts = [await text_of(shop, path, **switches) for path in [*SHOP_PAGES, "/pairs"] for switches in COMBINATIONS]
    texts += [await text_of(shop, f"/assets/{name}") for name in ASSETS]
    texts += [await text_of(shop, "/standin/main.js"), await text_of(shop, "/signals/config/1")]
    hosts = {host for text in texts for host in re.findall(r"""(?:https?:|["'(=])//([^/:\s"'<>]+)""", text)}

    assert hosts <= KNOWN


async def test_settings_are_escaped() -> None:
    """An address that contains quotes and tags is escaped."""
    evil = 'http://x.test/"></script><script>alert(1)</script>'
    settings = ShopSettings("1", evil, evil, evil, evil)

    async for client in client_of(settings):
        for path in ("/", "/pairs"):
            assert "<script>alert" not in await text_of(client, path)
            assert "<script>alert" not in await text_of(client, path, tag="late")


@pytest.mark.parametrize(
    ("path", "kind"),
    [*((f"/assets/{name}", kind) for name, kind in ASSETS.items()), ("/standin/main.js", "text/javascript")],
)
async def test_files(shop: Client, path: str, kind: str) -> None:
    """Files are served with their content types."""
    answer = await shop.get(path)

    assert (answer.status, answer.content_type) == (200, kind)


async def test_config(shop: Client) -> None:
    """The config names its pixel; an id that is not all digits is answered with 404."""
    assert 'registerPlugin("77"' in await text_of(shop, "/signals/config/77")
    answer = await shop.get("/signals/config/7%22")
    assert answer.status == 404


def test_no_markup_from_data() -> None:
    """No script of the pages writes markup."""
    scripts = [path for path in PAGES.iterdir() if path.name.endswith(".js")]

    assert scripts
    for path in scripts:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", path.read_text()), path

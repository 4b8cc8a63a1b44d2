"""The install check in a real browser: what the owner sees in the page, and that other visitors see nothing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from conftest import USER_AGENT
from demo_page import as_a_proxy_would, four_free_ports
from playwright.async_api import Browser, BrowserContext, CDPSession, Page
from servers import served
from support import until

from proxy.cli.demo import Demo, run_demo

TITLE = "Install check"
TAKEN = "() => typeof window.fbq?.callMethod === 'function'"
STRICT = "default-src 'self' http://localhost:*; script-src 'self' 'unsafe-inline' http://localhost:*; style-src 'none'"


class Overlay:
    """The content of the overlay's closed shadow tree, which no script of the page can read."""

    def __init__(self, page: Page, session: CDPSession) -> None:
        self.page = page
        self.session = session

    @classmethod
    async def of(cls, page: Page) -> "Overlay":
        return cls(page, await page.context.new_cdp_session(page))

    async def _trees(self) -> list[dict[str, Any]]:
        root = (await self.session.send("DOM.getDocument", {"depth": -1, "pierce": True}))["root"]
        return [
            tree for node in _all(root) for tree in node.get("shadowRoots", []) if tree["shadowRootType"] == "closed"
        ]

    async def text(self) -> str:
        """Return the text of the overlay; empty if there is no overlay."""
        return "\n".join(node["nodeValue"] for tree in await self._trees() for node in _all(tree) if node["nodeValue"])

    async def rows(self) -> list[list[str]]:
        """Return the texts of each listed call, the latest call first."""
        return [
            [leaf["nodeValue"].strip() for leaf in _all(node) if leaf["nodeValue"].strip()]
            for tree in await self._trees()
            for node in _all(tree)
            if node["nodeName"] == "LI"
        ]

    async def row(self, *words: str) -> list[str]:
        """Wait for the row of a call that has all these words."""

        async def there() -> list[str] | None:
            rows = await self.rows()
            return next((row for row in rows if all(any(word in part for part in row) for word in words)), None)

        found: list[str] = await until(there, seconds=30, what=f"a row with {words}")
        return found

    async def box(self, word: str) -> tuple[float, float]:
        """Return the middle of the button with this text."""
        (node,) = [
            node
            for tree in await self._trees()
            for node in _all(tree)
            if node["nodeName"] == "BUTTON" and word in [leaf["nodeValue"] for leaf in _all(node)]
        ]
        model = (await self.session.send("DOM.getBoxModel", {"nodeId": node["nodeId"]}))["model"]
        return sum(model["content"][::2]) / 4, sum(model["content"][1::2]) / 4

    async def press(self, word: str) -> None:
        await self.page.mouse.click(*await self.box(word))


def _all(node: dict[str, Any]) -> list[dict[str, Any]]:
    below = [*node.get("shadowRoots", []), *node.get("children", [])]
    return [node, *(inner for child in below for inner in _all(child))]


@dataclass(frozen=True)
class Check:
    """A demo, and the browser of its owner."""

    demo: Demo
    session: aiohttp.ClientSession
    context: BrowserContext

    async def link(self, query: str = "pixel=normal&tag=trap&consent=granted") -> str:
        body = {"page": f"{self.demo.shop}/?{query}", "proxy": self.demo.tag.rsplit("/", 2)[0]}
        async with self.session.post(f"{self.demo.dashboard}/api/install-check", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return str((await answer.json())["link"])

    async def opened(self, query: str = "pixel=normal&tag=trap&consent=granted") -> tuple[Page, Overlay]:
        """Open a link as the owner does, and wait for the overlay."""
        page = await self.context.new_page()
        await page.goto(await self.link(query))
        await page.wait_for_url(f"{self.demo.shop}/**")
        overlay = await Overlay.of(page)

        async def there() -> bool:
            return TITLE in await overlay.text()

        await until(there, seconds=30, what="the overlay")
        return page, overlay


@pytest.fixture(name="demo", scope="module")
async def _demo() -> AsyncIterator[Demo]:
    with four_free_ports() as port:
        async with run_demo(port) as demo:
            yield demo


@pytest.fixture(name="check")
async def _check(browser: Browser, demo: Demo) -> AsyncIterator[Check]:
    async with aiohttp.ClientSession() as session:
        context = await browser.new_context(user_agent=USER_AGENT)
        await context.route("**/e", as_a_proxy_would)
        yield Check(demo, session, context)
        await context.close()


async def test_the_owner_sees_each_call_and_what_came_of_it(check: Check) -> None:
    """Fired, taken and refused events are listed with their ids, although the usual tag was in the cache before."""
    before = await check.context.new_page()
    await before.goto(f"{check.demo.shop}/?pixel=normal&tag=trap&consent=granted", wait_until="load")
    await before.wait_for_function(TAKEN)
    page, overlay = await check.opened()
    await page.evaluate("fbq('track', 'Lead', {value: 1, currency: 'EUR'}, {eventID: 'owner-1'})")
    await page.evaluate("fbq('track', 'x'.repeat(150), {}, {eventID: 'owner-2'})")
    await page.evaluate("fbq('set', 'autoConfig', false, '1234567890')")

    assert await overlay.row("Lead", "owner-1", "fired", "taken (2")
    assert await overlay.row("owner-2", "refused (400)", "name")
    assert await overlay.row("set autoConfig", "no event")
    assert await overlay.row("PageView", "fired", "taken (2")
    assert await overlay.row("init 1234567890")


async def test_a_blocked_pixel_is_seen(check: Check) -> None:
    """If the Pixel's script does not load, the row of each event says so, and that the proxy has the event."""
    _, overlay = await check.opened("pixel=blocked&tag=trap&consent=granted")

    assert await overlay.row("PageView", "blocked", "taken (2")


async def test_what_waits_for_consent_and_what_nobody_hears_is_seen(check: Check) -> None:
    """The overlay explains an event that waits for consent, and a call for a pixel without an init."""
    page, overlay = await check.opened("pixel=normal&tag=trap&consent=granted")
    await page.evaluate("fbq('trackSingle', '999', 'Contact')")
    await page.evaluate("fbq('consent', 'revoke'); fbq('track', 'Lead', {}, {eventID: 'held-1'})")

    assert await overlay.row("Contact", "takes none", "not mirrored")
    assert await overlay.row("held-1", "not sent yet")


async def _state(page: Page) -> Any:
    """Return what the page can see of itself, without the demo's own strip, which lists events."""
    await page.wait_for_load_state("load")
    await page.wait_for_function(TAKEN)
    await page.evaluate("document.querySelector('.strip').remove()")
    return await page.evaluate(
        """() => [document.body.innerHTML, document.documentElement.scrollWidth, document.documentElement.scrollHeight,
        [...document.body.querySelectorAll("*")].map((e) => JSON.stringify(e.getBoundingClientRect())).join(),
        fetch.toString(), String(window.watch), document.activeElement.tagName]"""
    )


async def test_the_page_is_as_without_it(check: Check, browser: Browser) -> None:
    """The overlay moves nothing in the page, changes no global, and the page's scripts cannot find it."""
    page, _ = await check.opened()
    stranger = await (await browser.new_context(user_agent=USER_AGENT)).new_page()
    await stranger.goto(page.url)

    assert await _state(page) == await _state(stranger)
    assert TITLE not in await page.content()
    assert await page.evaluate("[...document.documentElement.children].at(-1).shadowRoot") is None
    await stranger.context.close()


async def test_a_stranger_gets_the_same_bytes_as_ever(check: Check, browser: Browser) -> None:
    """While an owner checks, another browser has no overlay, and gets the same tag as before."""
    async with check.session.get(check.demo.tag) as answer:
        before = await answer.read()
    await check.opened()
    context = await browser.new_context(user_agent=USER_AGENT)
    page = await context.new_page()
    async with page.expect_response(lambda answer: answer.url == check.demo.tag) as awaited:
        await page.goto(f"{check.demo.shop}/?pixel=normal&tag=trap&consent=granted", wait_until="load")
    answered = await awaited.value

    assert await answered.body() == before
    assert await (await Overlay.of(page)).text() == ""
    await context.close()


async def test_it_ends_by_its_button(check: Check) -> None:
    """Its button removes the overlay, which does not come back on the next page."""
    page, overlay = await check.opened()
    async with page.expect_response(lambda answer: answer.request.method == "POST" and answer.status == 204):
        await overlay.press("End check")
    gone = await overlay.text()
    await page.goto(f"{check.demo.shop}/?pixel=normal&tag=trap&consent=granted", wait_until="load")
    await page.wait_for_function(TAKEN)

    assert (gone, await overlay.text()) == ("", "")


async def test_an_old_link_does_nothing(check: Check) -> None:
    """A link with changed last characters is answered 404, as any unknown address, and sets no cookie."""
    page = await check.context.new_page()
    answer = await page.goto((await check.link())[:-2] + "AA")

    assert answer
    assert answer.status == 404
    assert await check.context.cookies() == []


async def test_it_is_moved_and_folded_by_keyboard_alone(check: Check) -> None:
    """The overlay's buttons follow those of the page, have names, and obey keys that the page does not hear."""
    page, overlay = await check.opened()
    await page.evaluate("addEventListener('keydown', (event) => (window.heard = event.key))")
    before = await overlay.box("✥")
    await page.mouse.click(*before)
    for key in ("ArrowUp", "ArrowUp", "ArrowLeft"):
        await page.keyboard.press(key)
    after = await overlay.box("✥")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")

    assert (before[0] - after[0], before[1] - after[1]) == (20, 40)
    assert "Unfold" in await overlay.text()
    assert await page.evaluate("window.heard") is None


async def test_a_strict_policy_of_the_page_is_no_obstacle(check: Check) -> None:
    """On a page whose policy allows no style the overlay is shown all the same, and violates nothing."""
    broken: list[str] = []

    async def strict(request: web.Request) -> web.Response:
        async with check.session.get(f"{check.demo.shop}{request.path_qs}") as answer:
            text = await answer.text()
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": STRICT})

    app = web.Application()
    app.router.add_get("/", strict)
    await check.opened()
    page = await check.context.new_page()
    page.on("console", lambda message: broken.append(message.text) if "Content Security" in message.text else None)
    async with served(app) as address:
        await page.goto(f"{address.replace('127.0.0.1', 'localhost')}/?pixel=blocked&tag=trap&consent=granted")
        overlay = await Overlay.of(page)
        await overlay.row("PageView", "taken (2")

    # The page's own style sheet and the script of a blocked Pixel are expected violations.
    assert [text for text in broken if "shop.css" not in text and "127.0.0.1:1/" not in text] == []
    assert (await overlay.box("Fold"))[0] > 600

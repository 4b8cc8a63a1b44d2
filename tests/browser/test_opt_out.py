"""The opt-out address in a real Chromium: for visitors without script and the page's script, not for other sites."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web
from conftest import USER_AGENT
from playwright.async_api import Browser, BrowserContext, Page, expect
from servers import served
from shop_page import BASE, script
from support import PIXEL, SECRET, Installation, get_json, installation, until, wire

from proxy.model.keys import person_key
from proxy.rules.identity.reference import resolve
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys

KEYS = VisitorCookieKeys(SECRET)
(NAME,) = KEYS.names("shop")
LEAF = "/shop-tools/c"
ASK = "(target) => fetch(target, { credentials: 'include' })"
CHOOSE = "(target) => fetch(target, { method: 'POST', credentials: 'include', body: '{\"opted_out\": true}' })"


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("shop"), bots="ignore") as shop:
        yield shop


def at(shop: Installation) -> str:
    return f"http://t.shop.example:{shop.proxy.public.port}"


async def cookies(context: BrowserContext) -> dict[str, bool]:
    """Return the names of a browser's cookies, each with whether scripts cannot read it."""
    return {cookie["name"]: cookie["httpOnly"] for cookie in await context.cookies()}


async def test_a_visitor_without_script_opts_out_and_back_in(browser: Browser, shop: Installation) -> None:
    """There is one button each way; the browser keeps one cookie that no script can read; a reload repeats nothing."""
    context = await browser.new_context(java_script_enabled=False, user_agent=USER_AGENT)
    page = await context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    status = page.get_by_role("status")
    await page.goto(at(shop) + LEAF)
    await expect(status).to_have_text("You have not opted out.")
    await page.get_by_role("button", name="Opt out").click()
    # A click does not wait for the page that it leads to, and an earlier reload would cancel that page.
    await expect(status).to_have_text("You have opted out.")
    await page.reload()
    await expect(status).to_have_text("You have opted out.")
    left = await cookies(context)
    await page.get_by_role("button", name="Take my opt-out back").click()
    await expect(status).to_have_text("You have not opted out.")
    await context.close()

    assert left == {NAME: True}
    assert problems == []


@asynccontextmanager
async def page_at(host: str, html: str) -> AsyncIterator[str]:
    """Serve one page on a host name; yield its address."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=f"<!doctype html>{html}", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", answer)
    async with served(app) as address:
        yield f"http://{host}:{address.rpartition(':')[2]}/"


async def test_a_foreign_page_opts_nobody_out(page: Page, context: BrowserContext, shop: Installation) -> None:
    """A form that another site submits for the visitor, and its script's request, are refused; its frame is empty."""
    target = at(shop) + LEAF
    form = f'<form method="post" action="{target}"><button name="opted_out" value="true">Win!</button></form>'
    async with page_at("www.evil.example", f'{form}<iframe src="{target}"></iframe>') as evil:
        await page.goto(evil)
        read = await page.evaluate(f"{CHOOSE}.then((answer) => answer.text(), () => 'refused')", target)
        framed = await page.frames[1].evaluate("document.body.textContent")
        async with page.expect_navigation() as navigation:
            await page.get_by_role("button", name="Win!").click()
        answer = await navigation.value

    assert read == "refused"
    assert "opted out" not in framed
    assert answer.status == 403
    assert await cookies(context) == {}


async def test_the_page_can_ask_and_choose(page: Page, context: BrowserContext, shop: Installation) -> None:
    """A script on a page of the site can read and change the choice; after an opt-out the tag's events are dropped."""
    tag = f'<script src="{at(shop)}/shop-tools/m.js"></script>'
    parts = (tag, BASE, script(f"fbq('init', '{PIXEL}')"))

    async def ended() -> list[str]:
        found = await get_json(shop.session, f"{shop.operator}/api/events?name=Contact")
        return [row["reason"] for row in found["events"]]

    async with page_at("www.shop.example", f"<head>{''.join(parts)}</head>") as home:
        await page.goto(home)
        before = await page.evaluate(f"{ASK}.then((answer) => answer.json())", at(shop) + LEAF)
        chosen = await page.evaluate(f"{CHOOSE}.then((answer) => answer.json())", at(shop) + LEAF)
        await page.evaluate("fbq('track', 'Contact')")
        reasons = await until(ended, what="the event's end")

    assert (before["opted_out"], chosen["opted_out"], reasons) == (False, True, ["opted_out"])
    assert (await cookies(context))[NAME] is True


# A script can read a window of its page's own origin, whatever headers the window's document has.
OPEN = """(target) => new Promise((done) => {
  const popup = open(target);
  const look = setInterval(() => {
    if (!popup.document?.querySelector("code")) return;
    clearInterval(look);
    done(popup.document.documentElement.outerHTML);
    popup.close();
  }, 20);
})"""


async def test_a_script_of_the_site_reads_nothing_lasting(
    page: Page, context: BrowserContext, shop: Installation
) -> None:
    """A script on the site's own origin that opens or fetches the opt-out page gets another reference each time.

    None of them is the visitor number, by which the script would know the browser for 400 days; the owner finds the
    visitor by any of them.
    """
    await page.goto(f"{at(shop)}/healthz")
    body = orjson.dumps(wire({"name": "Lead", "id": "seen"})).decode()
    send = "([target, body]) => fetch(target, { method: 'POST', body }).then((answer) => answer.status)"
    assert await page.evaluate(send, ["/shop-tools/e", body]) == 204
    opened = [await page.evaluate(OPEN, LEAF) for _ in range(2)]
    fetch = "(target) => fetch(target, { headers: { Accept: 'text/html' } }).then((answer) => answer.text())"
    read = [*opened, await page.evaluate(fetch, LEAF)]
    (value,) = [cookie["value"] for cookie in await context.cookies() if cookie["name"] == NAME]
    cookie = KEYS.open(value, "shop", now=int(time.time() * 1000))
    references = {text.partition("<code>")[2].partition("</code>")[0] for text in read}

    assert cookie
    assert [text for text in read if cookie.visitor in text] == []
    assert len(references) == len(read)
    assert len({resolve(reference, [person_key(SECRET)]) for reference in references} - {None}) == 1

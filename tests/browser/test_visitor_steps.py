"""One visitor in a real browser, with the real proxy and simulator: the steps that docs/identity.md tells."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from conftest import USER_AGENT
from msgspec.structs import replace
from playwright.async_api import Browser, BrowserContext, Page, Response
from servers import served
from shop_page import ALONE, script
from support import PIXEL, SECRET, Installation, get_json, installation, until

from proxy.model.request import Consent
from proxy.rules.identity.visitor_cookie import MAX_AGE_S, VisitorCookie, VisitorCookieKeys

DOCUMENT = Path(__file__).parents[2] / "docs" / "identity.md"
KEYS = VisitorCookieKeys(SECRET)
(VISITOR_COOKIE,) = KEYS.names("shop")
FIRST_CLICK, SECOND_CLICK = "IwAR0-First_Click", "IwAR0-first_click"
NO_EVENT = ("no event", "no event", "no event", "_fbp and _fbc deleted; visitor cookie, with this decision and no id")

Row = tuple[str, str, str, str]


def documented() -> dict[str, Row]:
    """Return the table of the document as rows of fbp, fbc, external_id and cookies, by step."""
    lines = DOCUMENT.read_text(encoding="utf-8").replace("`", "").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {step: (fbp, fbc, visitor, cookies) for step, fbp, fbc, visitor, cookies in cells[2:]}


def letters() -> Callable[[str], str]:
    """Return a function that names each new value A, B, C, in the order of their first use, and no value "none"."""
    seen: list[str] = []

    def name(value: str) -> str:
        if value and value not in seen:
            seen.append(value)
        return "ABCDEF"[seen.index(value)] if value else "none"

    return name


@dataclass
class Walk:
    """A browser on the shop's pages, with the events and cookies of each step."""

    shop: Installation
    pages: str
    answers: list[Response] = field(default_factory=list)
    names: tuple[Callable[[str], str], ...] = field(default_factory=lambda: (letters(), letters(), letters()))
    clicks: list[str] = field(default_factory=list)

    async def visit(self, page: Page, step: str, query: str = "") -> Row:
        """Open a page and return the ids that Meta got, and the cookies that the answer set."""
        await page.goto(f"{self.pages}/{step}{query}")
        sent = await self._event(step)
        (visitor,) = sent["external_id"]
        values = (sent["fbp"], sent.get("fbc", ""), visitor)
        self.clicks.append(values[1].rpartition(".")[2])
        fbp, fbc, visitor_name = (name(value) for name, value in zip(self.names, values, strict=True))
        return fbp, fbc, visitor_name, ", ".join([cookie for cookie, _ in await self._set()])

    async def withdraw(self, page: Page) -> Row:
        """Withdraw consent on the open page, check the ended cookies and that no event was sent, and return its row."""
        before = len(await self._events())
        await page.evaluate("() => { fbq('consent', 'revoke'); fbq('track', 'Lead') }")
        ended = await self._set()
        ages = {name: attributes.partition(";")[0] for name, attributes in ended}
        assert ages == {"_fbp": "Max-Age=0", "_fbc": "Max-Age=0", "visitor cookie": f"Max-Age={MAX_AGE_S}"}
        assert len(await self._events()) == before
        return NO_EVENT

    async def _events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await get_json(self.shop.session, f"{self.shop.graph}/sim/events"))["events"]
        return found

    async def _event(self, step: str) -> dict[str, Any]:
        async def arrived() -> Any:
            found = await get_json(self.shop.session, f"{self.shop.graph}/sim/events?id={step}")
            return [entry["event"]["user_data"] for entry in found["events"]]

        (user_data,) = await until(arrived, what=f"the event of {step}")
        return dict(user_data)

    async def _set(self) -> list[tuple[str, str]]:
        """Return name and attributes of each cookie that the next answer sets."""

        async def answered() -> bool:
            return bool(self.answers)

        await until(answered, what="an answer of the proxy")
        answer = self.answers.pop(0)
        assert not self.answers
        headers = [header["value"] for header in await answer.headers_array() if header["name"].lower() == "set-cookie"]
        pairs = (cookie.partition("; ")[::2] for header in headers for cookie in header.split("\n"))
        named = ((pair.partition("=")[0], attributes) for pair, attributes in pairs)
        return [("visitor cookie" if name == VISITOR_COOKIE else name, attributes) for name, attributes in named]


async def jar(context: BrowserContext) -> dict[str, Any]:
    return {str(cookie.get("name")): cookie for cookie in await context.cookies()}


@pytest.fixture(name="walk")
async def _walk(tmp_path: Path) -> AsyncIterator[Walk]:
    async with installation(tmp_path, bots="ignore") as shop, _pages(shop) as pages:
        yield Walk(shop, pages)


@asynccontextmanager
async def _pages(shop: Installation) -> AsyncIterator[str]:
    """Serve the shop: each page fires a PageView whose id is the page's name."""
    tag = f"<script src='http://t.shop.example:{shop.proxy.public.port}/shop-tools/m.js'></script>"

    async def page(request: web.Request) -> web.Response:
        calls = script(f"fbq('init', '{PIXEL}')", f"fbq('track', 'PageView', {{}}, {{eventID: '{request.path[1:]}'}})")
        head = f"<!doctype html><head><link rel=icon href=data:,>{tag}{ALONE}{calls}</head><body></body>"
        return web.Response(text=head, content_type="text/html")

    app = web.Application()
    app.router.add_get("/{step}", page)
    async with served(app) as address:
        yield address.replace("127.0.0.1", "www.shop.example")


@asynccontextmanager
async def _window(browser: Browser, walk: Walk) -> AsyncIterator[tuple[BrowserContext, Page]]:
    context = await browser.new_context(user_agent=USER_AGENT)
    page = await context.new_page()
    page.on("response", lambda answer: walk.answers.append(answer) if answer.url.endswith("/shop-tools/e") else None)
    yield context, page
    await context.close()


async def delete_what_scripts_see(context: BrowserContext) -> None:
    """Delete the cookies that scripts can see, as Safari does a few days after a script wrote them."""
    for name, cookie in (await jar(context)).items():
        if not cookie["httpOnly"]:
            await context.clear_cookies(name=name)
    assert set(await jar(context)) == {VISITOR_COOKIE}


async def test_the_steps_of_the_document(browser: Browser, walk: Walk) -> None:
    """In each step Meta gets the ids, and the browser the cookies, that the document's table says."""
    rows: list[Row] = []
    async with _window(browser, walk) as (context, page):
        rows.append(await walk.visit(page, "landing", f"?fbclid={FIRST_CLICK}"))
        sealed = (await jar(context))[VISITOR_COOKIE]
        rows.append(await walk.visit(page, "second"))
        await delete_what_scripts_see(context)
        rows.append(await walk.visit(page, "return"))
        assert set(await jar(context)) == {VISITOR_COOKIE, "_fbp"}
        rows.append(await walk.visit(page, "another", f"?fbclid={SECOND_CLICK}"))
        async with _window(browser, walk) as (_, private):
            rows.append(await walk.visit(private, "private"))
        rows.append(await walk.withdraw(page))
        left = {name: cookie["value"] for name, cookie in (await jar(context)).items()}

    assert set(left) == {VISITOR_COOKIE}
    opened = KEYS.open(left[VISITOR_COOKIE], "shop", now=round(time.time() * 1000))
    assert opened
    assert replace(opened, suppression="") == VisitorCookie(consent=Consent.REVOKED)
    assert rows == list(documented().values())
    assert walk.clicks == [FIRST_CLICK] * 3 + [SECOND_CLICK, ""]
    assert (sealed["httpOnly"], sealed["sameSite"]) == (True, "Lax")
    assert (sealed["domain"], sealed["path"]) == (".shop.example", "/")
    assert MAX_AGE_S - 120 < sealed["expires"] - time.time() <= MAX_AGE_S

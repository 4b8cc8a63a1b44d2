"""The login page in a real browser: only the password lets a person in, and no link leads to another host."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict
from playwright.async_api import Browser, BrowserContext, Page, expect
from servers import served
from support import Installation, installation

from proxy.config.password_hash import hash_of

PASSWORD = "the right one of the owner: é"


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    settings = {"operator_password": str(hash_of(PASSWORD, b"0123456789abcdef"))}
    async with installation(tmp_path_factory.mktemp("shop"), more={"server": settings}) as shop:
        yield shop


@pytest.fixture(name="page")
async def _page(browser: Browser) -> AsyncIterator[Page]:
    context: BrowserContext = await browser.new_context()
    yield await context.new_page()
    await context.close()


async def _log_in(page: Page, password: str) -> None:
    """Log in by keyboard alone: the field has the focus, and Enter submits."""
    await expect(page.locator("#password")).to_be_focused()
    await page.keyboard.type(password)
    await page.keyboard.press("Enter")


async def test_a_person_logs_in_and_out(shop: Installation, page: Page) -> None:
    """A wrong password is reported and leads nowhere; the right one leads to the page first requested."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{shop.operator}/#pixels")
    await expect(page).to_have_url(f"{shop.operator}/login#pixels")
    await _log_in(page, "a guess")
    await expect(page.locator("#note")).to_have_text("That is not the password.")
    assert await page.context.cookies() == []
    await _log_in(page, PASSWORD)
    await expect(page).to_have_url(f"{shop.operator}/#pixels")
    (cookie,) = await page.context.cookies()
    await page.locator("#sign-out").click()
    await expect(page).to_have_url(f"{shop.operator}/login")
    await page.goto(shop.operator)
    await expect(page).to_have_url(f"{shop.operator}/login")

    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert await page.evaluate("document.cookie") == ""
    assert complaints == []


@pytest.mark.parametrize(
    "wanted", ["//evil.example/x", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
async def test_no_link_leads_from_the_login_to_another_host(shop: Installation, page: Page, wanted: str) -> None:
    """Whatever a link to the login says, the browser stays at this proxy."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{shop.operator}/login?next={wanted.replace('/', '%2F').replace(':', '%3A')}")
    await _log_in(page, PASSWORD)
    await page.wait_for_url(lambda url: "/login" not in url)

    assert page.url.startswith(f"{shop.operator}/")
    assert [url for url in asked if not url.startswith(f"{shop.operator}/")] == []


@asynccontextmanager
async def _below_a_path(operator: str) -> AsyncIterator[str]:
    """Serve the operator listener below a path, as a web server in front of it may do."""

    async def passed_on(request: web.Request) -> web.Response:
        address = f"{operator}/{request.raw_path.removeprefix('/capi/')}"
        sent = {
            name: value for name, value in request.headers.items() if name not in {"Content-Length", "Accept-Encoding"}
        }
        body = await request.read()
        async with session.request(request.method, address, data=body, headers=sent, allow_redirects=False) as answer:
            names = {"Content-Type", "Location", "Set-Cookie", "Content-Security-Policy"}
            headers = CIMultiDict((name, value) for name, value in answer.headers.items() if name in names)
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)

    app = web.Application()
    app.router.add_route("*", "/capi/{rest:.*}", passed_on)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session, served(app) as url:
        yield f"{url}/capi"


@pytest.mark.parametrize("wanted", ["/", "/?range=7d", "/api/status"])
async def test_a_login_works_below_a_path_of_a_web_server(shop: Installation, page: Page, wanted: str) -> None:
    """If a web server in front has the listener below a path, the login, its files and its target stay below it."""
    async with _below_a_path(shop.operator) as base:
        await page.goto(f"{base}{wanted}")
        assert page.url.startswith(f"{base}/login")
        await _log_in(page, PASSWORD)
        # Once it runs, the dashboard adds the page that it shows to its address.
        await expect(page).to_have_url(re.compile(rf"{re.escape(base + wanted)}(#/overview)?$"))
        await page.goto("about:blank")

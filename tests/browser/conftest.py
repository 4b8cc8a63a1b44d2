"""One real Chromium for all browser tests of a worker; every host name leads to loopback."""

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

# The real Pixel's bot checks notice "HeadlessChrome", so tests show an ordinary one.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--host-resolver-rules=MAP * 127.0.0.1",
]


@pytest.fixture(scope="session", name="browser")
async def _browser() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    assert path, "chromium is missing: run `make unit`, which installs it"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture(name="context")
async def _context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(user_agent=USER_AGENT)
    yield context
    await context.close()


@pytest.fixture(name="page")
async def _page(context: BrowserContext) -> Page:
    return await context.new_page()

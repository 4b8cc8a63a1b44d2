"""One page of the lab: what its Pixel sends, and what the tag mirrors.

The requests are read from the browser itself, in the order in which it sent them.
"""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import USER_AGENT
from lab import HOST, Lab, laboratory
from playwright.async_api import Browser, Page, Request, Route
from polling import until
from shop_page import COLLECT_PATH, TAKEN_OVER, Pair, fired, mirrored

from proxy.simulator.shop.app import config_script, standin_script

EMPTY = "<!doctype html><link rel=icon href=data:,>"


@dataclass
class Stage:
    """A page, the lab that serves it, and the requests that its browser sent."""

    page: Page
    lab: Lab
    batches: list[dict[str, Any]] = field(default_factory=list)
    fired: list[dict[str, str]] = field(default_factory=list)

    def note(self, request: Request) -> None:
        """Note a batch of the tag or a hit of the Pixel."""
        address = urlsplit(request.url)
        if address.port not in {None, self.lab.port}:
            return  # a request of a page of an earlier lab
        if address.path == COLLECT_PATH:
            self.batches.append(json.loads(request.post_data or "{}"))
        elif address.path == "/tr/":
            self.fired.append({key: values[-1] for key, values in parse_qs(address.query).items()})

    async def show(self, *parts: str, path: str = "/", host: str = HOST) -> None:
        """Open a page made of these parts; the Pixel loads after them."""
        html = f"<!doctype html><head><link rel=icon href=data:,>{''.join(parts)}</head><body></body>"
        self.lab.pages["/"] = html
        self.lab.gate.clear()
        await self.page.goto(self.lab.url(path, host), wait_until="commit")
        await self.page.wait_for_function("document.body")
        self.lab.gate.set()

    async def run(self, *lines: str) -> Any:
        """Run statements in the page as its own script."""
        return await self.page.evaluate(f"() => {{ {';'.join(lines)} }}")

    async def take_over(self) -> None:
        """Wait until the Pixel has taken over."""
        await self.page.wait_for_function(TAKEN_OVER)

    async def settle(self, channels: Iterable[str] = ("fired", "batches")) -> None:
        """Send one last event and wait until it has left; every earlier event has left by then."""
        await self.run("fbq('trackCustom', 'End')")
        if "fired" in channels:
            await until(lambda: any(hit["ev"] == "End" for hit in self.fired), what="the Pixel sends End")
        if "batches" in channels:
            await until(lambda: any(event["name"] == "End" for event in self.events), what="the tag mirrors End")

    @property
    def events(self) -> list[dict[str, Any]]:
        """All mirrored events."""
        return [event for batch in self.batches for event in batch.get("events", [])]

    @property
    def copy_updates(self) -> list[tuple[str, str]]:
        """The updates of browser copies, as name and status."""
        return [(update["name"], update["pixel"]) for batch in self.batches for update in batch.get("fates", [])]

    @property
    def mirrored_pairs(self) -> list[Pair]:
        """Pixel, name and id of each event that the tag sent, except the last one."""
        return mirrored(self.events)

    @property
    def fired_pairs(self) -> list[Pair]:
        """Pixel, name and id of each event that the Pixel sent, except the last one."""
        return fired(self.fired)


@asynccontextmanager
async def stage(page: Page) -> AsyncIterator[Stage]:
    """Serve one page and note its requests, until the page is closed or left."""
    async with laboratory() as lab:
        # The page may be used again with another site's tag, so nothing may be cached.
        lab.caching = "no-store"
        here = Stage(page, lab)
        page.on("request", here.note)
        try:
            yield here
        finally:
            lab.gate.set()
            page.remove_listener("request", here.note)
            lab.pages, lab.headers = {"/": EMPTY}, {}
            await (leave(page, lab.url()) if page in _KEPT else page.close())


async def leave(page: Page, address: str) -> None:
    """Leave a page so that the next test finds it as a new visitor would.

    Args:
        page: Its cookies, its storage and its routes are deleted.
        address: An empty page on the same origin, whose storage is cleared.
    """
    await page.unroute_all()
    await page.goto(address)
    await page.evaluate("() => { localStorage.clear(); sessionStorage.clear() }")
    await page.context.clear_cookies()


async def meta(route: Route) -> None:
    """Play Meta's servers: the Pixel's script, each pixel's config, and an empty answer for events."""
    *_, directory, name = urlsplit(route.request.url).path.split("/")
    scripts = {"en_US": standin_script(), "config": config_script(name)}
    await route.fulfill(content_type="text/javascript", body=scripts.get(directory, ""))


# Pages that one test after another uses.
_KEPT: set[Page] = set()


@pytest.fixture(scope="module", name="kept_page")
async def _kept_page(browser: Browser) -> AsyncIterator[Page]:
    """A page that all tests of a module share: a page in a new context costs the browser as much as nine visits."""
    context = await browser.new_context(user_agent=USER_AGENT)
    page = await context.new_page()
    _KEPT.add(page)
    yield page
    _KEPT.discard(page)
    await context.close()


@pytest.fixture(name="stage_page")
def _stage_page(request: pytest.FixtureRequest) -> Page:
    """The module's page; a test that leaves something behind which cannot be undone gets a page of its own."""
    is_spoilt = request.node.get_closest_marker("own_page") is not None
    page: Page = request.getfixturevalue("page" if is_spoilt else "kept_page")
    return page


@pytest.fixture(name="here")
async def _here(stage_page: Page) -> AsyncIterator[Stage]:
    async with stage(stage_page) as here:
        yield here

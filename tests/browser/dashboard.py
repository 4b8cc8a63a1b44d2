"""The dashboard of a real proxy that delivers to the simulator, and what a person can do with it."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from playwright.async_api import Browser, ConsoleMessage, Error, Locator, Page, Request, ViewportSize, expect
from polling import until
from servers import served

from proxy.app import Running, run_proxy
from proxy.config import load
from proxy.queue.contract import MOST_IDS
from proxy.simulator.graph.app import make_app

PIXEL, OTHER = "1234567890", "2222222222"
SHOP = "http://shop.test"
DESKTOP, PHONE = 1280, 390
SIZE: ViewportSize = {"width": DESKTOP, "height": 900}
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
PAGES = ("overview", "events", "pixels", "sources", "dead", "doctor")


@dataclass(frozen=True)
class Office:
    """A proxy, the simulator that it delivers to, and a client that sends events to the proxy."""

    http: aiohttp.ClientSession
    proxy: Running
    graph: str

    @property
    def origin(self) -> str:
        """The address of the operator listener, which serves the dashboard."""
        return f"http://127.0.0.1:{self.proxy.operator.port}"

    async def send(self, *events: Mapping[str, Any], copy_updates: tuple[Mapping[str, Any], ...] = ()) -> None:
        """Send events as the tag does."""
        now = int(time.time() * 1000)
        full = [{"at": now, "pixels": [PIXEL], "pixel": "fired", **event} for event in events]
        facts = {"url": f"{SHOP}/p", "fbp": "fb.1.1764000000000.123456789", "consent": "granted"}
        body = {"v": 1, "sent": now, **facts, "events": full, "fates": list(copy_updates)}
        url = f"http://127.0.0.1:{self.proxy.public.port}/k/e"
        async with self.http.post(url, json=body, headers={"Origin": SHOP, "User-Agent": USER_AGENT}) as answer:
            assert answer.status == 204, await answer.text()

    async def fault(self, **order: Any) -> None:
        """Let the simulator fail in some way."""
        async with self.http.post(f"{self.graph}/sim/faults", json=order) as answer:
            assert answer.status == 200, await answer.text()

    async def api(self, path: str) -> dict[str, Any]:
        """Return an answer of the operator API."""
        async with self.http.get(f"{self.origin}/api/{path}") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def ended(self, *ids: str) -> None:
        """Wait until events are in the ledger."""
        for first in range(0, len(ids), MOST_IDS):
            some = ids[first : first + MOST_IDS]

            async def all_are(wanted: tuple[str, ...] = some) -> bool:
                found = await self.api(f"events?{urlencode([('id', name) for name in wanted])}&limit=1000")
                return {event["id"] for event in found["events"]} >= set(wanted)

            await until(all_are, seconds=60, what=f"the end of {', '.join(some)}")

    async def bury(self, *ids: str) -> None:
        """Let Meta refuse events named Lead, so that they become dead letters; each id gets the prefix "poison-"."""
        await self.fault(mode="poison", match="poison")
        await self.send(*({"name": "Lead", "id": f"poison-{event_id}"} for event_id in ids))
        await self.ended(*(f"poison-{event_id}" for event_id in ids))
        await self.fault(mode="none")


@dataclass
class Desk:
    """A page that shows the dashboard, with the addresses that it requested and the complaints of its browser."""

    page: Page
    office: Office
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def rows(self) -> Locator:
        """The rows of the list of events."""
        return self.page.locator("#events-table tbody tr")

    def row(self, text: str) -> Locator:
        """Return the row of an event that has this text."""
        return self.page.locator("#events-table tbody tr", has_text=text)

    def listen(self) -> None:
        """Collect the page's requests, and the browser's complaints: policy violations, errors, warnings."""
        self.page.on("console", self._heard)
        self.page.on("pageerror", self._failed)
        self.page.on("request", self._requested)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def _failed(self, error: Error) -> None:
        self.complaints.append(str(error))

    def _requested(self, request: Request) -> None:
        self.asked.append(request.url)

    async def leave(self) -> None:
        """Reset the page for the next test: its size, colours, cookies, routes and listeners."""
        await self.page.unroute_all()
        await self.page.goto("about:blank")
        for event, heard in (("console", self._heard), ("pageerror", self._failed), ("request", self._requested)):
            self.page.remove_listener(event, heard)
        await self.page.context.clear_cookies()
        await self.page.emulate_media(color_scheme="light")
        await self.page.set_viewport_size(SIZE)

    async def open(self, address: str = "overview") -> None:
        """Open an address of the dashboard in a fresh page, and wait until it is filled."""
        await self.page.goto("about:blank")
        await self.page.goto(f"{self.office.origin}/#/{address}")
        await self.loaded()

    async def loaded(self) -> None:
        """Wait until no part of the page is still loading."""
        await expect(self.page.locator("#banner")).not_to_have_attribute("data-state", "unknown")
        await expect(self.page.locator("#main .loading:visible")).to_have_count(0)

    async def live(self) -> None:
        """Wait until the page gets its events from the stream."""
        await expect(self.page.locator("#updated")).to_have_text("Live")


def configuration(directory: Path, graph: str, **server: Any) -> load.Config:
    """Return the configuration of a shop with two pixels."""
    raw = {
        "server": {
            "listen": "127.0.0.1:0",
            "operator_listen": "127.0.0.1:0",
            "data_dir": str(directory),
            "secret": "a secret that is long enough for this test",
            **server,
        },
        "graph": {"url": graph},
        "site": [
            {
                "name": "shop",
                "domains": ["shop.test"],
                "prefix": "/k",
                "pixel": [{"id": pixel, "access_token": "a token"} for pixel in (PIXEL, OTHER)],
            }
        ],
    }
    return load.parse(raw, {}, base=directory)


def _graph(token_days: int) -> web.Application:
    """Return a simulator whose tokens end in ``token_days`` days."""

    @web.middleware
    async def token(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.endswith("/debug_token"):
            return await handler(request)
        ends = int(time.time()) + token_days * 86_400 + 3600
        return web.json_response({"data": {"is_valid": True, "expires_at": ends, "scopes": ["ads_management"]}})

    app = make_app()
    app.middlewares.append(token)
    return app


@asynccontextmanager
async def open_office(directory: Path, token_days: int = 60, **server: Any) -> AsyncIterator[Office]:
    """Run a simulator and a proxy.

    Args:
        directory: The proxy's files are below it.
        token_days: In how many days the tokens end, according to Meta.
        server: Settings of ``[server]``.
    """
    async with AsyncExitStack() as stack:
        graph = await stack.enter_async_context(served(_graph(token_days)))
        proxy = await stack.enter_async_context(run_proxy(configuration(directory, graph, **server)))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Office(http, proxy, graph)


@pytest.fixture(name="office", scope="module")
async def _office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    async with open_office(tmp_path_factory.mktemp("office")) as office:
        yield office


@pytest.fixture(name="sight")
async def _sight(browser: Browser) -> AsyncIterator[Page]:
    """A page of its own, as wide as on a desk."""
    context = await browser.new_context(viewport=SIZE)
    yield await context.new_page()
    await context.close()


@pytest.fixture(scope="module", name="kept_sight")
async def _kept_sight(browser: Browser) -> AsyncIterator[Page]:
    """A page that all tests of a module share, since a new one costs the browser as much as many visits."""
    context = await browser.new_context(viewport=SIZE)
    yield await context.new_page()
    await context.close()


@pytest.fixture(name="seen")
def _seen(request: pytest.FixtureRequest) -> Page:
    """The module's page; a test that leaves something behind which cannot be undone gets a page of its own."""
    is_spoilt = request.node.get_closest_marker("own_page") is not None
    page: Page = request.getfixturevalue("sight" if is_spoilt else "kept_sight")
    return page


@pytest.fixture(name="loud")
async def _loud(seen: Page, office: Office) -> AsyncIterator[Desk]:
    """The dashboard in the page, for tests in which the browser may complain."""
    desk = Desk(seen, office)
    desk.listen()
    yield desk
    await desk.leave()


@pytest.fixture(name="desk")
async def _desk(loud: Desk) -> AsyncIterator[Desk]:
    """The dashboard in the page; at the end the browser must have no complaint and no request to another host."""
    yield loud
    assert loud.complaints == []
    assert [url for url in loud.asked if not url.startswith((f"{loud.office.origin}/", "about:"))] == []

"""The lab of all browser tests: one server that plays a shop, the Pixel's files and the proxy, and keeps all requests.

The tag and the trap are made by the proxy's own functions, with the settings of a site. The Pixel is the stand-in.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pytest
from aiohttp import web
from shop_page import COLLECT_PATH, TAG_PATH, Pair, fired, mirrored, script, site

from proxy.config.schema import Site
from proxy.edge.tag.build import tag_of, trap_of
from proxy.simulator.shop.app import config_script, standin_script

HOST = "www.shop.test"
# What the config of a pixel opts into, by its id; the two ids below have a config of their own.
OPT_INS = {"800": "OpenBridge", "900": "InferredEvents"}
NO_CONFIG = "404"
SLOW_CONFIG = "700"


@lru_cache
def tag_text(settings: Site) -> str:
    """Return the tag as the proxy serves it for a site."""
    return tag_of(settings).bodies[""].decode()


@dataclass(frozen=True)
class Batch:
    """One request to the collect address, and the status of its answer."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    size: int
    status: int

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its events."""
        found: list[dict[str, Any]] = self.body.get("events", [])
        return found


@dataclass
class Lab:
    """The files that are served, the answers of the collect address, and the requests that arrived."""

    site: Site = field(default_factory=site)
    pages: dict[str, str] = field(default_factory=dict)
    """Pages by path; the page of "/" is served at every path that has no page."""
    scripts: dict[str, str] = field(default_factory=dict)
    """Scripts of the page's own, by path."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of every page."""
    caching: str = "max-age=60"
    """How long the browser may keep scripts, as ``Cache-Control`` says it."""
    blocked: set[str] = field(default_factory=set)
    """The files of the Pixel that do not load: "fbevents", "config"."""
    statuses: list[int] = field(default_factory=list)
    """The statuses of the next answers of the collect address; 0 closes the connection instead."""
    status: int = 204
    """The status of its answers when ``statuses`` is used up."""
    page_of_another: bool = False
    """Whether a 200 is the HTML of a rule that answers every address, not the proxy's JSON."""
    retry_after: str = "0"
    batches: list[Batch] = field(default_factory=list)
    fired: list[dict[str, str]] = field(default_factory=list)
    earlier: set[str] = field(default_factory=set)
    """Ids of events of earlier pages, which later checks ignore."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the Pixel's script may be served."""
    release: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the slow config may be served."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @property
    def trap(self) -> str:
        """The trap as it stands in the page."""
        return script(trap_of(self.site))

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events of batches that were answered with success."""
        return [event for batch in self.batches if batch.status < 300 for event in self.new(batch)]

    def new(self, batch: Batch) -> list[dict[str, Any]]:
        """Return the events of a batch, without those of earlier pages."""
        return [event for event in batch.events if event["id"] not in self.earlier]

    def begin_again(self) -> None:
        """Forget all batches and hits; the events of an earlier page are ignored if that page sends them again."""
        self.earlier |= {event["id"] for batch in self.batches for event in batch.events}
        self.fired.clear()
        self.batches.clear()

    @property
    def mirrored_pairs(self) -> list[Pair]:
        """Pixel, name and id of each event that was taken, except the last one."""
        return mirrored(self.events)

    @property
    def fired_pairs(self) -> list[Pair]:
        """Pixel, name and id of each event that the Pixel sent, except the last one."""
        return fired(self.fired)

    def url(self, path: str = "/", host: str = HOST) -> str:
        """Return the address of a page; every host leads to this server."""
        return f"http://{host}:{self.port}{path}"

    # -- answers

    async def _page(self, request: web.Request) -> web.Response:
        if request.path in self.scripts:
            return self._script(self.scripts[request.path])
        html = self.pages.get(request.path, self.pages.get("/", ""))
        return web.Response(text=html, content_type="text/html", headers=self.headers)

    async def _tag(self, _request: web.Request) -> web.Response:
        return self._script(tag_text(self.site))

    async def _pixel(self, request: web.Request) -> web.Response:
        await self.gate.wait()
        return _cut(request) if "fbevents" in self.blocked else self._script(standin_script())

    async def _config(self, request: web.Request) -> web.StreamResponse:
        pixel = request.match_info["id"]
        if pixel == NO_CONFIG or "config" in self.blocked:
            return _cut(request)
        if pixel == SLOW_CONFIG:
            await self.release.wait()
        return self._script(config_script(pixel).replace("FirstPartyCookies", OPT_INS.get(pixel, "FirstPartyCookies")))

    def _script(self, text: str) -> web.Response:
        return web.Response(text=text, content_type="text/javascript", headers={"Cache-Control": self.caching})

    async def _release(self, _request: web.Request) -> web.Response:
        self.release.set()
        return web.Response(status=204)

    async def _ready(self, _request: web.Request) -> web.Response:
        self.ready.set()
        return web.Response(status=204)

    async def _hold(self, _request: web.Request) -> web.Response:
        await self.hold.wait()
        return web.Response(status=204)

    async def _fire(self, request: web.Request) -> web.Response:
        self.fired.append({key: str(value) for key, value in (request.query or await request.post()).items()})
        return web.Response(status=204)

    async def _collect(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        status = self.statuses.pop(0) if self.statuses else self.status
        self.batches.append(Batch(json.loads(text), request.headers, len(text.encode()), status))
        if not status:
            return _cut(request)
        if self.page_of_another:
            return web.Response(status=status, text="<!doctype html><title>shop</title>", content_type="text/html")
        origin = request.headers.get("Origin", "*")
        shared = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
        later = {"Retry-After": self.retry_after, "Access-Control-Expose-Headers": "Retry-After"}
        body = None if status == 204 else '{"refused": []}'
        headers = shared | (later if status >= 400 else {})
        return web.Response(status=status, text=body, content_type="application/json", headers=headers)

    async def _blocked(self, request: web.Request) -> web.StreamResponse:
        return _cut(request)

    def app(self) -> web.Application:
        """Build the server."""
        app = web.Application(client_max_size=2**20)
        app.add_routes(
            [
                web.get(TAG_PATH, self._tag),
                web.post(COLLECT_PATH, self._collect),
                web.get("/fbevents.js", self._pixel),
                web.get("/signals/config/{id}", self._config),
                web.get("/blocked.js", self._blocked),
                web.get("/signals/plugins/{name}", self._blocked),
                web.get("/release", self._release),
                web.get("/ready", self._ready),
                web.get("/hold", self._hold),
                web.get("/tr/", self._fire),
                web.post("/tr/", self._fire),
                web.get("/{path:.*}", self._page),
            ]
        )
        return app


def _cut(request: web.Request) -> web.Response:
    """Close the connection, which the browser sees as a network error."""
    if request.transport:
        request.transport.abort()
    return web.Response()


@asynccontextmanager
async def laboratory(**settings: Any) -> AsyncIterator[Lab]:
    """Serve a lab on a free port of loopback, with these settings of its site."""
    lab = Lab(site(**settings))
    lab.gate.set()
    runner = web.AppRunner(lab.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    lab.port = runner.addresses[0][1]
    try:
        yield lab
    finally:
        for event in (lab.gate, lab.release, lab.hold):
            event.set()
        await runner.cleanup()


@pytest.fixture(name="lab")
async def _lab() -> AsyncIterator[Lab]:
    async with laboratory() as lab:
        yield lab

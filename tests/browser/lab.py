"""A shop's server for pages with the Pixel and the tag: each page as a test writes it, and all that the tag posts.

The tag and the trap come from the proxy's own functions, with the settings of a site. The Pixel is the stand-in.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import tagpage
from aiohttp import web

from proxy.config.schema import Site
from proxy.edge.tag.build import tag_of, trap_of
from proxy.simulator.shop.app import config_script, standin_script

TAG = "/k/m.js"
COLLECT = "/k/e"
HOST = "www.shop.test"
# What the config of a pixel opts into, by its id; the two ids below have a config of their own.
OPT_INS = {"800": "OpenBridge", "900": "InferredEvents"}
NO_CONFIG = "404"
SLOW_CONFIG = "700"
SYNC = f'<script src="{TAG}"></script>'
ASYNC = f'<script async src="{TAG}"></script>'
TAKEN_OVER = "window.fbq && fbq.callMethod && !fbq.queue.length"


@dataclass(frozen=True)
class Batch:
    """One request to the collect address."""

    body: dict[str, Any]
    size: int
    status: int

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its events."""
        found: list[dict[str, Any]] = self.body.get("events", [])
        return found


@dataclass
class Lab:
    """What is served, how the collect address answers, and what came."""

    site: Site = field(default_factory=tagpage.site)
    pages: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)
    """Scripts of the page's own, by path."""
    headers: dict[str, str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    status: int = 204
    batches: list[Batch] = field(default_factory=list)
    fired: list[dict[str, str]] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @cached_property
    def tag(self) -> str:
        """The tag as served."""
        return tag_of(self.site).bodies[""].decode()

    @property
    def trap(self) -> str:
        """The trap as it stands in the page."""
        return tagpage.script(trap_of(self.site))

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events that were taken."""
        return [event for batch in self.batches if batch.status < 300 for event in batch.events]

    @property
    def mirrored_pairs(self) -> list[tuple[str, str, str]]:
        """Pixel, name and id of each event that was taken, but for the last."""
        return tagpage.mirrored(self.events)

    @property
    def fired_pairs(self) -> list[tuple[str, str, str]]:
        """Pixel, name and id of each event that the Pixel sent, but for the last."""
        return tagpage.fired(self.fired)

    def url(self, path: str = "/", host: str = HOST) -> str:
        """Name a page; every host leads here."""
        return f"http://{host}:{self.port}{path}"

    # -- answers

    async def _page(self, request: web.Request) -> web.Response:
        if request.path in self.scripts:
            return _script(self.scripts[request.path])
        html = self.pages.get(request.path, self.pages.get("/", ""))
        return web.Response(text=html, content_type="text/html", headers=self.headers)

    async def _tag(self, _request: web.Request) -> web.Response:
        return _script(self.tag)

    async def _pixel(self, _request: web.Request) -> web.Response:
        return _script(standin_script())

    async def _config(self, request: web.Request) -> web.StreamResponse:
        pixel = request.match_info["id"]
        if pixel == NO_CONFIG:
            return _cut(request)
        if pixel == SLOW_CONFIG:
            await self.release.wait()
        return _script(config_script(pixel).replace("FirstPartyCookies", OPT_INS.get(pixel, "FirstPartyCookies")))

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
        self.batches.append(Batch(json.loads(text), len(text.encode()), status))
        if not status:
            return _cut(request)
        origin = request.headers.get("Origin", "*")
        shared = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
        later = {"Retry-After": "0", "Access-Control-Expose-Headers": "Retry-After"} if status >= 400 else {}
        body = None if status == 204 else '{"refused": []}'
        return web.Response(status=status, text=body, content_type="application/json", headers=shared | later)

    async def _blocked(self, request: web.Request) -> web.StreamResponse:
        return _cut(request)

    def app(self) -> web.Application:
        """Build the server."""
        app = web.Application(client_max_size=2**20)
        app.add_routes(
            [
                web.get(TAG, self._tag),
                web.post(COLLECT, self._collect),
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


def _script(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/javascript", headers={"Cache-Control": "max-age=60"})


def _cut(request: web.Request) -> web.Response:
    """Cut the line, as a network error looks to the browser."""
    if request.transport:
        request.transport.abort()
    return web.Response()


@asynccontextmanager
async def laboratory(**site: Any) -> AsyncIterator[Lab]:
    """Serve a lab on a free port of loopback."""
    lab = Lab(tagpage.site(**site))
    runner = web.AppRunner(lab.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    lab.port = runner.addresses[0][1]
    try:
        yield lab
    finally:
        lab.release.set()
        lab.hold.set()
        await runner.cleanup()

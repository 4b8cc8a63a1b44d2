"""A shop page in a real browser: what its Pixel fires beside what the tag mirrors.

One server plays the page, the Pixel's files and the proxy. What left the browser is read from the browser itself,
in the order in which it left.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from playwright.async_api import Page, Request

from proxy.config.schema import Site
from proxy.edge.tag.build import tag_of, trap_of
from proxy.simulator.shop.app import config_script, standin_script

TAG = '<script src="/k/m.js"></script>'
ASYNC = '<script async src="/k/m.js"></script>'
STUB = """
  if (window.fbq) return;
  var n = window.fbq = function () {
    n.callMethod ? n.callMethod.apply(n, arguments) : n.queue.push(arguments);
  };
  if (!window._fbq) window._fbq = n;
  n.push = n; n.loaded = true; n.version = "2.0"; n.queue = [];
"""
LOAD = """
  var s = document.createElement("script"); s.async = true; s.src = "/fbevents.js";
  var first = document.getElementsByTagName("script")[0]; first.parentNode.insertBefore(s, first);
"""
T = TypeVar("T")


def site(**settings: Any) -> Site:
    """Return the settings of the shop, with the defaults of the configuration."""
    pixels = [{"id": pixel, "access_token": "token"} for pixel in ("111", "222")]
    given = {"name": "shop", "domains": ["shop.test"], "pixel": pixels, **settings}
    return Site.model_validate(given, context={"resolve": str})


Pair = tuple[str, str, str]


def script(*lines: str) -> str:
    """Wrap statements into a script element."""
    return "<script>" + ";\n".join(lines) + "</script>"


TRAP = f"<script>{trap_of(site())}</script>"
BASE = script(f"(function () {{ {STUB} {LOAD} }})()")
ALONE = script(f"(function () {{ {STUB} }})()")
INIT = script("fbq('init', '111')")
CALLS = script("fbq('init', '111')", "fbq('track', 'PageView')", "fbq('track', 'Lead', {value: 5})")


async def until(look: Callable[[], T], what: str, seconds: float = 10) -> T:
    """Wait for something to be true, or say what did not happen."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        await asyncio.sleep(0.01)
    return found


def mirrored(events: Iterable[dict[str, Any]]) -> list[Pair]:
    """Return pixel, name and id of what the tag sent, but for the last event."""
    return sorted(
        (pixel, event["name"], event["id"]) for event in events for pixel in event["pixels"] if event["name"] != "End"
    )


def fired(hits: Iterable[dict[str, str]]) -> list[Pair]:
    """Return pixel, name and id of what the Pixel sent, but for the last event."""
    return sorted((hit["id"], hit["ev"], hit.get("eid", "")) for hit in hits if hit["ev"] != "End")


@dataclass
class Stage:
    """One page, what it asked for, and how the proxy answers."""

    page: Page
    origin: str = ""
    html: str = ""
    site: Site = field(default_factory=site)
    statuses: list[int] = field(default_factory=list)
    page_of_another: bool = False
    """Whether a 200 is the HTML of a rule that answers every address, not the proxy's JSON."""
    retry_after: str = "0"
    batches: list[dict[str, Any]] = field(default_factory=list)
    fired: list[dict[str, str]] = field(default_factory=list)
    arrived: list[dict[str, Any]] = field(default_factory=list)
    answered: int = 0
    blocked: set[str] = field(default_factory=set)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, request: Request) -> None:
        """Keep what leaves the browser."""
        address = urlsplit(request.url)
        if address.path == "/k/e":
            self.batches.append(json.loads(request.post_data or "{}"))
        elif address.path == "/tr/":
            self.fired.append({key: values[-1] for key, values in parse_qs(address.query).items()})

    async def show(self, *parts: str, path: str = "/", host: str = "www.shop.test") -> None:
        """Open a page made of these parts; the Pixel loads after them."""
        self.html = f"<!doctype html><head><link rel=icon href=data:,>{''.join(parts)}</head><body></body>"
        self.gate.clear()
        await self.page.goto(f"http://{host}:{urlsplit(self.origin).port}{path}", wait_until="commit")
        await self.page.wait_for_function("document.body")
        self.gate.set()

    async def run(self, *lines: str) -> Any:
        """Run statements in the page as its own script."""
        return await self.page.evaluate(f"() => {{ {';'.join(lines)} }}")

    async def take_over(self) -> None:
        """Wait until the Pixel has taken over."""
        await self.page.wait_for_function("window.fbq && fbq.callMethod && !fbq.queue.length")

    async def settle(self, channels: Iterable[str] = ("fired", "batches")) -> None:
        """Send one last event and wait until it has left; all before it has left by then."""
        await self.run("fbq('trackCustom', 'End')")
        if "fired" in channels:
            await until(lambda: any(hit["ev"] == "End" for hit in self.fired), "the Pixel sends End")
        if "batches" in channels:
            await until(lambda: any(event["name"] == "End" for event in self.events), "the tag mirrors End")

    @property
    def events(self) -> list[dict[str, Any]]:
        """All mirrored events."""
        return [event for batch in self.batches for event in batch.get("events", [])]

    @property
    def copy_updates(self) -> list[tuple[str, str]]:
        """Updates of browser copies: name and status."""
        return [(update["name"], update["pixel"]) for batch in self.batches for update in batch.get("fates", [])]

    @property
    def mirrored_pairs(self) -> list[Pair]:
        """Pixel, name and id of what the tag sent."""
        return mirrored(self.events)

    @property
    def fired_pairs(self) -> list[Pair]:
        """Pixel, name and id of what the Pixel sent."""
        return fired(self.fired)


@asynccontextmanager
async def stage(page: Page) -> AsyncIterator[Stage]:
    """Serve one page and listen to it."""
    here = Stage(page)
    runner = web.AppRunner(_app(here), access_log=None)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    here.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    page.on("request", here.note)
    try:
        yield here
    finally:
        here.gate.set()
        await page.close()
        await runner.cleanup()


def _app(here: Stage) -> web.Application:
    async def shop(_request: web.Request) -> web.Response:
        return web.Response(text=here.html, content_type="text/html")

    async def tag(_request: web.Request) -> web.Response:
        return _script(tag_of(here.site).bodies[""].decode())

    async def library(request: web.Request) -> web.StreamResponse:
        await here.gate.wait()
        return _lost(request) if "fbevents" in here.blocked else _script(standin_script())

    async def config(request: web.Request) -> web.StreamResponse:
        return _lost(request) if "config" in here.blocked else _script(config_script(request.match_info["id"]))

    async def fire(_request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def collect(request: web.Request) -> web.StreamResponse:
        here.arrived.append({"body": await request.json(), "headers": request.headers})
        status = here.statuses.pop(0) if here.statuses else 204
        here.answered += 1
        if not status:
            return _lost(request)
        if here.page_of_another:
            return web.Response(status=status, text="<!doctype html><title>shop</title>", content_type="text/html")
        return web.Response(
            status=status,
            text='{"refused": []}',
            content_type="application/json",
            headers={"Retry-After": here.retry_after},
        )

    app = web.Application(client_max_size=2**20)
    app.add_routes(
        [
            web.get("/k/m.js", tag),
            web.post("/k/e", collect),
            web.get("/fbevents.js", library),
            web.get("/signals/config/{id}", config),
            web.get("/tr/", fire),
            web.get("/{path:.*}", shop),
        ]
    )
    return app


def _script(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/javascript", headers={"Cache-Control": "no-store"})


def _lost(request: web.Request) -> web.Response:
    """Cut the line, as a network error looks to the browser."""
    assert request.transport
    request.transport.abort()
    return web.Response()

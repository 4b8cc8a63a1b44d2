"""The overlay of the install check: its accessibility, by axe-core in Chromium, and its look in Firefox."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import aiohttp
import orjson
import pytest
from aiohttp import web
from conftest import USER_AGENT
from demo_page import as_a_proxy_would, four_free_ports
from firefox import firefox
from playwright.async_api import Browser
from servers import served

from proxy.cli.demo import Demo, run_demo

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
# The overlay's tree is closed to the page; this script runs before it and keeps it open for the test.
OPEN = """
  const attach = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function (options) {
    return (window.overlay = attach.call(this, { ...options, mode: "open" }));
  };
"""
# The contrast of letters, which axe-core cannot tell in a tree that is fixed over the page.
CONTRAST = """
  const light = (colour) => {
    const parts = colour.match(/[0-9.]+/g).slice(0, 3).map((part) => part / 255);
    const [red, green, blue] = parts.map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return /, 0\\)$|transparent/.test(colour) ? behind(element.parentElement) : colour;
  };
  const contrast = (element) => {
    const [one, other] = [getComputedStyle(element).color, behind(element)].map(light);
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  };
"""
LOOK = """async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const rows = () => [...(window.overlay?.querySelectorAll("li") || [])].map((row) => row.textContent);
  const parts = [/PageView/, /Pixel(fired|blocked)/, /Proxy(taken|refused|not sent on)/];
  while (!rows().some((row) => parts.every((part) => part.test(row)))) await wait(50);
  const found = await axe.run(overlay.host, { preload: false, resultTypes: ["violations"] });
  const box = overlay.host.getBoundingClientRect();
  return {
    rows: rows(),
    violations: found.violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
    contrast: Math.min(...[...overlay.querySelectorAll("section *")].map((element) => contrast(element))),
    isSeen: box.width > 200 && box.right <= innerWidth && box.bottom <= innerHeight,
    face: getComputedStyle(overlay.querySelector("section")).borderRadius,
  };
}"""


@pytest.fixture(name="demo", scope="module")
async def _demo() -> AsyncIterator[Demo]:
    with four_free_ports() as port:
        async with run_demo(port) as demo:
            yield demo


@asynccontextmanager
async def watched_page(demo: Demo) -> AsyncIterator[tuple[str, "asyncio.Future[dict[str, Any]]"]]:
    """Serve a page of the demo's shop that keeps the overlay open; yield its link, and a future for its report."""
    told: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    report = f"({LOOK})().then((body) => fetch('/report', {{ method: 'POST', body: JSON.stringify(body) }}))"

    async def page(request: web.Request) -> web.Response:
        async with session.get(f"{demo.shop}{request.path_qs}") as answer:
            text = await answer.text()
        scripts = f"<script>{OPEN}{CONTRAST}</script><script src=/axe.js></script><script>{report}</script>"
        return web.Response(text=text.replace("<head>", f"<head>{scripts}", 1), content_type="text/html")

    async def axe(_request: web.Request) -> web.Response:
        return web.Response(text=AXE.read_text(), content_type="text/javascript")

    async def reported(request: web.Request) -> web.Response:
        if not told.done():
            told.set_result(orjson.loads(await request.read()))
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/axe.js", axe), web.post("/report", reported)])
    async with aiohttp.ClientSession() as session, served(app) as address:
        wanted = f"{address.replace('127.0.0.1', 'localhost')}/?pixel=blocked&tag=trap&consent=granted"
        body = {"page": wanted, "proxy": demo.tag.rsplit("/", 2)[0]}
        async with session.post(f"{demo.dashboard}/api/install-check", json=body) as answer:
            assert answer.status == 200, await answer.text()
            link = (await answer.json())["link"]
        yield link, told


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_the_overlay(scheme: Literal["light", "dark"], demo: Demo, browser: Browser) -> None:
    """axe-core finds nothing wrong with names, roles, colours and order of the overlay, light or dark."""
    context = await browser.new_context(user_agent=USER_AGENT, color_scheme=scheme)
    await context.route("**/e", as_a_proxy_would)
    async with watched_page(demo) as (link, told):
        await (await context.new_page()).goto(link)
        found = await asyncio.wait_for(told, 60)
    await context.close()

    assert found["violations"] == []
    assert found["contrast"] >= 4.5
    assert any("blocked" in row and "taken (2" in row for row in found["rows"])
    assert found["isSeen"]


async def test_firefox_shows_the_overlay(tmp_path: Path, demo: Demo) -> None:
    """In Firefox too the link works, and the overlay is in the window, has its own style, and lists a call."""
    async with watched_page(demo) as (link, told), firefox(tmp_path / "profile", link, {}, blocker=False):
        found = await asyncio.wait_for(told, 120)

    assert found["violations"] == []
    assert any("PageView" in row and "blocked" in row for row in found["rows"])
    assert (found["isSeen"], found["face"]) == (True, "8px")

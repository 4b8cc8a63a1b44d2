"""The operator's page in real Chromium, before a real proxy that delivers to the simulator."""

import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import ConsoleMessage, Page, Request, expect
from support import record

from proxy.app import Running, running
from proxy.config import load
from proxy.graph import law
from proxy.model.event import BrowserCopy, DropReason
from proxy.model.ledger import Status
from proxy.simulator.graph.app import make_app
from proxy.static_files import static_file

PIXEL, OTHER = "1234567890", "2222222222"
SHOP = "http://shop.test"
PHONE = 390


@dataclass
class Desk:
    """A page that shows the dashboard, and what surrounds it."""

    page: Page
    http: aiohttp.ClientSession
    proxy: Running
    simulator: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.proxy.operator.port}"

    async def open(self, query: str = "") -> None:
        """Show the dashboard."""
        await self.page.goto(f"{self.origin}/{query}")
        await expect(self.page.locator("#updated")).not_to_be_empty()

    async def send(self, *events: Mapping[str, Any], copy_updates: tuple[Mapping[str, Any], ...] = ()) -> None:
        """Send events as the tag does."""
        now = int(time.time() * 1000)
        full = [{"at": now, "pixels": [PIXEL], "pixel": "fired", **event} for event in events]
        facts = {"url": f"{SHOP}/p", "fbp": "fb.1.1764000000000.123456789", "consent": "granted"}
        body = {"v": 1, "sent": now, **facts, "events": full, "fates": list(copy_updates)}
        url = f"http://127.0.0.1:{self.proxy.public.port}/k/e"
        async with self.http.post(url, json=body, headers={"Origin": SHOP, "User-Agent": "a browser"}) as answer:
            assert answer.status == 204, await answer.text()

    async def fault(self, **order: Any) -> None:
        """Order a fault of the simulator."""
        async with self.http.post(f"{self.simulator}/sim/faults", json=order) as answer:
            assert answer.status == 200, await answer.text()

    async def bury(self, *ids: str) -> None:
        """Let events become dead letters."""
        await self.fault(mode="poison", match="poison")
        await self.send(*({"name": "Lead", "id": f"poison-{event_id}"} for event_id in ids))
        await expect(self.page.locator("#dead-rows tr")).to_have_count(len(ids))

    def row(self, text: str) -> Any:
        """Find the row of an event."""
        return self.page.locator("#rows tr", has_text=text)


@asynccontextmanager
async def _simulator() -> AsyncIterator[str]:
    runner = web.AppRunner(make_app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _config(directory: Path, simulator: str, operator_port: int = 0) -> load.Config:
    raw = {
        "server": {
            "listen": "127.0.0.1:0",
            "operator_listen": f"127.0.0.1:{operator_port}",
            "data_dir": str(directory),
            "secret": "a secret that is long enough for this test",
        },
        "graph": {"url": simulator, "timeout": 5.0},
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


@pytest.fixture(name="desk")
async def _desk(page: Page, tmp_path: Path) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(_simulator())
        proxy = await stack.enter_async_context(running(_config(tmp_path, simulator)))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        desk = Desk(page, http, proxy, simulator)

        def heard(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                desk.complaints.append(message.text)

        def asked(request: Request) -> None:
            desk.asked.append(request.url)

        page.on("console", heard)
        page.on("pageerror", lambda error: desk.complaints.append(str(error)))
        page.on("request", asked)
        yield desk
        await page.close()


@pytest.fixture(name="quiet")
async def _quiet(desk: Desk) -> AsyncIterator[Desk]:
    """Hold that a dashboard whose proxy is well complains of nothing and asks nobody else."""
    yield desk
    assert desk.complaints == []
    assert [url for url in desk.asked if not url.startswith(f"{desk.origin}/")] == []


async def test_a_newcomer_is_told_what_to_do_next(quiet: Desk) -> None:
    """Before the first event the page says that all is well and how to get one."""
    await quiet.open()

    await expect(quiet.page.locator("#banner")).to_contain_text("Ready")
    await expect(quiet.page.locator("#lanes tr")).to_have_count(2)
    await expect(quiet.page.locator("#events-empty")).to_contain_text("capi-proxy snippet")
    await expect(quiet.page.locator("#dead-empty")).to_be_visible()


async def test_events_appear_by_themselves(quiet: Desk) -> None:
    """What happens while the page is open is shown in plain words, without a reload."""
    await quiet.open()
    await quiet.send(
        {"name": "ViewContent", "id": "seen"},
        {"name": "Purchase", "id": "saved", "pixel": "blocked", "data": {"value": 5, "currency": "EUR"}},
        {"name": "Purchase", "id": "worthless"},
        {"name": "Search", "id": "odd", "data": {"num_items": -1}},
    )

    await expect(quiet.page.locator("#rows tr")).to_have_count(4)
    await expect(quiet.row("odd")).to_contain_text("num_items: of no use, left out")
    await expect(quiet.row("seen")).to_contain_text(re.compile(r"Delivered\s*Fired\s*1"))
    await expect(quiet.row("saved")).to_contain_text("recovered: the browser")
    await expect(quiet.row("worthless")).to_contain_text("a Purchase without a value")
    totals = quiet.page.locator("#totals")
    await expect(totals).to_contain_text(re.compile(r"Delivered3.*Recovered1.*In pairs67 %.*Dropped1"))


async def test_later_updates_of_a_browser_copy_are_shown(quiet: Desk) -> None:
    """A row already on the page follows what the tag learns later."""
    await quiet.open()
    await quiet.send({"name": "Lead", "id": "late", "pixel": "pending"})
    await expect(quiet.row("late")).to_contain_text("Not known")

    await quiet.send(copy_updates=({"name": "Lead", "id": "late", "pixel": "blocked"},))

    await expect(quiet.row("late")).to_contain_text("Blocked")


async def test_filters_narrow_the_list_and_outlive_a_reload(quiet: Desk) -> None:
    """Name, id, status and pixel choose events of the whole ledger; the address keeps the choice."""
    await quiet.send({"name": "Lead", "id": "one"}, {"name": "Search", "id": "two", "pixels": [PIXEL, OTHER]})
    await quiet.open()
    rows, page = quiet.page.locator("#rows tr"), quiet.page
    await expect(rows).to_have_count(3)
    await expect(page.locator("#events-caption")).to_have_text("The newest 3 events, in your local time.")

    await page.get_by_role("combobox", name="Name").fill("Search")
    await expect(page.locator("#events-caption")).to_have_text("The newest 2 events that match, in your local time.")
    await expect(rows).to_have_count(2)
    await page.get_by_role("combobox", name="Pixel").select_option(OTHER)
    await expect(rows).to_have_count(1)
    await page.reload()
    await expect(rows).to_have_count(1)
    await expect(page.get_by_role("combobox", name="Name")).to_have_value("Search")
    await page.get_by_role("combobox", name="Status").select_option("dead")
    await expect(page.locator("#events-none")).to_be_visible()
    await page.get_by_role("button", name="Clear filters").click()
    await expect(rows).to_have_count(3)
    await page.get_by_role("textbox", name="Id").fill("one")
    await expect(rows).to_have_count(1)
    await expect(page.locator("#events-caption")).to_have_text("The newest event that matches, in your local time.")


async def test_a_dead_letter_is_replayed(quiet: Desk) -> None:
    """A dead letter shows the Graph error; once the cause is mended, Replay delivers it, and focus is not lost."""
    await quiet.open()
    await quiet.bury("a")
    await expect(quiet.page.locator("#dead-rows tr")).to_contain_text("A fault of this simulator refuses every batch")
    await expect(quiet.page.locator("#dead-rows tr")).to_contain_text("code 100, subcode 2804017")

    await quiet.fault(mode="none")
    await quiet.page.get_by_role("button", name="Replay Lead poison-a").click()

    await expect(quiet.page.locator("#dead-note")).to_have_text("1 dead letter put back to be delivered.")
    await expect(quiet.page.locator("#dead-empty")).to_be_visible()
    await expect(quiet.page.locator("#rows tr").first).to_contain_text("Delivered")
    await expect(quiet.page.locator("#dead-title")).to_be_focused()


async def test_discarding_asks_first(quiet: Desk) -> None:
    """Keep keeps the dead letter, Discard removes it, and all listed ones go at once where that is asked for."""
    page = quiet.page
    await quiet.open()
    await quiet.bury("a", "b", "c")

    await page.get_by_role("button", name="Discard Lead poison-b").click()
    await page.get_by_role("button", name="Keep").click()
    await expect(page.locator("#dead-rows tr")).to_have_count(3)
    await page.get_by_role("button", name="Discard Lead poison-b").click()
    await page.get_by_role("button", name="Discard", exact=True).click()
    await expect(page.locator("#dead-rows tr")).to_have_count(2)
    await page.get_by_role("button", name="Discard all listed").click()
    await page.get_by_role("button", name="Discard", exact=True).click()
    await expect(page.locator("#dead-note")).to_have_text("2 dead letters discarded.")
    await expect(page.locator("#dead-rows tr")).to_have_count(0)


async def test_what_strangers_wrote_is_text(quiet: Desk) -> None:
    """A name or an id that looks like markup makes no element."""
    name = "<img src=x onerror=alert(1)>"
    await quiet.fault(mode="poison", match="<b>")
    await quiet.send({"name": name, "id": "<b>bold</b>"})
    await quiet.open()

    await expect(quiet.page.locator("#rows tr")).to_contain_text([name])
    await expect(quiet.page.locator("#dead-rows tr")).to_contain_text(["<b>bold</b>"])
    assert await quiet.page.locator("td img, th img, td b, th b").count() == 0


async def test_an_update_leaves_the_reader_in_peace(quiet: Desk) -> None:
    """New rows move neither the focus nor the row one reads, and close nothing that was opened."""
    page = quiet.page
    await quiet.open()
    await quiet.bury("a")
    await quiet.send(*({"name": "Search", "id": f"old-{number}"} for number in range(40)))
    read = quiet.row("old-20")
    await expect(read).to_have_count(1)
    await page.locator("#dead-rows summary").click()
    await page.get_by_role("button", name="Replay Lead poison-a").focus()
    await read.evaluate("row => row.scrollIntoView()")
    before = await read.evaluate("row => row.getBoundingClientRect().top")

    await quiet.send(*({"name": "Search", "id": f"new-{number}"} for number in range(10)))
    await expect(quiet.row("new-")).to_have_count(10)

    assert abs(await read.evaluate("row => row.getBoundingClientRect().top") - before) < 2
    await expect(page.get_by_role("button", name="Replay Lead poison-a")).to_be_focused()
    assert await page.locator("#dead-rows details").evaluate("details => details.open")


async def test_a_hidden_tab_asks_nothing(quiet: Desk) -> None:
    """While nobody can look, or updates are paused, no question is asked; both ends with one at once."""
    page = quiet.page
    await page.clock.install()
    await quiet.open()
    hide = "hidden => {{ Object.defineProperty(document, 'hidden', {{ value: hidden, configurable: true }}); {0} }}"
    hide = hide.format("document.dispatchEvent(new Event('visibilitychange'))")

    await page.evaluate(hide, True)
    asked = len(quiet.asked)
    await page.clock.run_for(60_000)
    assert len(quiet.asked) == asked

    async with page.expect_response("**/api/status"):
        await page.evaluate(hide, False)
    async with page.expect_response("**/api/status"):
        await page.clock.run_for(2_500)
    await page.get_by_role("button", name="Pause updates").click()
    asked = len(quiet.asked)
    await page.clock.run_for(60_000)
    assert len(quiet.asked) == asked
    async with page.expect_response("**/api/status"):
        await page.get_by_role("button", name="Resume updates").click()


async def test_a_paused_pixel_is_explained(desk: Desk) -> None:
    """A refused token shows as a failing banner that says what to do, and goes when Graph takes events again."""
    await desk.open()
    await desk.fault(mode="190", pixel=OTHER)
    await desk.send({"name": "Lead", "id": "waits", "pixels": [OTHER]})

    await expect(desk.page.locator("#banner")).to_contain_text(
        re.compile(
            rf"Pixel {OTHER} is paused: Meta refuses the access token \(.*\)\. Its events wait and none is lost\."
        )
    )
    lane = desk.page.locator("#lanes tr", has_text=OTHER)
    await expect(lane).to_contain_text(re.compile("Paused.*1 event"))
    await desk.fault(mode="none")
    await expect(desk.page.locator("#banner")).to_contain_text("Ready", timeout=20_000)
    await expect(desk.row("waits")).to_contain_text("Delivered")


async def test_what_is_held_is_told_from_what_is_late(quiet: Desk) -> None:
    """Events that are not due yet are shown as such, without an age, beside those that wait for Meta."""
    await quiet.open()
    later = int(time.time() * 1000) + 3_600_000
    await quiet.proxy.queue.append([record(number, pixel=OTHER) for number in (1, 2)], not_before=later)
    lane = quiet.page.locator("#lanes tr", has_text=OTHER)

    await expect(lane).to_contain_text(re.compile("Holding.*2 events.*2 of them held until due"))
    await expect(lane).not_to_contain_text("the oldest")
    await quiet.send({"name": "Lead", "id": "goes", "pixels": [OTHER]})
    await expect(quiet.row("goes")).to_contain_text("Delivered")
    await expect(lane).to_contain_text("Holding")


@pytest.mark.parametrize(
    ("mode", "code", "state", "message"),
    [
        ("500", "code 2", "degraded", "Service temporarily unavailable"),
        ("190", "code 190", "failing", "Error validating access token"),
    ],
)
async def test_while_graph_refuses_the_banner_is_not_green_and_the_graph_error_is_shown(
    desk: Desk, mode: str, code: str, state: str, message: str
) -> None:
    """What Meta says of a refused token, or while it is down, stands in the banner and in the row of the pixel."""
    await desk.open()
    await desk.fault(mode=mode, pixel=OTHER)
    await desk.send({"name": "Lead", "id": "waits", "pixels": [OTHER]})

    await expect(desk.page.locator("#banner")).to_contain_text(message)
    await expect(desk.page.locator("#banner")).to_have_attribute("data-state", state)
    lane = desk.page.locator("#lanes tr", has_text=OTHER)
    await expect(lane).to_contain_text(message)
    await expect(lane).to_contain_text(code)


async def test_a_proxy_that_is_down_is_said_to_be_down(page: Page, tmp_path: Path) -> None:
    """When the proxy stops, the page says so, keeps what it had, and recovers by itself."""
    async with _simulator() as simulator, aiohttp.ClientSession() as http:
        async with running(_config(tmp_path, simulator)) as proxy:
            desk = Desk(page, http, proxy, simulator)
            await desk.send({"name": "Lead", "id": "kept"})
            await desk.open()
            await expect(desk.row("kept")).to_have_count(1)
        await expect(page.locator("#banner")).to_contain_text("The proxy does not answer since")
        await expect(desk.row("kept")).to_have_count(1)
        async with running(_config(tmp_path, simulator, proxy.operator.port)):
            await expect(page.locator("#banner")).to_contain_text("Ready")
        await page.close()


async def test_a_phone_shows_everything_without_scrolling_sideways(quiet: Desk) -> None:
    """At 390 pixels no text is wider than the screen, and the tables stay tables for a screen reader."""
    await quiet.page.set_viewport_size({"width": PHONE, "height": 844})
    await quiet.open()
    await quiet.bury("a-" + "x" * 180)

    await expect(quiet.page.get_by_role("rowheader", name="poison-a")).to_have_count(2)
    assert await quiet.page.evaluate("document.documentElement.scrollWidth") <= PHONE


def test_every_reason_has_plain_words() -> None:
    """Each status, status of a browser copy, drop reason and cause of a pause or retry is spelled out by the page."""
    script = static_file("operator-words.js").decode()
    causes = {*law.PAUSE_CODES.values(), *law.RETRY_CODES.values(), "transient", "timeout", "network", "systemic"}
    findings = {"repaired", "unusable", "doubtful", "missing", "misplaced"}
    words = {*Status, *BrowserCopy, *DropReason, *causes, *findings, "rejected", "not_received"}

    assert sorted(word for word in words if not re.search(rf"^  {word}: ", script, re.MULTILINE)) == []

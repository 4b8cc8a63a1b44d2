"""What the operator does at the dashboard, and what it shows when the proxy is down or asks for a password."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from dashboard import OTHER, PIXEL, Desk, Office, configuration, open_office
from playwright.async_api import Browser, BrowserContext, expect
from servers import served

from proxy.app import run_proxy
from proxy.simulator.graph.app import make_app


async def test_a_newcomer_is_told_what_to_do_next(desk: Desk) -> None:
    """Before the first event each page says that all is well, and what to do next."""
    await desk.open()
    await expect(desk.page.locator("#banner")).to_contain_text("Ready")
    await expect(desk.page.locator("#attention")).to_contain_text("Nothing needs you now")
    await expect(desk.page.locator("#overview-empty")).to_contain_text("capi-proxy snippet")
    await desk.open("events")
    await expect(desk.page.locator("#events-empty")).to_contain_text("capi-proxy snippet")
    await desk.open("pixels")
    await expect(desk.page.locator("#pixels section")).to_have_count(2)
    await desk.open("dead")
    await expect(desk.page.locator("#dead-empty")).to_contain_text("None")
    await desk.open("sources")
    await expect(desk.page.locator("#sites")).to_contain_text("Is the snippet on the pages?")
    await desk.open("doctor")
    await expect(desk.page.locator("#doctor-summary")).to_contain_text("Nothing was examined")
    await expect(desk.page.locator("#alerts")).to_contain_text("Nobody is told")


@pytest.mark.own_page
async def test_a_viewer_whose_clock_is_hours_off_sees_the_proxys_time(desk: Desk) -> None:
    """The last hour is that of the proxy's clock, and a new event is not shown as hours ahead."""
    await desk.page.clock.install(time=time.time() - 3 * 3600)
    await desk.office.send({"name": "Lead", "id": "now"})
    await desk.office.ended("now")
    await desk.open("overview?range=1h")
    await expect(desk.page.locator("#totals")).to_contain_text(re.compile(r"Delivered\s*[1-9]"))
    await desk.open(f"event?pixel={PIXEL}&name=Lead&id=now")

    await expect(desk.page.locator("#timeline")).to_contain_text(re.compile(r"\((just now|\d+ s ago)\)"))


async def test_a_dead_letter_is_replayed(desk: Desk) -> None:
    """A dead letter shows the Graph error; once the cause is fixed, Replay delivers it, and focus is not lost."""
    await desk.office.bury("a")
    await desk.open("dead")
    rows, page = desk.page.locator("#dead-table tbody tr"), desk.page
    await expect(rows).to_contain_text("A fault of this simulator refuses every batch")
    await expect(rows).to_contain_text("code 100, subcode 2804017")
    await expect(page.locator("#pages")).to_contain_text("Dead letters 1")

    await page.get_by_role("button", name="Replay Lead poison-a").click()

    await expect(page.locator("#dead-note")).to_have_text("1 dead letter put back to be delivered.")
    await expect(page.locator("#dead-empty")).to_be_visible()
    await expect(page.locator("#dead-title")).to_be_focused()
    await desk.open("events?id=poison-a")
    await expect(desk.row("poison-a").first).to_contain_text("Delivered")


async def test_discarding_asks_first(desk: Desk) -> None:
    """Keep and Escape keep the dead letter, Discard removes it, and one button discards all listed ones."""
    page, rows = desk.page, desk.page.locator("#dead-table tbody tr")
    await desk.office.bury("b", "c", "d")
    await desk.open("dead")
    discard = page.get_by_role("button", name="Discard… Lead poison-c")
    await discard.click()
    await page.get_by_role("button", name="Keep").click()
    await discard.click()
    await page.keyboard.press("Escape")
    await expect(discard).to_be_focused()
    await expect(rows).to_have_count(3)
    await discard.click()
    await page.get_by_role("button", name="Discard", exact=True).click()
    await expect(rows).to_have_count(2)
    await page.get_by_role("button", name="Discard all listed").click()
    await page.get_by_role("button", name="Discard", exact=True).click()
    await expect(page.locator("#dead-note")).to_have_text("2 dead letters discarded.")
    await expect(rows).to_have_count(0)


async def test_dead_letters_outside_of_the_time_range_are_not_forgotten(desk: Desk) -> None:
    """If the time range has no dead letter, the page says that there are others and shows them; all can be exported."""
    await desk.office.bury("e")
    await desk.open("dead?from=2026-01-01T00:00Z&to=2026-01-02T00:00Z")
    await expect(desk.page.locator("#dead-empty")).to_contain_text("1 dead letter from outside of this time range")
    await desk.page.get_by_role("link", name="Show all").click()
    await expect(desk.page.locator("#dead-table tbody tr")).to_have_count(1)

    async with desk.page.expect_download() as saving:
        await desk.page.get_by_role("link", name="Export all").click()
    path = await (await saving.value).path()

    assert '"poison-e"' in await asyncio.to_thread(path.read_text)
    await desk.page.get_by_role("button", name="Discard all listed").click()
    await desk.page.get_by_role("button", name="Discard", exact=True).click()
    await expect(desk.page.locator("#dead-note")).to_have_text("1 dead letter discarded.")


async def test_a_pixel_is_paused_and_resumed(desk: Desk) -> None:
    """Pause asks first, then the pixel's events wait; Resume delivers them."""
    page = desk.page
    await desk.open("pixels")
    card = page.get_by_role("region", name=f"Pixel {OTHER}")
    await card.get_by_role("button", name=f"Pause… pixel {OTHER}").click()
    await page.get_by_role("button", name="Pause", exact=True).click()
    await expect(card).to_contain_text("Paused by you")
    await desk.office.send({"name": "Lead", "id": "held-back", "pixels": [OTHER]})
    await expect(card).to_contain_text("1 event")

    await card.get_by_role("button", name=f"Resume pixel {OTHER}").click()

    await expect(card).to_contain_text("Delivering")
    await desk.open("events?id=held-back")
    await expect(desk.row("held-back")).to_contain_text("Delivered")


async def test_a_test_event_code_has_an_end(desk: Desk) -> None:
    """With a test event code, events count as tests until the time on the page, or until the operator ends it."""
    await desk.open("pixels")
    card = desk.page.get_by_role("region", name=f"Pixel {PIXEL}")
    await card.get_by_text("Test events", exact=True).click()
    await card.get_by_label("Test event code").fill("TEST4711")
    await card.get_by_label("For minutes").fill("30")
    await card.get_by_role("button", name="Send as test events").click()
    await expect(card).to_contain_text(re.compile(r"TEST4711 until .*in 30 min"))

    await card.get_by_role("button", name="End test").click()

    await expect(card.locator(".words")).not_to_contain_text("TEST4711")


async def test_the_doctor_examines_when_asked(desk: Desk) -> None:
    """The button starts an examination, and its findings appear without a reload, each with what to do about it."""
    await desk.open("doctor")
    await desk.page.get_by_role("button", name="Examine now").click()

    await expect(desk.page.locator("#doctor-note")).to_have_text("The examination is finished.", timeout=90_000)
    await expect(desk.page.locator("#doctor-summary")).to_contain_text("finished")
    assert await desk.page.locator(".finding").count() >= 1


@pytest.mark.parametrize(
    ("mode", "code", "state", "message"),
    [
        ("500", "code 2", "degraded", "Service temporarily unavailable"),
        ("190", "code 190", "failing", "Error validating access token"),
    ],
)
async def test_while_graph_refuses_the_page_is_not_green_and_metas_words_are_shown(
    loud: Desk, mode: str, code: str, state: str, message: str
) -> None:
    """While Meta refuses the token or is down, the overview and the pixel's card show it, with Meta's own words."""
    page = loud.page
    await loud.open()
    await loud.office.fault(mode=mode, pixel=OTHER)
    await loud.office.send({"name": "Lead", "id": f"waits-{mode}", "pixels": [OTHER]})
    await expect(page.locator("#banner")).to_have_attribute("data-state", state)
    await expect(page.locator("#attention")).to_contain_text(message)
    await page.locator("#attention").get_by_role("link", name="Look at the pixel").first.click()
    card = page.get_by_role("region", name=f"Pixel {OTHER}")
    await expect(card).to_contain_text(message)
    await expect(card).to_contain_text(code)

    await loud.office.fault(mode="none")

    await expect(page.locator("#banner")).to_contain_text("Ready")


@pytest.fixture(name="single")
async def _single(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context()
    yield context
    await context.close()


async def test_a_proxy_that_is_down_is_said_to_be_down(single: BrowserContext, tmp_path: Path) -> None:
    """When the proxy stops, the page says since when, keeps what it had shown, and recovers without a reload."""
    page = await single.new_page()
    async with served(make_app()) as graph, aiohttp.ClientSession() as http:
        async with run_proxy(configuration(tmp_path, graph)) as proxy:
            desk = Desk(page, Office(http, proxy, graph))
            await desk.office.send({"name": "Lead", "id": "kept"})
            await desk.office.ended("kept")
            await desk.open("events")
            await expect(desk.row("kept")).to_have_count(1)
        await expect(page.locator("#banner")).to_contain_text(re.compile(r"does not answer since \d\d:\d\d:\d\d"))
        await expect(desk.row("kept")).to_have_count(1)
        operator = f"127.0.0.1:{proxy.operator.port}"
        async with run_proxy(configuration(tmp_path, graph, operator_listen=operator)):
            await expect(page.locator("#banner")).to_contain_text("Ready")
            await desk.live()
            await page.close()


async def test_signing_in_leads_to_what_was_asked_for(single: BrowserContext, tmp_path: Path) -> None:
    """With a password set, every address leads to the login page, and from there to the page first requested."""
    page = await single.new_page()
    async with open_office(tmp_path, operator_password="the right password") as office:
        await page.goto(f"{office.origin}/#/pixels?range=7d")
        await page.get_by_label("password").fill("a wrong password")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("not the password")
        await page.get_by_label("password").fill("the right password")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Pixels")
        await expect(page.locator("#pixels section")).to_have_count(2)
        assert "range=7d" in page.url
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("password")).to_be_visible()
        await page.close()

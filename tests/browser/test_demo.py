"""The demo, clicked through in a real browser: every event counted exactly once, and nothing before consent."""

import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from conftest import USER_AGENT
from demo_page import as_a_proxy_would, four_free_ports
from playwright.async_api import Browser, Page, expect
from support import VISITOR_ADDRESS, get_json, until

from proxy.cli.demo import Demo, run_demo

# The README's picture; it is written only if a variable of the environment asks for it.
PICTURE = Path(__file__).resolve().parents[2] / "docs" / "demo.png"
CLICK_ID = "IwAR2_Click-Id"

# What the shop's pages fire on the way from the front page to the thank-you page.
PAGES = ["PageView"] * 5
ACTIONS = ["ViewContent", "AddToCart", "InitiateCheckout", "Purchase"]


@dataclass(frozen=True)
class Visit:
    """A browser in the shop, and the events that the simulator got from it."""

    page: Page
    demo: Demo
    session: aiohttp.ClientSession

    async def click_through(self, query: str) -> None:
        """Go from the front page to the thank-you page; on each page wait for the events that it fires."""
        page, side = self.page, "browser" if "pixel=normal" in query else "server"
        await page.goto(f"{self.demo.shop}/?{query}")
        if "consent=ask" in query:
            await self.nothing_yet()
            await page.click("#grant")
        await self.seen(side, ["PageView"])
        await page.click("a[href*='/product/']")
        await self.seen(side, ["PageView"] * 2 + ["ViewContent"])
        if "tag=late" in query:
            # If an accessor replaces the property, the tag hears the calls.
            await page.wait_for_function("() => Object.getOwnPropertyDescriptor(fbq, 'callMethod')?.get")
        await page.click("#add-to-cart")
        await self.seen(side, ["PageView"] * 2 + ["ViewContent", "AddToCart"])
        await page.click("#added a")
        await self.seen(side, ["PageView"] * 3 + ["ViewContent", "AddToCart"])
        if "tag=late" in query:
            await page.wait_for_function("() => Object.getOwnPropertyDescriptor(fbq, 'callMethod')?.get")
        await page.click("#to-checkout")
        await self.seen(side, ["PageView"] * 4 + ["ViewContent", "AddToCart", "InitiateCheckout"])
        for name, value in {"em": "John_Smith@gmail.com", "ph": "(650)555-1212"}.items():
            await page.fill(f"[name={name}]", value)
        await page.click("#place-order")
        await page.wait_for_url("**/thank-you*")
        await self.seen(side, PAGES + ACTIONS)

    async def seen(self, side: str, names: list[str]) -> None:
        """Wait until the page is loaded and the simulator has one copy of each of these events from one side."""
        await self.page.wait_for_load_state("load")

        async def arrived() -> bool:
            found = await get_json(self.session, f"{self.demo.simulator}/sim/events?source={side}")
            return sorted(entry["name"] for entry in found["events"]) == sorted(names)

        await until(arrived, seconds=30, what=f"{len(names)} events of the {side}")

    async def nothing_yet(self) -> None:
        """Check, once the page is loaded and the tag runs, that no copy was sent and no cookie was made."""
        await self.page.wait_for_load_state("load")
        await self.page.wait_for_function("() => typeof fbq.callMethod === 'function'")
        cookies = {cookie.get("name") for cookie in await self.page.context.cookies()}
        assert (await get_json(self.session, f"{self.demo.simulator}/sim/events"))["events"] == []
        assert cookies & {"_fbp", "_fbc"} == set()

    async def report(self, names: list[str]) -> dict[str, Any]:
        """Wait until the simulator has seen the expected events, then return its report."""

        async def complete() -> dict[str, Any] | None:
            report = await get_json(self.session, f"{self.demo.simulator}/sim/report")
            seen = sorted(pair["name"] for pair in report["pairs"])
            done = seen == sorted(names) and all(pair["server"] or not pair["id"] for pair in report["pairs"])
            return report if done else None

        found: dict[str, Any] = await until(complete, seconds=30, what=f"{len(names)} events at the simulator")
        return found

    async def server_events(self) -> list[dict[str, Any]]:
        found = await get_json(self.session, f"{self.demo.simulator}/sim/events?source=server")
        return [entry["event"] for entry in found["events"]]


@pytest.fixture(name="visit")
async def _visit(browser: Browser) -> AsyncIterator[Visit]:
    with four_free_ports() as port:
        async with run_demo(port) as addresses, aiohttp.ClientSession() as session:
            context = await browser.new_context(user_agent=USER_AGENT)
            await context.route("**/e", as_a_proxy_would)
            yield Visit(await context.new_page(), addresses, session)
            await context.close()


def verdicts(report: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for pair in report["pairs"]:
        found[pair["verdict"]] = found.get(pair["verdict"], 0) + 1
    return found


def hold_identity(events: list[dict[str, Any]]) -> None:
    """Check that every server copy has an address, a user agent, the same fbp, and the fbc of the ad click."""
    users = [event["user_data"] for event in events]
    assert {user["client_ip_address"] for user in users} == {VISITOR_ADDRESS}
    assert {user["client_user_agent"] for user in users} == {USER_AGENT}
    assert len({user["fbp"] for user in users}) == 1
    assert {user["fbc"].split(".", 3)[3] for user in users} == {CLICK_ID}
    assert len({user["fbc"] for user in users}) == 1


@pytest.mark.parametrize("tag", ["trap", "first"])
async def test_tag_before_the_pixel(visit: Visit, tag: str) -> None:
    """If the trap or the tag comes before the Pixel, every event is a pair with one id, which is counted once."""
    await visit.click_through(f"pixel=normal&tag={tag}&consent=granted&fbclid={CLICK_ID}")
    report = await visit.report(PAGES + ACTIONS)

    assert verdicts(report) == {"pair": 9}
    assert {(pair["browser"], pair["server"], pair["counted"], pair["by"]) for pair in report["pairs"]} == {
        (1, 1, 1, "id")
    }
    hold_identity(await visit.server_events())


async def test_pixel_blocked(visit: Visit) -> None:
    """With the Pixel blocked, every event is recovered by its server copy, counted once."""
    await visit.click_through(f"pixel=blocked&tag=trap&consent=granted&fbclid={CLICK_ID}")
    report = await visit.report(PAGES + ACTIONS)

    assert verdicts(report) == {"recovered": 9}
    assert {(pair["browser"], pair["server"], pair["counted"]) for pair in report["pairs"]} == {(0, 1, 1)}
    hold_identity(await visit.server_events())


async def test_config_never_arrives(visit: Visit) -> None:
    """When the Pixel loads but its config never does, it waits for ever, and every event is recovered."""
    await visit.click_through(f"pixel=noconfig&tag=trap&consent=granted&fbclid={CLICK_ID}")
    report = await visit.report(PAGES + ACTIONS)

    assert verdicts(report) == {"recovered": 9}
    hold_identity(await visit.server_events())


async def test_pixel_before_the_tag(visit: Visit) -> None:
    """With a late tag, calls that the Pixel took before are browser-only, later ones are pairs; each counts once."""
    await visit.click_through(f"pixel=normal&tag=late&consent=granted&fbclid={CLICK_ID}")

    async def complete() -> dict[str, Any] | None:
        report = await get_json(visit.session, f"{visit.demo.simulator}/sim/report")
        clicked = [pair for pair in report["pairs"] if pair["name"] in {"AddToCart", "InitiateCheckout"}]
        done = len(report["pairs"]) == 9 and all(pair["server"] for pair in clicked)
        return report if done else None

    report = await until(complete, seconds=30, what="nine events at the simulator")
    by_name = {pair["name"]: pair["verdict"] for pair in report["pairs"] if pair["name"] != "PageView"}

    assert {pair["counted"] for pair in report["pairs"]} == {1}
    assert (by_name["AddToCart"], by_name["InitiateCheckout"]) == ("pair", "pair")
    assert {pair["verdict"] for pair in report["pairs"] if pair["name"] == "PageView"} == {"browser_only"}
    assert by_name["ViewContent"] == "browser_only"
    hold_identity(await visit.server_events())


async def test_consent_revoked_then_granted(visit: Visit) -> None:
    """Nothing leaves and no cookie is made before the visitor agrees; afterwards every event is a pair."""
    await visit.click_through(f"pixel=normal&tag=first&consent=ask&fbclid={CLICK_ID}")
    report = await visit.report(PAGES + ACTIONS)

    assert verdicts(report) == {"pair": 9}
    assert {pair["counted"] for pair in report["pairs"]} == {1}
    hold_identity(await visit.server_events())


async def test_the_checkout_form_becomes_hashed_match_keys(visit: Visit) -> None:
    """What the visitor typed reaches Graph as the documented hashes, and never in clear text."""
    await visit.click_through("pixel=blocked&tag=first&consent=granted")
    await visit.report(PAGES + ACTIONS)
    events = await visit.server_events()
    (purchase,) = [event for event in events if event["event_name"] == "Purchase"]

    assert purchase["user_data"]["em"] == ["62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"]
    assert purchase["custom_data"]["value"] > 0
    assert "smith" not in str(events).lower()
    assert "5551212" not in str(events)


async def test_the_pairs_page_shows_what_happened(visit: Visit, tmp_path: Path) -> None:
    """The events page shows each pair: counted once with the Pixel, recovered without it."""
    page = visit.page
    await page.set_viewport_size({"width": 1200, "height": 800})
    await page.goto(f"{visit.demo.shop}/?pixel=normal&tag=first&consent=granted")
    await visit.seen("browser", ["PageView"])
    await page.click("a[href*='/product/']")
    await visit.seen("browser", ["PageView", "PageView", "ViewContent"])
    await page.click("#add-to-cart")
    await visit.report(["PageView", "PageView", "ViewContent", "AddToCart"])
    await page.goto(f"{visit.demo.shop}/cart?pixel=blocked")
    await visit.seen("server", [*["PageView"] * 3, "ViewContent", "AddToCart"])
    await page.click("#to-checkout")
    await visit.report([*["PageView"] * 4, "ViewContent", "AddToCart", "InitiateCheckout"])
    await page.goto(visit.demo.pairs)
    await expect(page.locator("#rows tr")).to_have_count(7)
    picture = PICTURE if os.environ.get("CAPI_PROXY_PICTURE") else tmp_path / "demo.png"
    await page.screenshot(path=picture)

    await expect(page.get_by_text("counted once").first).to_be_visible()
    await expect(page.get_by_text("recovered").first).to_be_visible()
    assert picture.stat().st_size > 10_000


async def test_the_dashboard_shows_what_visits_came_to(visit: Visit, tmp_path: Path) -> None:
    """After a visit with a blocked Pixel and one with a working Pixel, the overview counts the events of both."""
    page = visit.page
    await visit.click_through(f"pixel=blocked&tag=trap&consent=granted&fbclid={CLICK_ID}")
    await visit.click_through("pixel=normal&tag=trap&consent=granted")
    await page.set_viewport_size({"width": 1200, "height": 1180})
    await page.goto(f"{visit.demo.dashboard}/#/overview?range=1h")

    await expect(page.locator("#totals")).to_contain_text(re.compile(r"Delivered\s*18.*Recovered\s*9"), timeout=90_000)
    await expect(page.locator("#updated")).to_have_text("Live")
    pictured = PICTURE.with_name("dashboard.png") if os.environ.get("CAPI_PROXY_PICTURE") else tmp_path / "d.png"
    await page.screenshot(path=pictured)
    assert pictured.stat().st_size > 10_000

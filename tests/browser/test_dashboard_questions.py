"""Five questions of a site owner, answered by clicking and reading at the dashboard."""

import re
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from dashboard import PIXEL, Desk, Office, open_office
from playwright.async_api import expect


@pytest.fixture(name="office", scope="module")
async def _office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """Run a proxy whose tokens end soon."""
    async with open_office(tmp_path_factory.mktemp("office"), token_days=9) as office:
        yield office


@pytest.fixture(name="sold", scope="module")
async def _sold(office: Office) -> datetime:
    """Send a Purchase whose Pixel is blocked, among visits with and without a blocker; return its time."""
    moment = datetime.now().astimezone()
    purchase = {"name": "Purchase", "id": "order-shop-1403", "pixel": "blocked"}
    await office.send({**purchase, "data": {"value": 89, "currency": "EUR"}})
    views = [{"name": "PageView", "id": f"view-{number}", "pixel": "fired"} for number in range(3)]
    await office.send(*views)
    await office.ended("order-shop-1403", "view-0", "view-1", "view-2")
    return moment


async def enter(desk: Desk, page: str) -> None:
    """Open the dashboard as by its plain address, and go to a page by the list of pages."""
    await desk.page.goto(f"{desk.office.origin}/")
    await desk.page.get_by_role("navigation", name="Pages").get_by_role("link", name=page).click()
    await expect(desk.page.get_by_role("heading", level=1)).to_have_text(page)
    await desk.loaded()


async def find_purchase(desk: Desk, sold: datetime) -> None:
    """Find the Purchase by its name and its time, and open its story."""
    page = desk.page
    await enter(desk, "Events")
    await page.get_by_role("combobox", name="Name").fill("Purchase")
    around = page.get_by_label("Around")
    zone = await page.evaluate("-new Date().getTimezoneOffset()")
    assert zone == 0, "the test's browser is in UTC"
    await around.fill(sold.astimezone().strftime("%Y-%m-%dT%H:%M"))
    await around.press("Enter")
    await expect(desk.rows).to_have_count(1)
    await desk.rows.get_by_role("link", name="Purchase").click()


async def test_did_my_purchase_reach_meta(desk: Desk, sold: datetime) -> None:
    """The Purchase is found by time and name alone; its story begins with the answer and says when Meta took it."""
    await find_purchase(desk, sold)

    await expect(desk.page.locator("#answer")).to_contain_text(re.compile(r"Yes, Meta has it: taken on .*\d\d:\d\d"))


async def test_was_the_browser_copy_blocked(desk: Desk, sold: datetime) -> None:
    """The same story says what became of the browser copy."""
    await find_purchase(desk, sold)

    await expect(desk.page.locator("#copy-answer")).to_contain_text("own copy was blocked")


@pytest.mark.usefixtures("sold")
async def test_what_is_my_match_quality(desk: Desk) -> None:
    """The overview shows an estimate out of 10, also by event name, and what would raise it."""
    await enter(desk, "Overview")

    await expect(desk.page.locator("#score")).to_contain_text(re.compile(r"\d\.\d of 10"))
    await expect(desk.page.locator("#quality-advice li").first).to_contain_text("+")
    purchases = desk.page.locator("#quality-by-name tr", has=desk.page.get_by_role("rowheader", name="Purchase"))
    await expect(purchases).to_contain_text("browser id (fbp) 100 %")


@pytest.mark.usefixtures("sold")
async def test_what_share_is_recovered_by_day(desk: Desk) -> None:
    """In a table of seven days today's row has the share, other days are unknown; the value stands above it."""
    await enter(desk, "Overview")
    await desk.page.get_by_role("link", name="The last 7 days").click()
    await desk.page.get_by_role("link", name="Show tables").click()
    shares = desk.page.get_by_role("table").filter(has_text="Recovered, blocked, in pairs")

    await expect(shares.get_by_role("row").nth(1)).to_contain_text("25 %")
    await expect(shares.get_by_role("row").nth(2)).to_contain_text("not known")
    await expect(desk.page.locator("#totals")).to_contain_text("EUR 89.00")


@pytest.mark.usefixtures("sold")
async def test_is_my_token_about_to_die(desk: Desk) -> None:
    """The pixel's card says when the token ends and what it may do; if that is soon, the overview warns of it too."""
    await enter(desk, "Pixels")
    card = desk.page.get_by_role("region", name=f"Pixel {PIXEL}")
    await card.get_by_role("button", name=f"Ask about the token of pixel {PIXEL}").click()
    await expect(card).to_contain_text(re.compile(r"Ends soon it ends .*\(in 9 days\)"))
    await expect(card).to_contain_text("may: ads_management")

    await enter(desk, "Overview")

    await expect(desk.page.locator("#attention")).to_contain_text(re.compile(f"{PIXEL}.*9 days"))

"""Every page of the dashboard in real Chromium: accessible, at any width, and under its content security policy."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from dashboard import OTHER, PAGES, PHONE, PIXEL, Desk, Office
from playwright.async_api import expect

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
STORY = f"event?pixel={PIXEL}&name=Purchase&id=pages-sold"
ADDRESSES = [*PAGES, STORY, "overview?range=7d&view=tables", "events?status=dead&range=1h"]
# Elements that a keyboard user must be able to reach, each with whether it is visible.
REACHABLE = """() => [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
  .filter((element) => !element.disabled && !element.closest('dialog'))
  .filter((element) => element.checkVisibility({ visibilityProperty: true }))
  .map((element, index) => { element.dataset.reach = index; return index; })"""
# Makes the next Tab lead to the first element of the page.
FROM_THE_START = "document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')"
FOCUSED = """() => {
  const element = document.activeElement;
  if (!element || element == document.body) return null;
  const style = getComputedStyle(element);
  const isSeen = style.outlineStyle != 'none' && parseFloat(style.outlineWidth) > 0;
  return { reach: element.dataset.reach ?? '', name: element.outerHTML.slice(0, 90), isSeen };
}"""


@pytest.fixture(name="filled", scope="module", autouse=True)
async def _filled(office: Office) -> None:
    """Make events of each kind, so that no page is empty."""
    await office.send(
        {"name": "Purchase", "id": "pages-sold", "pixel": "blocked", "data": {"value": 129.9, "currency": "EUR"}},
        {"name": "Purchase", "id": "pages-worthless"},
        {"name": "ViewContent", "id": "pages-" + "x" * 190},
        {"name": "N" * 100, "id": "pages-named", "pixel": "pending"},
        {"name": "ViewContent", "id": "pages-again"},
        {"name": "ViewContent", "id": "pages-again"},
    )
    await office.ended("pages-sold", "pages-worthless", "pages-named", "pages-again")
    await office.bury("pages-1", "y" * 180)
    await office.fault(mode="190", pixel=OTHER)
    await office.send({"name": "Lead", "id": "pages-waits", "pixels": [OTHER]})


async def violations(desk: Desk) -> list[dict[str, Any]]:
    """Return the violations that axe-core finds on the page."""
    await desk.page.evaluate(AXE.read_text())
    found = await desk.page.evaluate("axe.run(document, { preload: false, resultTypes: ['violations'] })")
    return [
        {"rule": violation["id"], "impact": violation["impact"], "where": [node["html"] for node in violation["nodes"]]}
        for violation in found["violations"]
    ]


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("address", ADDRESSES)
async def test_axe_finds_nothing(desk: Desk, address: str, colours: Literal["light", "dark"]) -> None:
    """axe-core finds no violation on any page, in light and in dark colours."""
    await desk.page.emulate_media(color_scheme=colours)
    await desk.open(address)

    assert await violations(desk) == []


async def test_axe_would_find_something(desk: Desk) -> None:
    """The check can fail: axe-core finds an image without a text."""
    await desk.open("doctor")
    await desk.page.evaluate("document.querySelector('main').append(document.createElement('img'))")

    assert "image-alt" in {violation["rule"] for violation in await violations(desk)}


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_page_is_used_by_keyboard_alone(desk: Desk, address: str) -> None:
    """Tab reaches every usable element, with a visible focus, and leaves the page at its end."""
    await desk.open(address)
    await desk.page.get_by_role("button", name="Pause updates").click()
    await desk.page.evaluate(FROM_THE_START)
    wanted = {str(index) for index in await desk.page.evaluate(REACHABLE)}
    reached: list[str] = []
    unseen: list[str] = []
    for _ in range(len(wanted) * 4 + 40):
        await desk.page.keyboard.press("Tab")
        focused = await desk.page.evaluate(FOCUSED)
        if focused is None:
            break
        reached.append(focused["reach"])
        unseen += [] if focused["isSeen"] else [focused["name"]]
    else:
        pytest.fail(f"Tab never leaves the page: {reached[-5:]}")

    assert wanted - set(reached) == set()
    assert unseen == []


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_phone_shows_everything_without_scrolling_sideways(desk: Desk, address: str) -> None:
    """At 390 pixels no text is wider than the screen, and the tables stay tables for a screen reader."""
    await desk.page.set_viewport_size({"width": PHONE, "height": 844})
    await desk.open(address)

    assert await desk.page.evaluate("document.documentElement.scrollWidth") <= PHONE
    if "dead" in address:
        await expect(desk.page.get_by_role("rowheader").first).to_be_visible()


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_page_has_its_landmarks_and_headings(desk: Desk, address: str) -> None:
    """A page has one main landmark, one h1, which is the tab's title too, and no skipped heading level."""
    await desk.open(address)
    levels = await desk.page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].filter((e) => e.checkVisibility()).map((e) => +e.tagName[1])"
    )

    await expect(desk.page.get_by_role("main")).to_have_count(1)
    await expect(desk.page.get_by_role("navigation", name="Pages")).to_have_count(1)
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert (await desk.page.locator("h1").inner_text()) in await desk.page.title()


async def test_the_policy_allows_nothing_inline(loud: Desk) -> None:
    """No inline script or style is run on any page, even if somebody managed to inject one."""
    await loud.open()
    async with loud.office.http.get(f"{loud.office.origin}/") as answer:
        policy = answer.headers["Content-Security-Policy"]
    attempt = """() => {
      const script = document.createElement('script');
      script.textContent = 'window.stranger = true';
      document.body.append(script);
      document.body.setAttribute('style', 'color: red');
      return [window.stranger ?? null, getComputedStyle(document.body).color == 'rgb(255, 0, 0)'];
    }"""

    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert await loud.page.evaluate(attempt) == [None, False]
    assert len([text for text in loud.complaints if "Content Security Policy" in text]) == 2


async def test_the_first_link_leads_past_the_header(desk: Desk) -> None:
    """The first Tab reaches a link to the page itself; after it, Tab goes on within the page."""
    await desk.open("events")
    await desk.page.keyboard.press("Tab")
    await expect(desk.page.get_by_role("link", name="Skip to the page")).to_be_focused()
    await desk.page.keyboard.press("Enter")
    await desk.page.keyboard.press("Tab")

    await expect(desk.page.get_by_role("textbox", name="Id or order number")).to_be_focused()


async def test_a_link_leads_to_the_page_and_its_heading(desk: Desk) -> None:
    """After a link of the page list the focus is at the heading of the new page; Back leads back."""
    await desk.open()
    for name in ("Events", "Pixels", "Sources", "Dead letters", "Doctor"):
        await desk.page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
        await expect(desk.page.get_by_role("heading", level=1, name=name)).to_be_focused()
    for name in ("Dead letters", "Sources", "Pixels", "Events", "Overview"):
        await desk.page.go_back()
        await expect(desk.page.get_by_role("heading", level=1)).to_have_text(name)
    await desk.page.go_forward()
    await expect(desk.page.get_by_role("heading", level=1)).to_have_text("Events")


async def test_a_time_range_goes_along_and_is_part_of_the_address(desk: Desk) -> None:
    """The chosen range holds on every page, and its link opened in a new tab shows the same range."""
    page = desk.page
    await desk.open()
    await page.get_by_role("link", name="The last 7 days").click()
    for name in PAGES:
        await page.goto(await page.locator(f"#pages [data-page={name}]").evaluate("link => link.href"))
        await expect(page.get_by_role("link", name="The last 7 days")).to_have_attribute("aria-current", "true")
    link = page.url
    await page.goto("about:blank")
    await page.goto(link)
    await expect(page.get_by_role("link", name="The last 7 days")).to_have_attribute("aria-current", "true")


async def test_a_range_of_ones_own_by_keyboard(desk: Desk) -> None:
    """Two moments make a range; a wrong order is reported; Escape closes the form and returns the focus."""
    page = desk.page
    await desk.open("events")
    summary = page.locator("#range-custom summary")
    await summary.focus()
    await page.keyboard.press("Enter")
    await page.get_by_label("From").fill("2026-03-02T10:00")
    await page.get_by_label("To", exact=True).fill("2026-03-01T10:00")
    await page.keyboard.press("Enter")
    await expect(page.locator("#range-note")).to_contain_text("must begin before it ends")
    await page.keyboard.press("Escape")
    await expect(summary).to_be_focused()
    await page.keyboard.press("Enter")
    await page.get_by_label("To", exact=True).fill("2026-03-03T10:30")
    await page.keyboard.press("Enter")

    await expect(summary).to_contain_text("2 Mar")
    await expect(page.locator("#events-none")).to_contain_text(re.compile("2 Mar, 10:00 . 3 Mar, 10:30"))
    await expect(summary).to_be_focused()


async def test_an_unknown_address_shows_the_overview(desk: Desk) -> None:
    """The address of a page that does not exist, or of no page at all, shows the overview."""
    for address in ("constructor", "nothing?range=soon", ""):
        await desk.open(address)
        await expect(desk.page.get_by_role("heading", level=1)).to_have_text("Overview")


@pytest.mark.parametrize("address", ["overview", "events", "dead", "sources"])
async def test_the_longest_name_leaves_room_for_all_else(desk: Desk, address: str) -> None:
    """On a wide screen no table is wider than its container, however long names and ids are."""
    await desk.open(address)
    wide = "[...document.querySelectorAll('.table')].filter((box) => box.scrollWidth > box.clientWidth)"

    assert await desk.page.evaluate(f"{wide}.map(({{ id }}) => id)") == []


async def test_letters_from_right_to_left_move_no_figure(desk: Desk) -> None:
    """A count stands to the right of its name even if the name is written from right to left."""
    await desk.office.send({"name": "شراء", "id": "pages-right"})
    await desk.office.ended("pages-right")
    await desk.open("sources")
    item = desk.page.locator("#sites li", has_text="شراء")
    name, figure = await item.locator("a").bounding_box(), await item.locator("strong").bounding_box()

    assert name
    assert figure
    assert figure["x"] > name["x"]

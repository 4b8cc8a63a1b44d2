"""The page of events in real Chromium: live, searchable, page by page, each event with its story."""

import asyncio
import re
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from dashboard import OTHER, PIXEL, Desk
from playwright.async_api import expect

HOSTILE = "<img src=x onerror=alert(1)>"


async def test_an_event_and_its_fate_appear_without_a_reload(desk: Desk) -> None:
    """An event sent while the page is open is listed once its end is known; the stream says so, without a request."""
    await desk.open("events")
    await desk.live()
    asked = len([url for url in desk.asked if "/api/events" in url])

    await desk.office.send({"name": "ViewContent", "id": "live-1"})

    await expect(desk.row("live-1")).to_contain_text("Delivered")
    await expect(desk.row("live-1")).to_contain_text("took it at")
    assert len([url for url in desk.asked if "/api/events" in url]) == asked


async def test_how_soon_a_fate_is_shown(desk: Desk, say: Callable[[str], None]) -> None:
    """The page shows the end of an event hardly later than it happened by the server's clock."""
    await desk.open("events")
    await desk.live()
    watch = """id => new Promise((resolve) => {
      const look = () => [...document.querySelectorAll('#events-table tbody tr')].some((row) =>
        row.textContent.includes(id) && row.textContent.includes('Delivered')) && resolve(Date.now());
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
      look();
    })"""
    shown = asyncio.ensure_future(desk.page.evaluate(watch, "quick-1"))
    await desk.office.send({"name": "Lead", "id": "quick-1"})
    at = await shown
    (event,) = (await desk.office.api("events?id=quick-1"))["events"]
    say(f"an event is on the page {at - event['at']} ms after its end, {at - event['arrived']} ms after its arrival")

    # A generous bound, as other programs use the machine too.
    assert at - event["at"] < 10_000


async def test_a_waiting_event_is_listed_until_meta_has_it(desk: Desk) -> None:
    """While Meta is down an event is listed as waiting; when Meta takes it, the same row says so."""
    await desk.office.fault(mode="500", pixel=OTHER)
    await desk.open("events?name=Waits")
    await desk.live()
    await desk.office.send({"name": "Waits", "id": "wait-1", "pixels": [OTHER]})
    await expect(desk.row("wait-1")).to_contain_text("Waiting")
    await desk.page.reload()
    await expect(desk.row("wait-1")).to_contain_text("Waiting")

    await desk.office.fault(mode="none")

    await expect(desk.row("wait-1")).to_contain_text("Delivered")
    await expect(desk.rows).to_have_count(1)


async def test_later_news_of_a_browser_copy_is_shown(desk: Desk) -> None:
    """A row already on the page is updated when the tag later learns what became of the browser copy."""
    await desk.open("events")
    await desk.live()
    await desk.office.send({"name": "Lead", "id": "late", "pixel": "pending"})
    await expect(desk.row("late")).to_contain_text("Not known")

    await desk.office.send(copy_updates=({"name": "Lead", "id": "late", "pixel": "blocked"},))

    await expect(desk.row("late")).to_contain_text("Blocked")


async def test_events_are_found_by_name_id_order_and_pixel(desk: Desk) -> None:
    """Events are found by name, id, order number and pixel; the address keeps the filter, and Clear removes it."""
    await desk.office.send(
        {"name": "Lead", "id": "find-1"},
        {"name": "Seek", "id": "find-2", "pixels": [PIXEL, OTHER]},
        {"name": "Purchase", "id": "order-shop-A77", "data": {"value": 12.5, "currency": "EUR"}},
    )
    await desk.office.ended("find-1", "find-2", "order-shop-A77")
    await desk.open("events")
    page = desk.page
    await page.get_by_role("combobox", name="Name").fill("Seek")
    await expect(desk.rows).to_have_count(2)
    await page.get_by_role("combobox", name="Pixel").select_option(OTHER)
    await expect(desk.rows).to_have_count(1)
    await page.reload()
    await expect(desk.rows).to_have_count(1)
    await expect(page.get_by_role("combobox", name="Name")).to_have_value("Seek")
    await page.get_by_role("combobox", name="Status").select_option("dead")
    await expect(page.locator("#events-none")).to_be_visible()
    await page.get_by_role("button", name="Clear filters").click()
    await expect(page.get_by_role("combobox", name="Name")).to_have_value("")
    await page.get_by_role("textbox", name="Id or order number").fill("A77")
    await expect(desk.rows).to_have_count(1)
    await expect(desk.row("order-shop-A77")).to_contain_text("EUR 12.50")


async def test_events_around_a_moment(desk: Desk) -> None:
    """A moment selects the five minutes before and after it, as a range in the address; other events are left out."""
    await desk.office.send({"name": "Moment", "id": "moment-1"})
    await desk.office.ended("moment-1")
    await desk.open("events?name=Moment")
    local = "new Date(Date.now() - new Date().getTimezoneOffset() * 60000)"
    now = await desk.page.evaluate(f"{local}.toISOString().slice(0, 16)")
    around = desk.page.get_by_label("Around")
    await around.fill(now)
    await around.press("Enter")
    await expect(desk.page).to_have_url(re.compile(r"from=.*to="))
    await expect(desk.row("moment-1")).to_have_count(1)

    await around.fill(f"2020{now[4:]}")
    await around.press("Enter")

    await expect(desk.page.locator("#events-none")).to_contain_text("2020")


async def test_pages_have_no_end(desk: Desk) -> None:
    """Links lead to older events page by page, with no event shown twice or left out; Back returns."""
    ids = [f"many-{number:03}" for number in range(120)]
    await desk.office.send(*({"name": "Many", "id": event_id} for event_id in ids))
    await desk.office.ended(*ids)
    await desk.open("events?name=Many")
    seen: list[str] = []
    for listed in (50, 50, 20):
        await expect(desk.rows).to_have_count(listed)
        texts = await desk.rows.locator("th code").all_inner_texts()
        seen += texts
        if listed == 50:
            await desk.page.get_by_role("link", name="Older events").click()
            await expect(desk.page.get_by_text(texts[-1])).to_have_count(0)
    assert sorted(seen) == ids

    await desk.page.go_back()
    await expect(desk.rows).to_have_count(50)
    await desk.page.get_by_role("link", name="Newest events").click()
    await expect(desk.page.get_by_text(seen[0])).to_have_count(1)


async def test_the_story_of_a_recovered_purchase(desk: Desk) -> None:
    """An event's name leads to its story: whether Meta has it, its browser copy, each step with its time, and proof."""
    purchase = {"name": "Purchase", "id": "story-1", "pixel": "blocked", "data": {"value": 1299, "currency": "EUR"}}
    await desk.office.send(purchase)
    await desk.office.ended("story-1")
    await desk.open("events?id=story-1")
    await desk.row("story-1").get_by_role("link", name="Purchase").click()

    page = desk.page
    await expect(page.locator("#answer")).to_contain_text("Yes, Meta has it")
    await expect(page.locator("#copy-answer")).to_contain_text("was blocked")
    steps = page.locator("#timeline li")
    await expect(steps.last).to_be_visible()
    assert await steps.count() >= 3
    await expect(page.locator("#story")).to_contain_text("EUR 1,299.00")
    await expect(page.locator("#story")).to_contain_text("granted (the visitor agreed")
    await expect(page.locator("#story")).to_contain_text("browser id (fbp)")


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        ({"name": "Purchase", "id": "worthless"}, "No, it was not sent: a Purchase without a value"),
        ({"name": "Lead", "id": "poison-told"}, "No, Meta refused it: Meta refuses this event"),
    ],
    ids=["dropped", "dead"],
)
async def test_the_story_of_an_event_that_meta_does_not_have(desk: Desk, event: dict[str, str], answer: str) -> None:
    """The story of a dropped or dead event begins with No, and the reason."""
    await desk.office.fault(mode="poison", match="poison")
    await desk.office.send(event)
    await desk.office.ended(event["id"])
    await desk.office.fault(mode="none")
    await desk.open(f"event?{urlencode({'pixel': PIXEL, **event})}")

    await expect(desk.page.locator("#answer")).to_contain_text(answer)


async def test_an_unknown_event_is_said_to_be_unknown(loud: Desk) -> None:
    """A link to an event that the ledger does not have any more shows a message and not an empty page."""
    await loud.open(f"event?pixel={PIXEL}&name=Lead&id=never-seen")

    await expect(loud.page.locator("#main .note")).to_contain_text("Nothing is known of this event")


async def test_what_strangers_wrote_is_text(desk: Desk) -> None:
    """A name or an id that looks like markup makes no element, in the list, the story and the dead letters."""
    await desk.office.fault(mode="poison", match="<b>")
    await desk.office.send({"name": HOSTILE, "id": "<b>bold</b>"}, {"name": HOSTILE, "id": "'\"&?#=%00/../x"})
    await desk.office.ended("<b>bold</b>")
    await desk.office.fault(mode="none")
    for address in ("events?status=dead", "dead", "overview", "sources"):
        await desk.open(address)
        assert await desk.page.locator("main img, main b").count() == 0
    await desk.open("events")
    await desk.row("'\"&?#=%00/../x").get_by_role("link").click()
    await expect(desk.page.locator("#story h2")).to_have_text(f"{HOSTILE} '\"&?#=%00/../x")
    assert await desk.page.locator("main img, main b").count() == 0


async def test_an_update_leaves_the_reader_in_peace(desk: Desk) -> None:
    """New rows move neither the focus nor the row that the reader looks at."""
    await desk.office.send(*({"name": "Search", "id": f"old-{number:02}"} for number in range(40)))
    await desk.office.ended(*(f"old-{number:02}" for number in range(40)))
    await desk.open("events?name=Search")
    await desk.live()
    read = desk.row("old-20")
    await read.get_by_role("link").focus()
    await read.evaluate("row => row.scrollIntoView({ block: 'center' })")
    before = await read.evaluate("row => row.getBoundingClientRect().top")

    await desk.office.send(*({"name": "Search", "id": f"new-{number}"} for number in range(6)))
    await expect(desk.row("new-")).to_have_count(6)

    assert abs(await read.evaluate("row => row.getBoundingClientRect().top") - before) < 2
    await expect(read.get_by_role("link")).to_be_focused()


async def test_new_events_are_announced_and_do_not_shout(desk: Desk) -> None:
    """A screen reader announces a burst of events once, in a few words, and no single row."""
    await desk.open("events")
    await desk.live()
    await desk.page.evaluate(
        """() => {
          window.said = [];
          const note = document.getElementById('announce');
          const hear = () => note.textContent && said.push(note.textContent);
          new MutationObserver(hear).observe(note, { childList: true });
        }"""
    )
    await desk.office.send(*({"name": "Burst", "id": f"burst-{number}"} for number in range(20)))
    await expect(desk.row("burst-")).to_have_count(20)

    assert await desk.page.evaluate("said") == ["A new event"]
    assert await desk.page.locator("#main [aria-live], #main [role=log]").count() == 0


@pytest.mark.own_page
async def test_a_hidden_tab_asks_nothing(desk: Desk) -> None:
    """While the tab is hidden or updates are paused the page sends no request; at the end of either it asks at once."""
    page = desk.page
    await page.clock.install()
    await desk.open("events")
    hide = "hidden => {{ Object.defineProperty(document, 'hidden', {{ value: hidden, configurable: true }}); {0} }}"
    hide = hide.format("document.dispatchEvent(new Event('visibilitychange'))")
    await page.evaluate(hide, True)
    asked = len(desk.asked)
    await page.clock.run_for(60_000)
    assert len(desk.asked) == asked

    async with page.expect_response("**/api/status"):
        await page.evaluate(hide, False)
    await page.get_by_role("button", name="Pause updates").click()
    await expect(page.locator("#updated")).to_have_text("Paused")
    asked = len(desk.asked)
    await page.clock.run_for(60_000)
    assert len(desk.asked) == asked
    async with page.expect_response("**/api/status"):
        await page.get_by_role("button", name="Resume updates").click()

"""The dashboard with a user in a hurry: a click right after typing, late answers, and many events at once."""

import asyncio
import re
import time
from urllib.parse import urlencode

import orjson
import pytest
from dashboard import OTHER, PIXEL, Desk
from playwright.async_api import Route, expect

IDS = "#events-table tbody th code"


@pytest.mark.own_page
async def test_what_is_typed_does_not_follow_to_the_next_page(desk: Desk) -> None:
    """A filter that is typed right before leaving the page does not add a filter or range to the next page."""
    page = desk.page
    await page.clock.install()
    await desk.open("events")
    # Stop the clock, so that typing takes no effect before the click, however slow this machine is.
    await page.clock.pause_at(time.time() + 60)
    await page.get_by_role("combobox", name="Name").fill("Lead")
    await page.locator("[data-page=overview]").click()
    await page.clock.run_for(5000)
    await page.locator("[data-page=events]").click()
    await page.get_by_label("Around").fill("2026-01-02T03:04")
    await page.locator("[data-page=overview]").click()
    await page.clock.run_for(5000)

    assert page.url.endswith("#/overview")


async def test_a_filter_that_takes_effect_while_leaving_does_not_follow(desk: Desk) -> None:
    """A filter that takes effect between the click on a link and the change of the page changes no address."""
    await desk.open("events")
    await desk.page.get_by_role("combobox", name="Name").fill("Lead")
    # In one task, so that the page is still that of events although the address no longer is.
    await desk.page.evaluate("location.hash = '#/overview'; document.getElementById('filters').requestSubmit()")
    await desk.loaded()

    assert desk.page.url.endswith("#/overview")


async def test_an_event_that_ends_between_two_answers_is_listed_once(desk: Desk) -> None:
    """An event that is in the list of waiting events and in that of finished ones is shown in one row, as finished."""
    await desk.office.send({"name": "Between", "id": "between-1"})
    await desk.office.ended("between-1")
    (ended,) = (await desk.office.api("events?id=between-1"))["events"]
    waited = {**ended, "status": "waiting", "held_until": None, "suspect": False}
    del waited["number"], waited["at"]

    async def late(route: Route) -> None:
        await route.fulfill(body=orjson.dumps({"waiting": [waited]}), content_type="application/json")

    await desk.page.route("**/api/waiting?*", late)
    await desk.open("events?name=Between")

    await expect(desk.rows).to_have_count(1)
    await expect(desk.row("between-1")).to_contain_text("Delivered")


async def test_what_was_heard_outlives_an_answer_that_does_not_know_it(desk: Desk) -> None:
    """An event that the stream brings during a search stays on the page, although the search does not return it."""
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(route: Route) -> None:
        asked.set()
        await go_on.wait()
        await route.fulfill(body='{"events": [], "below": "1-1"}', content_type="application/json")

    await desk.open("events?name=Race")
    await desk.live()
    await desk.page.route("**/api/events?*", slow)
    await desk.page.evaluate("location.hash = '#/events?name=Race&range=7d'")
    await asked.wait()
    await desk.office.send({"name": "Race", "id": "race-1"})
    await expect(desk.row("race-1")).to_contain_text("Delivered")

    go_on.set()

    await expect(desk.page.get_by_role("link", name="Older events")).to_be_visible()
    await expect(desk.row("race-1")).to_contain_text("Delivered")


async def test_waiting_events_are_chosen_by_their_browser_copy(desk: Desk) -> None:
    """While Meta is down, the filter for blocked browser copies lists such waiting events, and not the fired ones."""
    await desk.office.fault(mode="500", pixel=OTHER)
    await desk.office.send(
        {"name": "Copies", "id": "copy-blocked", "pixels": [OTHER], "pixel": "blocked"},
        {"name": "Copies", "id": "copy-fired", "pixels": [OTHER], "pixel": "fired"},
    )
    await desk.open("events?name=Copies&browser_copy=blocked")
    await expect(desk.row("copy-blocked")).to_contain_text("Waiting")
    await expect(desk.rows).to_have_count(1)

    await desk.office.fault(mode="none")


async def test_older_events_follow_without_a_gap_while_events_rain(desk: Desk) -> None:
    """However many events came since the page was opened, the link to older events skips none."""
    ids = [f"rain-{number:03}" for number in range(320)]
    await desk.office.send(*({"name": "Rain", "id": event_id} for event_id in ids[:60]))
    await desk.office.ended(*ids[:60])
    await desk.open("events?name=Rain")
    await desk.live()
    for first in range(60, 320, 65):
        await desk.office.send(*({"name": "Rain", "id": event_id} for event_id in ids[first : first + 65]))
        await desk.office.ended(*ids[first : first + 65])
    await expect(desk.row("rain-3").first).to_be_visible()

    older = desk.page.get_by_role("link", name="Older events")
    await older.click()
    seen: set[str] = set()
    while True:
        await expect(desk.page.locator("#newest")).to_be_visible()
        await desk.loaded()
        texts = await desk.page.locator(IDS).all_inner_texts()
        seen |= set(texts)
        if not await older.count():
            break
        await older.click()
        await expect(desk.page.get_by_text(texts[-1])).to_have_count(0)
    await desk.page.get_by_role("link", name="Newest events").click()
    await expect(desk.row("rain-3").first).to_be_visible()

    assert sorted(seen | set(await desk.page.locator(IDS).all_inner_texts())) == ids


async def test_a_story_that_cannot_be_told_now_is_not_said_to_be_unknown(loud: Desk) -> None:
    """If the proxy refuses for a while, the page of an event says that, and not that the event is unknown."""

    async def away(route: Route) -> None:
        await route.fulfill(status=503, body='{"error": "the database is away"}', content_type="application/json")

    await loud.page.route("**/api/event?*", away)
    await loud.open(f"event?{urlencode({'pixel': PIXEL, 'name': 'Lead', 'id': 'any'})}")

    note = loud.page.locator("#main .note")
    await expect(note).to_have_text("The proxy refuses: the database is away")


async def test_a_repeat_of_a_dead_letter_is_told_as_dead(desk: Desk) -> None:
    """The story of an event that Meta refused, and that was sent again, says once that it is dead and why."""
    await desk.office.bury("again")
    await desk.office.send({"name": "Lead", "id": "poison-again"})
    await desk.office.ended("poison-again")
    await desk.open(f"event?{urlencode({'pixel': PIXEL, 'name': 'Lead', 'id': 'poison-again'})}")

    answer, copy = desk.page.locator("#answer"), desk.page.locator("#copy-answer")
    await expect(desk.page.locator("#timeline")).to_contain_text("It came again and is not sent again.")
    await expect(answer).to_have_text(re.compile(r"^Dead No, .*: Meta refuses this event\. It is kept among the dead"))
    await expect(copy).not_to_contain_text("Meta counts one")
    said = await desk.page.locator("#timeline").inner_text()
    assert said.count("refuses every batch") == 1

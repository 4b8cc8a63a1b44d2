"""Events when the network to the proxy fails, when the page has no storage, or when there are many at once."""

import asyncio

import pytest
from conftest import USER_AGENT
from lab import Lab, laboratory
from playwright.async_api import Browser, BrowserContext, Page, Route
from polling import until
from shop_page import ASYNC, BASE, COLLECT_PATH, INIT, TAG, TAKEN_OVER, script

PLACEMENTS = ["trap", "sync"]
NAMES = ["A", "B", "C", "D", "E"]
LIMIT = 64 * 1024
PROBLEMS = script("var problems = []", "onerror = (text) => { problems.push(text) }", "onunhandledrejection = onerror")


async def show(page: Page, lab: Lab, placement: str = "sync", *parts: str) -> None:
    """Open a page and wait until the Pixel has taken over and the tag is there."""
    tag = {"trap": lab.trap + ASYNC, "sync": TAG}[placement]
    head = "".join(("<link rel=icon href=data:,>", PROBLEMS, tag, BASE, INIT, *parts))
    lab.pages["/"] = f"<!doctype html><head>{head}</head>"
    await page.goto(lab.url(), wait_until="load")
    await page.wait_for_function(TAKEN_OVER)


async def call(page: Page, *names: str) -> None:
    """Send events, each in a task of its own."""
    for name in names:
        await page.evaluate("(name) => fbq('track', name, {value: 1})", name)


def told(lab: Lab) -> dict[str, set[tuple[str, int]]]:
    """Return the pairs of id and time that each event name arrived with, over all attempts so far."""
    found: dict[str, set[tuple[str, int]]] = {}
    for batch in lab.batches:
        for event in batch.events:
            found.setdefault(event["name"], set()).add((event["id"], event["at"]))
    return found


def names(lab: Lab) -> list[str]:
    return sorted(event["name"] for event in lab.events)


@pytest.mark.parametrize("placement", PLACEMENTS)
async def test_events_outlive_their_page(page: Page, lab: Lab, placement: str) -> None:
    """What could not be sent arrives from a later page of the site: once, with its first id and time."""
    tried: list[str] = []

    async def unreachable(route: Route) -> None:
        tried.append(route.request.url)
        await route.abort("connectionrefused")

    await page.route(f"**{COLLECT_PATH}", unreachable)
    await show(page, lab, placement)
    before = await page.evaluate("Date.now()")
    await call(page, *NAMES)
    after = await page.evaluate("Date.now()")
    await until(lambda: tried, what="an attempt")
    # The first page after this one cannot send either.
    await page.reload()
    await page.wait_for_function(TAKEN_OVER)
    await page.unroute(f"**{COLLECT_PATH}")
    await page.reload()
    await until(lambda: set(NAMES) <= set(names(lab)), what="all events")

    assert names(lab) == NAMES
    assert all(before <= at <= after for [(_, at)] in told(lab).values())


async def test_a_line_that_comes_back(context: BrowserContext, page: Page, lab: Lab) -> None:
    """Events called without a network are sent as soon as it is back, without another page."""
    await show(page, lab)
    await call(page, "A")
    await until(lambda: names(lab) == ["A"], what="the first event")
    await context.set_offline(offline=True)
    await call(page, *NAMES[1:])
    await page.evaluate("new Promise((done) => setTimeout(done, 50))")
    assert names(lab) == ["A"]
    await context.set_offline(offline=False)
    await until(lambda: set(NAMES) <= set(names(lab)), what="all events")

    assert names(lab) == NAMES


FORBIDDEN = """for (const name of ['localStorage', 'sessionStorage', 'indexedDB'])
  Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError') } });"""
FULL = """Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') };
  Object.defineProperty(window, 'localStorage', { value: new Proxy({}, {
    set() { throw new DOMException('full', 'QuotaExceededError') } }) });"""


@pytest.mark.parametrize("storage", [FORBIDDEN, FULL], ids=["forbidden", "full"])
@pytest.mark.parametrize("placement", PLACEMENTS)
async def test_a_page_without_storage_is_unharmed(page: Page, lab: Lab, placement: str, storage: str) -> None:
    """Without storage the page sees no error, and its events are sent, and retried, while it is open."""
    await page.add_init_script(storage)
    lab.statuses = [503]
    await show(page, lab, placement)
    await call(page, *NAMES)
    hide = "Object.defineProperty(document, 'hidden', {value: true})"
    await until(lambda: set(NAMES) <= set(names(lab)), what="all events")
    await page.evaluate(f"{hide}, document.dispatchEvent(new Event('visibilitychange'))")

    assert names(lab) == NAMES
    assert await page.evaluate("problems") == []


@pytest.mark.parametrize("when", ["before the Pixel", "after it"])
@pytest.mark.parametrize("placement", PLACEMENTS)
async def test_a_burst_arrives_in_few_requests(page: Page, lab: Lab, placement: str, when: str) -> None:
    """200 events in one task all arrive, in at most 10 requests of at most 64 KiB."""
    data = "{content_ids: ['sku-' + at], content_type: 'product', value: at, currency: 'EUR', content_name: 'A thing'}"
    burst = f"for (let at = 0; at < 200; at++) fbq('track', 'AddToCart', {data})"
    await show(page, lab, placement, *([script(burst)] if when == "before the Pixel" else []))
    if when == "after it":
        await page.evaluate(f"() => {{ {burst} }}")
    await until(lambda: len(lab.events) >= 200, what="all events")
    await call(page, "End")
    await until(lambda: "End" in names(lab), what="the last event")

    assert 201 == len({event["id"] for event in lab.events}) == len(lab.events)
    assert max(batch.size for batch in lab.batches) <= LIMIT
    assert len(lab.batches) <= 10


async def answers(browser: Browser, *statuses: int) -> Lab:
    """Answer the first attempts with these statuses; return the lab once the retry or the next event has arrived."""
    async with laboratory() as lab:
        page = await browser.new_page(user_agent=USER_AGENT)
        lab.statuses = list(statuses)
        await show(page, lab)
        await call(page, "A")
        await until(lambda: lab.batches, what="the first attempt")
        if statuses[0] not in {200, 400, 403, 404, 413, 422}:
            await until(lambda: "A" in names(lab), what=f"A after {statuses}")
        else:
            await call(page, "B")
            await until(lambda: "B" in names(lab), what=f"B after {statuses}")
        await page.close()
        return lab


async def test_what_may_pass_is_tried_again(browser: Browser) -> None:
    """After 408, 429, 5xx or a closed connection an event is sent again, with its id and time, until accepted."""
    passing = [408, 429, 500, 502, 503, 504, 0]
    labs = await asyncio.gather(*(answers(browser, status, status) for status in passing))

    for status, lab in zip(passing, labs, strict=True):
        # Chromium itself repeats a request after a closed connection or a 408, so the same event may be accepted twice.
        assert len(told(lab)["A"]) == 1, status
        assert set(names(lab)) == {"A"}, status


async def test_a_refusal_is_final(browser: Browser) -> None:
    """After any other 4xx the event is not sent again."""
    final = [400, 403, 404, 413, 422]
    labs = await asyncio.gather(*(answers(browser, status) for status in final))

    for status, lab in zip(final, labs, strict=True):
        assert names(lab) == ["B"], status
        assert sum(event["name"] == "A" for batch in lab.batches for event in batch.events) == 1, status

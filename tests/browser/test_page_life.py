"""The tag through the life of a page: routes, the back-forward cache, prerendering, hiding, leaving."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import ARGUMENTS, USER_AGENT
from lab import HOST, Lab, laboratory
from playwright.async_api import Browser, Page, async_playwright
from polling import until
from shop_page import ALONE, ASYNC, BASE, CALLS, TAG, TAKEN_OVER, script

PLACEMENTS = ["none", "trap", "sync"]
NEXT = "new Promise((done) => setTimeout(done))"


def head(lab: Lab, placement: str) -> str:
    return {"none": "", "trap": lab.trap + ASYNC, "sync": TAG}[placement]


async def show(page: Page, lab: Lab, *parts: str, path: str = "/") -> None:
    """Open a page and wait until the Pixel, if any, has taken over."""
    lab.pages["/"] = f"<!doctype html><head><link rel=icon href=data:,>{''.join(parts)}</head><body></body>"
    await page.goto(lab.url(path))
    if BASE in parts:
        await page.wait_for_function(TAKEN_OVER)


async def end(page: Page, lab: Lab, placement: str) -> None:
    """Send one last event, in a task after the last route's PageView, and wait until Pixel and tag have sent it."""
    await page.evaluate(f"async () => {{ for (let i = 0; i < 3; i++) await {NEXT}; fbq('trackCustom', 'End') }}")
    await until(lambda: any(hit["ev"] == "End" for hit in lab.fired), what="the Pixel sends End")
    if placement != "none":
        await until(lambda: any(event["name"] == "End" for event in lab.events), what="the tag mirrors End")


def views(lab: Lab) -> list[tuple[str, str]]:
    """Pixel and path of each PageView that the Pixel sent."""
    return [
        (hit["id"], urlsplit(hit["dl"])._replace(scheme="", netloc="").geturl())
        for hit in lab.fired
        if hit["ev"] == "PageView"
    ]


# What a page does, each step in a task of its own, and the paths for which the Pixel then counts a PageView.
ROUTES: dict[str, tuple[list[str], list[str]]] = {
    "push": (["history.pushState({}, '', '/two')"], ["/two"]),
    "push to the same address": (["history.pushState({}, '', location.href)"], []),
    "replace": (["history.replaceState({}, '', '/two')"], ["/two"]),
    "replace of the state alone": (["history.replaceState({a: 1}, '')"], []),
    "fragment": (["location.hash = 'two'"], ["/#two"]),
    "push and back": (
        ["history.pushState({}, '', '/two')", "history.back(); await new Promise((done) => onpopstate = done)"],
        ["/two", "/"],
    ),
    "there and there": (
        ["history.pushState({}, '', '/two')", "history.pushState({}, '', '/three?x=1')"],
        ["/two", "/three?x=1"],
    ),
    "there and here": (["history.pushState({}, '', '/two')", "history.pushState({}, '', '/')"], ["/two", "/"]),
}  # fmt: skip


@pytest.mark.parametrize("placement", PLACEMENTS)
async def test_each_route_is_one_page_view_with_an_id(page: Page, lab: Lab, placement: str) -> None:
    """Each new address is one PageView of each pixel that takes `track`, and with the tag it has an id."""
    for name, (steps, wanted) in ROUTES.items():
        lab.begin_again()
        two = script(
            "fbq('init', '111')",
            "fbq('init', '222')",
            "fbq('set', 'trackSingleOnly', true, '222')",
            "fbq('track', 'PageView')",
        )
        await show(page, lab, head(lab, placement), BASE, two)
        for step in steps:
            await page.evaluate(f"async () => {{ {step}; await {NEXT}; await {NEXT} }}")
        await end(page, lab, placement)

        assert sorted([("111", "/"), *(("111", place) for place in wanted)]) == sorted(views(lab)), name
        if placement != "none":
            assert lab.fired_pairs == lab.mirrored_pairs, name
            told = {event["id"]: batch.body["url"] for batch in lab.batches for event in lab.new(batch)}
            assert {hit["eid"]: hit["dl"] for hit in lab.fired} == told, name


OWN = {
    "at once": "history.pushState({}, '', '/two'); fbq('trackSingle', '111', 'PageView');",
    "with an id": "history.pushState({}, '', '/two'); fbq('trackSingle', '111', 'PageView', {}, {eventID: 'own'});",
    "where it may": "fbq.allowDuplicatePageViews = true; history.pushState({}, '', '/two'); fbq('track', 'PageView');",
    "in a microtask": "history.pushState({}, '', '/two'); queueMicrotask(() => fbq('trackSingle', '111', 'PageView'));",
}  # fmt: skip


@pytest.mark.parametrize("placement", ["trap", "sync"])
async def test_a_page_that_tells_its_routes_is_left_to_it(page: Page, lab: Lab, placement: str) -> None:
    """If the page itself sends the PageView of an address, the tag sends no other one."""
    for name, step in OWN.items():
        lab.begin_again()
        await show(page, lab, head(lab, placement), BASE, CALLS)
        await page.evaluate(f"async () => {{ {step} await {NEXT}; await {NEXT} }}")
        await end(page, lab, placement)

        assert sorted(views(lab)) == [("111", "/"), ("111", "/two")], name
        assert lab.fired_pairs == lab.mirrored_pairs, name


@pytest.mark.parametrize("placement", ["trap", "sync"])
async def test_a_page_may_keep_routes_to_itself(page: Page, lab: Lab, placement: str) -> None:
    """If the page sets `disablePushState`, neither the Pixel nor the tag sends PageViews of routes."""
    await show(page, lab, head(lab, placement), BASE, script("fbq.disablePushState = true"), CALLS)
    await page.evaluate("history.pushState({}, '', '/two')")
    await end(page, lab, placement)

    assert views(lab) == [("111", "/")]
    assert lab.fired_pairs == lab.mirrored_pairs


@pytest.mark.parametrize("placement", ["trap", "sync"])
async def test_routes_can_be_left_to_the_pixel(page: Page, placement: str) -> None:
    """With `route_page_views` off the Pixel sends the PageViews of routes as without the tag; they are not mirrored."""
    async with laboratory(route_page_views=False) as lab:
        await show(page, lab, head(lab, placement), BASE, CALLS)
        await page.evaluate("history.pushState({}, '', '/two')")
        await end(page, lab, placement)

        assert sorted(views(lab)) == [("111", "/"), ("111", "/two")]
        assert [pair[:2] for pair in lab.mirrored_pairs] == [("111", "Lead"), ("111", "PageView")]


async def test_a_tag_after_the_pixel_leaves_routes_to_it(page: Page, lab: Lab) -> None:
    """If the Pixel watches routes before the tag comes, it goes on, and the tag sends no second PageView."""
    await show(page, lab, BASE, CALLS)
    await until(lambda: len(lab.fired) == 2, what="the Pixel sends")
    await page.add_script_tag(url="/k/m.js")
    await page.evaluate("history.pushState({}, '', '/two')")
    await end(page, lab, "late")

    assert sorted(views(lab)) == [("111", "/"), ("111", "/two")]
    assert lab.mirrored_pairs == []


@pytest.mark.parametrize("placement", ["trap", "sync"])
async def test_routes_are_told_where_the_pixel_is_blocked(page: Page, lab: Lab, placement: str) -> None:
    """If the Pixel is blocked, the tag sends the PageViews of routes that the Pixel would have sent."""
    await show(
        page, lab, head(lab, placement), ALONE, script("fbq('init', '111')", "history.pushState({}, '', '/one')")
    )
    await page.evaluate(f"async () => {{ await {NEXT}; fbq('track', 'PageView'); await {NEXT} }}")
    await page.evaluate(f"async () => {{ history.pushState({{}}, '', '/two'); await {NEXT} }}")
    await until(lambda: len(lab.events) > 1, what="two PageViews")

    told = [urlsplit(batch.body["url"]).path for batch in lab.batches for event in batch.events]
    assert told == ["/one", "/two"]


# -- the back-forward cache, which Playwright switches off


@pytest.fixture(scope="module", name="caching")
async def _caching() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=ARGUMENTS,
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        await browser.close()


@pytest.mark.parametrize("pixel", [BASE, ALONE], ids=["loaded", "blocked"])
@pytest.mark.parametrize("placement", PLACEMENTS)
async def test_a_restored_page_counts_once(caching: Browser, lab: Lab, placement: str, pixel: str) -> None:
    """With the tag, too, the page goes into the cache; its return is one PageView, of the Pixel or of the tag."""
    page = await caching.new_page(user_agent=USER_AGENT)
    listen = script("addEventListener('pageshow', (event) => window.restored = event.persisted)")
    await show(page, lab, head(lab, placement), pixel, CALLS, listen)
    if placement != "none":
        await until(lambda: len(lab.events) == 2, what="both events are mirrored")
    if pixel == BASE:
        await until(lambda: len(lab.fired) == 2, what="both events are fired")
    lab.pages["/other"] = "<!doctype html><link rel=icon href=data:,>"
    await page.goto(lab.url("/other"))
    await page.go_back(wait_until="commit")
    await page.wait_for_function("window.restored")
    await page.evaluate("fbq('trackCustom', 'End')")
    if placement != "none":
        await until(lambda: any(event["name"] == "End" for event in lab.events), what="the tag mirrors End")
    if pixel == BASE:
        await until(lambda: any(hit["ev"] == "End" for hit in lab.fired), what="the Pixel sends End")
    await page.close()

    # The Pixel's PageView of a restored page has no id, so a server copy would be counted as a second one.
    assert ("111", "PageView", "") not in lab.mirrored_pairs
    by_itself = [pair for pair in lab.fired_pairs if not pair[2] and pair[1] == "PageView"]
    mirrored = [pair for pair in lab.mirrored_pairs if pair[1] == "PageView"]
    counted = {*mirrored, *(pair for pair in lab.fired_pairs if pair[1] == "PageView" and pair[2])}
    wanted = {"none": 2 if pixel == BASE else 0}.get(placement, 2)
    assert wanted == len(counted) + len(by_itself)


# -- leaving


@pytest.mark.parametrize("pixel", [BASE, ALONE], ids=["loaded", "blocked"])
@pytest.mark.parametrize("placement", ["trap", "sync"])
async def test_an_event_right_before_the_page_is_left(page: Page, lab: Lab, placement: str, pixel: str) -> None:
    """An event that is called in the same task in which the page is left is mirrored."""
    await show(page, lab, head(lab, placement), pixel, CALLS)
    await until(lambda: len(lab.events) >= 2, what="the first events")
    lab.pages["/other"] = "<!doctype html><link rel=icon href=data:,>"
    await page.evaluate("() => { fbq('track', 'Purchase', {value: 1, currency: 'EUR'}); location.href = '/other' }")
    await page.wait_for_url("**/other")
    await until(lambda: any(event["name"] == "Purchase" for event in lab.events), what="the Purchase arrives")


@pytest.mark.parametrize("placement", ["trap", "sync"])
async def test_an_event_of_a_page_that_is_closed(page: Page, lab: Lab, placement: str) -> None:
    """An event that is called while the page is being hidden, before it is closed, is mirrored."""
    hide = script("addEventListener('pagehide', () => fbq('track', 'Bye'))")
    await show(page, lab, head(lab, placement), ALONE, CALLS, hide)
    await until(lambda: len(lab.events) >= 2, what="the first events")
    async with page.expect_event("close"):
        await page.close(run_before_unload=True)
    await until(lambda: any(event["name"] == "Bye" for event in lab.events), what="the last event arrives")


HIDE = """(hidden) => {
  Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
  Object.defineProperty(document, 'visibilityState', {value: hidden ? 'hidden' : 'visible', configurable: true});
  document.dispatchEvent(new Event('visibilitychange'));
}"""


@pytest.mark.parametrize("placement", ["trap", "sync"])
async def test_a_hidden_page_goes_on(page: Page, lab: Lab, placement: str) -> None:
    """Events of a page in the background are mirrored, and none is repeated when the page is shown again."""
    await show(page, lab, head(lab, placement), BASE, CALLS)
    await until(lambda: len(lab.events) >= 2, what="the first events")
    await page.evaluate(HIDE, arg=True)
    await page.evaluate("fbq('track', 'Contact')")
    await page.evaluate(HIDE, arg=False)
    await page.evaluate("fbq('track', 'Search')")
    await end(page, lab, placement)

    assert lab.fired_pairs == lab.mirrored_pairs


# -- prerendering, which Playwright does not support

RULES = """<script type="speculationrules">{"prerender": [{"source": "list", "urls": ["/next"]}]}</script>"""


async def test_a_prerendered_page_waits_for_its_visitor(lab: Lab, tmp_path: Path) -> None:
    """A prerendered page mirrors nothing until it is shown; then it mirrors each event once."""
    chromium = shutil.which("chromium")
    assert chromium
    icon = "<!doctype html><link rel=icon href=data:,>"
    lab.pages["/start"] = icon + RULES + script("fetch('/hold').then(() => { location.href = '/next' })")
    told = script("fbq('track', document.prerendering ? 'Ahead' : 'Direct')", "fetch('/ready')")
    lab.pages["/next"] = icon + TAG + ALONE + CALLS + told
    process = await asyncio.create_subprocess_exec(
        chromium, "--headless", f"--user-data-dir={tmp_path}", *ARGUMENTS, f"http://{HOST}:{lab.port}/start",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await asyncio.wait_for(lab.ready.wait(), 30)
        before = list(lab.batches)
        lab.hold.set()
        await until(lambda: len(lab.events) == 3, what="all events after the visit")
    finally:
        process.terminate()
        await process.wait()

    assert before == []
    assert [event["name"] for event in lab.events] == ["PageView", "Lead", "Ahead"]

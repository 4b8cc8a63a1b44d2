"""Single-page apps: each new address is one PageView for each pixel, with an id."""

import pytest
from polling import until
from shop_page import ALONE, ASYNC, BASE, CALLS, INIT, TAG, TRAP, script, site
from stage import Stage


async def go(here: Stage, move: str) -> None:
    """Change the route and wait for the task in which the tag looks at it."""
    await here.page.evaluate(f"{move}; new Promise(done => setTimeout(done, 30))")


def views(here: Stage) -> list[str]:
    """Path and fragment of each mirrored PageView."""
    return [
        batch["url"].split("/", 3)[3]
        for batch in here.batches
        for event in batch.get("events", [])
        if event["name"] == "PageView"
    ]


# Chromium with and without the Navigation API; the latter is the nearest thing here to Safari before 26.2.
BROWSERS = {"navigation": "", "no navigation": "delete window.navigation"}


@pytest.mark.parametrize("browser_is", BROWSERS)
async def test_routes_are_mirrored_with_ids(here: Stage, browser_is: str) -> None:
    """Push, replace, fragment and Back each give one PageView of the new address, with the same id in both copies."""
    await here.show(script(BROWSERS[browser_is]), TAG, BASE, CALLS)
    await here.take_over()
    moves = ["history.pushState({}, '', '/a')", "history.replaceState({}, '', '/b')", "location.hash = 'c'"]
    for move in [*moves, "history.back()"]:
        before = len(views(here))
        await here.page.evaluate(move)
        await until(lambda before=before: len(views(here)) > before, what=move)  # type: ignore[misc]
    await here.settle()

    assert views(here) == ["", "a", "b", "b#c", "b"]
    assert here.fired_pairs == here.mirrored_pairs
    assert all(identity for _, _, identity in here.fired_pairs)


async def test_the_same_address_is_no_route(here: Stage) -> None:
    """A push of the address whose PageView was sent last gives no other PageView."""
    await here.show(TAG, BASE, CALLS)
    await here.take_over()
    await go(here, "history.pushState({}, '', location.href)")
    await here.settle()

    assert views(here) == [""]
    assert here.fired_pairs == here.mirrored_pairs


async def test_a_page_that_tells_its_routes_is_left_alone(here: Stage) -> None:
    """If the page itself sends a PageView for an address, it is the only one of that address."""
    await here.show(TAG, BASE, CALLS)
    await here.take_over()
    await go(here, "history.pushState({}, '', '/own'); fbq('trackSingle', '111', 'PageView')")
    await here.settle()

    assert views(here) == ["", "own"]
    assert here.fired_pairs == here.mirrored_pairs


async def test_every_pixel_hears_of_a_route_but_those_that_hear_no_track(here: Stage) -> None:
    """Each pixel has one PageView of a route, except a pixel set to trackSingleOnly, which has none."""
    start = script("fbq('init', '111')", "fbq('init', '222')", "fbq('init', '333')", "fbq('track', 'PageView')")
    await here.show(TAG, BASE, start, script("fbq('set', 'trackSingleOnly', true, '333')"))
    await here.take_over()
    await go(here, "history.pushState({}, '', '/a')")
    await here.settle()

    assert [(pixel, name) for pixel, name, _ in here.mirrored_pairs].count(("333", "PageView")) == 1
    assert [(pixel, name) for pixel, name, _ in here.mirrored_pairs].count(("222", "PageView")) == 2
    assert here.fired_pairs == here.mirrored_pairs


@pytest.mark.parametrize("who", ["the site", "the page"])
async def test_nobody_asks_for_routes(here: Stage, who: str) -> None:
    """If the site leaves routes to the Pixel, or the page set disablePushState, the tag sends no PageView."""
    here.lab.site = site(route_page_views=who == "the page")
    wish = script("fbq.disablePushState = true") if who == "the page" else ""
    await here.show(TAG, BASE, wish, CALLS)
    await here.take_over()
    await go(here, "history.pushState({}, '', '/a')")
    await here.settle()

    assert views(here) == [""]
    assert [name for _, name, _ in here.fired_pairs].count("PageView") == (1 if who == "the page" else 2)


async def test_routes_of_a_blocked_pixel_are_mirrored(here: Stage) -> None:
    """PageViews of routes are mirrored even if the Pixel never loads."""
    await here.show(TAG, ALONE, CALLS)
    await go(here, "history.pushState({}, '', '/a')")
    await until(lambda: len(views(here)) == 2, what="the route")

    assert views(here) == ["", "a"]


async def test_a_route_before_the_first_event_is_none(here: Stage) -> None:
    """A route before the page's first event gives no PageView."""
    await here.show(TAG, BASE, INIT)
    await here.take_over()
    await go(here, "history.pushState({}, '', '/a')")
    await here.settle()

    assert views(here) == []


# What a page does in one task without awaiting anything, and what the Pixel alone counts.
QUICK: dict[str, tuple[str, list[str]]] = {
    "three routes within 300 ms": (
        "for (const at of [1, 2, 3]) { history.pushState({}, '', '/' + at); await later(100) }",
        ["PageView /1", "PageView /2", "PageView /3"],
    ),
    "push, replace and push in one task": (
        "history.pushState({}, '', '/1'); history.replaceState({}, '', '/2'); history.pushState({}, '', '/3')",
        ["PageView /1", "PageView /2", "PageView /3"],
    ),
    "there and back in one task": (
        "history.pushState({}, '', '/1'); history.pushState({}, '', '/')",
        ["PageView /1", "PageView /"],
    ),
    "a route, then an event in one task": (
        "history.pushState({}, '', '/1'); fbq('track', 'Purchase', {value: 1, currency: 'EUR'})",
        ["PageView /1", "Purchase /1"],
    ),
}
LATER = "const later = (ms) => new Promise((done) => setTimeout(done, ms))"


def told(hits: list[dict[str, str]]) -> list[str]:
    """Name and path of each event that the Pixel sent, without its first two and the last."""
    return [f"{hit['ev']} /{hit['dl'].split('/', 3)[3]}" for hit in hits if hit["ev"] != "End"][2:]


@pytest.mark.parametrize("browser_is", BROWSERS)
@pytest.mark.parametrize("tag", ["", TAG], ids=["alone", "with the tag"])
@pytest.mark.parametrize("case", QUICK)
async def test_no_route_is_too_short(here: Stage, case: str, tag: str, browser_is: str) -> None:
    """Each route has its PageView in the right order, with its own address, however soon the next event is called."""
    moves, wanted = QUICK[case]
    await here.show(script(BROWSERS[browser_is]), tag, BASE, CALLS)
    await here.take_over()
    await here.page.evaluate(f"async () => {{ {LATER}; {moves}; await later(30) }}")
    await here.settle(["fired", *(["batches"] if tag else [])])

    assert told(here.fired) == wanted
    if tag:
        assert here.fired_pairs == here.mirrored_pairs
        urls = {event["id"]: batch["url"] for batch in here.batches for event in batch.get("events", [])}
        assert {hit["eid"]: hit["dl"] for hit in here.fired} == urls


async def test_a_fragment_right_behind_a_route_is_another(here: Stage) -> None:
    """A fragment right after a route is a second PageView, as without the tag; both may have the same address."""
    await here.show(TAG, BASE, CALLS)
    await here.take_over()
    await go(here, "history.pushState({}, '', '/1'); location.hash = 'top'")
    await here.settle()

    assert told(here.fired)[-1] == "PageView /1#top"
    assert len(told(here.fired)) == 2
    assert here.fired_pairs == here.mirrored_pairs


@pytest.mark.parametrize("browser_is", BROWSERS)
async def test_a_route_left_at_once_is_told(here: Stage, browser_is: str) -> None:
    """A route whose page is left in the same task, or a tenth of a second later, is mirrored."""
    for wait in (0, 100):
        here.batches.clear()
        await here.show(script(BROWSERS[browser_is]), TAG, BASE, CALLS)
        await here.take_over()
        leave = "location.href = '/other'"
        move = f"history.pushState({{}}, '', '/1'); {f'setTimeout(() => {{ {leave} }}, {wait})' if wait else leave}"
        await here.page.evaluate(f"() => {{ {move} }}")
        await here.page.wait_for_url("**/other")
        await until(lambda: "1" in views(here), what=f"the route left after {wait} ms")


CLEANED = "history.replaceState({}, '', location.pathname)"


@pytest.mark.parametrize("placement", ["alone", "sync before", "sync behind", "trap"])
async def test_an_address_cleaned_before_the_first_event_fires_is_no_route(here: Stage, placement: str) -> None:
    """A page that removes parameters from its address before the Pixel has sent anything has one PageView."""
    before = {"sync before": TAG, "trap": TRAP + ASYNC}.get(placement, "")
    behind = TAG if placement == "sync behind" else ""
    clean = script(f"addEventListener('DOMContentLoaded', () => {{ {CLEANED} }})")
    await here.show(before, BASE, behind, CALLS, clean, path="/?utm_source=x&fbclid=abc")
    await here.take_over()
    channels = ["fired"] if placement == "alone" else ["fired", "batches"]
    await here.settle(channels)

    assert [hit["ev"] for hit in here.fired] == ["PageView", "Lead", "End"]
    if placement != "alone":
        assert here.fired_pairs == here.mirrored_pairs


STIR = """async () => {
  history.back();
  for (const type of ["online", "error"]) dispatchEvent(new Event(type));
  document.dispatchEvent(new Event("error"));
  document.dispatchEvent(new Event("prerenderingchange"));
  Object.defineProperty(document, "hidden", {value: true});
  document.dispatchEvent(new Event("visibilitychange"));
  const script = document.createElement("script");
  script.src = "data:text/javascript,";
  document.head.append(script);
  await new Promise((done) => { script.onload = () => setTimeout(done, 1100) });
}"""


RESTORED = 'dispatchEvent(new PageTransitionEvent("pageshow", {persisted: true}))'


@pytest.mark.parametrize("pixel", [BASE, ALONE], ids=["loaded", "blocked"])
@pytest.mark.parametrize("harm", ["window.fbq = null", "delete window.fbq", "window.fbq = 7"])
async def test_a_page_without_fbq_hears_nothing_of_the_tag(here: Stage, harm: str, pixel: str) -> None:
    """After an opt-out script deleted `fbq`, the tag throws no error at routes, errors, hiding and coming back."""
    problems: list[str] = []
    here.page.on("pageerror", lambda error: problems.append(str(error)))
    await here.show(TAG, pixel, CALLS)
    if pixel == BASE:
        await here.take_over()
    await here.page.wait_for_load_state("load")
    await here.run(harm)
    for move in ("history.pushState({}, '', '/a')", "history.replaceState({}, '', '/b')", "location.hash = 'c'"):
        await go(here, move)
    # For a page restored from the cache the Pixel itself makes a PageView, and throws.
    await here.page.evaluate(STIR if pixel == BASE else STIR.replace("history.back()", RESTORED))

    assert problems == []
    assert [event["name"] for event in here.events] == ["PageView", "Lead"]


async def test_a_wrapper_of_fbq_leaves_routes_to_the_tag(here: Stage) -> None:
    """A script that wraps `fbq`, and copies its properties, is not taken for a page that disabled route PageViews."""
    wrap = (
        "(function (old) { window.fbq = Object.assign(function () { return old.apply(this, arguments) }, old) })(fbq)"
    )
    await here.show(TAG, BASE, CALLS)
    await here.take_over()
    await here.run(wrap)
    await go(here, "history.pushState({}, '', '/a')")
    await here.settle()

    assert views(here) == ["", "a"]
    assert here.fired_pairs == here.mirrored_pairs


async def test_a_tag_behind_the_trap_knows_what_was_not_sent_yet(here: Stage) -> None:
    """If the page's first `track PageView` comes after another event, it is mirrored; both are reported as fired."""
    await here.show(TRAP, BASE, INIT, script("fbq('track', 'Lead')"))
    await here.take_over()
    await here.page.add_script_tag(url="/k/m.js")
    await here.run("fbq('track', 'PageView')")
    await here.settle()

    assert here.fired_pairs == here.mirrored_pairs
    assert [(event["name"], event["pixel"]) for event in here.events] == [
        ("Lead", "fired"),
        ("PageView", "fired"),
        ("End", "fired"),
    ]

"""Single-page apps: each new address is one PageView for each pixel, with an id."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page
from tagpage import ALONE, BASE, CALLS, INIT, TAG, Stage, script, site, stage, until


@pytest.fixture(name="here")
async def _here(page: Page) -> AsyncIterator[Stage]:
    async with stage(page) as here:
        yield here


async def go(here: Stage, move: str) -> None:
    """Change the route and let a task pass, in which the tag looks at it."""
    await here.page.evaluate(f"{move}; new Promise(done => setTimeout(done, 30))")


def views(here: Stage) -> list[str]:
    """Path and fragment of each PageView that was mirrored."""
    return [
        letter["url"].split("/", 3)[3]
        for letter in here.letters
        for event in letter.get("events", [])
        if event["name"] == "PageView"
    ]


@pytest.mark.parametrize("poll", [False, True], ids=["told by the browser", "looked at"])
async def test_routes_are_mirrored_with_ids(here: Stage, poll: bool) -> None:  # noqa: FBT001 - a table
    """Push, replace, fragment and back each give one PageView of the new address, the same one on both sides."""
    if poll:
        await here.page.add_init_script("delete window.navigation")
    await here.show(TAG, BASE, CALLS)
    await here.take_over()
    moves = ["history.pushState({}, '', '/a')", "history.replaceState({}, '', '/b')", "location.hash = 'c'"]
    for move in [*moves, "history.back()"]:
        known = len(views(here))
        await here.page.evaluate(move)
        await until(lambda known=known: len(views(here)) > known, move)  # type: ignore[misc]
    await here.settle()

    assert views(here) == ["", "a", "b", "b#c", "b"]
    assert here.fired_pairs == here.mirrored_pairs
    assert all(identity for _, _, identity in here.fired_pairs)


async def test_the_same_address_is_no_route(here: Stage) -> None:
    """A push of the address that was told already is not told again."""
    await here.show(TAG, BASE, CALLS)
    await here.take_over()
    await go(here, "history.pushState({}, '', location.href)")
    await here.settle()

    assert views(here) == [""]
    assert here.fired_pairs == here.mirrored_pairs


async def test_a_page_that_tells_its_routes_is_left_alone(here: Stage) -> None:
    """A PageView that the page itself sends for an address is the only one of that address."""
    await here.show(TAG, BASE, CALLS)
    await here.take_over()
    await go(here, "history.pushState({}, '', '/own'); fbq('trackSingle', '111', 'PageView')")
    await here.settle()

    assert views(here) == ["", "own"]
    assert here.fired_pairs == here.mirrored_pairs


async def test_every_pixel_hears_of_a_route_but_those_that_hear_no_track(here: Stage) -> None:
    """Each pixel has one PageView of a route; a pixel set to trackSingleOnly has none."""
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
    """A site that leaves routes to the Pixel, and a page that set disablePushState itself, get no PageView of ours."""
    here.site = site(route_page_views=who == "the page")
    wish = script("fbq.disablePushState = true") if who == "the page" else ""
    await here.show(TAG, BASE, wish, CALLS)
    await here.take_over()
    await go(here, "history.pushState({}, '', '/a')")
    await here.settle()

    assert views(here) == [""]
    assert [name for _, name, _ in here.fired_pairs].count("PageView") == (1 if who == "the page" else 2)


async def test_routes_of_a_blocked_pixel_are_mirrored(here: Stage) -> None:
    """Routes are told where the Pixel never comes."""
    await here.show(TAG, ALONE, CALLS)
    await go(here, "history.pushState({}, '', '/a')")
    await until(lambda: len(views(here)) == 2, "the route")

    assert views(here) == ["", "a"]


async def test_a_route_before_the_first_event_is_none(here: Stage) -> None:
    """A page that has told nothing yet has no route to tell."""
    await here.show(TAG, BASE, INIT)
    await here.take_over()
    await go(here, "history.pushState({}, '', '/a')")
    await here.settle()

    assert views(here) == []

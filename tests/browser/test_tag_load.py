"""Sites without base code: the tag brings the Pixel itself."""

import asyncio

import pytest
from playwright.async_api import Page, Route
from polling import until
from shop_page import BASE, CALLS, TAG, TRAP, script, site
from stage import Stage, meta, stage

from proxy.edge.tag.build import tag_of


@pytest.fixture(name="here")
async def _here(here: Stage) -> Stage:
    here.lab.site = site(load_pixel=True)
    await here.page.route("https://connect.facebook.net/**", meta)
    return here


def names(here: Stage) -> list[tuple[str, str]]:
    return [(pixel, name) for pixel, name, _ in here.mirrored_pairs]


async def test_one_line_is_enough(here: Stage) -> None:
    """The tag alone makes `fbq`, inits the site's pixels, and fires a PageView; later calls of the page work."""
    await here.show(TAG, script("fbq('track', 'Lead')"))
    await here.settle()

    assert names(here) == [("111", "Lead"), ("111", "PageView"), ("222", "Lead"), ("222", "PageView")]
    assert here.fired_pairs == here.mirrored_pairs


async def test_base_code_that_is_there_stays(here: Stage) -> None:
    """If a template has its own base code before the tag, the tag adds none."""
    await here.show(BASE, CALLS, TAG)
    await here.settle()

    assert names(here) == [("111", "Lead"), ("111", "PageView")]


async def test_the_pixel_comes_with_the_grant(here: Stage) -> None:
    """On a site that requires consent, nothing is loaded, sent or stored before it; after it, everything is."""
    here.lab.site = site(load_pixel=True, consent="required")
    asked: list[str] = []
    here.page.on("request", lambda request: asked.append(request.url))
    await here.show(TAG, script("fbq('track', 'Lead')"))
    await here.page.wait_for_load_state()
    assert not [url for url in asked if "fbevents" in url]
    assert not here.batches
    assert not await here.run("return document.cookie")
    await here.run("fbq('consent', 'grant')")
    await here.settle()

    assert here.fired_pairs == here.mirrored_pairs
    assert ("111", "Lead") in names(here)


async def test_a_visitor_who_says_no_first_gets_the_pixel_with_the_yes(here: Stage) -> None:
    """A refusal before the Pixel is loaded does not lock it for ever: after a grant all events fire."""
    here.lab.site = site(load_pixel=True, consent="required")
    await here.show(TAG, script("fbq('consent', 'revoke')", "fbq('track', 'Lead')"))
    await here.page.wait_for_load_state()
    await here.run("fbq('consent', 'grant')")
    await here.settle()

    assert here.fired_pairs == here.mirrored_pairs
    assert ("111", "Lead") in names(here)


@pytest.mark.own_page
async def test_privacy_control_keeps_the_pixel_away(here: Stage) -> None:
    """If the site does not send under Global Privacy Control, the Pixel is not even loaded, and `fbq` does no harm."""
    await here.page.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    asked: list[str] = []
    here.page.on("request", lambda request: asked.append(request.url))
    await here.show(TAG, script("fbq('consent', 'grant')", "fbq('track', 'Lead')"))
    await until(lambda: here.batches, what="a batch that says so")

    assert here.batches[0]["gpc"] is True
    assert not [url for url in asked if "fbevents" in url]


def test_it_costs_little() -> None:
    """The base code adds at most 300 bytes to the served tag."""
    with_pixel, without = (len(tag_of(site(load_pixel=load)).bodies["br"]) for load in (True, False))

    assert 0 < with_pixel - without <= 300


AFTER_LOAD = script("""addEventListener("load", function () {
  var tag = document.createElement("script");
  tag.src = "/k/m.js";
  document.head.append(tag);
})""")


async def test_a_tag_that_hangs_may_be_kept_out_of_the_page_s_way(page: Page) -> None:
    """A tag that is inserted after load, as in the guide, delays nothing if it hangs; once loaded, it missed nothing.

    The usual async script does delay the window's load event, as the browser defines it.
    """
    released = asyncio.Event()

    async def hang(route: Route) -> None:
        await released.wait()
        await route.continue_()

    async with stage(page) as here:
        await page.route("**/k/m.js", hang)
        await here.show(TRAP, AFTER_LOAD, BASE, CALLS)
        await page.wait_for_load_state("load")
        await here.take_over()
        released.set()
        await here.settle()

        assert here.fired_pairs == here.mirrored_pairs
        assert [event["name"] for event in here.events] == ["PageView", "Lead", "End"]

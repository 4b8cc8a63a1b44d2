"""Each consent manager beside the tag in a real browser: what is sent, and which cookies exist, after each answer.

What an adapter concludes from what its manager says is in test_consent_answers.py.
"""

import pytest
from cmps import MANAGERS, click, install, site_of
from polling import until
from shop_page import ALONE, CALLS, TAG, script
from stage import Stage, meta

CARRIED = ["PageView", "Lead"]


async def _quiet(here: Stage) -> None:
    """Wait longer than a batch takes, then check that no batch was sent and that no cookie of ours exists."""
    before, count = await here.run("return Date.now()"), len(here.batches)
    await here.page.wait_for_function(f"Date.now() > {before} + 60")
    assert len(here.batches) == count
    assert "_fb" not in await here.run("return document.cookie")


async def _answers(here: Stage, name: str) -> None:
    """Check the page without an answer, then after a yes, then after a no."""
    await _quiet(here)
    asked = await here.run("return Date.now()")
    await here.run(click("true"))
    await until(lambda: here.batches, what="a batch after the yes")
    assert {batch["consent"] for batch in here.batches} == {"granted"}
    assert [event["name"] for event in here.events] == CARRIED
    assert all(event["at"] <= asked for event in here.events)
    assert "_fbp" in await here.run("return document.cookie")
    if not MANAGERS[name].tells:
        await here.page.evaluate("() => new Promise(setTimeout)")
    await here.run(click("false"))
    await until(lambda: here.batches[-1].get("consent") == "revoked", what="the withdrawal")
    await here.run("fbq('track', 'Contact')")
    await _quiet(here)
    assert [event["name"] for event in here.events] == CARRIED


@pytest.mark.parametrize("name", MANAGERS)
async def test_a_manager_before_the_tag(here: Stage, name: str) -> None:
    """Nothing is sent without an answer; a yes releases all events with first times; a no stops and ends cookies."""
    here.lab.site = site_of(name)
    await here.show(script(install(name)), TAG, ALONE, CALLS)

    await _answers(here, name)


@pytest.mark.parametrize("name", MANAGERS)
async def test_a_manager_that_comes_late(here: Stage, name: str) -> None:
    """The answer of a manager that starts long after the tag is heard too."""
    here.lab.site = site_of(name)
    await here.show(TAG, ALONE, CALLS)
    await _quiet(here)
    await here.run(install(name))

    await _answers(here, name)


@pytest.mark.parametrize("name", MANAGERS)
async def test_an_earlier_yes_counts(here: Stage, name: str) -> None:
    """Consent that the visitor gave on an earlier page needs no further click."""
    here.lab.site = site_of(name)
    await here.show(script(install(name, stored=True)), TAG, ALONE, CALLS)
    await until(lambda: here.batches, what="a batch")

    assert [event["name"] for event in here.events] == CARRIED


@pytest.mark.parametrize("name", MANAGERS)
async def test_an_earlier_no_counts(here: Stage, name: str) -> None:
    """Consent that the visitor refused on an earlier page stays refused."""
    here.lab.site = site_of(name)
    await here.show(script(install(name, stored=False)), TAG, ALONE, CALLS)

    await _quiet(here)


async def test_the_pixel_that_the_tag_brings_waits_too(here: Stage) -> None:
    """With `load_pixel` the Pixel too waits for the answer: it loads after a yes, and both copies have the same ids."""
    here.lab.site = site_of("cookiebot").model_copy(update={"load_pixel": True})
    await here.page.route("https://connect.facebook.net/**", meta)
    asked: list[str] = []
    here.page.on("request", lambda request: asked.append(request.url))
    await here.show(script(install("cookiebot")), TAG, script("fbq('track', 'Lead')"))
    await _quiet(here)
    assert not [url for url in asked if "fbevents" in url]
    await here.run(click("true"))
    await here.settle()

    assert [name for _, name, _ in here.mirrored_pairs] == ["Lead", "PageView"]
    assert here.fired_pairs == here.mirrored_pairs

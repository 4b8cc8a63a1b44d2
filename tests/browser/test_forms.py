"""The tag reads no form that a visitor fills in, whatever the Pixel does with it."""

import json

from shop_page import BASE, CALLS, TAG
from stage import Stage

TYPED = "ada@typed.example"
FORM = '<form onsubmit="return false"><input id="email" type="email" name="email"><button>Go</button></form>'


async def test_the_tag_reads_no_form(here: Stage) -> None:
    """An address that is typed into a form and submitted is in no request of the tag, unless the page passes it."""
    await here.show(TAG, BASE, CALLS)
    await here.run(f"document.body.innerHTML = {json.dumps(FORM)}")
    await here.page.fill("#email", TYPED)
    await here.page.click("button")
    await here.run("fbq('track', 'Contact')")
    await here.settle()
    matches = [batch.get("match") for batch in here.batches]

    assert {event["name"] for event in here.events} >= {"Contact"}
    assert matches == [{"111": {}}] * len(matches)
    assert TYPED not in json.dumps(here.batches)


async def test_what_the_page_passes_is_mirrored(here: Stage) -> None:
    """The documented way works: a later `init` with the address adds it to both copies of the events after it."""
    await here.show(TAG, BASE, CALLS)
    await here.settle(["batches"])
    await here.run(f"fbq('init', '111', {{em: '{TYPED}'}})", "fbq('track', 'Contact')")
    await here.settle()

    assert any(batch.get("match") == {"111": {"em": TYPED}} for batch in here.batches)

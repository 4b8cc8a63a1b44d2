"""What the tag costs the page's browser: few reads of the cookies, and no layout. Times are in bench/tag.py."""

import pytest
from playwright.async_api import CDPSession
from polling import until
from shop_page import ALONE, CALLS, INIT, TAG, script
from stage import Stage

COUNT_READS = """
  window.reads = 0;
  const {get, set} = Object.getOwnPropertyDescriptor(Document.prototype, "cookie");
  Object.defineProperty(Document.prototype, "cookie", {
    get() { reads++; return get.call(this) }, set(value) { set.call(this, value) }, configurable: true});"""


async def _mirrored(here: Stage, count: int) -> None:
    await until(lambda: len(here.events) == count, what=f"{count} events")


@pytest.mark.own_page
async def test_one_look_at_the_cookies_for_all_events_of_a_task(here: Stage) -> None:
    """The cookies are read at most once for all events of a task."""
    await here.page.add_init_script(COUNT_READS)
    await here.show(TAG, ALONE, INIT)
    looks, seen = [], 0
    for names in (["A", "B", "C"], ["D"], ["E", "F"]):
        before = await here.run("return reads")
        await here.run(*(f"fbq('track', '{name}')" for name in names))
        seen += len(names)
        await _mirrored(here, seen)
        looks.append(await here.run("return reads") - before)

    assert looks == [1, 1, 1]


async def _layouts(session: CDPSession) -> dict[str, float]:
    metrics = {metric["name"]: metric["value"] for metric in (await session.send("Performance.getMetrics"))["metrics"]}
    return {name: metrics[name] for name in ("LayoutCount", "RecalcStyleCount", "Nodes")}


async def test_events_cause_no_layout(here: Stage) -> None:
    """Neither events nor updates of browser copies cause the browser any layout, style or paint work."""
    await here.show(TAG, ALONE, CALLS, script("addEventListener('load', () => document.body.append('loaded'))"))
    session = await here.page.context.new_cdp_session(here.page)
    await session.send("Performance.enable")
    await here.page.wait_for_load_state("load")
    await until(lambda: here.batches, what="a batch")
    await here.run("return document.body.offsetHeight")
    before = await _layouts(session)
    for number in range(20):
        await here.run(f"fbq('track', 'Lead', {{value: {number}}})")
    await here.settle(["batches"])

    assert await _layouts(session) == before
    await here.run("document.body.append('more')", "return document.body.offsetHeight")
    assert await _layouts(session) != before

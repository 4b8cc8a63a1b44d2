"""The tag beside a Pixel in a real browser: both send Meta the same events with the same ids."""

import json
import re
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page
from polling import until
from shop_page import BASE, CALLS, INIT, LOAD, TAG, script, site
from stage import Stage, stage

from proxy.edge.tag.build import trap_of

# An id that the tag makes: the time of the call in milliseconds, then the random part.
MADE = re.compile(r"\d{13}0\.\d+")
TWO = script("fbq('init', '111')", "fbq('init', '222')")
GTM_STUB = script(f"""(function () {{
  var fbq = window.fbq || (window.fbq = function () {{
    if (fbq.callMethod && fbq.callMethod.apply) fbq.callMethod.apply(null, arguments);
    else fbq.queue.push(arguments);
  }});
  window._fbq = window._fbq || fbq; fbq.push = fbq; fbq.loaded = true; fbq.version = '2.0'; fbq.queue = [];
  {LOAD} }})()""")
COMPLETE = script(f"""(function () {{
  function stub() {{ stub.callMethod ? stub.callMethod.apply(stub, arguments) : stub.queue.push(arguments) }}
  stub.push = stub; stub.queue = [['init', '111'], ['track', 'PageView']];
  window.fbq = window._fbq = stub;
  {LOAD} }})()""")
PROXIED = script("window.fbq = window._fbq = new Proxy(fbq, {apply: (f, self, call) => f.apply(self, call)})")
WRAPPED = script("""(function (old) {
  function wrapper() { wrapper.callMethod ? wrapper.callMethod.apply(wrapper, arguments) : old.queue.push(arguments) }
  window.fbq = window._fbq = Object.assign(wrapper, old); wrapper.push = wrapper;
})(fbq)""")

# The parts of a page, and the events that reach Meta: pixel and name, in the order in which they were called.
PAGES: dict[str, tuple[list[str], list[str]]] = {
    "tag before the base code": ([TAG, BASE, CALLS], ["111 PageView", "111 Lead"]),
    "tag between base code and calls": ([BASE, TAG, CALLS], ["111 PageView", "111 Lead"]),
    "tag between the calls": ([BASE, INIT, script("fbq('track', 'PageView')"), TAG], ["111 PageView"]),
    "tag after the calls, before the Pixel": ([BASE, CALLS, TAG], ["111 PageView", "111 Lead"]),
    "tag twice": ([TAG, BASE, TAG, CALLS, TAG], ["111 PageView", "111 Lead"]),
    "base code twice": ([TAG, BASE, BASE, CALLS], ["111 PageView", "111 Lead"]),
    "event before init": ([TAG, BASE, script("fbq('track', 'Lead')"), INIT], []),
    "two pixels": (
        [TAG, BASE, TWO, script("fbq('track', 'Lead')", "fbq('trackSingle', '222', 'Contact')")],
        ["111 Lead", "222 Lead", "222 Contact"],
    ),
    "two pixels, one name and id each": (
        [
            TAG,
            BASE,
            TWO,
            script(*(f"fbq('trackSingle', '{pixel}', 'Lead', {{}}, {{eventID: 'x'}})" for pixel in ("111", "222"))),
        ],
        ["111 Lead", "222 Lead"],
    ),
    "trackSingleOnly": (
        [TAG, BASE, TWO, script("fbq('set', 'trackSingleOnly', true, '111')", "fbq('track', 'Lead')"), CALLS],
        ["222 Lead", "222 PageView", "222 Lead"],
    ),
    "numeric id": ([TAG, BASE, script("fbq('init', 111)", "fbq('track', 'Lead')")], ["111 Lead"]),
    "trackSingle with a number": ([TAG, BASE, INIT, script("fbq('trackSingle', 111, 'Lead')")], []),
    "trackSingle without init": ([TAG, BASE, INIT, script("fbq('trackSingle', '999', 'Lead')")], []),
    "addPixelId": ([TAG, BASE, script("fbq('addPixelId', '111')", "fbq('track', 'Lead')")], ["111 Lead"]),
    "not a pixel id": ([TAG, BASE, script("fbq('init', 'UA-1')", "fbq('init')"), CALLS], ["111 PageView", "111 Lead"]),
    "init twice": ([TAG, BASE, CALLS, INIT], ["111 PageView", "111 Lead"]),
    "PageView twice": (
        [TAG, BASE, CALLS, script("fbq('track', 'PageView')", "fbq('trackSingle', '111', 'PageView')")],
        ["111 PageView", "111 Lead", "111 PageView"],
    ),
    "trackSingle PageView leaves the first one free": (
        [TAG, BASE, INIT, script("fbq('trackSingle', '111', 'PageView')", "fbq('track', 'PageView')")],
        ["111 PageView", "111 PageView"],
    ),
    "PageView twice for a late pixel": (
        [TAG, BASE, CALLS, script("fbq('init', '222')", "fbq('track', 'PageView')")],
        ["111 PageView", "111 Lead", "222 PageView"],
    ),
    "PageView twice when allowed": (
        [TAG, BASE, script("fbq.allowDuplicatePageViews = true"), CALLS, script("fbq('track', 'PageView')")],
        ["111 PageView", "111 Lead", "111 PageView"],
    ),
    "one array": (
        [TAG, BASE, INIT, script("fbq.push(['track', 'Lead'])", "_fbq.push(['trackSingle', '111', 'Contact'])")],
        ["111 Lead"],
    ),
    "push on the queue": ([TAG, BASE, INIT, script("fbq.queue.push(['track', 'Lead'], ['track', 'Contact'])")],
        ["111 Lead", "111 Contact"]),
    "stub that calls without this": ([TAG, GTM_STUB, CALLS], ["111 PageView", "111 Lead"]),
    "stub assigned with a full queue": ([TAG, COMPLETE], ["111 PageView"]),
    "Object.prototype extended": (
        [script("Object.prototype.extend = function () {}"), TAG, BASE, CALLS],
        ["111 PageView", "111 Lead"],
    ),
    "proxy around fbq": ([TAG, BASE, PROXIED, CALLS], ["111 PageView", "111 Lead"]),
    "proxy around fbq, then the tag": ([BASE, PROXIED, TAG, CALLS], ["111 PageView", "111 Lead"]),
    "wrapper around fbq": ([TAG, BASE, WRAPPED, CALLS], ["111 PageView", "111 Lead"]),
    "unknown commands": (
        [TAG, BASE, script("fbq('toString')", "fbq('fire', {})", "fbq()", "fbq(null)", "fbq({}, [])", "fbq('track')",
            "fbq('track', 7)"), CALLS],
        ["111 PageView", "111 Lead"],
    ),
}  # fmt: skip

# By event name: the argument after the custom data, and the id that it gives; "" means that the tag makes one.
GIVEN: dict[str, tuple[str, str]] = {
    "eventID": ("{}, {eventID: 'a.1'}", "a.1"),
    "event_id": ("{}, {event_id: 'a.1'}", "a.1"),
    "both": ("{}, {event_id: 'b', eventID: 'a'}", "a"),
    "a number": ("{}, {eventID: 17}", "17"),
    "nested": ("{}, {eventID: {eventID: 'deep'}}", "deep"),
    "frozen": ("Object.freeze({v: 1}), Object.freeze({eventID: 'a'})", "a"),
    "no custom data": ("undefined, {eventID: 'a'}", "a"),
    "nothing": ("", ""),
    "empty": ("{}, {eventID: ''}", ""),
    "null": ("{}, {eventID: null}", ""),
    "null in its place": ("null, null", ""),
    "frozen without id": ("Object.freeze({}), Object.freeze({other: 1})", ""),
    "a text in its place": ("{}, 'a'", ""),
    "a list in its place": ("{}, ['a']", ""),
    "an object for an id": ("{}, {eventID: {}}", ""),
    "a truth for an id": ("{}, {eventID: true}", ""),
    "in the custom data": ("{eventID: 'wrong'}", ""),
}

# A page that does a bit of everything, and records what it can see.
BUSY = script("""
  var seen = [];
  addEventListener('error', function (e) { if (e.message) seen.push(e.message) });
  addEventListener('unhandledrejection', function (e) { seen.push(String(e.reason)) });
  var cycle = {}; cycle.self = cycle;
  var options = {eventID: ''};
  var trap = {get value() { throw new Error('looked') }};
  [['init', '111', {em: 'a@b.test'}], ['track', 'PageView'], ['track', 'Lead', Object.freeze({value: 1})],
   ['trackCustom', 'Cycle', cycle, options], ['trackCustom', 'Big', {big: 1n}], ['trackCustom', 'Trap', trap],
   ['trackSingle', '111', 'Contact', {n: 1}], [['track', 'Search']],
   ['consent', 'maybe'], ['set', 'autoConfig', false, '111'], ['nothing'], [],
   ['trackCustom', 'Given', {}, {eventID: 1}],
  ].forEach(function (call) { seen.push(typeof fbq.apply(window, call)) });
  seen.push(Object.keys(options).join(), options.eventID, fbq === _fbq, typeof fbq.callMethod);
  seen.push(Object.keys(fbq).sort().join(), fbq.queue.length, Array.isArray(fbq.queue));
""")


@pytest.mark.parametrize(("parts", "expected"), PAGES.values(), ids=PAGES)
async def test_pixel_and_tag_send_the_same_events_with_the_same_ids(
    here: Stage, parts: list[str], expected: list[str]
) -> None:
    """Whatever stands in the page, each event the Pixel sends is mirrored once, with its id, and no other is."""
    await here.show(*parts)
    await here.settle()

    fired = [f"{hit['id']} {hit['ev']}" for hit in here.fired if hit["ev"] != "End"]
    assert expected == fired
    assert here.fired_pairs == here.mirrored_pairs
    assert all(identity for _, _, identity in here.fired_pairs)


@pytest.mark.parametrize("when", ["queued", "loaded"])
@pytest.mark.parametrize("command", ["'track'", "'trackCustom'", "'trackSingle', '111'", "'trackSingleCustom', '111'"])
async def test_a_given_id_stays_and_a_missing_one_is_made(here: Stage, command: str, when: str) -> None:
    """The id is the one that the Pixel would read; if it would read none, both copies get one new id."""
    calls = [f"fbq({command}, {json.dumps(row)}, {rest or 'undefined'})" for row, (rest, _) in GIVEN.items()]
    await here.show(TAG, BASE, INIT, script(*calls) if when == "queued" else "")
    if when == "loaded":
        await here.take_over()
        await here.run(*calls)
    await here.settle()

    assert here.fired_pairs == here.mirrored_pairs
    found = {name: "" if MADE.fullmatch(identity) else identity for _, name, identity in here.fired_pairs}
    assert {row: identity for row, (_, identity) in GIVEN.items()} == found


@pytest.mark.parametrize("placement", ["sync", "trap"])
async def test_an_order_gives_no_id_where_the_site_says_so(here: Stage, placement: str) -> None:
    """With `order_ids = false` two Purchases of one order have different ids, which both copies of each share."""
    here.lab.site = site(order_ids=False)
    trap = f"<script>{trap_of(here.lab.site)}</script>" if placement == "trap" else ""
    buy = "fbq('track', 'Purchase', {value: 1, currency: 'EUR', order_id: 1002})"
    await here.show(trap, TAG, BASE, INIT, script(buy, buy))
    await here.settle()

    assert here.fired_pairs == here.mirrored_pairs
    ids = {identity for _, _, identity in here.fired_pairs}
    assert len(ids) == 2
    assert "1002" not in ids


@pytest.mark.parametrize("placement", ["sync", "trap"])
async def test_a_made_id_begins_with_the_time_of_its_birth(here: Stage, placement: str) -> None:
    """The first 13 digits of an id that the tag makes are the browser's clock at the call, in milliseconds."""
    here.lab.site = site(order_ids=False)
    trap = f"<script>{trap_of(here.lab.site)}</script>" if placement == "trap" else ""
    buy = "fbq('track', 'Purchase', {value: 1, currency: 'EUR', order_id: 1002})"
    before, after = "window.before = Date.now()", "window.after = Date.now()"
    await here.show(trap, TAG, BASE, INIT, script(before, "fbq('track', 'Lead')", buy, after))
    await here.settle()

    assert here.fired_pairs == here.mirrored_pairs
    births = [int(identity[:13]) for _, _, identity in here.mirrored_pairs]
    assert len(births) == 2
    assert await here.run("return before") <= min(births) <= max(births) <= await here.run("return after")


def _listen(page: Page, console: list[str]) -> None:
    page.on("console", lambda message: console.append(message.text))
    page.on("pageerror", lambda error: console.append(str(error)))


async def test_a_page_sees_no_difference(context: BrowserContext) -> None:
    """Returns, errors, console, arguments, hits, and globals except our accessors, are the same as without the tag."""
    views: list[Any] = []
    for tag in ("", TAG):
        page = await context.new_page()
        console: list[str] = []
        _listen(page, console)
        async with stage(page) as here:
            await here.show(tag, script("var before = Object.keys(window)"), BASE, BUSY)
            await here.settle(["fired"])
            shown = ("id", "ev", "tm", "ec")
            views.append(
                {
                    "seen": await here.run("return seen"),
                    "globals": await here.run("return [before, Object.keys(window).sort()]"),
                    "console": [re.sub(r":\d+", "", text) for text in console],
                    "fired": [
                        {key: value for key, value in hit.items() if key in shown or key.startswith("cd")}
                        for hit in here.fired
                    ],
                }
            )

    without, beside = views
    before, _ = beside["globals"]
    before.remove("fbq")
    keys = beside["seen"].pop(-3)
    assert keys == without["seen"].pop(-3).replace("loaded", "callMethod,disablePushState,loaded")
    assert without == beside


async def test_a_late_tag_mirrors_what_follows(here: Stage) -> None:
    """A tag that comes after the Pixel gives ids to all later events and knows the pixels and their PageView."""
    await here.show(BASE, CALLS)
    await until(lambda: len(here.fired) == 2, what="the Pixel sends")
    await here.page.add_script_tag(url="/k/m.js")
    await here.run("fbq('track', 'PageView')", "fbq('track', 'Purchase', {value: 1, currency: 'EUR'})")
    await here.settle()

    assert here.fired_pairs[:2] == [("111", "Lead", ""), ("111", "PageView", "")]
    assert here.fired_pairs[2:] == here.mirrored_pairs
    assert len(here.mirrored_pairs) == 1


async def test_a_wrapped_take_over_is_heard_once(here: Stage) -> None:
    """If another script wraps callMethod after load, each event is still heard once."""
    await here.show(TAG, BASE, INIT)
    await here.take_over()
    await here.run("var real = fbq.callMethod", "fbq.callMethod = function () { return real.apply(this, arguments) }")
    await here.run("fbq('track', 'Lead')")
    await here.settle()

    assert here.fired_pairs == here.mirrored_pairs
    assert len(here.mirrored_pairs) == 1

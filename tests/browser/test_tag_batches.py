"""What the tag sends, how it handles the answers, and what it reports about the Pixel."""

from typing import Any

import pytest
from polling import until
from shop_page import ALONE, BASE, CALLS, INIT, TAG, script
from stage import Stage


async def test_a_batch_says_what_the_wire_asks_for(here: Stage) -> None:
    """The events of a task are sent in one batch, with the page's facts and cookies."""
    await here.show(TAG, BASE, path="/shop?x=1#top")
    await here.run(
        "fbq('init', '111')", "fbq('track', 'Lead', {value: 5, list: [{id: 'a'}]})", "fbq('track', 'Contact')"
    )
    await until(lambda: here.batches, what="a batch")

    [batch] = here.batches
    lead, contact = batch["events"]
    assert batch["url"] == f"http://www.shop.test:{here.lab.port}/shop?x=1#top"
    assert batch["v"] == 1
    members = {"v", "sent", "url", "referrer", "fbp", "consent", "webdriver", "match", "events", "fates"}
    assert set(batch) == members
    assert (batch["referrer"], batch["match"], batch["fates"]) == ("", {"111": {}}, [])
    assert 0 <= batch["sent"] - lead["at"] < 5000
    assert lead == {
        "name": "Lead",
        "id": lead["id"],
        "at": lead["at"],
        "pixels": ["111"],
        "data": {"value": 5, "list": [{"id": "a"}]},
        "pixel": lead["pixel"],
    }
    assert contact["pixels"] == ["111"]
    headers = (await until(lambda: here.lab.batches, what="the batch arrives"))[0].headers
    assert headers["Content-Type"].startswith("text/plain")


async def test_a_referrer_is_named(here: Stage) -> None:
    """The batch names the page before this one as the referrer."""
    await here.show("<a href=/next>next</a>")
    port = here.lab.port
    here.lab.pages["/"] = f"<!doctype html>{TAG}{BASE}{CALLS}"
    await here.page.click("a")
    await until(lambda: here.batches, what="a batch")

    assert here.batches[0]["referrer"] == f"http://www.shop.test:{port}/"


def with_events(here: Stage) -> list[dict[str, Any]]:
    """Return the batches that have events, without those that have only updates of browser copies."""
    return [batch for batch in here.batches if batch.get("events")]


async def test_matching_data_follows_its_pixel(here: Stage) -> None:
    """A pixel has the data of its first init that had any, as the page passed it, with what `set userData` adds."""
    await here.show(
        TAG,
        BASE,
        script(
            "fbq('init', '111', {em: 'A@b.test'})",
            "fbq('init', '111', {em: 'other@b.test'})",
            "fbq('init', '222', {})",
            "fbq('init', 222, {ph: 1})",
            "fbq('init', '333')",
            "fbq('trackSingle', '333', 'Bare')",
        ),
    )
    await until(lambda: here.batches, what="a batch")
    await here.run("fbq('trackSingle', '111', 'One')", "fbq('trackSingle', '222', 'Two')")
    await until(lambda: len(with_events(here)) == 2, what="a second batch")
    await here.run("fbq('set', 'userData', {external_id: 'u'})", "fbq('trackSingle', '111', 'One')")
    await until(lambda: len(with_events(here)) == 3, what="a third batch")

    assert [batch.get("match") for batch in with_events(here)] == [
        {"111": {"em": "A@b.test"}, "222": {"ph": 1}, "333": {}},
        {"111": {"em": "A@b.test"}, "222": {"ph": 1}, "333": {}},
        {
            "111": {"em": "A@b.test", "external_id": "u"},
            "222": {"ph": 1, "external_id": "u"},
            "333": {"external_id": "u"},
        },
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("['LDU'], 0, 0", [["LDU"], 0, 0]),
        ("['LDU'], 1, 1000", [["LDU"], 1, 1000]),
        ("['LDU']", [["LDU"]]),
        ("[]", [[]]),
        ("['LDU'], 1", None),
    ],
)
async def test_processing_options_ride_along(here: Stage, options: str, expected: object) -> None:
    """The batch has the Limited Data Use options, if the page set them in a form that the Pixel takes."""
    await here.show(TAG, BASE, script(f"fbq('dataProcessingOptions', {options})"), CALLS)
    await here.settle()

    assert here.batches[0].get("dpo") == expected


async def test_events_of_different_options_travel_apart(here: Stage) -> None:
    """An event keeps the processing options and the address that were current when it was called."""
    await here.show(
        TAG,
        BASE,
        script(
            "fbq('consent', 'revoke')",
            "fbq('init', '111')",
            "fbq('track', 'A')",
            "fbq('dataProcessingOptions', ['LDU'], 0, 0)",
            "fbq('track', 'B')",
            "history.pushState({}, '', '/next')",
            "fbq('track', 'C')",
            "fbq('consent', 'grant')",
        ),
    )
    await here.settle(["batches"])

    told = [(batch["events"][0]["name"], batch.get("dpo"), batch["url"][-5:]) for batch in here.batches]
    assert [entry[:2] for entry in told[:3]] == [("A", None), ("B", [["LDU"], 0, 0]), ("C", [["LDU"], 0, 0])]
    assert told[2][2] == "/next"
    assert told[1][2] != "/next"


@pytest.mark.parametrize("blocked", ["fbevents", "config"])
async def test_a_blocked_pixel_is_mirrored_and_told(here: Stage, blocked: str) -> None:
    """If the Pixel cannot load, events are sent at once, and soon after that they are reported as blocked."""
    here.lab.blocked.add(blocked)
    await here.show(TAG, BASE, CALLS)
    await until(lambda: len(here.events) == 2, what="both events are mirrored")
    await until(lambda: len(here.copy_updates) == 2, what="both are told to be blocked")
    await here.run("fbq('track', 'Contact')")
    await until(lambda: len(here.events) == 3, what="a third event")

    assert here.copy_updates == [("PageView", "blocked"), ("Lead", "blocked")]
    assert [event["pixel"] for event in here.events] == ["pending", "pending", "blocked"]
    assert not here.fired


async def test_a_waiting_event_is_told_to_have_fired(here: Stage) -> None:
    """An event that waited for the Pixel is reported as fired, with the next batch after its queue was emptied."""
    await here.show(TAG, BASE, INIT, script("fbq('track', 'Lead')"))
    await here.take_over()
    await here.settle()

    lead, end = here.events
    assert (lead["pixel"], end["pixel"]) == ("pending", "fired")
    assert here.batches[1]["fates"] == [{"name": "Lead", "id": lead["id"], "pixel": "fired"}]


@pytest.mark.own_page
async def test_a_silent_pixel_is_told_blocked_after_ten_seconds(here: Stage) -> None:
    """After ten seconds an event that is still queued is reported as blocked, one that was taken as fired."""
    await here.page.clock.install()
    await here.show(TAG, ALONE, INIT, script("fbq('track', 'A')", "fbq('track', 'B')"))
    await until(lambda: here.batches, what="a batch")
    await here.run("fbq.queue.splice(0, 2)")
    # The page's clock also advances by itself meanwhile.
    await here.page.clock.fast_forward(4000)
    assert not here.copy_updates
    await here.page.clock.fast_forward(6500)
    await until(lambda: here.copy_updates, what="a status update")

    assert here.copy_updates == [("A", "fired"), ("B", "blocked")]
    assert "events" not in here.batches[1] or not here.batches[1]["events"]


async def test_a_page_that_goes_away_tells_what_still_waits(here: Stage) -> None:
    """At pagehide every event that the Pixel did not take is reported as blocked."""
    await here.show(TAG, ALONE, INIT, script("fbq('track', 'A')"))
    await until(lambda: here.lab.batches, what="a batch")
    await here.page.goto("about:blank")
    await until(lambda: len(here.lab.batches) == 2, what="a farewell")

    [browser_copy] = here.lab.batches[1].body["fates"]
    assert browser_copy == {"name": "A", "id": here.lab.batches[0].body["events"][0]["id"], "pixel": "blocked"}


async def test_what_json_cannot_carry_is_left_out(here: Stage) -> None:
    """An event with a cycle, a BigInt or a throwing getter is mirrored without its data."""
    await here.show(
        TAG,
        ALONE,
        script(
            "var cycle = {}",
            "cycle.self = cycle",
            "fbq('init', '111', cycle)",
            "fbq('track', 'Cycle', cycle)",
            "fbq('track', 'Big', {big: 1n})",
            "fbq('track', 'Trap', {get a() { throw 1 }})",
            "fbq('track', 'Huge', {text: '\u00e9'.repeat(40000)})",
            "fbq('track', 'Text', 'text')",
            "fbq('track', 'Fine', {a: 1})",
        ),
    )
    await until(lambda: here.batches, what="a batch")

    assert [(event["name"], event.get("data")) for event in here.events] == [
        *((name, None) for name in ("Cycle", "Big", "Trap", "Huge", "Text")),
        ("Fine", {"a": 1}),
    ]


async def test_custom_data_is_taken_at_call_time(here: Stage) -> None:
    """A later change of the page's object does not change the event."""
    call = script("var data = {value: 1}", "fbq('track', 'Lead', data)", "data.value = 2")
    await here.show(TAG, ALONE, INIT, call)
    await until(lambda: here.batches, what="a batch")

    assert here.events[0]["data"] == {"value": 1}


async def test_many_events_are_split(here: Stage) -> None:
    """Events of one task that do not fit into one body are sent in several, each below 60 KiB, and none is lost."""
    await here.show(TAG, BASE, INIT)
    await here.take_over()
    await here.run("for (var i = 0; i < 12; i++) fbq('track', 'E' + i, {text: '\u00e9\u20ac'.repeat(4000)})")
    await until(lambda: len(here.lab.batches) >= 5, what="all batches")
    await until(lambda: sum(len(batch.events) for batch in here.lab.batches) == 12, what="all events")

    assert all(int(batch.headers["Content-Length"]) < 60 * 1024 for batch in here.lab.batches)
    assert [event["name"] for event in here.events] == [f"E{number}" for number in range(12)]


@pytest.mark.parametrize("status", [503, 429, 408, 500, 0])
async def test_a_batch_that_was_not_taken_is_sent_again(here: Stage, status: int) -> None:
    """After a passing failure or a network error the batch is retried until accepted, with the same ids and times."""
    # Chromium itself repeats a request once after a dropped connection or a 408.
    here.lab.statuses[:] = [status, status]
    await here.show(TAG, ALONE, CALLS)
    await until(lambda: len({batch.body["sent"] for batch in here.lab.batches}) > 1, what="a retry with its own time")

    first, *_, last = (batch.body for batch in here.lab.batches)
    assert first["events"] == last["events"]


async def test_a_retry_does_not_wait_when_the_line_is_back(here: Stage) -> None:
    """When the browser says that it is online, waiting events are sent at once."""
    here.lab.statuses[:] = [503, 503, 503]
    await here.show(TAG, ALONE, CALLS)
    await until(lambda: here.lab.batches, what="the first attempt")
    # The page may still be reading the last answer when the event comes, so the event is sent repeatedly.
    online = "window.online = setInterval(() => dispatchEvent(new Event('online')), 50)"
    await here.page.evaluate(online)
    await until(lambda: len(here.lab.batches) == 4, what="the last attempt", seconds=5)


async def test_the_page_of_somebody_else_is_no_answer(here: Stage) -> None:
    """A 200 with HTML, which a catch-all rule gave, counts as a failure: the same batch is sent again."""
    here.lab.page_of_another = True
    here.lab.statuses[:] = [200, 200]
    await here.show(TAG, ALONE, CALLS)
    await until(lambda: len(here.lab.batches) == 3, what="two retries", seconds=20)

    # The second retry, at most ten seconds later, may also have an update of the browser copy.
    assert len({tuple(event["id"] for event in batch.events) for batch in here.lab.batches}) == 1


async def test_what_somebody_else_answered_outlives_the_page(here: Stage) -> None:
    """Events whose only answer came from a catch-all rule are sent from the next page of the site."""
    here.lab.page_of_another = True
    here.lab.statuses[:] = [200]
    await here.show(TAG, ALONE, CALLS)
    await until(lambda: here.lab.batches, what="the answer of a catch-all rule")
    await here.show(TAG, ALONE, INIT, script("fbq('track', 'Contact')"))
    await until(
        lambda: len(here.lab.batches) > 1 and "Contact" in {event["name"] for event in here.events}, what="more batches"
    )
    first = {event["id"] for event in here.lab.batches[0].body["events"]}
    await until(
        lambda: first <= {event["id"] for batch in here.lab.batches[1:] for event in batch.events}, what="it again"
    )


@pytest.mark.own_page
async def test_the_tag_waits_as_long_as_it_is_told(here: Stage) -> None:
    """After a 429 nothing is sent before its Retry-After has passed, not even later events; then everything is."""
    here.lab.statuses[:] = [429]
    here.lab.retry_after = "60"
    await here.page.clock.install()
    await here.show(TAG, ALONE, CALLS)
    await until(lambda: here.lab.batches, what="a 429")
    # When another request has ended, the page has read the answer.
    another = "fetch('/k/m.js').then((answer) => answer.text())"
    await here.page.evaluate(another)
    await here.page.clock.fast_forward(59_000)
    await here.run("fbq('track', 'Contact')")
    await here.page.evaluate(another)
    assert len(here.lab.batches) == 1
    await here.page.clock.fast_forward(121_000)

    await until(
        lambda: "Contact" in {event["name"] for batch in here.lab.batches[1:] for event in batch.events},
        what="what waited",
    )


@pytest.mark.parametrize("status", [400, 403, 413, 200])
@pytest.mark.own_page
async def test_a_final_answer_is_final(here: Stage, status: int) -> None:
    """After a refusal the batch is not sent again."""
    here.lab.statuses[:] = [status]
    await here.page.clock.install()
    await here.show(TAG, ALONE, CALLS)
    await until(lambda: here.lab.batches, what="a batch")
    await here.page.clock.fast_forward(8000)
    await here.run("fbq('track', 'Contact')")
    await until(lambda: len(here.lab.batches) == 2, what="the next batch")

    assert [event["name"] for event in here.lab.batches[1].body["events"]] == ["Contact"]

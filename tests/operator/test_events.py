"""Events over the operator API: search, waiting events, and the story of one event."""

import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from queues import local
from support import PIXEL, Installation, get_json, installation, page_views, until, wire

from proxy.queue.contract import DeadLetter, Filter, QueueError

OTHER_VISITOR = "fb.1.1700000000000.654321"


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("shop"), refused_with=[100]) as shop:
        yield shop


async def _events(shop: Installation, query: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = (await get_json(shop.session, f"{shop.operator}/api/events?{query}"))["events"]
    return events


async def _delivered(shop: Installation, *ids: str) -> None:
    query = "&".join(f"id={identity}" for identity in ids)

    async def there() -> bool:
        return {row["id"] for row in await _events(shop, f"status=Delivered&{query}")} == set(ids)

    await until(there, what=f"delivered {ids}")


async def test_pages_of_a_search_hold_each_event_once(shop: Installation) -> None:
    """Page after page, a search lists all events of a name, the latest first, and none twice."""
    ids = [f"page-{number}" for number in range(25)]
    for identity in ids:
        await shop.post(wire({"name": "ViewContent", "id": identity}))
    await _delivered(shop, *ids[:20])
    await _delivered(shop, *ids[20:])
    found, below = [], ""
    while True:
        address = f"{shop.operator}/api/events?name=ViewContent&limit=10{f'&below={below}' if below else ''}"
        page = await get_json(shop.session, address)
        found += page["events"]
        below = page["below"]
        if below is None:
            break

    assert sorted(row["id"] for row in found) == sorted(ids)
    assert [row["arrived"] for row in found] == sorted((row["arrived"] for row in found), reverse=True)


@pytest.mark.parametrize(
    ("query", "finds"),
    [
        ("", True),
        ("status=DELIVERED", True),
        ("status=dead", False),
        ("site=shop", True),
        ("site=elsewhere", False),
        ("browser_copy=fired", True),
        ("browser_copy=server", False),
        ("from={ago}", True),
        ("to={ago}", False),
        ("id=nothing&id=found", True),
        ("id=nothing&id=other", False),
        ("below=nonsense", False),
    ],
)
async def test_each_filter_counts(shop: Installation, query: str, finds: object) -> None:
    """Each parameter excludes the events that do not match it."""
    await shop.post(wire({"name": "Search", "id": "found", "pixel": "fired"}))
    await _delivered(shop, "found")

    ago = time.time_ns() // 1_000_000 - 60_000

    assert bool(await _events(shop, f"name=Search&{query.format(ago=ago)}")) == finds


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("status=lost", "status"),
        ("browser_copy=seen", "browser_copy"),
        ("from=yesterday", "from"),
        ("to=-1", "to"),
        ("from=2000&to=1000", "from"),
        ("from=" + "9" * 5000, "from"),
        ("limit=1001", "limit"),
        ("&".join(f"id={number}" for number in range(21)), "id"),
    ],
)
@pytest.mark.parametrize("path", ["events", "waiting"])
async def test_a_filter_that_is_none_is_explained(shop: Installation, path: str, query: str, word: str) -> None:
    """A parameter that cannot be used is a 400 that names it and what is accepted."""
    async with shop.session.get(f"{shop.operator}/api/{path}?{query}") as answer:
        error = (await answer.json())["error"]

    assert answer.status == 400
    assert error.startswith(f"{word}: ")
    assert "accepted" in error


@pytest.mark.parametrize("query", ["", "pixel=1&name=x", f"pixel={PIXEL}&name=PageView&id="])
async def test_a_story_needs_an_event(shop: Installation, query: str) -> None:
    """A story without pixel, name and id is a 400."""
    async with shop.session.get(f"{shop.operator}/api/event?{query}") as answer:
        assert answer.status == 400


async def test_of_an_unknown_event_there_is_no_story(shop: Installation) -> None:
    """The story of an unknown event is 404, however odd its id is."""
    for identity in ("nothing", "%00", "x" * 3000):
        async with shop.session.get(f"{shop.operator}/api/event?pixel={PIXEL}&name=PageView&id={identity}") as answer:
            assert answer.status == 404


async def _story(shop: Installation, name: str, identity: str) -> dict[str, Any]:
    return await get_json(shop.session, f"{shop.operator}/api/event?pixel={PIXEL}&name={name}&id={identity}")


async def test_the_story_of_a_delivered_event(shop: Installation) -> None:
    """The story goes from the call in the page to Meta's answer, in order, with the proof of the delivery."""
    data = {"value": 12.5, "currency": "EUR", "content_ids": ["a"], "note": "anna@mail.example"}
    await shop.post(wire({"name": "Purchase", "id": "story-1", "data": data, "pixel": "blocked"}))
    await _delivered(shop, "story-1")
    story = await _story(shop, "Purchase", "story-1")
    (row,) = story["rows"]

    assert (story["state"], story["site"]) == ("delivered", "shop")
    assert [moment["what"] for moment in story["timeline"]] == ["happened", "arrived", "delivered", "browser_copy"]
    assert row["arrived"] <= row["at"]
    assert (row["value"], row["currency"]) == (12.5, "EUR")
    assert story["copies"] == [{"visitor": 1, "browser_copy": "blocked", "arrived": row["arrived"]}]
    assert {"fbp", "client_ip_address", "client_user_agent"} <= set(story["proof"]["match_keys"])
    assert story["proof"]["redactions"] == ["email:custom_data"]
    assert "anna" not in str(story)


async def test_two_visitors_with_one_id_have_a_copy_each(shop: Installation) -> None:
    """Browser copies of two visitors under one id are kept apart; a repeat by one of them adds no copy."""
    first, second = ({"name": "Lead", "id": "both", "pixel": word} for word in ("fired", "blocked"))
    await shop.post(wire(first))
    await shop.post(wire(second, fbp=OTHER_VISITOR))
    await shop.post(wire(first))

    async def three() -> bool:
        return len(await _events(shop, "id=both")) == 3

    await until(three, what="three rows")
    story = await _story(shop, "Lead", "both")

    assert [copy["browser_copy"] for copy in story["copies"]] == ["fired", "blocked"]
    assert [copy["visitor"] for copy in story["copies"]] == [1, 2]
    assert sum(moment["what"] == "decided" for moment in story["timeline"]) == 1


async def test_the_story_of_a_waiting_event_has_metas_words(shop: Installation) -> None:
    """An event of a paused pixel is listed as waiting, and its story has Meta's reason."""
    await shop.fault(mode="190", **{"for": 60})
    await shop.post(page_views(["held-up"]))

    async def paused() -> bool:
        lanes = (await get_json(shop.session, f"{shop.operator}/api/status"))["lanes"]
        return bool(lanes[0]["paused"])

    await until(paused, what="a pause")
    waiting = (await get_json(shop.session, f"{shop.operator}/api/waiting?id=held-up"))["waiting"]
    story = await _story(shop, "PageView", "held-up")
    (pixel,) = (await get_json(shop.session, f"{shop.operator}/api/pixels"))["pixels"]
    await shop.fault(mode=None)
    async with shop.session.post(f"{shop.operator}/api/pixels/{PIXEL}/resume", json={}) as answer:
        assert answer.status == 200
    await _delivered(shop, "held-up")

    assert [(event["id"], event["status"]) for event in waiting] == [("held-up", "waiting")]
    assert story["state"] == "waiting"
    last = story["timeline"][-1]
    assert (last["what"], last["reason"], last["code"]) == ("paused", "token", 190)
    assert last["message"]
    assert (pixel["state"], pixel["graph_error"]["code"]) == ("paused", 190)


async def test_a_dead_letter_is_saved_without_match_values(shop: Installation) -> None:
    """Exported dead letters are JSON Lines with Meta's message, and with only the names of match keys."""
    await shop.fault(mode="poison", match="bad", **{"for": 60})
    await shop.post(page_views(["bad-1", "bad-2"]))

    async def letters() -> bool:
        return len((await get_json(shop.session, f"{shop.operator}/api/dead"))["dead"]) == 2

    await until(letters, what="two dead letters")
    await shop.fault(mode=None)
    async with shop.session.get(f"{shop.operator}/api/dead/export?name=PageView") as answer:
        text, headers = await answer.text(), answer.headers
    story = await _story(shop, "PageView", "bad-1")

    assert headers["Content-Type"] == "application/x-ndjson"
    assert headers["Content-Disposition"].startswith("attachment")
    assert [line.count('"event_id"') > 0 for line in text.splitlines()] == [True, True]
    assert "93.184.216.34" not in text
    assert (story["state"], story["timeline"][-2]["what"]) == ("dead", "dead")
    assert story["dead"][0]["event"]["user_data"]


async def test_a_file_of_dead_letters_that_ends_early_looks_broken(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the queue fails during an export, the connection is aborted, so that a part is not taken for the whole."""
    queue = local(shop.proxy.queue)
    dead, asked = queue.dead_letters, [0]

    async def fails_later(wanted: Filter) -> list[DeadLetter]:
        asked[0] += 1
        if asked[0] > 1:
            raise QueueError("the disk is gone")
        return await dead(wanted)

    monkeypatch.setattr(queue, "dead_letters", fails_later)
    with pytest.raises(aiohttp.ClientPayloadError):
        async with shop.session.get(f"{shop.operator}/api/dead/export") as answer:
            await answer.read()
    async with shop.session.get(f"{shop.operator}/api/dead/export") as answer:
        assert answer.status == 503

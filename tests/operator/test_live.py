"""The event stream: news within a second, a bounded number of readers, and no cost without a reader."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from queues import local
from support import PIXEL, Installation, get_json, installation, page_views, until, wire

from proxy.operator import feed


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


class Page:
    """A page that reads the stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.heard: list[tuple[str, dict[str, Any], str]] = []

    async def read_on(self) -> None:
        event, identity = "", ""
        async for line in self.answer.content:
            name, _, value = line.decode().rstrip("\r\n").partition(": ")
            if name == "event":
                event = value
            elif name == "id":
                identity = value
            elif name == "data":
                self.heard.append((event, orjson.loads(value), identity))
                event = identity = ""

    def rows(self, identity: str) -> list[dict[str, Any]]:
        return [data for event, data, _ in self.heard if event == "row" and data["id"] == identity]


@asynccontextmanager
async def listening(shop: Installation, **headers: str) -> AsyncIterator[Page]:
    """Connect, and wait for the first message, on the state of all; later events then reach the page."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with shop.session.get(f"{shop.operator}/api/stream", headers=sent) as answer:
        assert answer.status == 200, await answer.text()
        page = Page(answer)
        reading = asyncio.create_task(page.read_on())
        try:
            await until(lambda: any(event == "status" for event, *_ in page.heard), what="the first word")
            yield page
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


def told(page: Page, identity: str, status: str) -> Callable[[], bool]:
    return lambda: any(row["status"] == status for row in page.rows(identity))


async def test_an_event_is_told_as_it_waits_and_as_it_ends(shop: Installation) -> None:
    """While Graph fails an event is shown as waiting, after Meta's answer as delivered; two reads fit into a second."""
    async with listening(shop) as page:
        await shop.fault(mode="500", **{"for": 30})
        await shop.post(page_views(["live-1"]))
        await until(told(page, "live-1", "waiting"), what="the waiting event")
        await shop.fault(mode=None)
        await until(told(page, "live-1", "delivered"), what="the delivered event")

    assert feed.EVERY_S <= 0.5, "two readings have to fit into a second"
    assert [row["status"] for row in page.rows("live-1")] == ["waiting", "delivered"]


async def test_each_event_is_told_once_to_all_pages(shop: Installation) -> None:
    """Two pages get the same messages, with each event once, drops and repeats included."""
    async with listening(shop) as first, listening(shop) as second:
        await shop.post(page_views([f"once-{number}" for number in range(20)]))
        await shop.post(page_views(["once-0"]))
        await shop.post(wire({"name": "Lead", "id": "odd", "pixels": ["55"]}))
        for page in (first, second):
            await until(told(page, "once-19", "delivered"), what="the last event")
            await until(told(page, "once-0", "duplicate"), what="the repeat")
            await until(told(page, "odd", "dropped"), what="the drop")

    for page in (first, second):
        statuses = [row["status"] for number in range(20) for row in page.rows(f"once-{number}")]
        assert statuses.count("delivered") == 20
        assert statuses.count("duplicate") == 1


async def test_a_page_that_comes_again_misses_nothing(shop: Installation) -> None:
    """A page that sends Last-Event-ID gets the events that ended meanwhile, in order, and none again."""
    async with listening(shop) as page:
        await shop.post(page_views(["before"]))
        await until(told(page, "before", "delivered"), what="the first event")
    last = next(identity for event, data, identity in page.heard if event == "row" and data["status"] == "delivered")
    await shop.post(page_views(["missed-1"]))
    await shop.post(page_views(["missed-2"]))

    async def both() -> bool:
        events = (await get_json(shop.session, f"{shop.operator}/api/events?since={last}"))["events"]
        return len(events) == 2

    await until(both, what="two events in the ledger")
    async with listening(shop, Last_Event_ID=last) as page:
        missed = [data["id"] for event, data, _ in page.heard if event == "row"]

    assert sorted(missed) == ["missed-1", "missed-2"]


async def test_a_paused_pixel_is_told(shop: Installation) -> None:
    """A change of a pixel's state is sent without a request for it."""
    async with listening(shop) as page:
        async with shop.session.post(f"{shop.operator}/api/pixels/{PIXEL}/pause", json={}) as answer:
            assert answer.status == 200

        def stopped() -> bool:
            return any(event == "status" and data["lanes"][0]["by_operator"] for event, data, _ in page.heard)

        await until(stopped, what="word of the pause")
        async with shop.session.post(f"{shop.operator}/api/pixels/{PIXEL}/resume", json={}) as answer:
            assert answer.status == 200


async def test_nothing_is_read_while_nobody_listens(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reader of the queue serves all pages, and stops with the last of them."""
    readings: list[object] = []
    queue = local(shop.proxy.queue)
    waiting = queue.waiting_events

    async def counted(wanted: Any) -> Any:
        readings.append(wanted)
        return await waiting(wanted)

    monkeypatch.setattr(queue, "waiting_events", counted)

    def readers() -> int:
        return sum(task.get_name() == "live feed" for task in asyncio.all_tasks())

    async with listening(shop), listening(shop):
        assert readers() == 1
        await until(lambda: len(readings) >= 3, what="readings")
    await until(lambda: readers() == 0, what="the reader's end")


async def test_while_events_rain_pages_are_told_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more events than the stream sends at once, it reports a gap and waits longer before the next look."""
    monkeypatch.setattr(feed, "_ROWS", 5)
    monkeypatch.setattr(feed, "EVERY_S", 0.01)
    monkeypatch.setattr(feed, "BUSY_EVERY_S", 3600.0)
    async with installation(tmp_path) as shop, listening(shop) as page:
        await shop.post(page_views([f"drop-{number}" for number in range(50)]))
        await until(lambda: any(event == "gap" for event, *_ in page.heard), what="the gap")
        await shop.post(page_views(["after-the-rain"]))
        await until(partial(_is_delivered, shop, "after-the-rain"), what="the delivery")
        assert page.rows("after-the-rain") == []

        async with listening(shop, Last_Event_ID="1") as another:
            await until(lambda: another.rows("after-the-rain"), what="what was missed")


async def _is_delivered(shop: Installation, identity: str) -> bool:
    found = await get_json(shop.session, f"{shop.operator}/api/events?id={identity}")
    return [each["status"] for each in found["events"]] == ["delivered"]


async def test_few_may_listen(shop: Installation) -> None:
    """Beyond the bound a page is refused, and the listener still answers other requests."""
    pages = [await shop.session.get(f"{shop.operator}/api/stream") for _ in range(feed.MOST_SUBSCRIBERS)]
    async with shop.session.get(f"{shop.operator}/api/stream") as answer:
        assert (answer.status, "Retry-After" in answer.headers) == (503, True)
    for page in pages:
        page.close()

    async def is_free() -> bool:
        async with shop.session.get(f"{shop.operator}/api/stream") as answer:
            return answer.status == 200

    await until(is_free, what="a free place")


async def test_a_bad_number_is_explained(shop: Installation) -> None:
    """A malformed Last-Event-ID gets 400."""
    async with shop.session.get(f"{shop.operator}/api/stream", headers={"Last-Event-ID": "x"}) as answer:
        assert answer.status == 400


def test_who_reads_too_slowly_is_hung_up_on() -> None:
    """A page that does not read holds up no other and fills no memory: its connection is closed."""
    cuts: list[bool] = []
    slow = feed.Subscriber(lambda: False, lambda: cuts.append(True))
    for _ in range(5000):
        slow.enqueue(feed.StreamMessage("row", "{}"))

    assert cuts
    assert slow._unread.qsize() <= 1000


async def test_the_stream_ends_with_the_session_and_with_the_proxy(tmp_path: Path) -> None:
    """After a logout nothing more is sent to the session; and a proxy that stops does not wait for its readers."""
    password = "the right one of the owner"
    async with installation(tmp_path, more={"server": {"operator_password": password}}) as shop:
        same = {"Sec-Fetch-Site": "same-origin"}
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), headers=same) as browser:
            async with browser.post(f"{shop.operator}/api/session", json={"password": password}) as answer:
                assert answer.status == 200
            stream = await browser.get(f"{shop.operator}/api/stream")
            async with browser.post(f"{shop.operator}/api/session/end", json={}) as answer:
                assert answer.status == 200
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await asyncio.wait_for(stream.content.read(), 20)
            stream.close()
        basic = {"Authorization": "Basic " + base64.b64encode(f"operator:{password}".encode()).decode()}
        open_stream = await shop.session.get(f"{shop.operator}/api/stream", headers=basic)
        assert open_stream.status == 200
        reading = asyncio.create_task(open_stream.content.read())
        await until(lambda: not reading.done(), what="an open stream")
    # The test's session is closed by now, and with it the connection; the proxy has waited for neither.
    await asyncio.wait_for(asyncio.gather(reading, return_exceptions=True), 10)
    open_stream.close()


async def test_a_fault_of_the_reader_ends_connections_and_the_next_page_is_served(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an unforeseen error connections are closed, and the stream works for pages that reconnect."""
    queue = local(shop.proxy.queue)
    waiting, broken = queue.waiting_events, [False]

    async def breaks(wanted: Any) -> Any:
        if broken[0]:
            broken[0] = False
            raise ZeroDivisionError
        return await waiting(wanted)

    monkeypatch.setattr(queue, "waiting_events", breaks)
    async with listening(shop) as page:
        broken[0] = True
        await until(page.answer.content.at_eof, what="the end of the stream")
    async with listening(shop) as page:
        await shop.post(page_views(["after-the-fault"]))
        await until(told(page, "after-the-fault", "delivered"), what="an event after the fault")

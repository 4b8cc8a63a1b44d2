"""Visitors come first: large server requests proceed in parts while no visitor waits, and still finish."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from sdks import AT_ONCE, KEY
from support import PIXEL, Installation, installation, page_views, until

from proxy.edge import turns
from proxy.edge.server.working import work_in_turns
from proxy.edge.turns import Turns
from proxy.model.record import Record
from proxy.queue.contract import Stored
from proxy.rules.effort import Parts


def parts(order: list[str], name: str, number: int = 3) -> Parts[str]:
    for _ in range(number):
        order.append(name)
        yield
    return name


async def patient(circle: Turns, number: int) -> None:
    await until(lambda: len(circle.patient) == number, what=f"{number} that wait")


async def test_a_part_waits_until_no_visitor_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first part comes at once, the next when the last of two visitors was answered."""
    monkeypatch.setattr(turns, "PATIENCE_S", 3600.0)
    circle, order = Turns(), list[str]()
    circle.visitors = 2
    work = asyncio.create_task(work_in_turns(circle, "server", parts(order, "part")))
    await until(lambda: circle.patient, what="a part that waits")
    for left in (1, 0):
        order.append(f"{left} left")
        circle.visitors -= 1
        circle.release_server_request()
        await asyncio.sleep(0)

    assert await work == "part"
    assert order == ["part", "1 left", "0 left", "part", "part"]
    assert circle.patient == {}


async def test_one_part_goes_on_when_visitors_have_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several waiting server requests only the oldest proceeds, so that the next visitor waits for one part."""
    monkeypatch.setattr(turns, "PATIENCE_S", 3600.0)
    circle, order = Turns(), list[str]()
    circle.visitors = 1
    works = [asyncio.create_task(work_in_turns(circle, name, parts(order, name, 1))) for name in "abc"]
    await patient(circle, 3)
    for left in (2, 1, 0):
        circle.visitors = 0
        circle.release_server_request()
        circle.visitors = 1
        await patient(circle, left)

    assert await asyncio.gather(*works) == ["a", "b", "c"]


async def test_visitors_without_end_do_not_stop_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """If there is always a visitor, a part runs after some milliseconds all the same."""
    monkeypatch.setattr(turns, "PATIENCE_S", 0.0)
    circle, order = Turns(), list[str]()
    circle.visitors = 1

    assert await work_in_turns(circle, "server", parts(order, "part", 50)) == "part"
    assert len(order) == 50


async def test_who_gives_up_waits_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a request ends while its part waits, another waiting part is woken in its place."""
    monkeypatch.setattr(turns, "PATIENCE_S", 3600.0)
    circle = Turns()
    circle.visitors = 1
    gone, left = (asyncio.create_task(circle.yield_to_visitors()) for _ in range(2))
    await patient(circle, 2)
    gone.cancel()
    await asyncio.wait([gone])
    circle.visitors = 0
    circle.release_server_request()
    await left

    assert circle.patient == {}


def purchase(number: int, note: str) -> dict[str, Any]:
    return {
        "event_name": "Purchase",
        "event_time": int(time.time()),
        "event_id": f"{note[:1]}-{number}",
        "action_source": "website",
        "event_source_url": "https://shop.example/thank-you",
        "user_data": {"em": ["a" * 64], "client_user_agent": "Mozilla/5.0"},
        "custom_data": {"value": 12.5, "currency": "EUR", "note": note},
    }


async def _sent(shop: Installation, events: list[dict[str, Any]]) -> int:
    address = f"{shop.public}/v26.0/{PIXEL}/events?access_token={KEY}"
    headers = {"Content-Type": "application/json"}
    async with shop.session.post(address, data=orjson.dumps({"data": events}), headers=headers) as answer:
        return answer.status


async def test_a_server_stores_nothing_while_a_visitor_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a page's event is being written to the disk a large request waits; then both are answered."""
    monkeypatch.setattr(turns, "PATIENCE_S", 3600.0)
    circles, begin = list[Turns](), Turns.__init__

    def noted(self: Turns, **options: Any) -> None:
        circles.append(self)
        begin(self, **options)

    monkeypatch.setattr(Turns, "__init__", noted)
    async with installation(tmp_path, access_keys=[KEY], orders=AT_ONCE) as shop:
        append, order, on_disk = shop.proxy.queue.append, list[str](), asyncio.Event()

        async def slow_for_pages(records: Sequence[Record], **options: Any) -> Stored:
            order.append("page" if records[0].browser_copy else "server")
            if records[0].browser_copy:
                await on_disk.wait()
                order.append("stored")
            return await append(records, **options)

        monkeypatch.setattr(shop.proxy.queue, "append", slow_for_pages)
        page = asyncio.create_task(shop.post(page_views(["p-1"])))
        await until(lambda: order, what="a page's event on its way")
        server = asyncio.create_task(_sent(shop, [purchase(number, "s") for number in range(100)]))
        await until(lambda: any(circle.patient for circle in circles), what="a server's request that waits")
        on_disk.set()
        assert (await page)[0] == 204

        assert await server == 200
        assert order[:2] == ["page", "stored"]
        assert set(order[2:]) == {"server"}


async def test_large_events_are_stored_fewer_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits are bounded in bytes, which delay visitors: 40 events of 20 KB take more commits than two small ones."""
    async with installation(tmp_path, access_keys=[KEY], orders=AT_ONCE) as shop:
        append, sizes = shop.proxy.queue.append, list[int]()

        async def noting(records: Sequence[Record], **options: Any) -> Stored:
            sizes.append(sum(len(record.payload) for record in records))
            return await append(records, **options)

        monkeypatch.setattr(shop.proxy.queue, "append", noting)
        events = [purchase(number, "large " * 3400) for number in range(40)]

        assert await _sent(shop, [*events, purchase(41, "small"), purchase(42, "small")]) == 200
        assert max(sizes) < 64 * 1024 + 21_000
        assert len(sizes) == 14

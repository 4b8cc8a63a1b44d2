"""Sightings, which pages leave for servers' events, are stored with the pages' events, over real sockets."""

import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support import PIXEL, TOKEN, Installation, installation, page_views, wire

from proxy.model.join import Sighting
from proxy.model.record import Record
from proxy.queue.contract import QueueError, Stored

KEY = "c3a5e1f09b7d42688e0fa2b4d6c81357"
MANY = [{"id": str(number), "access_token": TOKEN} for number in range(2, 42)]


class Appended:
    """Notes the records and sightings of each call to the queue, and can make a call fail."""

    def __init__(self, shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[list[Record], list[Sighting]]] = []
        self.failures: list[Exception] = []
        self._append = shop.proxy.queue.append
        monkeypatch.setattr(shop.proxy.queue, "append", self._note)

    async def _note(self, records: Sequence[Record], *, sightings: Sequence[Sighting] = ()) -> Stored:
        self.calls.append((list(records), list(sightings)))
        if self.failures:
            raise self.failures.pop()
        return await self._append(records, sightings=sightings)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return [(len(records), len(sightings)) for records, sightings in self.calls]


@pytest.fixture(name="shop")
async def _shop(tmp_path: Path) -> AsyncIterator[Installation]:
    pixels = [{"id": PIXEL, "access_token": TOKEN}, *MANY]
    async with installation(tmp_path, pixel=pixels, access_keys=[KEY]) as shop:
        yield shop


def bought(number: int, **changes: Any) -> dict[str, Any]:
    data = {"value": 1, "currency": "EUR", "order_id": f"10{number}"}
    return {"name": "Purchase", "id": f"bought-{number}", "data": data} | changes


async def metric(shop: Installation, name: str) -> list[str]:
    async with aiohttp.ClientSession() as session, session.get(f"{shop.operator}/metrics") as answer:
        return [line for line in (await answer.text()).splitlines() if line.startswith(name)]


async def test_a_sighting_goes_with_its_events(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event and its sighting are stored by one call to the queue, and the metrics count the sighting."""
    appended = Appended(shop, monkeypatch)
    status, *_ = await shop.post(wire(bought(1)))

    assert (status, appended.sizes) == (204, [(1, 1)])
    assert 'capi_proxy_sightings_total{reason=""} 1.0' in await metric(shop, "capi_proxy_sightings_total")


async def test_a_refusal_is_stored_without_any_event(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request with Global Privacy Control stores its refusal, although it has no event."""
    appended = Appended(shop, monkeypatch)
    status, *_ = await shop.post(wire(bought(2)), **{"Sec-GPC": "1"})

    ((records, (sighting,)),) = appended.calls
    assert (status, records, sighting.forbidden, sighting.fbp) == (204, [], "gpc", "")
    assert 'capi_proxy_sightings_total{reason="gpc"} 1.0' in await metric(shop, "capi_proxy_sightings_total")


async def test_a_large_request_leaves_its_sightings_with_its_first_part(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sightings of a large request are stored with its first part, so no event of it is stored before them."""
    appended = Appended(shop, monkeypatch)
    pixels = [pixel["id"] for pixel in MANY[:30]]
    status, *_ = await shop.post(wire(*(bought(number, pixels=pixels) for number in range(10, 20))))

    assert (status, appended.sizes) == (204, [(32, 8), *[(32, 0)] * 8, (12, 0)])


async def test_the_rest_is_asked_for_again(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """If storing fails the answer is 503, for a refusal too, else the server's event of that order would be sent."""
    appended = Appended(shop, monkeypatch)
    appended.failures = [QueueError("the disk is full")]
    status, headers, _ = await shop.post(wire(bought(3)), **{"Sec-GPC": "1"})
    again, *_ = await shop.post(wire(bought(3)), **{"Sec-GPC": "1"})

    assert (status, again, appended.sizes) == (503, 204, [(0, 1), (0, 1)])
    assert int(headers["Retry-After"]) >= 1


async def test_a_page_view_is_stored_as_ever(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PageView leaves no sighting."""
    appended = Appended(shop, monkeypatch)
    status, *_ = await shop.post(page_views(["view-1"]))

    assert (status, appended.sizes) == (204, [(1, 0)])


async def test_no_log_tells_of_a_sighting(shop: Installation, caplog: pytest.LogCaptureFixture) -> None:
    """No log line contains the order or the browser of a sighting."""
    with caplog.at_level(logging.DEBUG):
        await shop.post(wire(bought(4)))

    assert not [text for text in caplog.messages if "104" in text or "fb.1." in text]

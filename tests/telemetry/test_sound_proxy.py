"""Conditions of a whole proxy: none when nothing is wrong, and those that no test of a single part causes."""

import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from clock import Clock
from pydantic import SecretStr
from servers import stand_in
from support import ORIGIN, PIXEL, TOKEN, Installation, get_json, installation, page_views, record, wire

from proxy.config.schema import GraphSettings, Pixel
from proxy.delivery.client import GraphClient
from proxy.delivery.token_watch import TokenWatch
from proxy.graph.token_health import TokenHealth
from proxy.model.units import DAY_MS
from proxy.telemetry.conditions import Conditions

KEY = "c3a5e1f09b7d42688e0fa2b4d6c81357"


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("sound"), access_keys=[KEY]) as shop:
        yield shop


async def codes(shop: Installation) -> list[tuple[str, str]]:
    health = await get_json(shop.session, f"{shop.operator}/readyz")
    return [(condition["code"], condition["subject"]) for condition in health["conditions"]]


async def test_a_sound_proxy_has_no_condition(shop: Installation) -> None:
    """Pages, orders, repeats, opted-out visitors, bots and servers, all delivered or dropped, cause no condition."""
    await shop.post(page_views(["s-1", "s-2"]))
    await shop.post(page_views(["s-1"]))
    await shop.post(wire({"name": "Purchase", "id": "s-3", "data": {"value": 5, "currency": "EUR", "order_id": "7"}}))
    await shop.post(wire({"name": "Lead", "id": "s-4"}), User_Agent="curl/8.5.0")
    await shop.post(wire({"name": "Lead", "id": "s-5"}), Sec_GPC="1")
    await shop.post(wire({"name": "Lead", "id": "s-6", "pixels": ["999"]}))
    event = {
        "event_name": "Lead",
        "event_time": int(time.time()),
        "event_id": "s-7",
        "action_source": "system_generated",
        "user_data": {"em": ["a" * 64]},
    }
    address = f"{shop.public}/v26.0/{PIXEL}/events"
    async with shop.session.post(address, json={"data": [event], "access_token": KEY}) as answer:
        assert answer.status == 200, await answer.text()
    await shop.counted(3)

    assert (await get_json(shop.session, f"{shop.operator}/readyz"))["status"] == "ready"
    assert await codes(shop) == []


async def test_pages_of_the_site_that_came_by_http_are_named(shop: Installation) -> None:
    """The third request from a page by http to an address served by https causes a condition that names the host."""
    for number in range(3):
        body = page_views([f"h-{number}"])
        await shop.post(body, Origin=ORIGIN.replace("https", "http"), X_Forwarded_Proto="https")

    assert await codes(shop) == [("insecure_origin", "shop.example")]


async def test_a_pixel_that_the_owner_stopped_is_told(shop: Installation) -> None:
    """A pixel that the operator paused has a condition until it is resumed."""
    told = []
    for order in ("pause", "resume"):
        async with shop.session.post(f"{shop.operator}/api/pixels/{PIXEL}/{order}", json={}) as answer:
            assert answer.status == 200, await answer.text()
        told.append(("pixel_stopped", PIXEL) in await codes(shop))

    assert told == [True, False]


async def test_a_page_that_is_cached_with_its_ids_is_told(shop: Installation) -> None:
    """If at least a fiftieth of an hour's events, and at least twenty, have another visitor's id, the site is named."""
    told = []
    for visitor in range(21):
        await shop.post({**page_views(["cached"]), "fbp": f"fb.1.1700000000000.{1000 + visitor}"})
        told.append(("id_reused", "shop") in await codes(shop))

    assert told == [False] * 20 + [True]


@pytest.mark.parametrize(("ahead_s", "found"), [(0, 0), (55, 0), (90, 1), (-90, 1)])
async def test_a_clock_that_differs_from_metas_is_told(ahead_s: int, found: int) -> None:
    """A clock that is off by more than a minute causes a condition, which ends with the next answer that agrees."""
    board, shifts = Conditions(Clock(), say=lambda _line: None), [ahead_s, 0]

    async def accept(_request: web.Request) -> web.Response:
        date = formatdate(time.time() - shifts.pop(0), usegmt=True)
        return web.json_response({"events_received": 1}, headers={"Date": date})

    app = web.Application()
    app.router.add_post("/v26.0/{pixel}/events", accept)
    pixel = Pixel.model_construct(id=PIXEL, access_token=SecretStr(TOKEN))
    async with stand_in(app) as graph, aiohttp.ClientSession() as session:
        client = GraphClient(session, GraphSettings(url=graph), lambda: int(time.time() * 1000), board)
        told = []
        for _ in range(2):
            await client.send(pixel, [record(1)])
            told.append([condition.code for condition in board.current()])

    assert told == [["clock"] * found, []]


@pytest.mark.parametrize(("days", "found"), [(None, 0), (15, 0), (13, 1), (-1, 1)])
async def test_a_token_that_ends_soon_is_told(days: int | None, found: int) -> None:
    """A token causes a condition fourteen days before its end; a token with a later end clears it."""
    clock = Clock()
    board = Conditions(clock, say=lambda _line: None)
    ends = [clock.now + (days or 0) * DAY_MS if days is not None else None, clock.now + 60 * DAY_MS]

    async def token_health(_pixel: Any) -> TokenHealth:
        return TokenHealth(clock.now, is_valid=True, expires_at=ends.pop(0))

    lanes = {PIXEL: SimpleNamespace(pixel=None, is_led=True)}
    watch = TokenWatch(
        cast("Any", lanes), graph=cast("Any", SimpleNamespace(token_health=token_health)), conditions=board, now=clock
    )
    told = []
    for _ in range(2):
        await watch.health(PIXEL)
        told.append([(condition.code, condition.subject) for condition in board.current()])
        clock.now += DAY_MS

    assert told == [[("token_expiring", PIXEL)] * found, []]

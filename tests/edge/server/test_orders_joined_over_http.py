"""Orders that both the page and the shop's webhook report, over real sockets, as they arrive at Graph."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from support import Installation, browser_headers, get_json, installation, until, wire

SECRET = "shopify-secret"
TOKEN = "0c6bd3f0a1b24c8f9d11"
GOLDEN = Path(__file__).parents[2] / "golden" / "hooks" / "shopify_order_paid.hook.json"
TOGETHER_S = 5
"""Seconds within which even a busy machine receives both reports of an order."""
FBP, FBC = "fb.1.1700000000000.123456", "fb.1.1700000000000.IwAR2"


@asynccontextmanager
async def shop_with(directory: Path, **orders: Any) -> AsyncIterator[Installation]:
    webhook = [{"kind": "shopify", "secret": SECRET}]
    async with installation(directory, webhook=webhook, orders={"wait_seconds": 1} | orders) as shop:
        yield shop


async def paid(shop: Installation, order_id: int, **members: Any) -> None:
    """Send the shop's webhook for a paid order, which does not name the browser."""
    now = datetime.now(UTC).replace(microsecond=0).isoformat()
    order: dict[str, Any] = orjson.loads(GOLDEN.read_bytes())["body"]
    order |= {"id": order_id, "processed_at": now, "created_at": now, "note_attributes": [], "landing_site": "/"}
    body = orjson.dumps(order | {"client_details": None, "browser_ip": None, "checkout_token": TOKEN} | members)
    signature = base64.b64encode(hmac.digest(SECRET.encode(), body, hashlib.sha256)).decode()
    headers = {"X-Shopify-Hmac-Sha256": signature, "X-Shopify-Topic": "orders/paid"}
    async with shop.session.post(f"{shop.public}/hooks/shop/shopify", data=body, headers=headers) as answer:
        assert (answer.status, await answer.json()) == (200, {"received": True})


async def bought(
    shop: Installation, order_id: int | None, *, url: str = "https://shop.example/", **headers: str
) -> None:
    """Send the page's Purchase for its order, with an id of its own."""
    event = purchase(order_id) if order_id else {"name": "InitiateCheckout", "id": "checkout-1"}
    status, *_ = await shop.post(wire(event, fbc=FBC, url=url), **headers)
    assert status == 204


def purchase(order_id: int) -> dict[str, Any]:
    data = {"value": 59.7, "currency": "EUR", "order_id": str(order_id)}
    return {"name": "Purchase", "id": f"page-{order_id}", "data": data}


async def rows(shop: Installation, count: int) -> list[Mapping[str, Any]]:
    """Wait for ``count`` rows of the ledger."""

    async def look() -> list[Mapping[str, Any]] | None:
        found: list[Mapping[str, Any]] = (await get_json(shop.session, f"{shop.operator}/api/events"))["events"]
        return found if len(found) >= count else None

    ended: list[Mapping[str, Any]] = await until(look, what=f"{count} rows in the ledger")
    assert len(ended) == count
    return ended


async def purchases(shop: Installation) -> list[dict[str, Any]]:
    found = (await get_json(shop.session, f"{shop.graph}/sim/events?read=1"))["events"]
    return [entry["event"] for entry in found if entry["name"] == "Purchase"]


@pytest.mark.parametrize("first", ["page", "server"])
async def test_two_copies_become_one_event(tmp_path: Path, first: str) -> None:
    """Whichever report comes first, one event arrives, with the shop's buyer, the page's id and its browser."""
    async with shop_with(tmp_path, wait_seconds=TOGETHER_S) as shop:
        tellers = [bought, paid] if first == "page" else [paid, bought]
        for tell in tellers:
            await tell(shop, 1001)
        ended = await rows(shop, 2)
        (sent,) = await purchases(shop)

    assert sorted(str(row["status"]) for row in ended) == ["delivered", "duplicate"]
    assert (sent["event_id"], sent["user_data"]["fbp"], sent["user_data"]["fbc"]) == ("page-1001", FBP, FBC)
    assert sent["user_data"]["em"]


async def test_a_checkout_finds_the_order_that_no_page_told(tmp_path: Path) -> None:
    """An order without a page's Purchase gets its browser by the checkout token, which is in the page's address."""
    async with shop_with(tmp_path) as shop:
        await bought(shop, None, url=f"https://shop.example/checkouts/cn/{TOKEN}/information")
        await paid(shop, 1002)
        await rows(shop, 2)
        (sent,) = await purchases(shop)

    assert (sent["event_id"], sent["user_data"]["fbp"]) == ("order-shop-1002", FBP)


async def test_a_refusal_of_the_page_binds_the_shop(tmp_path: Path) -> None:
    """The shop's event of an order is dropped if its browser sent Global Privacy Control."""
    async with shop_with(tmp_path) as shop:
        await bought(shop, 1003, **{"Sec-GPC": "1"})
        await paid(shop, 1003)
        ended = await rows(shop, 2)

        assert [(row["status"], row["reason"]) for row in ended] == [("dropped", "gpc")] * 2
        assert await purchases(shop) == []


@pytest.mark.parametrize("first", ["refusal", "server"])
async def test_an_opt_out_reaches_the_order_of_before(tmp_path: Path, first: str) -> None:
    """An opt-out after the purchase stops the shop's event too, with the browser's data."""
    async with shop_with(tmp_path, wait_seconds=TOGETHER_S) as shop:
        _, headers, _ = await shop.post(wire(purchase(1006)))
        cookies = "; ".join(cookie.partition(";")[0] for cookie in headers.getall("Set-Cookie"))  # type: ignore[attr-defined]
        for tell in ("refusal", "server") if first == "refusal" else ("server", "refusal"):
            await (opted_out(shop, cookies) if tell == "refusal" else paid(shop, 1006))
        ended = await rows(shop, 2)

        assert [(row["status"], row["reason"]) for row in ended] == [("dropped", "opted_out")] * 2
        assert await purchases(shop) == []


async def opted_out(shop: Installation, cookies: str) -> None:
    headers = browser_headers(Cookie=cookies, Content_Type="application/json")
    address = f"{shop.public}/shop-tools/c"
    async with shop.session.post(address, data=b'{"opted_out": true}', headers=headers) as answer:
        assert answer.status == 200


async def test_a_held_purchase_leaves_when_it_is_paid(tmp_path: Path) -> None:
    """A Purchase that is held for a day is sent when the shop reports the payment, as the shop's event."""
    async with shop_with(tmp_path, hold_until_paid=True) as shop:
        await bought(shop, 1004)
        await paid(shop, 1004)
        await rows(shop, 1)
        (sent,) = await purchases(shop)

    assert (sent["event_id"], bool(sent["user_data"]["em"])) == ("page-1004", True)


@pytest.mark.parametrize(("settings", "reason"), [({"unknown_people": "drop"}, "no_consent"), ({}, "")])
async def test_people_never_seen(tmp_path: Path, settings: dict[str, str], reason: str) -> None:
    """An order without any known browser, as by telephone, is sent or dropped as the site's setting says."""
    async with shop_with(tmp_path, **settings) as shop:
        await paid(shop, 1005)
        (row,) = await rows(shop, 1)

    assert (row["status"], row["reason"]) == (("dropped", reason) if reason else ("delivered", ""))

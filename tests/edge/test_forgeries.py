"""What a stranger who guesses the id of somebody's order can do to it, over real sockets."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support import Installation, get_json, installation, until, wire

pytestmark = pytest.mark.usefixtures("front")

BUYER, STRANGER = "fb.1.1700000000000.1111", "fb.1.1700000000000.2222"


@pytest.fixture(name="shop")
async def _shop(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path) as shop:
        yield shop


async def buy(shop: Installation, fbp: str, value: float, order: str = "order-shop-1002") -> None:
    data = {"value": value, "currency": "EUR", "order_id": order.rpartition("-")[2]}
    status, _, _ = await shop.post(wire({"name": "Purchase", "id": order, "data": data, "pixel": "pending"}, fbp=fbp))
    assert status == 204


async def rows(shop: Installation, count: int) -> list[dict[str, Any]]:
    """Wait for ``count`` rows of Purchases in the ledger; return them, oldest first."""

    async def ended() -> list[dict[str, Any]]:
        found = (await get_json(shop.session, f"{shop.operator}/api/events?name=Purchase"))["events"]
        return found[::-1] if len(found) == count else []

    found: list[dict[str, Any]] = await until(ended, what=f"{count} Purchases in the ledger")
    return found


async def figure(shop: Installation, name: str) -> float:
    async with shop.session.get(f"{shop.operator}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


async def conditions(shop: Installation) -> list[str]:
    readiness = await get_json(shop.session, f"{shop.operator}/readyz")
    return [condition["code"] for condition in readiness["conditions"]]


async def test_a_forged_order_holds_up_no_real_one_and_is_told(shop: Installation) -> None:
    """After a forged Purchase of 0.01 with the next order's id, the real one is sent too, and the owner is told."""
    await buy(shop, STRANGER, 0.01)
    first = await rows(shop, 1)
    before = await conditions(shop)
    await buy(shop, BUYER, 129.9)
    found = await rows(shop, 2)

    assert [row["status"] for row in first + found] == ["delivered"] * 3
    assert [row["findings"] for row in found] == [[], ["id:conflict"]]
    assert (before, await conditions(shop)) == ([], ["order_id_conflict"])
    assert await figure(shop, "capi_proxy_order_id_conflicts_total") == 1


async def test_the_same_order_from_a_second_browser_is_no_conflict(shop: Installation) -> None:
    """If a buyer opens the thank-you page on another device, the value is the same, and nothing is reported."""
    await buy(shop, BUYER, 129.9)
    await buy(shop, STRANGER, 129.90)
    await rows(shop, 2)

    assert await conditions(shop) == []
    assert await figure(shop, "capi_proxy_order_id_conflicts_total") == 0


async def test_a_stranger_does_not_tell_of_the_buyers_browser(shop: Installation) -> None:
    """Forged updates of a guessed order change nothing and are counted; the buyer's own update works."""
    await buy(shop, BUYER, 129.9)
    await rows(shop, 1)
    updates = [{"name": "Purchase", "id": "order-shop-1002", "pixel": "blocked"}]
    await shop.post(wire(fates=updates, fbp=STRANGER))

    async def ignored() -> bool:
        return await figure(shop, "capi_proxy_foreign_copy_updates") == 1

    await until(ignored, what="the forged updates")
    (forged,) = await rows(shop, 1)
    await shop.post(wire(fates=updates, fbp=BUYER))

    async def joined() -> bool:
        (row,) = await rows(shop, 1)
        return bool(row["browser_copy"] == "blocked")

    await until(joined, what="the buyer's own updates")
    assert forged["browser_copy"] == "pending"
    assert "visitor" not in forged

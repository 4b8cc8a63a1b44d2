"""The key by which an event counts once for its order."""

from typing import Any

import orjson
import pytest
from received import ingest
from shop_requests import FACTS, NOW, PIXEL, policy

from proxy.model.order import order_key
from proxy.rules.orders import order_of

PURCHASE_KEY = order_key("shop", "Purchase", "1001")


@pytest.mark.parametrize(
    ("name", "data", "key"),
    [
        ("Purchase", {"order_id": "1001"}, PURCHASE_KEY),
        ("Purchase", {"order_id": "\n  1001 "}, PURCHASE_KEY),
        ("Purchase", {"order_id": "#1001"}, order_key("shop", "Purchase", "#1001")),
        ("Lead", {"order_id": "1001"}, order_key("shop", "Lead", "1001")),
        ("Purchase", {}, b""),
        ("Purchase", {"order_id": "undefined"}, b""),
        ("Purchase", {"order_id": "000"}, b""),
        ("Purchase", {"order_id": "1001", "item_number": "7"}, b""),
        ("Refund", {"order_id": "1001"}, b""),
        ("ViewContent", {"order_id": "1001"}, b""),
    ],
)
def test_an_order_has_one_event_of_its_name(name: str, data: dict[str, Any], key: bytes) -> None:
    """Placeholders are no order and surrounding blanks no part of one; at a till each line counts for itself."""
    assert order_of("shop", name, data) == key


@pytest.mark.parametrize(
    ("site", "key"),
    [
        ({}, b""),
        ({"access_keys": ["c3a5e1f09b7d42688e0fa2b4d6c81357"]}, PURCHASE_KEY),
        ({"webhook": [{"kind": "stripe", "secret": "s"}]}, PURCHASE_KEY),
    ],
)
def test_the_copy_of_a_page_names_its_order_where_servers_tell_of_orders(site: dict[str, Any], key: bytes) -> None:
    """On a site whose servers cannot report orders, the orders of pages are not remembered."""
    data = {"value": 1, "currency": "EUR", "order_id": "1001"}
    event = {"name": "Purchase", "id": "of-the-page", "at": NOW, "pixels": [PIXEL], "data": data, "pixel": "fired"}
    body = orjson.dumps({"v": 1, "sent": NOW, "url": "https://shop.example/", "events": [event]})

    (record,) = ingest(FACTS._replace(body=body), policy(**site)).records
    assert record.order == key

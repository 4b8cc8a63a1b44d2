"""Webhooks over real sockets: who may send them, how they are answered, and what arrives at Graph."""

import base64
import gzip
import hashlib
import hmac
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from sdks import AT_ONCE
from support import PIXEL, TOKEN, Installation, get_json, installation, until, wire

from proxy.model.record import Record
from proxy.queue.contract import QueueError, Stored

SECRETS = {"shopify": "shopify-secret", "woocommerce": "woo-secret", "stripe": "whsec-stripe"}
GOLDEN = Path(__file__).parents[2] / "golden" / "hooks"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Test/1.0"
PLANTED = "Erika.Planted@mail.example"


@pytest.fixture(name="shop")
async def _shop(tmp_path: Path) -> AsyncIterator[Installation]:
    webhooks: list[dict[str, Any]] = [{"kind": kind, "secret": secret} for kind, secret in SECRETS.items()]
    webhooks[0]["old_secrets"] = ["an older secret"]
    webhooks[2]["renewal_event"] = "Renewal"
    async with installation(tmp_path, webhook=webhooks, orders=AT_ONCE) as shop:
        yield shop


def golden(name: str, **members: Any) -> dict[str, Any]:
    """Return the body of a golden hook as if it happened now, some members changed."""
    body: dict[str, Any] = orjson.loads((GOLDEN / f"{name}.hook.json").read_bytes())["body"]
    now = datetime.now(UTC).replace(microsecond=0)
    times = {
        "processed_at": now.isoformat(),
        "created_at": now.isoformat(),
        "date_paid_gmt": now.replace(tzinfo=None).isoformat(),
        "date_modified_gmt": now.replace(tzinfo=None).isoformat(),
    }
    return body | {key: value for key, value in times.items() if key in body} | members


def stripe(name: str, **members: Any) -> dict[str, Any]:
    """Return a Stripe event that happened now, some members of its object changed."""
    body, now = golden(name, created=int(time.time())), int(time.time())
    subject = body["data"]["object"] | members
    if "status_transitions" in subject:
        subject["status_transitions"] = {"paid_at": now}
    if "trial_start" in subject:
        subject["trial_start"] = now
    return body | {"data": body["data"] | {"object": subject}}


def signed(kind: str, body: bytes, topic: str = "", secret: str = "") -> dict[str, str]:
    """Return the headers of a correctly signed webhook."""
    key = (secret or SECRETS[kind]).encode()
    if kind == "stripe":
        now = int(time.time())
        return {"Stripe-Signature": f"t={now},v1={hmac.new(key, b'%d.%b' % (now, body), hashlib.sha256).hexdigest()}"}
    signature = base64.b64encode(hmac.digest(key, body, hashlib.sha256)).decode()
    name = {"shopify": "X-Shopify-Hmac-Sha256", "woocommerce": "X-WC-Webhook-Signature"}[kind]
    topic_name = {"shopify": "X-Shopify-Topic", "woocommerce": "X-WC-Webhook-Topic"}[kind]
    return {name: signature, topic_name: topic, "Content-Type": "application/json"}


async def post(
    shop: Installation, path: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, Mapping[str, str], dict[str, Any]]:
    async with shop.session.post(f"{shop.public}{path}", data=body, headers=headers) as answer:
        return answer.status, answer.headers, orjson.loads(await answer.read())


async def send(shop: Installation, kind: str, body: Mapping[str, Any], topic: str = "") -> dict[str, Any]:
    """Send a correctly signed webhook; fail unless it is answered 200."""
    data = orjson.dumps(body)
    status, _, answer = await post(shop, f"/hooks/shop/{kind}", data, signed(kind, data, topic))
    assert status == 200, answer
    return answer


async def delivered(shop: Installation, count: int) -> list[dict[str, Any]]:
    """Wait until ``count`` events have arrived at Graph; return them in the order of arrival."""
    await shop.counted(count)
    found = await get_json(shop.session, f"{shop.graph}/sim/events")
    return [entry["event"] for entry in reversed(found["events"])]


async def ledger(shop: Installation, **wanted: str) -> list[dict[str, Any]]:
    found = await get_json(shop.session, f"{shop.operator}/api/events?{urlencode(wanted)}")
    rows: list[dict[str, Any]] = found["events"]
    return rows


@pytest.mark.parametrize("path", ["/hooks/shop/shopify", "//hooks/shop/shopify/", "/shop-tools/hooks/shop/shopify"])
async def test_a_paid_order_arrives_at_graph(shop: Installation, path: str) -> None:
    """A paid order arrives from every path, with hashed contact data, and with the buyer's address, not the shop's."""
    data = orjson.dumps(golden("shopify_order_paid", email=PLANTED))
    status, headers, answer = await post(shop, path, data, signed("shopify", data, "orders/paid"))
    (event,) = await delivered(shop, 1)

    assert (status, answer) == (200, {"received": True})
    assert "Access-Control-Allow-Origin" not in headers
    assert (event["event_name"], event["event_id"]) == ("Purchase", "order-shop-820982911946154508")
    assert event["user_data"]["em"] == [hashlib.sha256(PLANTED.lower().encode()).hexdigest()]
    assert event["user_data"]["client_ip_address"] == "203.0.113.7"
    assert event["user_data"]["client_user_agent"] == AGENT
    assert (event["custom_data"]["value"], event["custom_data"]["currency"]) == (59.7, "EUR")


@pytest.mark.parametrize("kind", SECRETS)
async def test_a_webhook_that_nobody_signed_is_refused(shop: Installation, kind: str) -> None:
    """A webhook with another secret, another body or no signature gets 401 in Graph's shape, and nothing is stored."""
    data = orjson.dumps(golden("shopify_order_paid"))
    for headers, body in (
        ({}, data),
        (signed(kind, data, "orders/paid", "wrong"), data),
        (signed(kind, data, "orders/paid"), data + b" "),
    ):
        status, _, answer = await post(shop, f"/hooks/shop/{kind}", body, headers)
        assert (status, sorted(answer)) == (401, ["error"])
    assert await ledger(shop) == []


async def test_an_older_secret_may_still_sign(shop: Installation) -> None:
    """While a secret is being replaced, webhooks signed with the older one are accepted too."""
    data = orjson.dumps(golden("shopify_order_paid"))
    headers = signed("shopify", data, "orders/paid", "an older secret")

    assert (await post(shop, "/hooks/shop/shopify", data, headers))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/hooks/shop/shopify", 405),
        ("POST", "/hooks/other/shopify", 404),
        ("POST", "/hooks/shop/magento", 404),
        ("POST", "/hooks/shop", 404),
        ("POST", "/hooks", 404),
    ],
)
async def test_other_addresses_are_answered_in_graphs_shape(
    shop: Installation, method: str, path: str, status: int
) -> None:
    """A mistyped site name or address is answered at once with an error in JSON."""
    async with shop.session.request(method, f"{shop.public}{path}", data=b"{}") as answer:
        assert (answer.status, sorted(await answer.json())) == (status, ["error"])


async def test_the_ping_of_woocommerce_is_answered_200(shop: Installation) -> None:
    """WooCommerce's unsigned ping is answered 200; an unsigned request of another shop system is not."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    assert (await post(shop, "/hooks/shop/woocommerce", b"webhook_id=5", form))[0] == 200
    assert (await post(shop, "/hooks/shop/shopify", b"webhook_id=5", form))[0] == 401
    assert (await post(shop, "/hooks/shop/woocommerce", b"webhook_id=5&x=1", form))[0] == 401


async def test_what_is_no_sale_is_answered_200(shop: Installation) -> None:
    """A webhook that is no sale is answered 200 with the reason, since shops drop addresses that refuse too often."""
    pending = await send(shop, "woocommerce", golden("woocommerce_order", status="on-hold"), "order.updated")
    other = await send(shop, "shopify", {"id": 1}, "products/update")
    test_mode = await send(shop, "stripe", golden("stripe_checkout", livemode=False))

    assert [answer["ignored"] for answer in (pending, other, test_mode)] == ["not paid", "topic", "test mode"]
    assert await ledger(shop) == []


async def test_a_packed_webhook_is_refused_unread(shop: Installation) -> None:
    """A compressed webhook is refused without unpacking: shops send none, and it could be a bomb."""
    data = gzip.compress(orjson.dumps(golden("shopify_order_paid")))
    headers = signed("shopify", data, "orders/paid") | {"Content-Encoding": "gzip"}

    assert (await post(shop, "/hooks/shop/shopify", data, headers))[0] == 415


async def test_a_signed_body_that_is_no_json_is_refused(shop: Installation) -> None:
    """A signed body that is not a JSON object, or too deep, gets 400 with a message."""
    for body in (b"", b"{", b"[]", b"1", b"[" * 100_000):
        status, _, answer = await post(shop, "/hooks/shop/shopify", body, signed("shopify", body, "orders/paid"))
        assert (status, sorted(answer)) == (400, ["error"])


@pytest.mark.parametrize("method", ["known_server_orders", "append"])
async def test_what_cannot_be_stored_is_asked_for_again(
    shop: Installation, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """If the queue fails, the answer is 503 with a time, so that the shop tries again."""

    async def fail(*_arguments: object, **_more: object) -> object:
        raise QueueError("the disk is full")

    monkeypatch.setattr(shop.proxy.queue, method, fail)
    data = orjson.dumps(stripe("stripe_renewal"))
    status, headers, answer = await post(shop, "/hooks/shop/stripe", data, signed("stripe", data))

    assert (status, headers["Retry-After"], sorted(answer)) == (503, "5", ["error"])


async def test_an_order_that_is_told_again_is_sent_once(shop: Installation) -> None:
    """WooCommerce reports an order at each edit, and a refund; the order is sent once, whatever ids the copies have."""
    order = golden("woocommerce_order")
    await send(shop, "woocommerce", order, "order.created")
    meta = [{"key": "_event_id", "value": "another-id"}]
    await send(shop, "woocommerce", order | {"meta_data": meta, "status": "completed"}, "order.updated")
    await send(shop, "woocommerce", golden("woocommerce_refund"), "order.updated")
    await delivered(shop, 1)

    async def repeats() -> bool:
        found = await ledger(shop, status="duplicate", name="Purchase")
        return sorted(row["id"] for row in found) == ["another-id", "order-shop-727"]

    await until(repeats, what="both repeats in the ledger")


async def test_a_refund_without_a_person_stands_in_the_ledger(shop: Installation) -> None:
    """Shopify's refund names no person, so Meta would refuse it; it is dropped with its reason, and answered 200."""
    await send(shop, "shopify", golden("shopify_refund"), "refunds/create")
    rows = await until(lambda: ledger(shop, reason="little_identity"))

    assert [(row["name"], row["id"], row["status"]) for row in rows] == [("Refund", "refund-shop-509562969", "dropped")]


async def test_a_trial_subscribes_once_and_renews(shop: Installation) -> None:
    """A trial, its update, its first payment twice and a renewal give one StartTrial, one Subscribe, one Renewal."""
    begin = stripe("stripe_trial")
    await send(shop, "stripe", begin)
    await send(shop, "stripe", begin | {"type": "customer.subscription.updated"})
    updated = await send(shop, "stripe", stripe("stripe_trial_goes_on"))
    for invoice in ("in_1", "in_1", "in_2"):
        await send(shop, "stripe", stripe("stripe_renewal", id=invoice))
    events = await delivered(shop, 3)

    assert updated["ignored"] == "status"
    assert sorted(event["event_name"] for event in events) == ["Renewal", "StartTrial", "Subscribe"]
    assert {event["user_data"]["fbc"] for event in events} == {"fb.1.1763600000000.IwAR2"}


async def test_a_trial_that_began_on_a_page_keeps_its_click(shop: Installation) -> None:
    """If Stripe has the event id of the page's StartTrial, the trial is one event, and all have the page's click id."""
    click, whom = "fb.1.1763600000000.IwAR9", {PIXEL: {"em": "sam@mail.example"}}
    told = {"event_id": "trial-7"}
    paying = {"type": "subscription_details", "subscription_details": {"subscription": "sub_1", "metadata": told}}
    await shop.post(wire({"name": "StartTrial", "id": "trial-7"}, fbc=click, match=whom))
    begin = stripe("stripe_trial", metadata=told)
    await send(shop, "stripe", begin)
    await send(shop, "stripe", begin | {"type": "customer.subscription.updated"})
    nothing_yet = await send(shop, "stripe", stripe("stripe_renewal", id="in_0", amount_paid=0, parent=paying))
    for invoice in ("in_1", "in_1", "in_2", "in_3"):
        await send(shop, "stripe", stripe("stripe_renewal", id=invoice, parent=paying))
    events = await delivered(shop, 4)

    assert nothing_yet["ignored"] == "no money"
    assert sorted(event["event_name"] for event in events) == ["Renewal", "Renewal", "StartTrial", "Subscribe"]
    assert {event["user_data"]["fbc"] for event in events} == {click}
    assert {event["event_id"] for event in events if event["event_name"] == "StartTrial"} == {"trial-7"}


async def test_a_customers_number_as_a_reference_costs_no_order(shop: Installation) -> None:
    """Three checkouts with a customer number as reference, one sent twice, are three Purchases with different ids."""
    for session in ("cs_1", "cs_2", "cs_2", "cs_3"):
        about: dict[str, Any] = {"id": session, "client_reference_id": "customer-9", "metadata": {}}
        await send(shop, "stripe", stripe("stripe_checkout", **about))
    events = await delivered(shop, 3)
    repeats = await until(lambda: ledger(shop, status="duplicate"))

    assert sorted(event["custom_data"]["order_id"] for event in events) == ["cs_2", "cs_3", "customer-9"]
    assert len(repeats) == 1


async def test_a_first_payment_reaches_all_pixels_or_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the queue fails, no pixel remembers the payment, so its repeat is a Subscribe for both pixels."""
    pixels = [{"id": pixel, "access_token": TOKEN} for pixel in (PIXEL, "2222222222")]
    webhook = [{"kind": "stripe", "secret": SECRETS["stripe"]}]
    async with installation(tmp_path, webhook=webhook, pixel=pixels, orders=AT_ONCE) as shop:
        await send(shop, "stripe", stripe("stripe_trial"))
        append, failures = shop.proxy.queue.append, [QueueError("the disk is full")]

        async def failing_once(records: Sequence[Record]) -> Stored:
            if failures and "2222222222" in {record.pixel for record in records}:
                raise failures.pop()
            return await append(records)

        monkeypatch.setattr(shop.proxy.queue, "append", failing_once)
        data = orjson.dumps(stripe("stripe_renewal"))
        first, _, _ = await post(shop, "/hooks/shop/stripe", data, signed("stripe", data))
        again = await send(shop, "stripe", stripe("stripe_renewal"))
        events = await delivered(shop, 4)

    assert (first, again) == (503, {"received": True})
    assert sorted(event["event_name"] for event in events) == ["StartTrial", "StartTrial", "Subscribe", "Subscribe"]


def _files(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in directory.rglob("*") if path.is_file()]


async def test_no_contact_data_of_a_webhook_is_logged_or_stored(
    shop: Installation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Contact data of an accepted or refused webhook is in no log line, no file and no answer."""
    caplog.set_level(logging.DEBUG)
    data = orjson.dumps(golden("shopify_order_paid", email=PLANTED))
    answers = [
        await post(shop, "/hooks/shop/shopify", data, signed("shopify", data, topic))
        for topic in ("orders/paid", "orders/create")
    ]
    answers.append(await post(shop, "/hooks/shop/shopify", data, {}))
    await delivered(shop, 1)
    kept = b"".join(_files(tmp_path))

    assert PLANTED.encode() not in kept
    assert PLANTED not in caplog.text
    assert PLANTED not in str(answers)

"""Webhooks of shops: the check of their signatures, and the events made of them.

Each ``tests/golden/hooks/NAME.hook.json`` (kind, topic, body) has its ``NAME.hits.json``: the events as a server would
have sent them itself.
"""

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.hooks import shopify, signatures, stripe, woocommerce
from proxy.rules.hooks.hook import HookEvents, Shop, seconds
from proxy.rules.hooks.reading import orders_before
from proxy.rules.payload.money import minor_units

GOLDEN = Path(__file__).parent.parent / "golden" / "hooks"
NAMES = sorted(path.name.removesuffix(".hook.json") for path in GOLDEN.glob("*.hook.json"))
SHOP = Shop("shop", "www.shop.example", renewal="Renewal")
SECRET = "whsec-0123456789"
NOBODYS = ("undefined", "null", "None", "NaN", "0", "erika77@mail.example", "+4915112345678")
BODY = '{"id": 1, "name": "Jürgen"}'.encode()


def golden(name: str) -> dict[str, Any]:
    hook: dict[str, Any] = orjson.loads((GOLDEN / f"{name}.hook.json").read_bytes())
    return hook


def events_of(hook: Mapping[str, Any], shop: Shop = SHOP) -> HookEvents:
    if hook["kind"] == "stripe":
        return stripe.events(hook["body"], shop, frozenset(hook.get("remembered", ())))
    rules = {"shopify": shopify.events, "woocommerce": woocommerce.events}[hook["kind"]]
    return rules(hook["topic"], hook["body"], shop)


def as_golden(found: HookEvents) -> Any:
    """Return the events of a hook in the form of its golden file."""
    hits = [msgspec.structs.asdict(hit) | {"more": dict(hit.more)} for hit in found.hits]
    return orjson.loads(orjson.dumps({"hits": hits, "why_not": found.why_not}))


def changed(name: str, path: str, value: object) -> dict[str, Any]:
    """Return a golden hook with the member of its body at ``path`` replaced."""
    hook = deepcopy(golden(name))
    *parents, last = path.split(".")
    place = hook["body"]
    for parent in parents:
        place = place[parent]
    place[last] = value
    return hook


@pytest.mark.parametrize("name", NAMES)
def test_a_hook_comes_to_its_golden_hits(name: str) -> None:
    """An order, a refund or a subscription becomes the events in its golden file, member by member."""
    found = events_of(golden(name))

    assert as_golden(found) == json.loads((GOLDEN / f"{name}.hits.json").read_text())


def test_every_golden_hits_file_has_its_hook() -> None:
    """Every golden result has its hook, and every hook its result."""
    assert sorted(path.name.removesuffix(".hits.json") for path in GOLDEN.glob("*.hits.json")) == NAMES


@pytest.mark.parametrize(
    ("name", "path", "value", "why_not"),
    [
        ("shopify_order_paid", "test", True, "test order"),
        ("shopify_order_paid", "cancelled_at", "2026-11-20T10:20:00+01:00", "cancelled"),
        ("shopify_order_paid", "financial_status", "pending", "not paid"),
        ("shopify_order_paid", "financial_status", "authorized", "not paid"),
        ("shopify_order_paid", "financial_status", "partially_paid", "not paid"),
        ("shopify_order_paid", "total_price", "a lot", "unreadable"),
        ("shopify_order_paid", "processed_at", "2026-11-20T10:15:00", ""),
        ("shopify_order_paid", "id", None, "unreadable"),
        ("shopify_refund", "transactions", [], "no money"),
        ("shopify_refund", "transactions", None, "no money"),
        ("woocommerce_order", "status", "pending", "not paid"),
        ("woocommerce_order", "status", "on-hold", "not paid"),
        ("woocommerce_order", "status", "failed", "not paid"),
        ("woocommerce_order", "status", "checkout-draft", "not paid"),
        ("woocommerce_order", "date_paid_gmt", None, "not paid"),
        ("woocommerce_order", "created_via", "admin", "made by staff"),
        ("stripe_checkout", "livemode", False, "test mode"),
        ("stripe_checkout", "data.object.payment_status", "unpaid", "not paid"),
        ("stripe_checkout", "data.object.payment_status", "no_payment_required", "not paid"),
        ("stripe_checkout", "data.object.mode", "subscription", "its subscription tells"),
        ("stripe_checkout", "data.object.mode", "setup", "its subscription tells"),
        ("stripe_checkout", "type", "charge.refunded", "type"),
        ("stripe_trial", "data.object.status", "paused", "status"),
        ("stripe_trial", "data.object.status", "active", "status"),
        ("stripe_trial", "type", "customer.subscription.deleted", "type"),
        ("stripe_renewal", "data.object.amount_paid", 0, "no money"),
        ("stripe_renewal", "data.object.billing_reason", "subscription_update", "billing reason"),
        ("stripe_renewal", "data.object.billing_reason", "manual", "billing reason"),
    ],
)
def test_what_is_no_sale_comes_to_nothing(name: str, path: str, value: object, why_not: str) -> None:
    """Test orders and unpaid, cancelled or staff-made ones make no event, and the reason is stated."""
    found = events_of(changed(name, path, value))

    assert found.why_not == why_not
    assert bool(found.hits) is (not why_not)


@pytest.mark.parametrize(
    ("kind", "topic"), [("shopify", "orders/create"), ("shopify", "products/update"), ("woocommerce", "order.deleted")]
)
def test_a_topic_that_does_not_interest_comes_to_nothing(kind: str, topic: str) -> None:
    """A topic that is no sale makes no event: an ``order.deleted`` has only a number, ``orders/create`` no payment."""
    assert events_of({"kind": kind, "topic": topic, "body": {"id": 5}}) == HookEvents(why_not="topic")


def test_a_trial_that_goes_on_subscribes_once() -> None:
    """The first payment after a trial is a Subscribe; each later payment is a renewal with an id of its own."""
    first = events_of(golden("stripe_first_payment_after_trial"))
    renewal = events_of(golden("stripe_renewal"))

    assert events_of(golden("stripe_trial_goes_on")).why_not == "status"
    assert [hit.name for hit in (*first.hits, *renewal.hits)] == ["Subscribe", "Renewal"]
    assert first.hits[0].orders == (("invoice", "in_1"), ("Subscribe", "sub_1"))
    assert renewal.hits[0].orders == (("invoice", "in_2"),)
    assert events_of(golden("stripe_renewal"), SHOP._replace(renewal="")).why_not == "renewal"


def test_a_guest_and_a_till_have_no_account() -> None:
    """Neither WooCommerce's customer 0 nor the customer shared by a till's guests is sent as an account."""
    (guest,), (till,) = events_of(golden("woocommerce_order")).hits, events_of(golden("shopify_till")).hits

    assert "external_id" not in guest.user_data
    assert "external_id" not in till.user_data
    assert till.action_source == "physical_store"


@pytest.mark.parametrize("told", ["x" * 201, "a\nb", "", " ", "Erika Muster", "Muster,Erika", *NOBODYS])
@pytest.mark.parametrize(
    ("name", "member", "place", "made"),
    [
        ("shopify_order_paid", "note_attributes", lambda told: [{"name": "_event_id", "value": told}], "order-shop-"),
        ("woocommerce_order", "meta_data", lambda told: [{"key": "_event_id", "value": told}], "order-shop-"),
        ("stripe_checkout", "data.object.metadata", lambda told: {"event_id": told}, "order-shop-"),
        ("stripe_trial", "data.object.metadata", lambda told: {"event_id": told}, "trial-shop-"),
    ],
)
def test_what_a_visitor_put_into_an_order_is_an_id_or_nothing(
    name: str, member: str, place: Callable[[str], object], made: str, told: str
) -> None:
    """An id that a cart attribute names is used only if it is short and plain; otherwise it is made of the order.

    Visitors can write anything there: a placeholder would give all orders one id, contact data would keep the event
    back.
    """
    (hit, *_) = events_of(changed(name, member, place(told))).hits

    assert hit.id.startswith(made)


@pytest.mark.parametrize(
    "told",
    [
        "Erika Muster",
        "Erika Anna Muster 2",
        "Seeweg 5, Kiel",
        "Seeweg 5 Kiel",
        "erika77@mail.example",
        "+4915112345678",
    ],
)
def test_what_is_no_number_of_an_order_is_none(told: str) -> None:
    """A session's reference that is no order number is not used as one, since it would be sent in the clear.

    A merchant may have put a name, a street or an e-mail address there, and the last would keep the whole order back.
    """
    (hit,) = events_of(changed("stripe_checkout", "data.object.client_reference_id", told)).hits

    assert (hit.id, hit.custom_data["order_id"]) == ("page-1", "cs_live_a1")


@pytest.mark.parametrize("told", ["#1001", "EN 1001", "2026/11-7", "A-77"])
def test_numbers_of_orders_stay_as_shops_write_them(told: str) -> None:
    """A shop's own prefixes are kept as parts of the number."""
    (hit,) = events_of(changed("stripe_checkout", "data.object.client_reference_id", told)).hits

    assert hit.custom_data["order_id"] == told


def test_a_reference_that_another_checkout_had_is_a_customers() -> None:
    """A reference that an earlier checkout had is the customer's number; then the session's id stands for the order."""
    hook = changed("stripe_checkout", "data.object.client_reference_id", "77")
    names = frozenset(orders_before("stripe", hook["body"], "shop").values())
    (first,) = events_of(hook).hits
    (again,) = events_of(hook | {"remembered": names}).hits
    (other,) = events_of(hook | {"remembered": names - {stripe.SESSION}}).hits

    assert names == {stripe.SESSION, stripe.REFERENCE}
    assert again == first
    assert (first.custom_data["order_id"], other.custom_data["order_id"]) == ("77", "cs_live_a1")
    assert set(other.orders) == {("Purchase", "cs_live_a1"), (stripe.SESSION, "cs_live_a1")}


def test_an_order_number_too_long_for_an_id_makes_none() -> None:
    """Stripe's metadata may have 500 characters; such an event gets an id made of its content, like any without one."""
    (hit,) = events_of(changed("stripe_checkout", "data.object.metadata", {"order_id": "7" * 201})).hits

    assert (hit.id, hit.custom_data["order_id"]) == ("", "7" * 201)


def test_a_refund_of_woocommerce_is_about_its_buyer() -> None:
    """It has its order's buyer, so that Meta can match it, but no browser, as the shop's staff pays back."""
    purchase, refund = events_of(golden("woocommerce_refund")).hits

    assert refund.user_data["em"] == purchase.user_data["em"]
    assert "client_user_agent" in purchase.user_data
    assert "client_user_agent" not in refund.user_data


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", 2**64 - 1, -1, True])
def test_a_time_beyond_all_bounds_is_no_error(time: object) -> None:
    """A time that is out of range is read or counts as missing; the rules refuse what is too old or in the future."""
    found = events_of(changed("shopify_order_paid", "processed_at", time))

    assert bool(found.hits) is (not found.why_not)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (1763640000, 1763640000),
        ("2025-11-20T12:00:00", 1763640000),
        ("2025-11-20T12:00:00Z", 1763640000),
        ("2025-11-20T13:00:00+01:00", 1763640000),
        ("2025-11-20", None),
        ("", None),
        (1763640000000, None),
        (2**64 - 1, None),
    ],
)
def test_a_time_without_a_zone_is_read_where_it_means_utc(told: object, expected: int | None) -> None:
    """A time without a zone is read as UTC from WooCommerce, else refused; one in milliseconds is always refused."""
    has_no_zone = told == "2025-11-20T12:00:00"

    assert seconds(told, is_utc=True) == expected
    assert seconds(told) == (None if has_no_zone else expected)


@pytest.mark.parametrize(
    ("units", "code", "value"),
    [
        (2599, "EUR", 25.99),
        (2599, "JPY", 2599),
        (2599, "KWD", 2.599),
        (0, "EUR", 0),
        (10**12 + 1, "USD", 10000000000.01),
    ],
)
def test_minor_units(units: int, code: str, value: float) -> None:
    """An amount in minor units is divided by its currency's factor: 1 for yen, 1,000 for dinars."""
    assert minor_units(units, code) == value


def _signed(body: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()


@pytest.mark.parametrize("is_genuine", [signatures.is_shopify, signatures.is_woocommerce])
def test_a_signature_is_over_the_bytes(is_genuine: Callable[..., bool]) -> None:
    """Any of several secrets may have signed; a changed body, a wrong or empty secret and no signature are refused."""
    assert is_genuine(BODY, _signed(BODY), ["another", SECRET])
    assert not is_genuine(BODY + b" ", _signed(BODY), [SECRET])
    assert not is_genuine(BODY, _signed(BODY), ["another"])
    assert not is_genuine(BODY, _signed(BODY, ""), [""])
    assert not is_genuine(BODY, _signed(BODY, ""), [])
    assert not is_genuine(BODY, "", [SECRET])
    assert not is_genuine(BODY, "ünicode", [SECRET])


def test_woocommerce_decodes_a_secret() -> None:
    """WooCommerce stores a ``&`` of a secret as ``&amp;``, but signs with ``&``."""
    assert signatures.is_woocommerce(BODY, _signed(BODY, "a&b"), ["a&amp;b"])


def _stripe(at: int, *versions: str) -> str:
    return ",".join([f"t={at}", *versions])


def _v1(at: int, secret: str = SECRET) -> str:
    return "v1=" + hmac.new(secret.encode(), b"%d.%b" % (at, BODY), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("header", "is_genuine"),
    [
        (_stripe(1000, _v1(1000)), True),
        (_stripe(1000, "v0=1", _v1(1000, "old"), _v1(1000)), True),
        (_stripe(1300, _v1(1300)), True),
        (_stripe(1301, _v1(1301)), False),
        (_stripe(699, _v1(699)), False),
        (_stripe(1001, _v1(1000)), False),
        (_stripe(1000, _v1(1000).replace("v1", "v0")), False),
        (_stripe(1000, "t=2000", _v1(1000)), False),
        (_v1(1000), False),
        ("t=²," + _v1(1000), False),
        ("", False),
        ("," * 100_000, False),
    ],
)
def test_a_stripe_signature_has_a_time(header: str, *, is_genuine: bool) -> None:
    """It covers time and body; a time that is missing, too old or too far ahead makes it invalid."""
    assert signatures.is_stripe(BODY, header, ["another", SECRET], now_s=1000) is is_genuine
    assert not signatures.is_stripe(BODY, header, [""], now_s=1000)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _leaves(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [leaf for key, member in value.items() for leaf in (f"{path}{key}", *_leaves(member, f"{path}{key}."))]
    return []


@pytest.mark.parametrize("found", [math.inf, -math.inf, math.nan, 10**400])
def test_infinity_is_no_time(found: float) -> None:
    """Infinity, NaN and a whole number beyond every float give no time, and raise no error."""
    assert seconds(found) is None


@given(name=st.sampled_from(NAMES), value=_JSON, data=st.data())
def test_any_member_may_be_anything(name: str, value: object, data: st.DataObject) -> None:
    """A member of an undocumented type costs the webhook at most its event, and raises no error."""
    path = data.draw(st.sampled_from(_leaves(golden(name)["body"])))

    found = events_of(changed(name, path, value))

    assert bool(found.hits) is (not found.why_not)
    assert all(values for hit in found.hits for values in hit.user_data.values())

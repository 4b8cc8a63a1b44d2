"""Which events wait for their copies, and how long: pages' events for servers', and the other way round."""

from typing import Any

import pytest
from joins import FBP, PAID, event, hooked, join_of, kinds, page, policy, told
from shop_requests import FACTS, NOW

from proxy.graph.law import MAX_AGE_MS
from proxy.model.event import DropReason
from proxy.model.join import Join, JoinKind, Twin
from proxy.model.order import order_key
from proxy.model.record import Record
from proxy.model.server_request import ServerHit
from proxy.model.units import DAY_MS
from proxy.rules import limits

SECOND, HOUR = 1000, 3_600_000
WAIT = 10 * SECOND
HELD = {"hold_until_paid": True}
ORDER = {"order_id": "1001"}
AGENT = "Mozilla/5.0"
EMAIL = {"em": ["ada@mail.example"]}


def paged(event_: Any, orders: dict[str, Any] | None = None, **members: Any) -> Record:
    (record,) = page(event_, shop=policy(orders=orders or {}), **members).records
    return record


@pytest.mark.parametrize(
    ("name", "data", "orders", "wait", "unpaid"),
    [
        ("Purchase", ORDER, {}, WAIT, ""),
        ("Lead", ORDER, {}, WAIT, ""),
        ("Purchase", ORDER, {"wait_seconds": 600}, 600 * SECOND, ""),
        ("Purchase", ORDER, {"after_hold": "drop"}, WAIT, ""),
        ("Purchase", ORDER, HELD, 24 * HOUR, "send"),
        ("Purchase", ORDER, HELD | {"hold_hours": 2, "after_hold": "drop"}, 2 * HOUR, "drop"),
        ("Purchase", ORDER, HELD | {"wait_seconds": 0}, 24 * HOUR, "send"),
        ("Lead", ORDER, HELD, WAIT, ""),
        ("Lead", ORDER, HELD | {"wait_seconds": 0}, None, ""),
        ("Purchase", ORDER, {"wait_seconds": 0}, None, ""),
        ("Purchase", {}, HELD, None, ""),
        ("Purchase", {"order_id": "undefined"}, {}, None, ""),
        ("Purchase", ORDER | {"item_number": "7"}, {}, None, ""),
        ("ViewContent", ORDER, {}, None, ""),
    ],
)
def test_an_event_of_a_page_that_names_its_order_waits(
    name: str, data: dict[str, Any], orders: dict[str, Any], wait: int | None, unpaid: Any
) -> None:
    """It waits a moment, or until the order is paid; without an order its copy could not be found."""
    record = paged(event(name, data=data), orders)

    if wait is None:
        assert (record.not_before, record.pending) == (0, None)
    else:
        assert (record.not_before, record.pending) == (NOW + wait, Twin(order_key("shop", name, "1001"), unpaid))
        assert record.order == order_key("shop", name, "1001")


def test_all_pixels_of_an_event_wait_alike() -> None:
    """If it is known for one pixel that the event waits, it waits for the others too."""
    shop = policy(pixel=[{"id": number, "access_token": "t"} for number in ("1", "2")])
    records = page(event(data=ORDER, pixels=["1", "2"]), shop=shop).records

    assert [(record.not_before, record.pending) for record in records] == [
        (NOW + WAIT, Twin(order_key("shop", "Purchase", "1001")))
    ] * 2


def test_nothing_waits_where_no_server_tells_of_orders() -> None:
    """On a site whose servers cannot report orders, no copy could ever come."""
    (record,) = page(event(data=ORDER), shop=policy(access_keys=[])).records

    assert (record.order, record.not_before, record.pending) == (b"", 0, None)


@pytest.mark.parametrize("age", [0, HOUR, 6 * DAY_MS, MAX_AGE_MS - limits.DELIVERY_MS])
def test_nothing_is_held_until_meta_refuses_it(age: int) -> None:
    """A late event waits less, so that a whole hour for its delivery is left before Meta refuses it."""
    record = paged(event(data=ORDER, at=NOW - age), HELD | {"hold_hours": 144})

    assert record.not_before == min(NOW + 144 * HOUR, NOW - age + MAX_AGE_MS - limits.DELIVERY_MS)
    assert record.not_before >= NOW


def test_a_checkout_by_the_visitors_clock_waits_by_ours() -> None:
    """The wait begins when the event arrives, whatever time the browser names."""
    assert paged(event(data=ORDER, at=10), sent=20).not_before == NOW + WAIT


BOTH = {"fbp": FBP}


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({}, True),
        ({"event_id": None}, True),
        ({"user_data": EMAIL | BOTH, "event_id": None, "custom_data": PAID | ORDER}, True),
        ({"user_data": EMAIL | BOTH, "event_id": "order-shop-1001", "custom_data": PAID | ORDER}, True),
        ({"user_data": EMAIL | BOTH}, False),
        ({"event_name": "Lead"}, True),
        ({"event_name": "PageView"}, False),
        ({"event_name": "Refund"}, False),
        ({"action_source": "other"}, True),
        ({"action_source": "system_generated"}, True),
        ({"action_source": "email"}, False),
        ({"action_source": "physical_store"}, False),
        ({"action_source": "chat"}, False),
    ],
)
def test_a_servers_event_waits_that_may_gain_by_it(changes: dict[str, Any], waits: bool) -> None:  # noqa: FBT001 - a row
    """An event that has the browser's id and an id of its own does not wait, as Meta can join its copies without us."""
    assert told(**changes).not_before == (NOW + WAIT if waits else 0)


@pytest.mark.parametrize("seconds", [0, 60])
def test_the_wait_is_the_owners(seconds: int) -> None:
    """With a wait of 0 seconds the join still takes place, with the sightings that have come by then."""
    record = told(policy(orders={"wait_seconds": seconds}))

    assert record.not_before == (NOW + 60 * SECOND if seconds else 0)
    assert isinstance(record.pending, Join)


def test_a_late_event_of_a_server_waits_no_longer_than_it_may() -> None:
    """Its wait ends an hour before Meta would refuse it, counted from the event's time instead of its arrival."""
    oldest = (NOW - MAX_AGE_MS + limits.DELIVERY_MS) // SECOND
    record = told(policy(orders={"wait_seconds": 600}), event_time=oldest + 60)

    assert record.not_before == (oldest + 60) * SECOND + MAX_AGE_MS - limits.DELIVERY_MS


@pytest.mark.parametrize(
    ("source", "takes"),
    [
        ("website", "all"),
        ("system_generated", "ids"),
        ("email", "ids"),
        ("chat", "ids"),
        ("other", "ids"),
        ("phone_call", "ids"),
        ("physical_store", "ids"),
    ],
)
def test_what_crosses_over_depends_on_where_it_happened(source: str, takes: str) -> None:
    """Only an event that happened on a website takes the browser's address and user agent of a sighting."""
    join = join_of(told(policy(orders={"join_days": 3}), action_source=source))

    assert join == Join("shop", join.keys, "send", 3, takes)  # type: ignore[arg-type]
    assert kinds(join.keys) == [JoinKind.EVENT, JoinKind.EMAIL]


@pytest.mark.parametrize(
    ("source", "more"),
    [
        ("app", {"app_data": {"extinfo": ["i2", *[""] * 3, "17.0", *[""] * 11]}}),
        ("business_messaging", {"messaging_channel": "whatsapp"}),
    ],
)
def test_an_app_has_no_browser(source: str, more: dict[str, Any]) -> None:
    """It takes nothing from a sighting, and is joined only where people never seen are not sent as usual."""
    assert told(action_source=source, **more).pending is None
    join = join_of(told(policy(orders={"unknown_people": "ldu"}), action_source=source, **more))
    assert (join.takes, join.unknown, kinds(join.keys)) == ("nothing", "ldu", [JoinKind.EVENT, JoinKind.EMAIL])


NAMELESS = {"user_data": {"fn": ["Ada"], "ln": ["Lovelace"]}, "event_id": None}


@pytest.mark.parametrize(
    ("settings", "unknown"),
    [
        ({}, None),
        ({"orders": {"unknown_people": "ldu"}}, "ldu"),
        ({"orders": {"unknown_people": "drop"}}, "drop"),
        ({"consent": "required"}, "drop"),
        ({"consent": "required", "orders": {"unknown_people": "send"}}, "drop"),
    ],
)
def test_people_never_seen_are_decided_at_the_join(settings: dict[str, Any], unknown: str | None) -> None:
    """A name finds nobody: the event never waits, and is joined only where people never seen are not sent as usual."""
    record = told(policy(**settings), **NAMELESS)

    assert record.not_before == 0
    assert (record.pending and join_of(record).unknown) == unknown
    assert join_of(told(policy(**settings))).unknown == (unknown or "send")


def test_the_id_of_a_content_finds_nobody() -> None:
    """An id made of an event's content is no key, since no page knows it; an id made of the order is one."""
    assert kinds(join_of(told(event_id=None)).keys) == [JoinKind.EMAIL]
    record = told(event_id=None, custom_data=PAID | ORDER)
    assert record.id == "order-shop-1001"
    assert kinds(join_of(record).keys) == [JoinKind.EVENT, JoinKind.ORDER, JoinKind.EMAIL]


@pytest.mark.parametrize(
    ("identity", "fbp", "waits"),
    [("order-shop-1001", {}, True), ("order-shop-1001", BOTH, True), ("told-1", {}, True), ("told-1", BOTH, False)],
)
def test_a_shops_order_waits_unless_the_snippet_told_all(identity: str, fbp: Any, waits: bool) -> None:  # noqa: FBT001 - a row
    """It does not wait if it has the browser's id and the page's event id; an id made of the order does not suffice."""
    user_data = {"em": ("ada@mail.example",)} | {name: (value,) for name, value in fbp.items()}
    hit = ServerHit(0, "Purchase", identity, NOW // SECOND, "website", user_data, PAID | ORDER)

    assert hooked(hit).not_before == (NOW + WAIT if waits else 0)


def test_limited_data_use_of_the_site_needs_no_visitor() -> None:
    """The site's own setting limits every event at once; the one for people never seen is applied at the join."""
    assert b'"data_processing_options":["LDU"]' in told(policy(ldu=True)).payload
    assert b"data_processing_options" not in told(policy(orders={"unknown_people": "ldu"})).payload


def test_an_opted_out_page_and_its_order_leave_no_record() -> None:
    """A page's event that may not leave is not held either."""
    decision = page(event(data=ORDER), request=FACTS._replace(gpc="1"), shop=policy(orders=HELD))

    assert (decision.records, [row.reason for row in decision.dropped]) == ((), [DropReason.GPC])

"""WooCommerce's webhooks: an order that is paid is a Purchase, whatever the topic; its refunds are events of their own.

Source: WooCommerce REST API v3, "Order properties"; class ``WC_Webhook``. The body has the order's state at the time
the webhook is sent, not at the time of its cause, so the status decides.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.model.server_request import ServerHit
from proxy.rules.hooks.hook import (
    HookEvents,
    Shop,
    as_object,
    as_objects,
    generated_id,
    no_events,
    number,
    order_custom_data,
    order_number,
    people_keys,
    purchase_id,
    seconds,
    text,
)

TOPICS = ("order.created", "order.updated", "order.restored")
_PAID = {"processing", "completed", "refunded"}
"""A refunded order was paid too; if its Purchase was sent before, the order memory makes this one a duplicate."""
# Orders that a visitor of the shop made; staff and schedules make others.
_BY_VISITORS = {"checkout", "store-api"}
_BY_STAFF = {"admin"}
_AUTOMATIC = {"subscription": "system_generated"}
# What the snippet for the theme, and Meta's own plugin, write into the order.
_FBP, _FBC, _EVENT_IDS = "_fbp", "_fbc", ("_event_id", "_meta_event_id")
_NO_CUSTOMER = "0"


def events(topic: str, payload: Mapping[str, Any], shop: Shop) -> HookEvents:
    """Return the events of a verified webhook.

    Args:
        topic: The header ``X-WC-Webhook-Topic``.
        payload: The body.
        shop: The shop that sent it.
    """
    if topic not in TOPICS:
        return no_events("topic")
    if text(payload.get("created_via")) in _BY_STAFF:
        return no_events("made by staff")
    if text(payload.get("status")) not in _PAID:
        return no_events("not paid")
    order_id, value = order_number(payload.get(shop.order_id)), number(payload.get("total"))
    time_s = seconds(payload.get("date_paid_gmt"), is_utc=True)
    if not order_id or value is None:
        return no_events("unreadable")
    if time_s is None:
        return no_events("not paid")
    written = {text(row.get("key")): text(row.get("value")) for row in as_objects(payload.get("meta_data"))}
    told = next((written[key] for key in _EVENT_IDS if written.get(key)), "")
    is_website = text(payload.get("created_via")) in _BY_VISITORS and bool(text(payload.get("customer_user_agent")))
    purchase = ServerHit(
        place=0,
        name="Purchase",
        id=purchase_id(shop.site, order_id, told),
        time_s=time_s,
        action_source="website" if is_website else _AUTOMATIC.get(text(payload.get("created_via")), "other"),
        user_data=_buyer(payload, written, is_website=is_website),
        custom_data={
            **order_custom_data(payload, shop.content_id, value=value, order_id=order_id),
            "content_type": "product",
        },
        url=f"https://{shop.domain}/",
    )
    buyer = _buyer(payload, written, is_website=False)
    return HookEvents((purchase, *_refunds(payload, shop, order_id, buyer)))


def _buyer(order: Mapping[str, Any], written: Mapping[str, str], *, is_website: bool) -> dict[str, tuple[str, ...]]:
    billing, customer_id = as_object(order.get("billing")), text(order.get("customer_id"))
    keys = people_keys(
        (
            ("em", billing.get("email")),
            ("ph", billing.get("phone")),
            ("fn", billing.get("first_name")),
            ("ln", billing.get("last_name")),
            ("ct", billing.get("city")),
            ("st", billing.get("state")),
            ("zp", billing.get("postcode")),
            ("country", billing.get("country")),
            ("external_id", "" if customer_id == _NO_CUSTOMER else customer_id),
            ("fbp", written.get(_FBP)),
            ("fbc", written.get(_FBC)),
        )
    )
    if is_website:
        agent, address = order.get("customer_user_agent"), order.get("customer_ip_address")
        keys |= people_keys((("client_user_agent", agent), ("client_ip_address", address)))
    return keys


def _refunds(
    order: Mapping[str, Any], shop: Shop, order_id: str, buyer: Mapping[str, tuple[str, ...]]
) -> Iterator[ServerHit]:
    """Yield an event for each refund that an order lists; every later webhook of the order lists it again.

    Args:
        order: The order.
        shop: The shop.
        order_id: The order's id.
        buyer: The buyer's match keys, without those of a browser, since the shop's staff makes refunds.
    """
    time_s = seconds(order.get("date_modified_gmt"), is_utc=True)
    for place, refund in enumerate(as_objects(order.get("refunds")), 1):
        refund_id, value = generated_id(refund.get("id")), number(refund.get("total"))
        if refund_id and value and time_s is not None:
            yield ServerHit(
                place=place,
                name="Refund",
                id=f"refund-{shop.site}-{refund_id}",
                time_s=time_s,
                action_source="other",
                user_data=buyer,
                custom_data={"value": abs(value), "currency": text(order.get("currency")), "order_id": order_id},
                orders=(("refund", refund_id),),
            )

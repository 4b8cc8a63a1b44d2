"""Shopify's webhooks: paid orders are Purchases, refunds events of their own.

Source: Shopify, Admin REST API, resources "Order" and "Refund"; topics ``orders/paid``, ``refunds/create``.
"""

from collections.abc import Mapping
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
from proxy.rules.identity.browser_ids import click_id

_REFUND = "Refund"
# Attributes that the snippet for the theme writes into the cart; Shopify copies them to the order.
_ATTRIBUTES = {"_fbp": "fbp", "_fbc": "fbc"}
_EVENT_ID = "_event_id"


def events(topic: str, payload: Mapping[str, Any], shop: Shop) -> HookEvents:
    """Return the events of a verified webhook.

    Args:
        topic: The header ``X-Shopify-Topic``.
        payload: The body.
        shop: The shop that sent it.
    """
    if topic == "orders/paid":
        return _order(payload, shop)
    if topic == "refunds/create":
        return _refund(payload, shop)
    return no_events("topic")


def _order(order: Mapping[str, Any], shop: Shop) -> HookEvents:
    if order.get("test") is True:
        return no_events("test order")
    if order.get("cancelled_at"):
        return no_events("cancelled")
    if text(order.get("financial_status")) != "paid":
        return no_events("not paid")
    order_id, value = order_number(order.get(shop.order_id)), number(order.get("total_price"))
    time_s = _placed_at(order)
    if not order_id or time_s is None or value is None:
        return no_events("unreadable")
    attributes = {text(row.get("name")): text(row.get("value")) for row in as_objects(order.get("note_attributes"))}
    content_type = "product_group" if shop.content_id == "product_id" else "product"
    hit = ServerHit(
        place=0,
        name="Purchase",
        id=purchase_id(shop.site, order_id, attributes.get(_EVENT_ID, "")),
        time_s=time_s,
        action_source=_action_source(order),
        user_data=_buyer(order, attributes, time_s),
        custom_data={
            **order_custom_data(order, shop.content_id, value=value, order_id=order_id),
            "content_type": content_type,
        },
        url=f"https://{shop.domain}/",
        checkout=text(order.get("checkout_token")),
    )
    return HookEvents((hit,))


def _placed_at(order: Mapping[str, Any]) -> int | None:
    """Return when an order was placed; in an imported order ``created_at`` is the time of the import."""
    return seconds(order.get("processed_at")) or seconds(order.get("created_at"))


def _action_source(order: Mapping[str, Any]) -> str:
    """Return where the order was placed: without a browser it was not the website (Meta, server event parameters)."""
    by_channel = {"pos": "physical_store", "subscription_contract": "system_generated"}
    return by_channel.get(text(order.get("source_name")), "website" if _user_agent(order) else "other")


def _user_agent(order: Mapping[str, Any]) -> str:
    return text(as_object(order.get("client_details")).get("user_agent"))


def _buyer(order: Mapping[str, Any], attributes: Mapping[str, str], time_s: int) -> dict[str, tuple[str, ...]]:
    """Return the match keys of an order; at a till all guests share one customer, so its id is left out."""
    customer, billing = as_object(order.get("customer")), as_object(order.get("billing_address"))
    is_till = text(order.get("source_name")) == "pos"
    address = billing or as_object(order.get("shipping_address")) or as_object(customer.get("default_address"))
    landing = text(order.get("landing_site"))
    clicked = click_id(f"https://shop.example{landing}") if landing.startswith("/") else ""
    ids = [(key, attributes.get(name)) for name, key in _ATTRIBUTES.items()]
    if clicked and not attributes.get("_fbc"):
        ids.append(("fbc", f"fb.1.{(seconds(order.get('created_at')) or time_s) * 1000}.{clicked}"))
    return people_keys(
        (
            ("em", order.get("email") or order.get("contact_email")),
            ("ph", order.get("phone") or address.get("phone")),
            ("fn", address.get("first_name")),
            ("ln", address.get("last_name")),
            ("ct", address.get("city")),
            ("st", address.get("province_code")),
            ("zp", address.get("zip")),
            ("country", address.get("country_code")),
            ("external_id", None if is_till else customer.get("id")),
            ("client_ip_address", order.get("browser_ip")),
            ("client_user_agent", _user_agent(order)),
            *ids,
        )
    )


def _refund(refund: Mapping[str, Any], shop: Shop) -> HookEvents:
    """Return the event of a refund, under a name of our own: Meta has none, and documents no negative Purchase."""
    paid_back = [
        row
        for row in as_objects(refund.get("transactions"))
        if row.get("kind") == "refund" and row.get("status") == "success" and number(row.get("amount"))
    ]
    refund_id, time_s = generated_id(refund.get("id")), seconds(refund.get("created_at"))
    if not paid_back:
        return no_events("no money")
    if not refund_id or time_s is None:
        return no_events("unreadable")
    hit = ServerHit(
        place=0,
        name=_REFUND,
        id=f"refund-{shop.site}-{refund_id}",
        time_s=time_s,
        action_source="other",
        user_data={},
        custom_data={
            "value": sum(abs(number(row.get("amount")) or 0) for row in paid_back),
            "currency": text(paid_back[0].get("currency")),
            "order_id": text(refund.get("order_id")),
        },
        orders=(("refund", refund_id),),
    )
    return HookEvents((hit,))

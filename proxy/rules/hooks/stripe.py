"""Stripe's webhooks: paid checkouts are Purchases, subscriptions begin with StartTrial or Subscribe, and renew.

Source: Stripe API reference, objects Event, Checkout Session, Invoice, Subscription. A webhook is written in the API
version of its endpoint, so members are looked up where versions before and after 2025-03-31 put them.

A first payment and a renewal are told apart by which events of the subscription were seen before: an invoice of a new
period does not say whether it ends a trial. In the same way an order's number is told from a customer's: a shop may
give either to a checkout as its reference.
"""

from collections.abc import Mapping
from typing import Any, TypedDict

from proxy.model.server_request import ServerHit
from proxy.rules.hooks.hook import (
    HookEvents,
    Shop,
    as_object,
    as_objects,
    generated_id,
    is_contact_data,
    no_events,
    order_number,
    people_keys,
    purchase_id,
    seconds,
    text,
    usable_event_id,
)
from proxy.rules.payload.money import minor_units

_CHECKOUTS = ("checkout.session.completed", "checkout.session.async_payment_succeeded")
_SUBSCRIPTIONS = ("customer.subscription.created", "customer.subscription.updated")
# Names of metadata, as the snippets write them when they make the session or the subscription.
_FBP, _FBC, _EVENT_ID, _ORDER_ID, _ADDRESS, _AGENT = "fbp", "fbc", "event_id", "order_id", "client_ip", "user_agent"
TRIAL, SUBSCRIBE = "StartTrial", "Subscribe"
FIRST_EVENTS = (TRIAL, SUBSCRIBE)
"""The events that a subscription has once."""
SESSION, REFERENCE = "checkout", "checkout reference"
"""Names under which a checkout is counted once: by its own id, and by the number that the shop gave it."""
_INVOICE = "invoice"
_FIRST_INVOICE, _NEXT_INVOICE = "subscription_create", "subscription_cycle"


def orders_before(payload: Mapping[str, Any]) -> Mapping[str, str]:
    """Return, by event name, the ids under which earlier events are looked up to decide what a webhook means."""
    kind, subject = payload.get("type"), as_object(as_object(payload.get("data")).get("object"))
    if kind in _CHECKOUTS:
        found = {SESSION: generated_id(subject.get("id")), REFERENCE: _reference(subject)}
    elif kind == "invoice.paid" and subject.get("billing_reason") == _NEXT_INVOICE:
        found = dict.fromkeys(FIRST_EVENTS, _subscription_of(subject))
    else:
        found = {}
    return {name: order for name, order in found.items() if order}


def events(payload: Mapping[str, Any], shop: Shop, remembered: frozenset[str] = frozenset()) -> HookEvents:
    """Return the events of a verified webhook.

    Args:
        payload: The body: an Event.
        shop: The shop that sent it.
        remembered: Names in ``orders_before`` whose events were seen before.
    """
    if payload.get("livemode") is not True:
        return no_events("test mode")
    kind, data, at = text(payload.get("type")), as_object(payload.get("data")), seconds(payload.get("created"))
    subject = as_object(data.get("object"))
    if at is None or not subject:
        return no_events("unreadable")
    if kind in _CHECKOUTS:
        return _checkout(subject, shop, at, remembered)
    if kind in _SUBSCRIPTIONS:
        return _subscription(subject, shop, at)
    if kind == "invoice.paid":
        return _invoice(subject, shop, at, remembered)
    return no_events("type")


def _checkout(session: Mapping[str, Any], shop: Shop, at: int, remembered: frozenset[str]) -> HookEvents:
    if session.get("mode") != "payment":
        return no_events("its subscription tells")
    if session.get("payment_status") != "paid":
        return no_events("not paid")
    metadata, identity = as_object(session.get("metadata")), generated_id(session.get("id"))
    reference = _reference(session)
    if REFERENCE in remembered and SESSION not in remembered:
        # Another checkout had the same reference, so it names a customer, as Stripe allows, and not an order.
        reference = ""
    order_id = reference or identity
    money = _money(session.get("amount_total"), session.get("currency"))
    if not order_id or not money:
        return no_events("unreadable")
    hit = ServerHit(
        place=0,
        name="Purchase",
        id=purchase_id(shop.site, order_id, text(metadata.get(_EVENT_ID))),
        time_s=at,
        custom_data={**money, "order_id": order_id},
        orders=tuple(
            (name, order)
            for name, order in (("Purchase", order_id), (SESSION, identity), (REFERENCE, reference))
            if order
        ),
        **_person_fields(shop, metadata, as_object(session.get("customer_details"))),
    )
    return HookEvents((hit,))


def _reference(session: Mapping[str, Any]) -> str:
    """Return the number that the shop gave a checkout; "" if there is none, or if it is contact data."""
    told = (as_object(session.get("metadata")).get(_ORDER_ID), session.get("client_reference_id"))
    numbers = (order_number(each) for each in told)
    return next((number for number in numbers if number and not is_contact_data(number)), "")


def _subscription(subscription: Mapping[str, Any], shop: Shop, at: int) -> HookEvents:
    """Return the event of a trial's start; everything else about a subscription comes from its invoices."""
    identity, metadata = generated_id(subscription.get("id")), as_object(subscription.get("metadata"))
    if subscription.get("status") != "trialing" or not identity:
        return no_events("status")
    hit = ServerHit(
        place=0,
        name=TRIAL,
        id=usable_event_id(metadata.get(_EVENT_ID)) or f"trial-{shop.site}-{identity}",
        time_s=seconds(subscription.get("trial_start")) or at,
        custom_data={"value": 0, **_price(subscription)},
        orders=((TRIAL, identity),),
        **_person_fields(shop, metadata, {}, customer=subscription.get("customer")),
    )
    return HookEvents((hit,))


def _invoice(invoice: Mapping[str, Any], shop: Shop, at: int, remembered: frozenset[str]) -> HookEvents:
    """Return the event of a first payment or a renewal; an invoice of 0, as at a trial's start, is neither."""
    identity, subscription = generated_id(invoice.get("id")), _subscription_of(invoice)
    reason = invoice.get("billing_reason")
    money = _money(invoice.get("amount_paid"), invoice.get("currency"))
    if not money or not money["value"]:
        return no_events("no money")
    if reason not in (_FIRST_INVOICE, _NEXT_INVOICE):
        return no_events("billing reason")
    if not identity or not subscription:
        return no_events("unreadable")
    is_first = reason == _FIRST_INVOICE or (TRIAL in remembered and SUBSCRIBE not in remembered)
    if not is_first and not shop.renewal:
        return no_events("renewal")
    metadata, is_automatic = _subscription_metadata(invoice), reason == _NEXT_INVOICE
    hit = ServerHit(
        place=0,
        name=SUBSCRIBE if is_first else shop.renewal,
        id=f"subscribe-{shop.site}-{subscription}" if is_first else f"renewal-{shop.site}-{identity}",
        time_s=seconds(as_object(invoice.get("status_transitions")).get("paid_at")) or at,
        custom_data=money,
        orders=((_INVOICE, identity), (SUBSCRIBE, subscription)) if is_first else ((_INVOICE, identity),),
        **_person_fields(shop, metadata, _billed(invoice), customer=invoice.get("customer"), is_automatic=is_automatic),
    )
    return HookEvents((hit,))


class _PersonFields(TypedDict):
    action_source: str
    user_data: Mapping[str, tuple[str, ...]]
    url: str


def _person_fields(
    shop: Shop,
    metadata: Mapping[str, Any],
    details: Mapping[str, Any],
    *,
    customer: object = None,
    is_automatic: bool = False,
) -> _PersonFields:
    """Return whom an event is about, and where it happened: on the website if the metadata name a browser.

    Args:
        shop: The shop.
        metadata: The metadata that the snippet wrote.
        details: Customer details: e-mail address, telephone, name, address.
        customer: The customer's id.
        is_automatic: Whether no person acted, as in renewals (Meta, server event parameters, action source).
    """
    address, (first, _, last) = as_object(details.get("address")), text(details.get("name")).partition(" ")
    agent = "" if is_automatic else text(metadata.get(_AGENT))
    keys = people_keys(
        (
            ("em", details.get("email")),
            ("ph", details.get("phone")),
            ("fn", first if last else ""),
            ("ln", last),
            ("ct", address.get("city")),
            ("st", address.get("state")),
            ("zp", address.get("postal_code")),
            ("country", address.get("country")),
            ("external_id", customer),
            ("fbp", metadata.get(_FBP)),
            ("fbc", metadata.get(_FBC)),
            ("client_user_agent", agent),
            ("client_ip_address", metadata.get(_ADDRESS) if agent else ""),
        )
    )
    url = f"https://{shop.domain}/" if agent else ""
    source = "system_generated" if is_automatic else "website" if agent else "other"
    return {"action_source": source, "user_data": keys, "url": url}


def _money(minor: object, currency: object) -> dict[str, Any]:
    """Return value and currency of an amount in minor units; nothing when either is missing."""
    code = text(currency).upper()
    if isinstance(minor, bool) or not isinstance(minor, int) or minor < 0 or not code:
        return {}
    return {"value": minor_units(minor, code), "currency": code}


def _price(subscription: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a period of a subscription costs; nothing when its prices are not plain amounts."""
    items = as_objects(as_object(subscription.get("items")).get("data"))
    prices = [as_object(item.get("price")) or as_object(item.get("plan")) for item in items]
    amounts = [price.get("unit_amount", price.get("amount")) for price in prices]
    counts = [item.get("quantity", 1) for item in items]
    codes = {text(price.get("currency")) for price in prices}
    if len(codes) != 1 or not all(isinstance(each, int) for each in (*amounts, *counts)):
        return {}
    total = sum(int(each) * int(count) for each, count in zip(amounts, counts, strict=True))
    money = _money(total, codes.pop())
    return {"predicted_ltv": money["value"], "currency": money["currency"]} if money else {}


def _subscription_of(invoice: Mapping[str, Any]) -> str:
    """Return the id of an invoice's subscription, from where a newer or older API version puts it."""
    parent = as_object(as_object(invoice.get("parent")).get("subscription_details"))
    found = parent.get("subscription") or invoice.get("subscription")
    return generated_id(as_object(found).get("id")) or generated_id(found)


def _subscription_metadata(invoice: Mapping[str, Any]) -> Mapping[str, Any]:
    parent = as_object(as_object(invoice.get("parent")).get("subscription_details"))
    details = as_object(invoice.get("subscription_details"))
    return as_object(parent.get("metadata")) or as_object(details.get("metadata"))


def _billed(invoice: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "email": invoice.get("customer_email"),
        "phone": invoice.get("customer_phone"),
        "name": invoice.get("customer_name"),
        "address": invoice.get("customer_address"),
    }

"""Stripe's webhooks: paid checkouts are Purchases, subscriptions begin with StartTrial or Subscribe, and renew.

Source: Stripe API reference, objects Event, Checkout Session, Invoice, Subscription. A hook is written in the API
version of its endpoint, so the places of before and after version 2025-03-31 are read.

A first payment and a renewal are told apart by what was remembered of the subscription: an invoice of a new period
does not say whether a trial ended with it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypedDict

from proxy.model.server_request import ServerHit
from proxy.rules.hooks.hook import HookEvents, Shop, nothing, order_event_id, people_keys, rows, seconds, table, text
from proxy.rules.payload.money import minor_units

_CHECKOUTS = ("checkout.session.completed", "checkout.session.async_payment_succeeded")
_SUBSCRIPTIONS = ("customer.subscription.created", "customer.subscription.updated")
# Names of metadata, as the snippets write them when they make the session or the subscription.
_FBP, _FBC, _EVENT_ID, _ORDER_ID, _ADDRESS, _AGENT = "fbp", "fbc", "event_id", "order_id", "client_ip", "user_agent"
_FIRST_INVOICE, _NEXT_INVOICE = "subscription_create", "subscription_cycle"


class Marks(NamedTuple):
    """What is remembered of a subscription, as texts that nothing else is remembered by."""

    trial: str
    """A trial began."""
    payment: str
    """Its first payment came."""


def marks(payload: Mapping[str, Any], shop: Shop) -> Marks | None:
    """Return what has to be recalled before a webhook can be read; None when it is of no subscription."""
    subject = table(table(payload.get("data")).get("object"))
    kind = text(payload.get("type"))
    subscription = text(subject.get("id")) if kind in _SUBSCRIPTIONS else _subscription_of(subject)
    if not subscription or kind in _CHECKOUTS:
        return None
    return Marks(f"trial-{shop.site}-{subscription}", f"payment-{shop.site}-{subscription}")


def events(payload: Mapping[str, Any], shop: Shop, remembered: frozenset[str] = frozenset()) -> HookEvents:
    """Return what a genuine webhook comes to.

    Args:
        payload: The body: an Event.
        shop: The shop it is of.
        remembered: Which of its ``marks`` are remembered.
    """
    if payload.get("livemode") is not True:
        return nothing("test mode")
    kind, data, at = text(payload.get("type")), table(payload.get("data")), seconds(payload.get("created"))
    subject, found = table(data.get("object")), marks(payload, shop)
    if at is None or not subject:
        return nothing("unreadable")
    if kind in _CHECKOUTS:
        return _checkout(subject, shop, at)
    if found and kind in _SUBSCRIPTIONS:
        before = text(table(data.get("previous_attributes")).get("status"))
        return _subscription(_Sold(shop, subject, at, found), was_trialing=before == "trialing")
    if found and kind == "invoice.paid":
        return _invoice(_Sold(shop, subject, at, found), remembered)
    return nothing("type")


class _Sold(NamedTuple):
    """A subscription, or an invoice of it, as a webhook tells it."""

    shop: Shop
    subject: Mapping[str, Any]
    at: int
    """When it was told: Unix seconds."""
    marks: Marks


def _checkout(session: Mapping[str, Any], shop: Shop, at: int) -> HookEvents:
    if session.get("mode") != "payment":
        return nothing("its subscription tells")
    if session.get("payment_status") != "paid":
        return nothing("not paid")
    metadata = table(session.get("metadata"))
    order_id = text(metadata.get(_ORDER_ID)) or text(session.get("client_reference_id")) or text(session.get("id"))
    money = _money(session.get("amount_total"), session.get("currency"))
    if not order_id or not money:
        return nothing("unreadable")
    hit = ServerHit(
        place=0,
        name="Purchase",
        id=text(metadata.get(_EVENT_ID)) or order_event_id(shop.site, order_id),
        time_s=at,
        custom_data={**money, "order_id": order_id},
        **_whom(shop, metadata, table(session.get("customer_details"))),
    )
    return HookEvents((hit,))


def _subscription(sold: _Sold, *, was_trialing: bool) -> HookEvents:
    """Return the begin of a trial, or its end with a subscription that goes on."""
    subscription, site = sold.subject, sold.shop.site
    identity, metadata = text(subscription.get("id")), table(subscription.get("metadata"))
    customer, status = subscription.get("customer"), subscription.get("status")
    whom = _whom(sold.shop, metadata, {}, customer=customer, is_automatic=was_trialing)
    if status == "trialing" and not was_trialing:
        hit = ServerHit(
            place=0,
            name="StartTrial",
            id=text(metadata.get(_EVENT_ID)) or f"trial-{site}-{identity}",
            time_s=seconds(subscription.get("trial_start")) or sold.at,
            custom_data={"value": 0, **_price(subscription, "predicted_ltv")},
            marks=(sold.marks.trial,),
            **whom,
        )
        return HookEvents((hit,))
    if status == "active" and was_trialing:
        price = _price(subscription, "value")
        event_id = _subscribe_id(site, identity)
        hit = ServerHit(0, "Subscribe", event_id, sold.at, custom_data=price, marks=(event_id,), **whom)
        return HookEvents((hit,))
    return nothing("status")


def _invoice(sold: _Sold, remembered: frozenset[str]) -> HookEvents:
    """Return a first payment, or a renewal; what costs nothing, as at the begin of a trial, is neither."""
    invoice, shop, found = sold.subject, sold.shop, sold.marks
    money, reason = _money(invoice.get("amount_paid"), invoice.get("currency")), text(invoice.get("billing_reason"))
    if not money or not money["value"]:
        return nothing("no money")
    if reason not in (_FIRST_INVOICE, _NEXT_INVOICE):
        return nothing("billing reason")
    time_s = seconds(table(invoice.get("status_transitions")).get("paid_at")) or sold.at
    whom = _whom(
        shop,
        _subscription_metadata(invoice),
        _billed(invoice),
        customer=invoice.get("customer"),
        is_automatic=reason == _NEXT_INVOICE,
    )
    if reason == _FIRST_INVOICE or (found.trial in remembered and found.payment not in remembered):
        event_id = _subscribe_id(shop.site, _subscription_of(invoice))
        is_remembered = (event_id, found.payment)
        hit = ServerHit(0, "Subscribe", event_id, time_s, custom_data=money, marks=is_remembered, **whom)
        return HookEvents((hit,))
    if not shop.renewal:
        return nothing("renewal")
    event_id = f"renewal-{shop.site}-{text(invoice.get('id'))}"
    hit = ServerHit(0, shop.renewal, event_id, time_s, custom_data=money, marks=(event_id,), **whom)
    return HookEvents((hit,))


def _subscribe_id(site: str, subscription: str) -> str:
    return f"subscribe-{site}-{subscription}"


class _Whom(TypedDict):
    action_source: str
    user_data: Mapping[str, tuple[str, ...]]
    url: str


def _whom(
    shop: Shop,
    metadata: Mapping[str, Any],
    details: Mapping[str, Any],
    *,
    customer: object = None,
    is_automatic: bool = False,
) -> _Whom:
    """Return whom an event is about, and where: on the website if the snippet wrote down a browser, else elsewhere.

    Args:
        shop: The shop.
        metadata: What the snippet wrote.
        details: Customer details: e-mail address, telephone, name, address.
        customer: The customer's id.
        is_automatic: It happened with nobody there, as renewals do (Meta, server event parameters, action source).
    """
    address, (first, _, last) = table(details.get("address")), text(details.get("name")).partition(" ")
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


def _price(subscription: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what a period of a subscription costs, under a name; nothing when its prices are not plain amounts."""
    items = rows(table(subscription.get("items")).get("data"))
    prices = [table(item.get("price")) or table(item.get("plan")) for item in items]
    amounts = [price.get("unit_amount", price.get("amount")) for price in prices]
    counts = [item.get("quantity", 1) for item in items]
    codes = {text(price.get("currency")) for price in prices}
    if len(codes) != 1 or not all(isinstance(each, int) for each in (*amounts, *counts)):
        return {}
    money = _money(_total(amounts, counts), codes.pop())
    return {name: money["value"], "currency": money["currency"]} if money else {}


def _total(amounts: Iterable[Any], counts: Iterable[Any]) -> int:
    return sum(int(each) * int(count) for each, count in zip(amounts, counts, strict=True))


def _subscription_of(invoice: Mapping[str, Any]) -> str:
    """Return the subscription of an invoice, from where this or an older API version tells it."""
    parent = table(table(invoice.get("parent")).get("subscription_details"))
    found = parent.get("subscription") or invoice.get("subscription")
    return text(table(found).get("id")) or text(found)


def _subscription_metadata(invoice: Mapping[str, Any]) -> Mapping[str, Any]:
    parent = table(table(invoice.get("parent")).get("subscription_details"))
    return table(parent.get("metadata")) or table(table(invoice.get("subscription_details")).get("metadata"))


def _billed(invoice: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "email": invoice.get("customer_email"),
        "phone": invoice.get("customer_phone"),
        "name": invoice.get("customer_name"),
        "address": invoice.get("customer_address"),
    }

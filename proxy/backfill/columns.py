"""Which column means what: names of columns in exports, and the place of each in an event, as data.

A place is written with a dot: ``user_data.em``, ``custom_data.value``, ``item.id`` for an item of an order; places such
as ``order.status`` are not sent, they only decide how an order is read. A name without a dot is a member of the event.
Shopify's names are those of its order export; WooCommerce's are those of the three export plugins in use (Advanced
Order Export, WebToffee, WooCommerce.com).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

EVENT = (
    *("event_name", "event_time", "event_id", "action_source", "event_source_url", "referrer_url", "opt_out"),
    "messaging_channel",
)
KNOWN_PLACES = frozenset({
    *EVENT,
    *(f"user_data.{key}" for key in (
        "em", "ph", "fn", "ln", "db", "ge", "ct", "st", "zp", "country", "external_id", "client_ip_address",
        "client_user_agent", "fbc", "fbp", "lead_id", "subscription_id", "fb_login_id", "madid", "anon_id",
        "ctwa_clid", "page_id",
    )),
    *(f"item.{key}" for key in ("id", "title", "quantity", "item_price")),
    *(f"order.{key}" for key in ("key", "status", "cancelled", "created", "source")),
})  # fmt: skip
EVENT_PARTS = ("", "user_data", "custom_data")
"""The parts of an event that a place can be in; ``item.…`` and ``order.…`` are only for reading an order."""
CUSTOM = re.compile(r"custom_data\.[A-Za-z0-9_]{1,60}", re.ASCII)

_FLAT = {
    "event_name": "event_name event",
    "event_time": "event_time timestamp time date datetime created_at",
    "event_id": "event_id",
    "action_source": "action_source",
    "event_source_url": "event_source_url url page_url",
    "referrer_url": "referrer_url referrer",
    "opt_out": "opt_out",
    "messaging_channel": "messaging_channel",
    "user_data.em": "em email e_mail email_address mail",
    "user_data.ph": "ph phone phone_number telephone mobile",
    "user_data.fn": "fn first_name firstname",
    "user_data.ln": "ln last_name lastname surname",
    "user_data.db": "db date_of_birth birthday birthdate dob",
    "user_data.ge": "ge gender",
    "user_data.ct": "ct city",
    "user_data.st": "st state province region",
    "user_data.zp": "zp zip zip_code postal_code postcode",
    "user_data.country": "country country_code",
    "user_data.external_id": "external_id customer_id user_id",
    "user_data.client_ip_address": "client_ip_address ip_address ip",
    "user_data.client_user_agent": "client_user_agent user_agent",
    "user_data.fbc": "fbc _fbc",
    "user_data.fbp": "fbp _fbp",
    "user_data.lead_id": "lead_id",
    "user_data.subscription_id": "subscription_id",
    "user_data.fb_login_id": "fb_login_id",
    "user_data.madid": "madid",
    "user_data.anon_id": "anon_id",
    "user_data.ctwa_clid": "ctwa_clid",
    "user_data.page_id": "page_id",
    "custom_data.value": "value revenue total amount order_total",
    "custom_data.currency": "currency order_currency",
    "custom_data.order_id": "order_id order_number transaction_id",
    "custom_data.content_ids": "content_ids",
    "custom_data.content_type": "content_type",
    "custom_data.content_name": "content_name",
    "custom_data.content_category": "content_category",
    "custom_data.num_items": "num_items",
    "custom_data.predicted_ltv": "predicted_ltv",
    "custom_data.search_string": "search_string",
    "custom_data.status": "status",
    "custom_data.event_source": "event_source",
    "custom_data.lead_event_source": "lead_event_source",
}
_FLAT_NAMES = frozenset(" ".join(_FLAT.values()).split())
_SHOPIFY = {
    "order.key": "name",
    "order.status": "financial_status",
    "order.cancelled": "cancelled_at",
    "order.created": "created_at",
    "order.source": "source",
    "event_time": "paid_at",
    "user_data.em": "email",
    "user_data.ph": "phone billing_phone",
    "user_data.ct": "billing_city",
    "user_data.st": "billing_province",
    "user_data.zp": "billing_zip",
    "user_data.country": "billing_country",
    "custom_data.value": "total",
    "custom_data.currency": "currency",
    "custom_data.order_id": "id name",
    "item.id": "lineitem_sku",
    "item.title": "lineitem_name",
    "item.quantity": "lineitem_quantity",
    "item.item_price": "lineitem_price",
}
_WOOCOMMERCE = {
    "order.key": "order_id order_number",
    "order.status": "order_status status",
    "order.created": "order_date date date_created",
    "event_time": "paid_date date_paid",
    "user_data.em": "email_billing billing_email customer_email",
    "user_data.ph": "phone_billing billing_phone",
    "user_data.fn": "first_name_billing billing_first_name",
    "user_data.ln": "last_name_billing billing_last_name",
    "user_data.ct": "city_billing billing_city",
    "user_data.st": "state_code_billing billing_state",
    "user_data.zp": "postcode_billing billing_postcode",
    "user_data.country": "country_code_billing billing_country",
    "user_data.external_id": "customer_user_id customer_id user_id customer_user",
    "user_data.client_ip_address": "customer_ip_address",
    "user_data.client_user_agent": "customer_user_agent",
    "custom_data.value": "order_total_amount order_total total",
    "custom_data.currency": "order_currency currency",
    "custom_data.order_id": "order_id order_number",
    "item.id": "sku",
    "item.title": "item_name",
    "item.quantity": "quantity_refund quantity",
    "item.item_price": "item_cost",
}


class ExportKind(NamedTuple):
    """A kind of export."""

    name: str
    marks: tuple[frozenset[str], ...]
    """A file with all columns of one of these sets is of this kind."""
    names: Mapping[str, str]
    """By place: the plain names of the columns that can hold it, separated by blanks, the best first."""
    paid: frozenset[str] = frozenset()
    """Statuses of orders that are sales; empty where rows are no orders."""


SHOPIFY = ExportKind(
    "Shopify orders",
    (frozenset({"name", "financial_status", "lineitem_quantity"}),),
    _SHOPIFY,
    frozenset({"paid", "partially_refunded"}),
)
WOOCOMMERCE = ExportKind(
    "WooCommerce orders",
    (
        frozenset({"order_status", "email_billing"}),
        frozenset({"order_status", "billing_email"}),
        frozenset({"status", "billing_email"}),
    ),
    _WOOCOMMERCE,
    frozenset({"processing", "completed"}),
)
FLAT = ExportKind("events", (), _FLAT)


def plain_name(column: str) -> str:
    """Return the plain name of a column: ``Email (Billing)`` becomes ``email_billing``.

    Letters of any alphabet are kept, in lower case; an underscore replaces blanks and signs. A name of nothing but
    signs stays as it is, or all such columns would have the same name.
    """
    name = unicodedata.normalize("NFKC", column).lower()
    return re.sub(r"\W+", "_", name).strip("_") or column.strip()


def kind_of(columns: Iterable[str]) -> ExportKind:
    """Return the kind of export that has these columns, by their plain names."""
    found = frozenset(columns)
    return next((kind for kind in (SHOPIFY, WOOCOMMERCE) if any(map(found.issuperset, kind.marks))), FLAT)


def places(columns: Sequence[str], kind: ExportKind) -> dict[str, tuple[int, ...]]:
    """Return for each place of an event the indexes of the columns that can hold its value, the best first.

    Args:
        columns: The plain names of all columns.
        kind: The kind of export. In flat files the prefixes ``user_`` and ``custom_`` are understood too:
            ``user_email`` is read as ``email`` is, and ``custom_colour`` becomes ``custom_data.colour``.
    """
    found = {
        place: tuple(columns.index(name) for name in names.split() if name in columns)
        for place, names in kind.names.items()
    }
    if kind is FLAT:
        for index, column in enumerate(columns):
            place = _prefixed(column)
            if place:
                found[place] = (*found.get(place, ()), index)
    return {place: indexes for place, indexes in found.items() if indexes}


def _prefixed(column: str) -> str | None:
    prefix, _, rest = column.partition("_")
    inside = {"user": "user_data.", "custom": "custom_data."}.get(prefix)
    if inside is None or column in _FLAT_NAMES:
        return None
    found = next((place for place, names in _FLAT.items() if rest in names.split() and place.startswith(inside)), None)
    # Meta's own names are ASCII, so other characters become underscores.
    own = f"custom_data.{re.sub(r'[^0-9a-z_]+', '_', rest).strip('_')}"
    return found or (own if prefix == "custom" and is_place(own) else None)


def is_place(text: str) -> bool:
    """Tell whether a text names a place of an event."""
    return text in KNOWN_PLACES or CUSTOM.fullmatch(text) is not None


def place_named(text: str) -> str | None:
    """Return the place that a text names, by itself or by a column name of flat files; None when there is none."""
    if is_place(text):
        return text
    return next((place for place, names in _FLAT.items() if plain_name(text) in names.split()), None)

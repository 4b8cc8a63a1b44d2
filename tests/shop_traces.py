"""Planted contact data in webhooks of every kind, where shops write it, and such hooks with a member spoiled."""

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

SECRETS = {kind: f"{kind}-secret-KEEP-OUT" for kind in ("shopify", "woocommerce", "stripe")}
HOOKS = Path(__file__).parent / "golden" / "hooks"
NAMES = sorted(path.name.removesuffix(".hook.json") for path in HOOKS.glob("*.hook.json"))

EMAIL, PHONE = "quirin.planted@mail.example", "+49 157 99887766"
FIRST, LAST, COMPANY = "Quirinplanted", "Zollplanted", "Firma Plantedhaus"
STREET, SECOND_LINE, CITY, POSTCODE = "Plantedgasse 17", "Hinterhaus Plantedtor", "Plantedburg", "PL98765NT"
NOTE, CARD, FINGERPRINT = "Bitte bei Plantednachbarin klingeln", "•••• •••• •••• 9174", "Xt5EWLPlantedCard"
ADDRESS, AGENT = "93.184.216.99", "Mozilla/5.0 (X11; Linux x86_64) PlantedShopper/7.7"
FBP, FBC, VAT, KEY = (
    "fb.1.1700000000000.9988776655",
    "fb.1.1700000000000.ClickPlantedHook",
    "DE999PLANTED",
    "PlantedOrderKey",
)
PLANTED = {
    "mail address": EMAIL,
    "phone number": PHONE,
    "its digits": "4915799887766",
    "first name": FIRST,
    "surname": LAST,
    "company": COMPANY,
    "street": STREET,
    "second line of the address": SECOND_LINE,
    "city": CITY,
    "postal code": POSTCODE,
    "note": "Plantednachbarin",
    "card": CARD,
    "fingerprint of the card": FINGERPRINT,
    "client address": ADDRESS,
    "user agent": "PlantedShopper",
    "fbp": FBP.rpartition(".")[2],
    "click id": "ClickPlantedHook",
    "tax number": VAT,
    "key of the order": KEY,
    **{f"secret of {kind}": secret for kind, secret in SECRETS.items()},
    **{
        f"hash of {text}": sha256(text.encode()).hexdigest()
        for text in (EMAIL, "4915799887766", FIRST.lower(), LAST.lower(), CITY.lower(), POSTCODE.lower())
    },
}

MATCH = {
    "em": EMAIL,
    "ph": PHONE,
    "fn": FIRST,
    "ln": LAST,
    "ct": CITY,
    "zp": POSTCODE,
    "external_id": "115310627314723954",
}
"""The match keys that a page sends of the same person."""
_PERSON = {"first_name": FIRST, "last_name": LAST, "name": f"{FIRST} {LAST}", "company": COMPANY, "phone": PHONE}
_SHOPIFY = _PERSON | {"address1": STREET, "address2": SECOND_LINE, "city": CITY, "zip": POSTCODE, "country_code": "DE"}
_WOO = _PERSON | {"email": EMAIL, "address_1": STREET, "address_2": SECOND_LINE, "city": CITY, "postcode": POSTCODE}
_STRIPE_ADDRESS = {"line1": STREET, "line2": SECOND_LINE, "city": CITY, "postal_code": POSTCODE, "country": "DE"}
_STRIPE = {"email": EMAIL, "phone": PHONE, "name": f"{FIRST} {LAST}", "address": _STRIPE_ADDRESS, "tax_ids": [VAT]}
_IDS = {"_fbp": FBP, "_fbc": FBC}
MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "shopify": {
        "email": EMAIL,
        "contact_email": EMAIL,
        "phone": PHONE,
        "note": NOTE,
        "browser_ip": ADDRESS,
        "client_details": {"browser_ip": ADDRESS, "user_agent": AGENT},
        "billing_address": _SHOPIFY,
        "shipping_address": _SHOPIFY,
        "customer": {"id": 115310627314723954, "email": EMAIL, "note": NOTE, **_PERSON, "default_address": _SHOPIFY},
        "note_attributes": [{"name": name, "value": text} for name, text in (_IDS | {"Nachricht": NOTE}).items()],
        "payment_details": {"credit_card_number": CARD, "credit_card_name": f"{FIRST} {LAST}"},
        "order_status_url": f"https://shop.example/1/orders/x/authenticate?key={KEY}&email={EMAIL}",
        "landing_site": f"/konto?email={EMAIL}&name={FIRST}&fbclid=ClickPlantedHook",
        "referring_site": f"https://mail.example/?to={EMAIL}",
        "tags": f"{LAST}, {COMPANY}",
    },
    "woocommerce": {
        "billing": _WOO,
        "shipping": _WOO,
        "customer_note": NOTE,
        "customer_ip_address": ADDRESS,
        "customer_user_agent": AGENT,
        "order_key": f"wc_order_{KEY}",
        "payment_url": f"https://shop.example/pay/?key={KEY}&name={FIRST}",
        "payment_method_title": CARD,
        "meta_data": [
            {"id": number, "key": key, "value": text}
            for number, (key, text) in enumerate((_IDS | {"_vat": VAT, "card": FINGERPRINT, "note": NOTE}).items())
        ],
    },
    "stripe": {
        "customer_details": _STRIPE,
        "customer_email": EMAIL,
        "customer_name": f"{FIRST} {LAST}",
        "customer_phone": PHONE,
        "customer_address": _STRIPE_ADDRESS,
        "receipt_email": EMAIL,
        "description": NOTE,
        "shipping_details": {"name": f"{FIRST} {LAST}", "address": _STRIPE_ADDRESS},
        "payment_method_details": {"card": {"last4": "9174", "fingerprint": FINGERPRINT, "number": CARD}},
        "custom_fields": [{"key": "note", "text": {"value": NOTE}}],
        "hosted_invoice_url": f"https://invoice.example/{KEY}",
        "metadata": {"fbp": FBP, "fbc": FBC, "client_ip": ADDRESS, "user_agent": AGENT, "company": COMPANY},
    },
}


def hook(name: str) -> tuple[str, str, dict[str, Any]]:
    """Return kind, topic and body of a hook that happened now, with planted contact data in its members."""
    found = orjson.loads((HOOKS / f"{name}.hook.json").read_bytes())
    kind, topic, body = found["kind"], found["topic"], found["body"]
    now = datetime.now(UTC).replace(microsecond=0)
    if kind == "stripe":
        subject = body["data"]["object"] | MEMBERS[kind]
        subject |= {"status_transitions": {"paid_at": int(now.timestamp())}, "trial_start": int(now.timestamp())}
        return kind, topic, body | {"created": int(now.timestamp()), "data": body["data"] | {"object": subject}}
    times = dict.fromkeys(("processed_at", "created_at"), now.isoformat())
    times |= dict.fromkeys(("date_paid_gmt", "date_modified_gmt"), now.replace(tzinfo=None).isoformat())
    return kind, topic, body | MEMBERS[kind] | {key: value for key, value in times.items() if key in body}


def headers(kind: str, body: bytes, topic: str, secret: str = "") -> dict[str, str]:
    """Return the headers of a hook, signed with its shop's secret or with ``secret``."""
    key = (secret or SECRETS[kind]).encode()
    if kind == "stripe":
        now = int(time.time())
        return {"Stripe-Signature": f"t={now},v1={hmac.new(key, b'%d.%b' % (now, body), hashlib.sha256).hexdigest()}"}
    signature = base64.b64encode(hmac.digest(key, body, hashlib.sha256)).decode()
    if kind == "shopify":
        return {
            "X-Shopify-Hmac-Sha256": signature,
            "X-Shopify-Topic": topic,
            "X-Shopify-Shop-Domain": f"{LAST}.example",
        }
    return {
        "X-WC-Webhook-Signature": signature,
        "X-WC-Webhook-Topic": topic,
        "X-WC-Webhook-Source": f"https://{LAST}.example",
    }


SPOILING = (
    *(EMAIL, PHONE, f"{FIRST} {LAST}", f"{STREET}, {POSTCODE} {CITY}", NOTE, f"mailto:{EMAIL}"),
    *({"x": EMAIL}, [PHONE, None], -1.5, None, True),
)
"""Values of unforeseen shapes that replace members."""


def spoiled(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a body with one member at a time replaced by a spoiling value; members with ids get every such value."""
    for number, path in enumerate(_paths(body)):
        changed = deepcopy(body)
        *parents, last = path
        place: Any = changed
        for parent in parents:
            place = place[parent]
        for spoiling in SPOILING if "id" in str(last) else [SPOILING[number % len(SPOILING)]]:
            place[last] = spoiling
            yield changed


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield (*path, name)
        yield from _paths(member, (*path, name))

"""Whatever a client sends, the rules raise no error, lose no valid event and never answer with a 5xx."""

from typing import Any

import orjson
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from received import ingest, ingest_image
from shop_requests import FACTS, NOW, PIXEL, policy

from proxy.edge.collect import tag_answer
from proxy.rules import limits

# Texts that have broken readers of text: halves and ends of Unicode, combining marks, separators, and what looks like a
# digit, a number or an id.
ODD = st.sampled_from([
    "", " ", "\x00", "\x1f", "\x7f", "\u200b", "\u202e", "\u2028", "\ufdfa", "\ufeff", "\ufffd", "\uffff",
    "\U0010ffff", "e\u0301", "\u0663", "\u00b2", "\u2460", "\u00bd", "\u2167", "+", "-", "@", "%", "%00", "%ff", "%25",
    "\\", '"', "'", "<", "[", "{", "]", "fb.1.1.", "fb.1.1700000000000.1", "fb.99.999999999999999.x.AQ", "fb..1.1",
    "IwAR0", "LDU", "null", "NaN", "1e999", "http://", "https://[::1]:99999/", "https://a@b@c/",
    "https://shop.example:65536/", "https://shop.example/?fbclid=%", "https://shop.example/\x00",
    "HTTPS:\\\\shop.example\\", "data:,x", "anna@x.de", "+49 1512 3456789", "DE89370400440532013000", "1.299,00",
    "12/31/1999", "31.12.1999 23:59", "DE", "us", "eyJhbGciOiJIUzI1NiJ9.e30.x", "52.5200,13.4050", "1.2.3.4", "::1",
    "fe80::1%eth0", 'for=1.2.3.4;by="', 'for="[::1]:x"', "1.2.3.4, 5.6.7.8", "-0", "1_000", "\t1\n",
])  # fmt: skip
LONG = st.tuples(st.sampled_from(["9", "0", "x.", "e\u0301", "1 ", "%25", "(Mac; "]), st.sampled_from([40, 513, 4301]))
TEXT = ODD | st.text(max_size=12) | st.tuples(ODD, ODD).map("".join) | LONG.map(lambda pair: pair[0] * pair[1])
NUMBERS = (
    st.sampled_from([0, -0.0, 1e20, 1e308, 5e-324, 2**53, 2**63, 2**64 - 1, -(2**63), NOW, 10**15, -1, 0.5])
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
ANY = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([
    "value", "currency", "predicted_ltv", "net_revenue", "num_items", "content_ids", "contents", "content_type",
    "order_id", "delivery_category", "id", "quantity", "item_price", "email", "event_id", "eventID",
    "content_name", "status",
])  # fmt: skip
ITEMS = st.dictionaries(FIELDS, NUMBERS | TEXT | st.none(), max_size=4)
DATA = st.dictionaries(
    FIELDS | TEXT, ANY | ITEMS | st.lists(ITEMS, max_size=3) | ITEMS.map(orjson.dumps).map(bytes.decode)
)
KEYS = st.sampled_from([
    "em", "ph", "fn", "ln", "db", "ge", "ct", "st", "zp", "country", "external_id", "email", "Phone-Number", "f5first",
    "f5last", "fi", "doby", "dobm", "dobd", "lead_id", "fb_login_id", "subscription_id", "madid", "client_ip_address",
])  # fmt: skip
MATCH = st.dictionaries(KEYS | TEXT, ANY | st.lists(TEXT | NUMBERS, max_size=6), max_size=6)
EVENT = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["PageView", "Purchase", "AddToCart", "Own"]) | TEXT,
        "id": st.sampled_from(["a", "b"]) | TEXT,
        "at": st.integers(NOW - 10**9, NOW + 10**9) | NUMBERS,
        "pixels": st.lists(st.sampled_from([PIXEL, "9", "55"]) | TEXT, min_size=1, max_size=3),
    },
    optional={"data": DATA | ANY, "pixel": st.sampled_from(["fired", "blocked", "pending"]) | ANY, "more": ANY},
)
DPO = st.tuples(st.lists(st.just("LDU") | TEXT, max_size=2), NUMBERS, NUMBERS) | ANY
UPDATE = st.fixed_dictionaries({"name": TEXT, "id": TEXT, "pixel": st.just("fired") | TEXT})
BODY = st.fixed_dictionaries(
    {"v": st.just(1), "sent": st.just(NOW) | st.integers(1, 2 * NOW), "events": st.lists(EVENT | ANY, max_size=4)},
    optional={
        "url": TEXT | ANY,
        "referrer": TEXT | ANY,
        "fbp": TEXT | ANY,
        "fbc": TEXT | ANY,
        "consent": st.sampled_from(["granted", "unknown", "revoked"]),
        "dpo": DPO,
        "match": st.dictionaries(st.just(PIXEL) | TEXT, MATCH | ANY, max_size=2) | ANY,
        "fates": st.lists(UPDATE | ANY, max_size=3),
        "webdriver": st.booleans() | ANY,
        "gpc": st.booleans() | ANY,
    },
).map(orjson.dumps)
# The HTTP server hands over invalid UTF-8 as text with U+FFFD, up to the size of a whole header block.
HEADER = TEXT | st.tuples(TEXT, st.sampled_from([1, 300])).map(lambda pair: (pair[0] * pair[1])[:8190])
COOKIES = st.lists(
    st.tuples(st.sampled_from(["_fbp", "_fbc", "a", "", "__proto__"]) | TEXT, HEADER).map("=".join), max_size=4
).map("; ".join)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("peer", "host", "origin", "referer", "user_agent", "brands", "platform", "gpc", "dnt"), HEADER
        ),
        **dict.fromkeys(("forwarded", "forwarded_pseudo", "forwarded_proto", "forwarded_host"), HEADER),
        "cookie": COOKIES | HEADER,
    },
)
SITES = st.fixed_dictionaries(
    {},
    optional={
        "consent": st.sampled_from(["pixel", "required"]),
        "gpc": st.sampled_from(["drop", "ldu", "ignore"]),
        "sensitive": st.sampled_from(["none", "restricted"]),
        "bots": st.sampled_from(["drop", "mark", "ignore"]),
        "country": st.sampled_from(["", "DE"]),
        "remember_match": st.booleans(),
    },
)


@given(BODY | st.binary(max_size=200), HEADERS, SITES)
@settings(max_examples=400, deadline=None)
def test_no_body_and_no_header_leads_to_an_error(body: bytes, headers: dict[str, Any], changes: dict[str, Any]) -> None:
    """No rule raises, the status is 204, 200, 400 or 413, and every stored record can be read again."""
    request = FACTS._replace(body=body, **headers)
    outcome = ingest(request, policy(**changes), ("127.0.0.0/8", "10.0.0.0/8"))

    assert outcome.faults == ()
    assert tag_answer(outcome).status in {204, 200, 400, 413}
    assert all(orjson.loads(record.whole)["event_id"] == record.id for record in outcome.records)
    assert all(len(record.shared) <= limits.SHARED for record in outcome.records)
    assert all(cookie.isascii() and cookie.isprintable() for cookie in outcome.cookies)


@given(HEADERS, SITES)
@settings(max_examples=200, deadline=None)
def test_no_header_of_the_image_leads_to_an_error(headers: dict[str, Any], changes: dict[str, Any]) -> None:
    """The image request, which consists of headers alone, is answered with 204 whatever they hold."""
    outcome = ingest_image(FACTS._replace(**headers), policy(**changes), ("127.0.0.0/8",))

    assert (outcome.faults, tag_answer(outcome).status) == ((), 204)


GOOD = {"name": "Lead", "id": "good", "at": NOW, "pixels": [PIXEL], "data": {}}


@given(st.lists(EVENT | ANY, max_size=3), st.lists(EVENT | ANY, max_size=3))
@settings(max_examples=200, deadline=None)
def test_a_good_event_is_stored_whatever_stands_beside_it(before: list[Any], after: list[Any]) -> None:
    """No other element in the same body, valid or not, costs an event that can be read."""
    body = orjson.dumps({"v": 1, "sent": NOW, "fbp": "fb.1.1700000000000.1", "events": [*before, GOOD, *after]})
    assume(len(body) <= limits.BODY)
    outcome = ingest(FACTS._replace(body=body), policy())

    assert any((record.name, record.id) == ("Lead", "good") for record in outcome.records)
    assert tag_answer(outcome).status in {204, 200}


def test_headers_that_no_door_lets_through_are_answered_too() -> None:
    """Half a surrogate pair, which cannot be written as UTF-8, makes a refusal and a fault that is counted."""
    body = orjson.dumps({"v": 1, "sent": NOW, "events": [GOOD]})
    outcome = ingest(FACTS._replace(body=body, user_agent="\ud800"), policy())

    assert (tag_answer(outcome).status, outcome.refused, outcome.records) == (400, 1, ())
    assert outcome.faults[0].startswith("TypeError in proxy.graph.payload.shared")

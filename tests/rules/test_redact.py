"""Addresses and custom data leave without anything that is not allowed."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import clean_url

from proxy.rules.effort import Effort
from proxy.rules.payload.addresses import REDACTED, origin_of
from proxy.rules.payload.names import allowed_by
from proxy.rules.payload.redact import clean_data

KEEP = allowed_by(frozenset({"utm_source", "utm_content", "sku", "pin"}), frozenset({"email", "firstname", "pin"}))

# Address as the page has it; the address that may leave, None: unchanged.
CLEANED = [
    ("https://shop.example/p", "https://shop.example/p"),
    ("https://shop.example", "https://shop.example"),
    ("https://shop.example/", "https://shop.example/"),
    ("HTTPS://Shop.Example:8443/P", "https://Shop.Example:8443/P"),
    ("https://shop.example:/p", "https://shop.example/p"),
    ("  https://shop.example/p\n", "https://shop.example/p"),
    ("http://127.0.0.1:8080/p", "http://127.0.0.1:8080/p"),
    ("http://[2001:db8::1]:8080/p", "http://[2001:db8::1]:8080/p"),
    ("https://bücher.example/straße", "https://bücher.example/straße"),
    ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
    ("https://shop.example/a%20b/c%2Fd", "https://shop.example/a%20b/c%2Fd"),
    ("https://shop.example/p#email=anna@x.de", "https://shop.example/p"),
    ("https://shop.example#top", "https://shop.example"),
    ("https://shop.example/p #top", "https://shop.example/p"),
    ("https://shop.example/p?", "https://shop.example/p"),
    ("https://shop.example/p?email=anna@x.de", "https://shop.example/p"),
    ("https://shop.example?sku=1", "https://shop.example?sku=1"),
    ("https://shop.example/p?fbclid=Iw&utm_source=fb&x=1", "https://shop.example/p?utm_source=fb"),
    ("https://shop.example/p?sku=2&utm_source=a%20b+c&sku=1", "https://shop.example/p?sku=2&utm_source=a%20b+c&sku=1"),
    ("https://shop.example/p?utm_source&SKU=1&sku", "https://shop.example/p?utm_source&sku"),
    ("https://shop.example/p?utm%5Fsource=fb", "https://shop.example/p?utm%5Fsource=fb"),
    ("https://shop.example/p?utm_source=fb?b#x?y", "https://shop.example/p?utm_source=fb?b"),
    ("https://anna:secret@shop.example/p", "https://shop.example/p"),
    ("https://anna@x.de:pw@shop.example/p", "https://shop.example/p"),
    ("https://anna@x.de/", "https://x.de/"),
    ("https://shop.example\\p\\q", "https://shop.example/p/q"),
    ("https://shop.example\\@other.example/", "https://shop.example/@other.example/"),
    # Mail addresses
    ("https://shop.example/u/anna@x.de", f"https://shop.example/u/{REDACTED}"),
    ("https://shop.example/u/anna@x.de/orders", f"https://shop.example/u/{REDACTED}/orders"),
    ("https://shop.example/u/anna%40x.de/orders", f"https://shop.example/u/{REDACTED}/orders"),
    ("https://shop.example/u/anna%2540x%252Ede", f"https://shop.example/u/{REDACTED}"),
    ("https://shop.example/u/%61%6e%6e%61%40%78%2e%64%65", f"https://shop.example/u/{REDACTED}"),
    ("https://shop.example/u/anna+shop@mail.x.co.uk", f"https://shop.example/u/{REDACTED}"),
    ("https://shop.example/u/andré@exämple.com", f"https://shop.example/u/{REDACTED}"),
    ("https://shop.example/p;mail=anna@x.de", f"https://shop.example/{REDACTED}"),
    ("https://shop.example/p?utm_content=anna%40x.de&sku=1", f"https://shop.example/p?utm_content={REDACTED}&sku=1"),
    ("https://shop.example/p?utm_content=anna@x.de", f"https://shop.example/p?utm_content={REDACTED}"),
    # Other secrets, and places where only the neighbouring word gives them away
    ("https://shop.example/tel/+49301234567/x", f"https://shop.example/tel/{REDACTED}/x"),
    ("https://shop.example/p?sku=+49301234567", f"https://shop.example/p?sku={REDACTED}"),
    ("https://shop.example/p?sku=call+%2B49+30+1234567", f"https://shop.example/p?sku={REDACTED}"),
    ("https://shop.example/near/52.520008/13.404954/x", f"https://shop.example/near/{REDACTED}/{REDACTED}/x"),
    ("https://shop.example/reset/3f2a9c1b7d", f"https://shop.example/reset/{REDACTED}"),
    (
        "https://shop.example/Verify-Email/3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        f"https://shop.example/Verify-Email/{REDACTED}",
    ),
    ("https://shop.example/login/step2", "https://shop.example/login/step2"),
    ("https://shop.example/3f2504e0-4f89-11d3-9a0c-0305e82c3301/reset", None),
    ("https://shop.example/p?pin=1&sku=2", "https://shop.example/p?sku=2"),
    # Texts that resemble secrets and are none
    ("https://shop.example/@anna/post", "https://shop.example/@anna/post"),
    ("https://shop.example/maps/@52.5,13.4,15z", "https://shop.example/maps/@52.5,13.4,15z"),
    ("https://shop.example/npm/react@18.2.0/x", "https://shop.example/npm/react@18.2.0/x"),
    ("https://shop.example/p?utm_content=5@home", "https://shop.example/p?utm_content=5@home"),
]

NO_ADDRESSES = [
    "",
    " ",
    "shop.example/p",
    "//shop.example/p",
    "/p?x=1",
    "https:",
    "https://",
    "https:///p",
    "https:shop.example",
    "https://?x",
    "https://anna@/p",
    "https://shop example/p",
    "https://shop.example:port/p",
    "https://shop.example:65536/p",
    "https://[::1/p",
    "https://anna%40x.de/p",
    "https://shop.example/\ud800",
    "javascript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "android-app://com.example/https/shop.example",
    "ftp://shop.example/p",
    "mailto:anna@x.de",
    "about:blank",
    "chrome-extension://abc/p",
]

ORIGINS = [
    ("https://shop.example/p?x#y", "https://shop.example"),
    ("HTTPS://Shop.Example:443/p", "https://shop.example"),
    ("http://shop.example:80", "http://shop.example"),
    ("http://shop.example:443", "http://shop.example:443"),
    ("http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080"),
    ("https://anna:secret@shop.example/p", "https://shop.example"),
]

PARTS = st.one_of(
    st.text(),
    st.sampled_from(["https://", "http://shop.example", "/", "?", "&", "#", "@", "%40", "%25", "\\", ":", "[", "]"]),
    st.sampled_from(["utm_source=", "sku=", "anna@x.de", "%", " ", "\t", "\ufeff", "\ud800", "\x00", ".", "de"]),
)
LIKE_URLS = st.lists(PARTS, max_size=12).map("".join)


@pytest.mark.parametrize(("url", "clean"), CLEANED)
def test_only_what_is_allowed_stays(url: str, clean: str | None) -> None:
    """Scheme, host, port, path and allowed parameters are kept as they are written; the rest is removed."""
    assert clean_url(url, KEEP, Effort()).url == (url if clean is None else clean)


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_web_address_is_nothing(url: str) -> None:
    """Other schemes and broken addresses become empty, since their parts cannot be told apart."""
    assert (clean_url(url, KEEP, Effort()).url, origin_of(url)) == ("", "")


@pytest.mark.parametrize(("url", "origin"), ORIGINS)
def test_an_origin_is_written_as_browsers_do(url: str, origin: str) -> None:
    """An origin is in lower case, without the user and without the scheme's default port."""
    assert origin_of(url) == origin


@given(st.one_of(LIKE_URLS, LIKE_URLS.map("https://shop.example/".__add__)))
@settings(deadline=None)
def test_cleaning_what_is_clean_changes_nothing(url: str) -> None:
    """Any text can be cleaned, and cleaning the result again changes nothing."""
    once = clean_url(url, KEEP, Effort()).url

    assert clean_url(once, KEEP, Effort()) == (once, ())
    assert origin_of(once) == origin_of(url)
    once.encode()


@given(st.text(), st.text())
@settings(deadline=None)
def test_user_fragment_and_unlisted_parameters_never_stay(before: str, after: str) -> None:
    """A planted fragment and a planted parameter are removed, whatever surrounds them."""
    url = f"https://shop.example/p?{before}&token=planted-1&{after}#planted-2"

    assert "planted" not in clean_url(url, KEEP, Effort()).url


DATA: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
    ({"value": 5, "currency": "EUR"}, {"value": 5, "currency": "EUR"}),
    ({"content_name": "ask anna@mail.example now"}, {"content_name": "[redacted]"}),
    ({"a": [{"b": ["x@mail.example", 1, None, True]}]}, {"a": [{"b": ["[redacted]", 1, None, True]}]}),
    ({"search_string": "@home plants @ 5"}, {"search_string": "@home plants @ 5"}),
    ({}, {}),
    ({"Email": "x", "billing_email": 1, "user[email]": 2, "firstName": 3, "name": "Sofa"}, {"name": "Sofa"}),
    ({"contents": [{"id": 1, "email": "x"}]}, {"contents": [{"id": 1}]}),
    ({"anna@mail.example": 1}, {"[redacted]": 1}),
    ({"page": "https://shop.example/p?x=1&sku=2#y"}, {"page": "https://shop.example/p?sku=2"}),
    ({"page": "https:// is how addresses begin"}, {"page": "https:// is how addresses begin"}),
    ({"note": 4111111111111111}, {"note": "[redacted]"}),
    ({"value": 59.4111111111111111, "n": 10**40}, {"value": 59.4111111111111111, "n": 10**40}),
    # Shops name goods and orders as they like
    ({"content_ids": ["0306406152", "507f1f77bcf86cd799439011", "00614141000036"]}, None),
    ({"order_id": "cs_live_a1B2c3D4e5F6g7H8i9J0", "id": 4111111111111111}, None),
    ({"content_ids": ["anna@mail.example", "DE89370400440532013000"]}, {"content_ids": ["[redacted]", "[redacted]"]}),
]


@pytest.mark.parametrize(("data", "expected"), DATA)
def test_custom_data_loses_its_secrets(data: dict[str, Any], expected: dict[str, Any] | None) -> None:
    """A text with a secret is replaced and a blocked member goes, at any depth; everything else stays as it is."""
    assert clean_data(data, KEEP, Effort()).data == (data if expected is None else expected)


def test_what_is_removed_is_told_by_kind() -> None:
    """Each removed part is named by the kind of secret; the click id, which is read elsewhere, is not listed."""
    url = "https://anna:pw@shop.example/u/anna@x.de?email=1&x=anna@x.de&y=2&sku=4111111111111111&fbclid=Iw#top"

    assert clean_url(url, KEEP, Effort()).removed == ("user", "fragment", "key", "email", "parameter", "card", "email")
    assert clean_data({"email": 1, "a": ["+49 30 1234567"]}, KEEP, Effort()).removed == ("key", "phone")


PLAIN_PARTS = st.one_of(
    st.sampled_from(["shop.example", "a", "-", ".", ":1", "/", "/", "//", "/token", "/reset", "words", "9", "A"]),
    st.sampled_from(["?", "?", "&", "&", "=", "utm_source=", "sku=", "email", "fbclid=", "x=1", "billing_email="]),
    st.sampled_from(["4111111111111111", "eyJhbGciOiJIUzI1.eyJz", "a1B2c3D4e5F6g7H8i9J0", "+4930123456", "/52.5200"]),
    st.sampled_from(["user@", "+", "%40", "x" * 40]),
)


@given(st.sampled_from(["https://", "http://", "https://x", "HTTP://x", ""]), st.lists(PLAIN_PARTS).map("".join))
@example("https://shop.example/p", "?" + "x=1&" * 99)
@example("https://shop.example/p", "?" + "x=1&" * 100)
@example("https://shop.example", "/p" * 100 + "?x=1")
@example("https://shop.example", "/p" * 101 + "/reset/a1B2c3D4e5F6g7H8i9J0?x=1")
@example("https://shop.example/", "p" * 8200 + "?x=1")
@settings(max_examples=1000)
def test_a_plain_address_is_cleaned_as_any_other(front: str, rest: str) -> None:
    """The short way for plain addresses agrees with the full one, which an empty fragment enforces."""
    url = front + rest

    assert clean_url(url, KEEP, Effort()) == clean_url(f"{url}#", KEEP, Effort())

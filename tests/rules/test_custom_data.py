"""Custom data is sent as Meta reads it: certain mistakes are repaired, useless values left out, the rest reported."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.payload.custom_data import checked
from proxy.rules.payload.money import amount

GONE = object()
NBSP, THIN, NARROW = "\u00a0", "\u2009", "\u202f"

# The page's value, the number that is sent (GONE: none), the finding's word.
AMOUNTS: list[tuple[Any, Any, str]] = [
    (0, 0, ""),
    (12, 12, ""),
    (12.5, 12.5, ""),
    (10**15 - 1, 10**15 - 1, ""),
    (2**63, GONE, "unusable"),
    (-5, -5, "doubtful"),
    ("12.5", 12.5, ""),
    ("142.52", 142.52, ""),
    (" 12.50 ", 12.5, ""),
    ("1299", 1299, ""),
    (".5", 0.5, ""),
    ("0.30000000000000004", 0.30000000000000004, ""),
    ("123456789012345.75", 123456789012345.75, ""),
    ("5.", 5.0, ""),
    ("1e3", 1000.0, ""),
    ("-5.00", -5.0, "doubtful"),
    ("1.299", 1.299, ""),
    ("12,50", 12.5, "repaired"),
    ("12,5", 12.5, "repaired"),
    ("1299,00", 1299.0, "repaired"),
    ("1.299,00", 1299.0, "repaired"),
    ("1.299,5", 1299.5, "repaired"),
    ("1,299.00", 1299.0, "repaired"),
    ("1.299.000", 1299000, "repaired"),
    ("1,299,000", 1299000, "repaired"),
    ("1,299,000.25", 1299000.25, "repaired"),
    ("1 299,00", 1299.0, "repaired"),
    ("1 299", 1299, "repaired"),
    (f"1{NBSP}299,00", 1299.0, "repaired"),
    (f"1{THIN}299,00", 1299.0, "repaired"),
    (f"1{NARROW}299.00", 1299.0, "repaired"),
    ("1'299.00", 1299.0, "repaired"),
    ("1\u2019299.00", 1299.0, "repaired"),
    ("1,299", GONE, "unusable"),
    ("12,500", GONE, "unusable"),
    ("1,299,00", GONE, "unusable"),
    ("1.299.5", GONE, "unusable"),
    ("1,299.00,00", GONE, "unusable"),
    ("12.50 EUR", GONE, "unusable"),
    ("9,99 EUR", GONE, "unusable"),
    ("$12.50", GONE, "unusable"),
    ("free", GONE, "unusable"),
    ("NaN", GONE, "unusable"),
    ("Infinity", GONE, "unusable"),
    ("-inf", GONE, "unusable"),
    ("1e999", GONE, "unusable"),
    ("1_000", GONE, "unusable"),
    ("0x10", GONE, "unusable"),
    ("١٢", GONE, "unusable"),
    ("9" * 16, GONE, "unusable"),
    ("9" * 50, GONE, "unusable"),
    ("{{value}}", GONE, "unusable"),
    ("undefined", GONE, "unusable"),
    (True, GONE, "unusable"),
    ([12.5], GONE, "unusable"),
    ({"value": 1}, GONE, "unusable"),
    (None, GONE, ""),
    ("", GONE, ""),
    ("  ", GONE, ""),
]

# Field, the page's value, the value that is sent, findings.
FIELDS: list[tuple[str, Any, Any, tuple[str, ...]]] = [
    ("currency", "USD", "USD", ()),
    ("currency", "usd", "USD", ()),
    ("currency", " Eur ", "EUR", ()),
    ("currency", "MRU", "MRU", ()),
    ("currency", "abc", "ABC", ("currency:doubtful",)),
    ("currency", "Euro", GONE, ("currency:unusable",)),
    ("currency", "€", GONE, ("currency:unusable",)),
    ("currency", "ÄÖÜ", GONE, ("currency:unusable",)),
    ("currency", "12€", GONE, ("currency:unusable",)),
    ("currency", 978, GONE, ("currency:unusable",)),
    ("currency", None, GONE, ()),
    ("predicted_ltv", "1.299,00", 1299.0, ("predicted_ltv:repaired",)),
    ("net_revenue", "abc", GONE, ("net_revenue:unusable",)),
    ("num_items", 3, 3, ()),
    ("num_items", "3", 3, ("num_items:repaired",)),
    ("num_items", 3.0, 3, ("num_items:repaired",)),
    ("num_items", 0, 0, ()),
    ("num_items", -1, GONE, ("num_items:unusable",)),
    ("num_items", 1.5, GONE, ("num_items:unusable",)),
    ("num_items", "many", GONE, ("num_items:unusable",)),
    ("content_ids", ["a", 7], ["a", 7], ()),
    ("content_ids", "SKU-1", ["SKU-1"], ("content_ids:repaired",)),
    ("content_ids", 7, [7], ("content_ids:repaired",)),
    ("content_ids", '["a","b"]', ["a", "b"], ("content_ids:repaired",)),
    ("content_ids", "a,b", ["a,b"], ("content_ids:doubtful",)),
    ("content_ids", ["a", None, "undefined", {"id": 1}, ""], ["a"], ("content_ids:unusable",)),
    ("content_ids", ["null"], GONE, ("content_ids:unusable",)),
    ("content_ids", "{{ids}}", GONE, ("content_ids:unusable",)),
    ("content_ids", '[["a"]]', GONE, ("content_ids:unusable",)),
    ("content_ids", {"id": "a"}, GONE, ("content_ids:unusable",)),
    ("content_ids", True, GONE, ("content_ids:unusable",)),
    ("content_ids", [], GONE, ()),
    ("content_ids", None, GONE, ()),
    ("contents", [{"id": "a", "quantity": 1}], [{"id": "a", "quantity": 1}], ()),
    ("contents", [{"id": 7, "quantity": 1, "x": "y"}], [{"id": 7, "quantity": 1, "x": "y"}], ()),
    ("contents", {"id": "a", "quantity": 1}, [{"id": "a", "quantity": 1}], ("contents:repaired",)),
    ("contents", '[{"id":"a","quantity":1}]', [{"id": "a", "quantity": 1}], ("contents:repaired",)),
    ("contents", [{"id": "a"}], [{"id": "a"}], ("contents.quantity:missing",)),
    ("contents", [{"id": "a", "quantity": "2"}], [{"id": "a", "quantity": 2}], ("contents.quantity:repaired",)),
    (
        "contents",
        [{"id": "a", "quantity": 1, "item_price": "9,90"}, {"id": "b", "quantity": 1, "item_price": "9,900"}],
        [{"id": "a", "quantity": 1, "item_price": 9.9}, {"id": "b", "quantity": 1}],
        ("contents.item_price:repaired", "contents.item_price:unusable"),
    ),
    (
        "contents",
        [{"id": "a", "quantity": 1, "delivery_category": "Home Delivery"}],
        [{"id": "a", "quantity": 1, "delivery_category": "home_delivery"}],
        ("contents.delivery_category:repaired",),
    ),
    ("contents", [{"quantity": 1}, {"id": "a", "quantity": 1}], [{"id": "a", "quantity": 1}], ("contents:unusable",)),
    ("contents", [{"id": "", "quantity": 1}], GONE, ("contents:unusable",)),
    ("contents", ["SKU-1"], GONE, ("contents:unusable",)),
    ("contents", "SKU-1", GONE, ("contents:unusable",)),
    ("contents", '[{"id":{"a":1}}]', GONE, ("contents:unusable",)),
    ("contents", None, GONE, ()),
    ("content_type", "product", "product", ()),
    ("content_type", "product_group", "product_group", ()),
    ("content_type", "Product Group", "product_group", ("content_type:repaired",)),
    ("content_type", "hotel", "hotel", ()),
    ("content_type", "products", "products", ("content_type:doubtful",)),
    ("content_type", ["hotel"], ["hotel"], ("content_type:doubtful",)),
    ("order_id", "A 1", "A 1", ()),
    ("order_id", 1001, "1001", ("order_id:repaired",)),
    ("order_id", "undefined", GONE, ("order_id:unusable",)),
    ("order_id", {"id": 1}, GONE, ("order_id:unusable",)),
    ("order_id", "", GONE, ()),
    ("delivery_category", "in_store", "in_store", ()),
    ("delivery_category", "In-Store", "in_store", ("delivery_category:repaired",)),
    ("delivery_category", "drone", GONE, ("delivery_category:unusable",)),
    ("delivery_category", 1, GONE, ("delivery_category:unusable",)),
    ("my_own", "1,299", "1,299", ()),
    ("my_own", None, None, ()),
    ("status", True, True, ()),
]

# Event name, its data, the findings.
WHOLES: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("Purchase", {"value": 1, "currency": "EUR"}, ()),
    ("Purchase", {"value": 1}, ("currency:missing",)),
    ("Purchase", {"value": 1, "currency": "Euro"}, ("currency:unusable", "currency:missing")),
    ("Purchase", {}, ("currency:missing",)),
    ("AddToCart", {"value": 1}, ("currency:missing",)),
    ("AddToCart", {"value": "a lot"}, ("value:unusable",)),
    ("AddToCart", {"currency": "EUR"}, ()),
    ("PageView", {}, ()),
    ("purchase", {}, ("event_name:doubtful",)),
    ("PAGEVIEW", {}, ("event_name:doubtful",)),
    ("BookedTherapy", {}, ()),
    ("Lead", {"event_id": "1"}, ("event_id:misplaced",)),
    ("Lead", {"eventID": "1"}, ("event_id:misplaced",)),
]

TEXTS = st.text() | st.sampled_from([row[0] for row in AMOUNTS if isinstance(row[0], str)])
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXTS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "quantity", "x"]), inner),
    max_leaves=8,
)
NAMES = sorted({row[0] for row in FIELDS} | {"value", "event_id"})
DATA = st.dictionaries(st.sampled_from(NAMES), JSON | JSON.map(json.dumps))


def named(field: str, word: str) -> tuple[str, ...]:
    return (f"{field}:{word}",) if word else ()


@pytest.mark.parametrize(("raw", "number", "word"), AMOUNTS)
def test_an_amount_is_read_in_one_way_or_not_at_all(raw: Any, number: Any, word: str) -> None:
    """A text that can only mean one number becomes that number; an ambiguous one is left out."""
    data, findings = checked("AddToCart", {"value": raw, "currency": "EUR"})

    assert (data.get("value", GONE), findings) == (number, named("value", word))
    assert type(data.get("value", GONE)) is type(number)


def test_a_long_text_costs_little() -> None:
    """The cost of a text as long as a whole body is not quadratic in its length."""
    data = dict.fromkeys(("value", "num_items", "currency", "content_ids", "contents", "order_id"), "1" * 60_000 + "x")

    assert "value" not in checked("Purchase", data)[0]


@pytest.mark.parametrize(("field", "raw", "sent", "findings"), FIELDS)
def test_each_field_has_its_documented_form(field: str, raw: Any, sent: Any, findings: tuple[str, ...]) -> None:
    """A value with one certain meaning is sent in the documented form; everything odd is a finding."""
    assert checked("ViewContent", {field: raw}) == ({} if sent is GONE else {field: sent}, findings)


@pytest.mark.parametrize(("name", "data", "findings"), WHOLES)
def test_what_an_event_lacks_is_named(name: str, data: dict[str, Any], findings: tuple[str, ...]) -> None:
    """Missing companions, standard names in another case and ids in the wrong place are findings."""
    assert checked(name, data)[1] == findings


def test_the_pages_own_data_stay_as_they_were() -> None:
    """Checking changes a copy: the same data may go to several pixels."""
    data = {"contents": [{"id": "a", "quantity": "2"}], "value": "1,5"}
    before = orjson.dumps(data)

    checked("Purchase", data)

    assert orjson.dumps(data) == before


@given(st.sampled_from(["Purchase", "purchase", "Own"]), DATA)
def test_no_data_break_the_check(name: str, data: dict[str, Any]) -> None:
    """Any JSON leaves data that can be written again, and findings of the known words without a value in them."""
    sent, findings = checked(name, data)

    assert orjson.loads(orjson.dumps(sent)).keys() == sent.keys()
    for finding in findings:
        field, word = finding.split(":")
        assert field.partition(".")[0] in {*NAMES, "event_name"}
        assert word in {"repaired", "unusable", "doubtful", "missing", "misplaced"}


@given(DATA)
def test_checking_twice_changes_nothing(data: dict[str, Any]) -> None:
    """Repaired data passes the check unchanged."""
    once, _ = checked("Purchase", data)
    again, findings = checked("Purchase", once)

    assert again == once
    assert not [finding for finding in findings if finding.endswith((":repaired", ":unusable"))]


@given(st.floats(0, 1e12).map(lambda number: round(number, 2)), st.sampled_from([",.", ".,", " ,", "'.", f"{NBSP},"]))
def test_amounts_written_with_cents_are_understood_in_every_style(number: float, style: str) -> None:
    """Where the marks for thousands and cents differ, there is no doubt which is which."""
    text = f"{number:,.2f}".translate(str.maketrans(",.", style))

    assert amount(text)[0] == number

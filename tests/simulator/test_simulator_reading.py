"""The simulator's reading of events changes types, but no values."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_samples import BARE, EMAIL, NOW, event

from proxy.simulator.graph.reading import read

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
JSON_TEXT = st.sampled_from(["[", "{}", "null", "[null]", '{"0": null}', "1e999", "-0", "9" * 40, "0001-01-01T00:00Z"])
NAMES = st.sampled_from([*event(), "opt_out", "app_data", "data_processing_options", "original_event_data"])
INNER = st.sampled_from(
    ["em", "external_id", "extinfo", "contents", "value", "num_items", "event_time", "0", "4", "99"]
)
EVENTS = st.dictionaries(NAMES, VALUES | JSON_TEXT | st.dictionaries(INNER, VALUES | JSON_TEXT))
SLOTS = ["i2", "", "", "", "13.4.1", *[""] * 11]

READINGS = [
    ("nulls are absent", {"opt_out": None, "app_data": None}, {"opt_out": BARE, "app_data": BARE}),
    ("nulls of a list", {"user_data": {"ge": [EMAIL, None], "fn": [None]}}, {"user_data": {"ge": [EMAIL]}}),
    ("a scalar", {"user_data": {"em": EMAIL, "fbp": "x"}}, {"user_data": {"em": [EMAIL], "fbp": "x"}}),
    ("numeric keys", {"user_data": {"em": {"1": "b", "0": "a"}}}, {"user_data": {"em": ["a", "b"]}}),
    ("ids of a shop keep their zeros", {"event_id": "007"}, {"event_id": "007"}),
    ("a number is a text in an id", {"event_id": 2**60 + 1}, {"event_id": "1152921504606846977"}),
    ("seconds as text", {"event_time": f"{NOW}.9"}, {"event_time": NOW}),
    ("a moment with an offset", {"event_time": "2027-01-15T03:00:00-05:00"}, {"event_time": NOW}),
    ("slots with holes", {"app_data": {"extinfo": {"0": "i2", "4": "13.4.1"}}}, {"app_data": {"extinfo": SLOTS}}),
    ("slots with nulls", {"app_data": {"extinfo": ["i2", None, 3]}}, {"app_data": {"extinfo": ["i2", "", "3"]}}),
    (
        "contents as text, as Meta's plugin for WooCommerce",
        {"custom_data": {"contents": '[{"id": "1"}]', "content_ids": '["1"]', "value": "9.50", "num_items": "2"}},
        {"custom_data": {"contents": [{"id": "1"}], "content_ids": ["1"], "value": 9.5, "num_items": 2}},
    ),
    (
        "text that only looks like a number",
        {"custom_data": {"value": "1,234.50", "content_ids": "SKU-1"}},
        {"custom_data": {"value": "1,234.50", "content_ids": "SKU-1"}},
    ),
    ("flags", {"opt_out": 1, "app_data": {"consider_views": "FALSE"}},
     {"opt_out": True, "app_data": {"consider_views": False}}),
    ("no limit on the use", {"data_processing_options": []}, {"data_processing_options": []}),
    ("what nobody knows", {"new": {"0": None}}, {"new": {"0": None}}),
    (
        "the first event",
        {"original_event_data": {"event_time": str(NOW), "order_id": 7}},
        {"original_event_data": {"event_time": NOW, "order_id": "7"}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "expected"), [pytest.param(*row[1:], id=row[0]) for row in READINGS])
def test_one_shape_of_many(sent: dict[str, Any], expected: dict[str, Any]) -> None:
    """A value that clients write in several ways is read into one form."""
    assert read(event(sent)) == event(expected)


@given(EVENTS)
def test_reading_twice_changes_nothing(sent: dict[str, Any]) -> None:
    """Any event can be read, and reading the result again does not change it."""
    once = read(sent)

    assert repr(read(once)) == repr(once)


@given(st.integers(10**14, 10**17 - 1))
def test_a_lead_keeps_all_its_digits(lead: int) -> None:
    """A lead_id beyond 2^53 keeps all its digits, as a number and as text."""
    texts = [orjson.dumps({"user_data": {"lead_id": value}}) for value in (lead, str(lead))]

    assert [str(read(orjson.loads(text))["user_data"]["lead_id"]) for text in texts] == [str(lead)] * 2


@pytest.mark.parametrize("value", [7, "x", None, [], True])
def test_what_is_no_event_stays_what_it_is(value: Any) -> None:
    """A member of ``data`` that is no object stays unchanged, for the rules to refuse."""
    assert read(value) is value

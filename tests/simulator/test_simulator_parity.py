"""The comparison of an event's two copies, where the simulator has both."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_samples import copy

from proxy.simulator.graph.dedup import Copy, pairs
from proxy.simulator.graph.parity import MOST_NAMED, parity


def browser(identity: str = "a", **custom_data: Any) -> Copy:
    return copy("browser", 0, identity, **{f"cd[{key}]": text for key, text in custom_data.items()})


def server(identity: str = "a", **custom_data: Any) -> Copy:
    found = copy("server", 1, identity)
    found.read["custom_data"] = custom_data
    return found


ALIKE = [
    ({"value": "129.90"}, {"value": 129.9}),
    ({"value": "10"}, {"value": 10}),
    ({"currency": "eur"}, {"currency": "EUR"}),
    ({"content_ids": '["a","7"]'}, {"content_ids": ["a", 7]}),
    ({"content_ids": "a"}, {"content_ids": ["a"]}),
    ({"content_ids": "[]"}, {}),
    ({}, {}),
    ({"note": "x"}, {"note": "y"}),
]
UNLIKE = [
    ({"value": "1.299,00"}, {"value": 1299}, "value"),
    ({"value": "1299"}, {}, "value"),
    ({"currency": "EUR"}, {"currency": "USD"}, "currency"),
    ({"content_ids": '["a","b"]'}, {"content_ids": ["b", "a"]}, "content_ids"),
    ({"content_ids": '["a"'}, {"content_ids": ["a"]}, "content_ids"),
]


@pytest.mark.parametrize(("theirs", "ours"), ALIKE)
def test_copies_that_say_the_same_are_alike(theirs: dict[str, str], ours: dict[str, Any]) -> None:
    """Numbers, currencies and lists are compared by meaning, however each side writes them."""
    assert parity(pairs([browser(**theirs), server(**ours)])) == {"compared": 1, "alike": 1, "differences": []}


@pytest.mark.parametrize(("theirs", "ours", "field"), UNLIKE)
def test_a_difference_is_named(theirs: dict[str, str], ours: dict[str, Any], field: str) -> None:
    """A difference is listed with the event's id, the field, and both values."""
    found = parity(pairs([browser(**theirs), server(**ours)]))
    (difference,) = found["differences"]

    assert (found["compared"], found["alike"]) == (1, 0)
    assert (difference["id"], difference["field"]) == ("a", field)
    assert (difference["browser"], difference["server"]) == (theirs.get(field), ours.get(field))


def test_one_copy_alone_is_not_compared() -> None:
    """An event with only one copy is neither alike nor different."""
    assert parity(pairs([browser("a", value="1"), server("b", value=2)])) == {
        "compared": 0,
        "alike": 0,
        "differences": [],
    }


def test_the_list_of_differences_is_bounded() -> None:
    """At most a hundred differences are listed, and all events are counted."""
    copies = [
        each for number in range(MOST_NAMED + 5) for each in (browser(f"{number}", value="1"), server(f"{number}"))
    ]
    found = parity(pairs(copies))

    assert (found["compared"], found["alike"], len(found["differences"])) == (MOST_NAMED + 5, 0, MOST_NAMED)


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(["value", "currency", "content_ids"]), st.text(max_size=8)),
    st.dictionaries(st.sampled_from(["value", "currency", "content_ids"]), _ANY),
)
def test_no_custom_data_can_stop_the_report(theirs: dict[str, str], ours: dict[str, Any]) -> None:
    """Whatever the values of both sides, they are compared."""
    assert parity(pairs([browser(**theirs), server(**ours)]))["compared"] == 1

"""Keys of events: what tells events apart, and which ids tell when they were born."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.queue.keys import birth_s, event_key

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("1", "a", "b"), ("1", "a", "c")),
        (("1", "a", "b"), ("2", "a", "b")),
        (("1", "ab", ""), ("1", "a", "b")),
        (("1", "a", "17900000001230.5"), ("1", "a", "17900000001230.6")),
        (("1", "a", "17900000001230.5"), ("1", "b", "17900000001230.5")),
    ],
)
def test_different_events_have_different_keys(first: tuple[str, str, str], second: tuple[str, str, str]) -> None:
    """Pixel, name and id each tell events apart, and cannot run into one another."""
    assert event_key(*first) != event_key(*second)
    assert len(event_key(*first)) == 16


@pytest.mark.parametrize(
    ("identity", "second"),
    [
        ("17900000001230.7264", 1_790_000_000),
        ("1790000000123-order", 1_790_000_000),
        ("0000000000999x", 0),
        ("1790000000123", None),  # no random part: a number of the page's own
        ("179000000012x0.5", None),
        ("0.7264510998", None),  # of a tag before
        ("\u0660790000000123x", None),  # digits that are not ASCII
        ("9999999999999x", None),  # no four bytes hold that second
        ("", None),
    ],
)
def test_ids_that_begin_with_a_time_tell_their_birth(identity: str, second: int | None) -> None:
    """Thirteen digits and something behind them; everything else is an id like any other."""
    assert birth_s(identity) == second


@given(TEXT, TEXT, TEXT)
def test_every_event_has_a_key(pixel: str, name: str, identity: str) -> None:
    """Whatever text comes, the key has 16 bytes, and begins with the birth where the id tells it."""
    key = event_key(pixel, name, identity)
    born = birth_s(identity)

    assert len(key) == 16
    assert born is None or key[:4] == born.to_bytes(4, "big")

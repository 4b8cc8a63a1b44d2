"""Keys of events: they differ for different events, and begin with the time of an id that has one."""

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
    """Each of pixel, name and id makes a difference, and a change of their boundaries does too."""
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
    """An id that begins with thirteen digits and has more behind them gives its second; any other gives none."""
    assert birth_s(identity) == second


@given(TEXT, TEXT, TEXT)
def test_every_event_has_a_key(pixel: str, name: str, identity: str) -> None:
    """Any text has a key of 16 bytes, which begins with the second that the id names, if it names one."""
    key = event_key(pixel, name, identity)
    born = birth_s(identity)

    assert len(key) == 16
    assert born is None or key[:4] == born.to_bytes(4, "big")

"""Segments: what is packed comes back byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model import Fate, Record
from proxy.queue.segment import event_key, pack, unpack

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
RECORDS = st.lists(
    st.builds(
        Record,
        pixel=st.just("1"),
        name=TEXT,
        id=TEXT,
        time_s=st.integers(0, 2**40),
        visitor=st.binary(min_size=4, max_size=4),
        fate=st.sampled_from(Fate),
        mark=TEXT,
        payload=st.binary(max_size=200),
        findings=st.lists(TEXT, max_size=3).map(tuple),
        people=st.lists(st.binary(min_size=16, max_size=16), max_size=3).map(tuple),
    ),
    max_size=20,
)


@given(RECORDS)
def test_records_come_back_as_they_were(records: list[Record]) -> None:
    """Whatever is packed is unpacked the same, payload byte for byte."""
    assert unpack(pack(records), "1") == tuple(records)


@given(RECORDS.filter(bool), st.data())
def test_a_torn_segment_is_noticed(records: list[Record], data: st.DataObject) -> None:
    """A segment cut anywhere within a record raises, and never yields a shortened record."""
    packed = pack(records)
    cut = data.draw(st.integers(0, len(packed) - 1))
    try:
        found = unpack(packed[:cut], "1")
    except ValueError:
        return

    assert found == tuple(records[: len(found)])


@pytest.mark.parametrize(
    ("one", "other"),
    [(("1", "a", "b"), ("1", "a", "c")), (("1", "a", "b"), ("2", "a", "b")), (("1", "ab", ""), ("1", "a", "b"))],
)
def test_different_events_have_different_keys(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """Pixel, name and id each tell events apart, and cannot run into one another."""
    assert event_key(*one) != event_key(*other)
    assert len(event_key(*one)) == 16

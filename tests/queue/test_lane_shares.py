"""All replicas derive from the same facts who is to lead which lane."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.queue.postgres.lane_shares import shares

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16
LANES = ["1", "2", "3", "4"]
replicas = st.sampled_from([A, B, C])
lanes = st.sampled_from(LANES)


@pytest.mark.parametrize(
    ("wishes", "leaders", "loads"),
    [
        ({A: LANES}, {}, {A: 4}),
        ({A: LANES, B: LANES}, {}, {A: 2, B: 2}),
        ({A: LANES, B: LANES}, dict.fromkeys(LANES, A), {A: 2, B: 2}),
        ({A: LANES, B: LANES}, dict.fromkeys(LANES, C), {A: 2, B: 2}),
        ({A: ["1"], B: LANES}, {}, {A: 1, B: 3}),
        ({A: ["1"], B: []}, {"1": B}, {A: 1}),
        ({}, {"1": A}, {}),
    ],
)
def test_lanes_are_shared_fairly(
    wishes: dict[bytes, list[str]], leaders: dict[str, bytes], loads: dict[bytes, int]
) -> None:
    """Each lane that a living replica wishes to lead has one leader, and no replica leads too many."""
    assert Counter(shares(wishes, leaders).values()) == loads


def test_who_leads_stays() -> None:
    """Nothing moves if the shares are fair; for a new replica, only as many lanes move as are needed."""
    leaders = {"1": B, "2": A, "3": A, "4": B}

    assert shares({A: LANES, B: LANES}, leaders) == leaders
    three = shares({A: LANES, B: LANES, C: LANES}, leaders)
    assert sum(three[lane] != leader for lane, leader in leaders.items()) == 1


@given(
    wishes=st.dictionaries(replicas, st.lists(lanes, unique=True)),
    leaders=st.dictionaries(lanes, replicas),
)
def test_the_shares_are_fair_and_final(wishes: dict[bytes, list[str]], leaders: dict[str, bytes]) -> None:
    """Each lane's leader wishes to lead it, no move would be fairer, and the result stays when it is derived again."""
    chosen = shares(wishes, leaders)
    load = Counter(chosen.values())

    assert chosen.keys() == {lane for some in wishes.values() for lane in some}
    for lane, leader in chosen.items():
        assert lane in wishes[leader]
        assert all(load[leader] <= load[other] + 1 for other, some in wishes.items() if lane in some)
    assert shares(wishes, chosen) == chosen

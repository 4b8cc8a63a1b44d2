"""The limits on one client's share of the proxy, as arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.fairness import Buckets, ClientNetwork, Judgement, Shares, client_network, price


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "", True),
        ("no:address", "no:other", False),
    ],
)
def test_an_ipv6_client_is_its_network(first: str, second: str, *, same: bool) -> None:
    """Each IPv4 address is a client, and each /64 of IPv6; an IPv6 address that maps IPv4 counts as IPv4."""
    assert (client_network(first) == client_network(second)) is same


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    """A full bucket allows ``burst`` requests at once, then one per interval of the rate."""
    buckets = Buckets(10, 5)
    at_once = [buckets.take("a", 100.0) for _ in range(6)]

    assert at_once[:5] == [0.0] * 5
    assert at_once[5] == pytest.approx(0.1)
    assert buckets.take("a", 100.0 + at_once[5]) == 0.0
    assert buckets.take("a", 100.0 + at_once[5]) > 0
    assert buckets.take("b", 100.0) == 0.0


@given(
    steps=st.lists(st.tuples(st.floats(0, 2), st.floats(0.5, 50)), max_size=80),
    rate=st.floats(0.5, 100),
    burst=st.integers(1, 50),
)
def test_no_pattern_of_requests_gets_more_than_burst_and_rate(
    steps: list[tuple[float, float]], rate: float, burst: int
) -> None:
    """Whatever the pauses and costs, what was let in is never more than the burst and what the time has refilled."""
    buckets, now, taken = Buckets(rate, burst), 1000.0, 0.0
    for pause, cost in steps:
        now += pause
        if buckets.take("a", now, cost) == 0.0:
            taken += min(cost, burst)

        assert taken <= burst + (now - 1000.0) * rate + 1e-6


def test_what_is_owed_is_waited_for() -> None:
    """Events that are charged after their request was let in delay the next requests until they are paid for."""
    buckets = Buckets(10, 5)
    buckets.charge("a", 0.0, 25)

    assert buckets.take("a", 0.0) == pytest.approx(2.1)


def test_the_table_of_buckets_is_bounded() -> None:
    """The table keeps a fixed number of clients; the one that has been silent longest is forgotten."""
    buckets = Buckets(1, 1, most=3)
    for name in "abcd":
        buckets.take(name, 0.0)
    buckets.take("b", 0.0)
    buckets.take("e", 0.0)

    assert len(buckets) == 3
    assert buckets.take("d", 0.0) > 0
    assert buckets.take("a", 0.0) == 0.0


@pytest.mark.parametrize(
    ("fullness", "expected"), [(0.0, 1), (0.5, 1), (0.75, 4), (0.9, 25), (1.0, 250_000), (2.0, 250_000)]
)
def test_a_request_costs_more_as_the_queue_fills(fullness: float, expected: float) -> None:
    """The price is one up to half-full, then grows with the inverse square of the room that is left."""
    assert price(fullness) == pytest.approx(expected)


def test_one_client_cannot_fill_the_queue_for_the_others() -> None:
    """A client that sends all it may for a day, while nothing is delivered, leaves others room for their burst."""
    buckets, room, taken = Buckets(2000, 4000), 5_000_000, 0
    for second in range(24 * 60 * 60):
        cost = price(taken / room)
        while buckets.take("greedy", float(second), cost) == 0.0:
            buckets.charge("greedy", float(second), 199 * cost)
            taken += 200

    assert taken < room - 4000
    assert buckets.take("modest", float(second), price(taken / room)) == 0.0


def entered(shares: Shares, who: ClientNetwork, size: int, most: int = 1000) -> int:
    """Let requests in as long as they are welcome, at most ``most``; return their number."""
    for count in range(most):
        if shares.judge(who, size) is not Judgement.WELCOME:
            return count
        shares.enter(who, size)
    return most


def test_alone_a_client_takes_half() -> None:
    """One client holds at most half of the requests, and other clients still find room."""
    shares = Shares(100, 1 << 30)

    assert entered(shares, "a", 1) == 50
    assert shares.judge("a", 1) is Judgement.OVER_SHARE
    assert entered(shares, "b", 1) == 25
    assert entered(shares, "c", 1) == 16


def test_bytes_are_shared_likewise() -> None:
    """A client with large bodies is stopped at half of the bytes, and other clients' small bodies are still let in."""
    shares = Shares(1000, 1000)

    assert entered(shares, "a", 100) == 5
    assert shares.judge("b", 100) is Judgement.WELCOME
    assert shares.judge("b", 501) is Judgement.FULL


def test_whoever_leaves_makes_room() -> None:
    """A request that has left no longer counts."""
    shares = Shares(4, 1000)
    for _ in range(1000):
        shares.enter("a", 7)
        shares.leave("a", 7)

    assert entered(shares, "a", 7) == 2

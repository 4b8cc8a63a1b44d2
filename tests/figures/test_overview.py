"""The figures of a period: in all, by bucket, site, pixel and name, and those of the period before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rolled import HOUR, rollup, summed

from proxy.figures.money import Money, decimal
from proxy.figures.overview import MOST_WORDS, Overview, overview, part_of, wanted_sums
from proxy.figures.period import period_of
from proxy.model.event import DropReason
from proxy.model.ledger import Status
from proxy.model.rollup import OTHER, Rollup
from proxy.model.units import HOUR_MS

DAY = period_of((HOUR - 23) * HOUR_MS, (HOUR + 1) * HOUR_MS)


def figures(*rollups: Rollup, name: str = "") -> Overview:
    wanted = wanted_sums(DAY, name=name)
    return overview(DAY, [part_of(DAY, wanted, summed(wanted, rollups))], name=name)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (0, "0.00"),
        (1_299_000, "129.90"),
        (1_299_050, "129.905"),
        (125, "0.0125"),
        (-5_000, "-0.50"),
        (-10_001, "-1.0001"),
        (10**16, "1000000000000.00"),
    ],
)
def test_amounts_are_exact(parts: int, text: str) -> None:
    """A sum is an exact decimal fraction with four digits at most, and never a float."""
    assert decimal(parts) == text


def test_money_is_never_added_up_across_currencies_or_pixels() -> None:
    """Values in different currencies or of different pixels are not added: two pixels may have got the same sale."""
    found = figures(
        rollup(2, pixel="1", browser_copy="blocked", values={"EUR": (2, 200_000), "JPY": (1, 9_000_000)}),
        rollup(2, pixel="2", browser_copy="blocked", values={"EUR": (2, 200_000)}),
        rollup(5, pixel="2", browser_copy="fired", values={"EUR": (5, 500_000)}),
    )

    assert found.total.recovered_value == (
        Money("1", "EUR", 2, "20.00"),
        Money("1", "JPY", 1, "900.00"),
        Money("2", "EUR", 2, "20.00"),
    )
    assert found.total.sold == (
        Money("1", "EUR", 2, "20.00"),
        Money("1", "JPY", 1, "900.00"),
        Money("2", "EUR", 7, "70.00"),
    )


def test_only_what_was_sold_is_recovered_value() -> None:
    """Only values of Purchases are in the total; a ViewContent's value is in its own row of the table by name."""
    seen = rollup(3, name="ViewContent", browser_copy="blocked", values={"EUR": (3, 900_000)})
    found = figures(seen, rollup(1, browser_copy="blocked", values={"EUR": (1, 50_000)}))
    by_name = {group.word: group.figures.recovered_value for group in found.names}

    assert found.total.recovered_value == (Money("1", "EUR", 1, "5.00"),)
    assert by_name == {
        "ViewContent": (Money("1", "EUR", 3, "90.00"),),
        "Purchase": (Money("1", "EUR", 1, "5.00"),),
    }
    assert figures(seen, name="ViewContent").total.recovered_value == (Money("1", "EUR", 3, "90.00"),)


def test_what_is_of_other_hours_is_left_out() -> None:
    """The first and last hour of a period count, the hours outside do not; the period before is shown beside it."""
    hours = {HOUR - 47: 1, HOUR - 24: 2, HOUR - 23: 4, HOUR: 8, HOUR + 1: 16, HOUR - 48: 32}
    found = figures(*(rollup(events, hour=hour) for hour, events in hours.items()))

    assert (found.total.events, found.before and found.before.events) == (12, 3)
    assert [bucket.figures.events for bucket in found.buckets] == [4, *[0] * 22, 8]


def test_shares_are_of_what_pages_brought() -> None:
    """Shares of bots, GPC and refused consent are parts of all page events, without repeats and unknown pixels."""
    found = figures(
        rollup(50),
        rollup(10, reason="bot:headless"),
        rollup(20, status=Status.DROPPED, reason=DropReason.BOT),
        rollup(15, status=Status.DROPPED, reason=DropReason.GPC),
        rollup(5, status=Status.DROPPED, reason=DropReason.NO_CONSENT, browser_copy="pending"),
        rollup(70, status=Status.DROPPED, reason=DropReason.UNKNOWN_PIXEL, pixel="(other)"),
        rollup(40, status=Status.DUPLICATE),
        rollup(30, browser_copy=""),
        rollup(3, status=Status.DEAD, reason="too_old", browser_copy=""),
    ).left_out

    assert found.from_pages == 100
    assert (found.bots.events, found.gpc.events, found.consent.events) == (30, 15, 5)
    assert (found.bots.share, found.gpc.share, found.consent.share) == (0.30, 0.15, 0.05)
    assert list(found.reasons.items()) == [("unknown_pixel", 70), ("bot", 20), ("gpc", 15), ("no_consent", 5)]
    assert found.dead == {"too_old": 3}


def test_made_up_names_cannot_fill_the_answer() -> None:
    """Of a thousand names the most frequent are listed, and all others together as one."""
    named = [rollup(1 + number % 7, name=f"name-{number}") for number in range(1000)]
    found = figures(*named, rollup(3, name=OTHER), rollup(1000, name="Purchase"))

    assert len(found.names) == MOST_WORDS
    assert [group.word for group in found.names[:2]] == [OTHER, "Purchase"]
    assert [each.name for each in found.match_quality_by_name] == [group.word for group in found.names]
    assert sum(group.figures.events for group in found.names) == found.total.events


_ROLLUPS = st.lists(
    st.builds(
        rollup,
        st.integers(1, 9),
        hour=st.integers(HOUR - 60, HOUR + 5),
        site=st.sampled_from(["shop", "blog"]),
        pixel=st.sampled_from(["1", "2"]),
        name=st.sampled_from(["Purchase", "PageView"]),
        status=st.sampled_from([status for status in Status if status is not Status.REPLAYED]),
        browser_copy=st.sampled_from(["", "fired", "blocked", "pending"]),
        values=st.sampled_from([{}, {"EUR": (1, 10_000)}, {"EUR": (1, 5), "USD": (2, 7)}]),
        match_keys=st.sampled_from([{}, {"em": 1}, {"fbp": 1, "em": 1}]),
        lag=st.sampled_from([{}, {0: 1}, {3: 1, 13: 2}]),
    ),
    max_size=25,
)


@given(_ROLLUPS, st.integers(HOUR - 60, HOUR + 5))
def test_parts_say_what_the_whole_says(rollups: list[Rollup], hour: int) -> None:
    """If a period is read in two parts, split anywhere, the figures are the same, in every bucket too."""
    wanted = wanted_sums(DAY)
    parts = [part_of(DAY, part, summed(part, rollups)) for part in wanted.split(hour)]

    assert overview(DAY, parts) == figures(*rollups)


@given(_ROLLUPS)
def test_every_table_adds_up_to_the_total(rollups: list[Rollup]) -> None:
    """The tables by hour, site, pixel and name each add up to the total."""
    found = figures(*rollups)
    for parts in (found.sites, found.pixels, found.names, found.buckets):
        cut = [part.figures for part in parts]

        assert sum(each.events for each in cut) == found.total.events
        assert sum(each.outcomes.delivered for each in cut) == found.total.outcomes.delivered
        assert sum(each.from_servers for each in cut) == found.total.from_servers
        for member in ("fired", "blocked", "not_known", "pairs", "recovered", "lost"):
            assert sum(getattr(each.copies, member) for each in cut) == getattr(found.total.copies, member)
        assert sum(each.lag.events for each in cut if each.lag) == (found.total.lag.events if found.total.lag else 0)
        # In the table by name each name has its own values, so their sum is not the total's.
        if parts is not found.names:
            for member in ("sold", "recovered_value"):
                money = [amount for each in cut for amount in getattr(each, member)]
                assert sum(amount.events for amount in money) == sum(
                    amount.events for amount in getattr(found.total, member)
                )

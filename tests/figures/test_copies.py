"""Browser copies: fired, blocked and not known are counted apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rolled import members, rollup

from proxy.figures.copies import CopyFigures, copies_of
from proxy.figures.share import Share
from proxy.figures.sums import merge_sums, sums_by_cell
from proxy.model.event import BrowserCopy, DropReason
from proxy.model.ledger import REPEATS_SERVER, Status
from proxy.model.rollup import Rollup


def copies(*rollups: Rollup) -> CopyFigures:
    return copies_of(merge_sums(sums_by_cell(rollups).values()))


def test_three_things_are_never_mixed() -> None:
    """With 6 fired, 3 blocked and 11 unknown copies a third of the known ones is blocked, and 15 to 70 % of all."""
    found = copies(
        rollup(6), rollup(3, browser_copy="blocked"), rollup(10, browser_copy="pending"), rollup(browser_copy="pending")
    )

    assert members(found, "fired", "blocked", "not_known") == (6, 3, 11)
    assert members(found, "pairs", "recovered", "not_known_delivered") == (6, 3, 11)
    assert found.blocked_share == Share(3 / 9, 3 / 20, 14 / 20)
    assert found.pair_rate == Share(6 / 9, 6 / 20, 17 / 20)


def test_nothing_is_known_of_what_is_only_pending() -> None:
    """If no copy is known, there is no share, and its bounds are 0 and 1."""
    found = copies(rollup(4, browser_copy="pending"))

    assert found.pair_rate == found.blocked_share == Share(None, 0.0, 1.0)
    assert found.coverage is None


def test_without_events_there_is_no_share() -> None:
    """Without events there is no share."""
    assert members(copies(), "pair_rate", "blocked_share", "coverage", "fired") == (None, None, None, 0)


def test_dead_letters_are_no_pairs_and_not_recovered() -> None:
    """A dead letter has at most a browser copy: it is no pair, is not recovered, and cannot become either."""
    dead = [rollup(2, status=Status.DEAD, reason="rejected", browser_copy=copy) for copy in BrowserCopy]
    found = copies(rollup(6), rollup(4, browser_copy="blocked"), *dead)

    assert members(found, "fired", "blocked", "not_known") == (8, 6, 2)
    assert members(found, "pairs", "recovered", "only_browser", "lost", "not_known_delivered") == (6, 4, 2, 2, 0)
    assert found.pair_rate == Share(6 / 14, 6 / 16, 6 / 16)
    assert found.blocked_share == Share(6 / 14, 6 / 16, 8 / 16)


@pytest.mark.parametrize(
    ("other", "coverage"),
    [
        (rollup(4, status=Status.DROPPED, reason="gpc"), 6 / 10),
        (rollup(4, status=Status.DROPPED, reason="gpc", browser_copy="blocked"), 1.0),
        (rollup(4, status=Status.DROPPED, reason=DropReason.UNKNOWN_PIXEL), 1.0),
        (rollup(4, status=Status.DUPLICATE), 1.0),
        (rollup(4, status=Status.DUPLICATE, browser_copy=""), 1.0),
        (rollup(4, browser_copy=""), 1.0),
    ],
    ids=["dropped", "dropped and blocked", "pixel of others", "repeat", "repeat of a server", "of a server"],
)
def test_only_what_was_to_be_sent_counts(other: Rollup, coverage: float) -> None:
    """Drops, repeats and server events change no pair; fired copies of dropped events count for the coverage."""
    found = copies(rollup(6), other)

    assert members(found, "fired", "blocked", "not_known", "pairs", "recovered") == (6, 0, 0, 6, 0)
    assert found.coverage == coverage


def test_an_order_that_a_server_told_of_keeps_its_browser_copy() -> None:
    """If a server's event was sent in place of the page's, it counts by the status of the page's browser copy."""
    replaced = [
        rollup(events, status=Status.DUPLICATE, reason=REPEATS_SERVER, browser_copy=copy, values={"EUR": (1, 50_000)})
        for copy, events in (("fired", 5), ("blocked", 3), ("pending", 2))
    ]
    sums = merge_sums(sums_by_cell([rollup(10, browser_copy="", values={"EUR": (10, 500_000)}), *replaced]).values())
    found = copies_of(sums)

    assert members(found, "pairs", "recovered", "not_known_delivered") == (5, 3, 2)
    assert (sums.sold, sums.recovered) == ({("1", "EUR"): (10, 500_000)}, {("1", "EUR"): (1, 50_000)})


_KINDS = st.tuples(
    st.integers(1, 50),
    st.sampled_from([status for status in Status if status is not Status.REPLAYED]),
    st.sampled_from(["", "fired", "blocked", "pending"]),
    st.sampled_from(["", REPEATS_SERVER, "gpc"]),
)


@given(st.lists(_KINDS, max_size=30))
def test_parts_make_the_whole(kinds: list[tuple[int, Status, str, str]]) -> None:
    """For any events the known and unknown parts add up to the whole, and each share lies within its bounds."""
    found = copies(
        *(rollup(events, status=status, browser_copy=copy, reason=reason) for events, status, copy, reason in kinds)
    )

    assert found.pairs + found.only_browser == found.fired
    assert found.recovered + found.lost == found.blocked
    assert found.not_known_delivered <= found.not_known
    for share in (found.pair_rate, found.blocked_share):
        if share:
            assert 0 <= share.least <= share.most <= 1
            if share.share is not None and not found.not_known:
                assert share.least == share.share == share.most

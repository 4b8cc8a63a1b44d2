"""Counts and conditions of fronts appear at the back, once, even if either is restarted."""

from collections.abc import Sequence

import pytest

from proxy.queue.contract import Stats
from proxy.queue.remote.messages import FrontReport
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics
from proxy.workers.relay import FrontConditions, FrontReports
from proxy.workers.watch import ConnectedFronts

NOW = 1_790_000_000_000


class FrontSide:
    """The metrics and conditions of a front."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.metrics = Metrics()
        self.conditions = FrontConditions(lambda: NOW)
        self.reports = FrontReports(self.metrics, self.conditions)
        self.lost_notes = 0

    def report(self) -> FrontReport | None:
        return self.reports.report(self.lost_notes)

    def tell(self, fronts: ConnectedFronts, *, answered: bool = True) -> None:
        """Report what is new; with ``answered`` the front learns that the back has it."""
        if report := self.report():
            fronts.report(self.number, report)
            if answered:
                self.reports.on_answered()


class BackSide:
    """The metrics and conditions of a back."""

    def __init__(self, expected: int = 2) -> None:
        self.metrics = Metrics()
        self.conditions = Conditions(lambda: NOW)
        self.fronts = ConnectedFronts(expected, self.metrics, self.conditions)

    def requests(self) -> float:
        return self.metrics.counters.counts().get(("capi_proxy_requests", ("collect", "204")), 0)

    def codes(self) -> list[tuple[str, str]]:
        return sorted((each.code, each.subject) for each in self.conditions.current())


@pytest.fixture(name="back")
def _back() -> BackSide:
    return BackSide()


@pytest.fixture(name="sides")
def _sides() -> Sequence[FrontSide]:
    return [FrontSide(1), FrontSide(2)]


def test_counts_of_fronts_add_up(back: BackSide, sides: Sequence[FrontSide]) -> None:
    """Each front's counts are added to the back's own, and an unchanged count is not reported again."""
    for round_number in range(3):
        for side in sides:
            side.metrics.request("collect", 204)
            side.tell(back.fronts)
            assert side.report() is None, round_number

    assert back.requests() == 6


def test_histograms_of_fronts_add_up(back: BackSide, sides: Sequence[FrontSide]) -> None:
    """The back's histograms are, bucket by bucket, the sums of all fronts' and its own."""
    back.metrics.answered("collect", 0.004)
    for side in sides:
        for seconds in (0.004, 0.004, 7.0):
            side.metrics.answered("collect", seconds)
            side.metrics.committed(0.002)
            side.tell(back.fronts, answered=seconds < 1)
        side.tell(back.fronts)
    shown = back.metrics.render(Stats({}, 0)).decode().splitlines()
    ingest = 'capi_proxy_ingest_seconds_{}{{endpoint="collect"{}}} {}'

    assert ingest.format("bucket", ',le="0.005"', 5.0) in shown
    assert ingest.format("bucket", ',le="5.0"', 5.0) in shown
    assert ingest.format("count", "", 7.0) in shown
    assert ingest.format("sum", "", 5 * 0.004 + 2 * 7.0) in shown
    assert 'capi_proxy_commit_seconds_bucket{le="0.0025"} 6.0' in shown


def test_a_report_whose_answer_was_lost_counts_once(back: BackSide, sides: Sequence[FrontSide]) -> None:
    """A report without an answer is repeated with what is new; a restarted front begins with new counts."""
    first, second = sides
    first.metrics.request("collect", 204)
    first.tell(back.fronts, answered=False)
    first.metrics.request("collect", 204)
    first.tell(back.fronts)
    assert back.requests() == 2

    second.number = first.number
    second.metrics.request("collect", 204)
    second.tell(back.fronts)
    assert back.requests() == 3


def test_a_new_back_is_told_what_the_last_one_was_not(back: BackSide, sides: Sequence[FrontSide]) -> None:
    """A new back's counters begin at 0, and what was reported to the previous one is not counted again."""
    side = sides[0]
    side.metrics.request("collect", 204)
    side.tell(back.fronts)
    side.metrics.request("collect", 204)
    later = BackSide()
    side.reports.on_new_back()
    side.tell(later.fronts)

    assert later.requests() == 1


def test_rows_that_a_front_lost_are_those_of_the_ledger(back: BackSide, sides: Sequence[FrontSide]) -> None:
    """The rows are added to those that the ledger itself lost, and a condition reports them."""
    sides[0].lost_notes = 7
    sides[0].tell(back.fronts)
    sides[0].tell(back.fronts)

    assert b"capi_proxy_lost_ledger_rows 9.0" in back.metrics.render(Stats({}, 0, lost_notes=2))
    assert back.codes() == [("ledger_incomplete", "fronts")]


def test_a_count_of_a_counter_that_there_is_not_is_no_metric(back: BackSide) -> None:
    """An unknown counter name or wrong labels raise an error."""
    for name, labels in (("capi_proxy_unknown", ()), ("capi_proxy_requests", ("collect",))):
        with pytest.raises(LookupError):
            back.metrics.counters.grow(name, labels, 1)


def test_conditions_of_fronts_stand_on_the_board_of_the_back(back: BackSide, sides: Sequence[FrontSide]) -> None:
    """A momentary condition is reported with its duration; a lasting one stands until no front has it."""
    first, second = sides
    for side in sides:
        back.fronts.joined(side.number)
        side.conditions.report("untrusted_forwarding", detail="x")
        side.conditions.report("limited", "rate", "y", lasts_ms=1000)
        side.tell(back.fronts)
    assert back.codes() == [("limited", "rate"), ("untrusted_forwarding", "")]
    first.conditions.clear("untrusted_forwarding")
    first.tell(back.fronts)
    assert ("untrusted_forwarding", "") in back.codes()
    back.fronts.left(second.number)
    assert ("untrusted_forwarding", "") not in back.codes()


def test_what_lasts_is_told_to_a_new_back(sides: Sequence[FrontSide]) -> None:
    """A new back learns of lasting conditions, and an unchanged one is not reported again."""
    side, back = sides[0], BackSide()
    side.conditions.report("descriptors", "limit", "few")
    side.tell(BackSide().fronts)
    side.conditions.report("descriptors", "limit", "few")
    assert side.report() is None
    side.reports.on_new_back()
    side.tell(back.fronts)

    assert back.codes() == [("descriptors", "limit")]


def test_a_front_does_not_speak_for_the_queue(back: BackSide, sides: Sequence[FrontSide]) -> None:
    """A front's condition about the queue, that the back does not answer, is not shown by the back."""
    sides[0].conditions.report("queue", detail="the back process does not answer")
    sides[0].tell(back.fronts)
    assert back.codes() == []
    back.fronts.refused("the disk is full")
    assert back.codes() == [("queue", "")]


def test_a_flood_of_conditions_is_bounded(sides: Sequence[FrontSide]) -> None:
    """A report has at most 200 conditions, whatever strangers cause."""
    for number in range(2000):
        sides[0].conditions.report("foreign_origin", f"{number}.example", lasts_ms=1000)
    report = sides[0].report()

    assert report is not None
    assert len(report.reported) <= 200


async def test_a_missing_front_is_told_until_it_is_here(back: BackSide) -> None:
    """A condition reports a missing front; two connections of one front do not hide that."""
    back.fronts.joined(1)
    back.fronts.joined(1)
    await back.fronts.check()
    assert back.codes() == [("workers", "")]
    back.fronts.joined(2)
    assert back.codes() == []
    back.fronts.left(1)
    await back.fronts.check()
    assert back.codes() == []
    back.fronts.left(1)
    await back.fronts.check()
    assert back.codes() == [("workers", "")]

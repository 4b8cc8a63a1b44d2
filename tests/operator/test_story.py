"""The story of an event, made from rows alone: its state, its visitors, and texts without repetition."""

from typing import Any

import pytest

from proxy.model.event import BrowserCopy
from proxy.model.ledger import REPEATS_SERVER, LedgerRow, Status
from proxy.operator.story import EventHistory, story_json

PIXEL, NAME, ID = "55", "Purchase", "order-shop-7"


def _row(arrived: int, status: Status, **facts: Any) -> LedgerRow:
    return LedgerRow(arrived + 5, PIXEL, NAME, ID, arrived // 1000, status, arrived=arrived, **facts)


def _story(*rows: LedgerRow) -> dict[str, Any]:
    return story_json((PIXEL, NAME, ID), EventHistory(rows, (), ()), None, now=1_000_000)


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ((Status.DEAD, Status.DUPLICATE), Status.DEAD),
        ((Status.DROPPED, Status.DUPLICATE), Status.DROPPED),
        ((Status.DELIVERED, Status.DUPLICATE, Status.DUPLICATE), Status.DELIVERED),
        ((Status.REPLAYED, Status.DELIVERED), Status.DELIVERED),
        ((Status.DUPLICATE,), Status.DUPLICATE),
        ((), Status.DEAD),
    ],
)
def test_a_repeat_does_not_hide_how_the_event_ended(statuses: tuple[Status, ...], state: Status) -> None:
    """The state is that of the latest row that is no repeat; an event that is only a dead letter is dead."""
    rows = [_row(10_000 + 1000 * place, status) for place, status in enumerate(statuses)]

    assert _story(*rows)["state"] == state


def test_a_page_whose_server_spoke_for_it_keeps_its_browser_copy() -> None:
    """If a server's event was sent in place of the page's, the story has the page's browser copy, not a repeat's."""
    page = _row(10_000, Status.DUPLICATE, reason=REPEATS_SERVER, browser_copy=BrowserCopy.BLOCKED)
    server = _row(11_000, Status.DELIVERED, browser_copy=None)
    repeat = _row(12_000, Status.DUPLICATE, browser_copy=BrowserCopy.FIRED)

    story = _story(page, server, repeat)

    assert [(copy["visitor"], copy["browser_copy"]) for copy in story["copies"]] == [(1, "blocked")]
    assert [moment["visitor"] for moment in story["timeline"] if moment["what"] == "browser_copy"] == [1]
    decided = [moment["words"] for moment in story["timeline"] if moment["what"] == "decided"]
    assert ["in its place" in words for words in decided] == [True, False]


@pytest.mark.parametrize("status", [Status.DEAD, Status.REPLAYED, Status.DROPPED])
def test_words_say_neither_code_nor_metas_message(status: Status) -> None:
    """The reason and the message are shown beside the text of a step, so the text contains neither."""
    told = _story(_row(10_000, status, reason="some_reason", message="Meta's own words"))["timeline"]

    (moment,) = [moment for moment in told if "reason" in moment]
    assert moment["reason"] == "some_reason"
    assert not any(part in moment["words"] for part in ("some_reason", "Meta's own words"))

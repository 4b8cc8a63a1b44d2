"""The simulator's model of which copies Meta counts once and which twice."""

import hashlib
from dataclasses import replace

import pytest
from simulator_samples import NOW, copy

from proxy.simulator.graph.dedup import Copy, Source, pairs

HOUR = 3600
MESSAGE = {"action_source": "business_messaging"}
B: Source = "browser"
S: Source = "server"
MINE = "fb.1.1800000000000.12345678"
MARKED = MINE + ".AQQCAQIB"
HASHED = hashlib.sha256(b"me").hexdigest()

BY_ID = [
    ("browser, then server", [copy(B), copy(S, 1)], 1, "pair"),
    ("server, then browser", [copy(S), copy(B, 1)], 1, "pair"),
    ("server, then browser after five minutes", [copy(S), copy(B, 301)], 1, "pair"),
    ("server alone", [copy(S)], 1, "recovered"),
    ("server retried", [copy(S), copy(S, 1)], 1, "recovered"),
    ("browser alone", [copy(B)], 1, "browser_only"),
    ("browser twice", [copy(B), copy(B, 1)], 2, "twice"),
    ("browser twice, then server", [copy(B), copy(B, 1), copy(S, 2)], 2, "twice"),
    ("server, then browser twice", [copy(S), copy(B, 1), copy(B, 2)], 2, "twice"),
    ("server, then browser twice, late", [copy(S), copy(B, 301), copy(B, 302)], 1, "pair"),
    ("server within 48 hours", [copy(B), copy(S, 48 * HOUR)], 1, "pair"),
    ("server after 48 hours", [copy(B), copy(S, 48 * HOUR + 1)], 2, "twice"),
    ("48 hours run from the first copy", [copy(B), copy(S, 40 * HOUR), copy(S, 80 * HOUR)], 2, "twice"),
]

BY_PERSON = [
    ("same fbp", [copy(B, fbp=MINE), copy(S, 1, None, fbp=MINE)], "fbp"),
    ("same fbp, marked by Meta's builder", [copy(B, fbp=MARKED), copy(S, 1, None, fbp=MINE)], "fbp"),
    ("no id in the browser", [copy(B, 0, None, fbp=MINE), copy(S, 1, "a", fbp=MINE)], "fbp"),
    ("no id at all", [copy(B, 0, None, fbp=MINE), copy(S, 1, None, fbp=MINE)], "fbp"),
    (
        "same external_id",
        [copy(B, 0, None, **{"ud[external_id]": HASHED}), copy(S, 1, None, external_id=["x", "me"])],
        "external_id",
    ),
    (
        "same external_id, hashed by both",
        [copy(B, 0, None, **{"ud[external_id]": HASHED}), copy(S, 1, None, external_id=HASHED + ".BA")],
        "external_id",
    ),
]

STRANGERS = [
    ("another id", [copy(B, 0, "a", fbp=MINE), copy(S, 1, "b", fbp=MINE)]),
    ("another fbp", [copy(B, 0, None, fbp=MINE), copy(S, 1, None, fbp="fb.1.1800000000000.87654321")]),
    ("no fbp on either side", [copy(B, 0, None), copy(S, 1, None)]),
    ("the server first", [copy(S, 0, None, fbp=MINE), copy(B, 1, None, fbp=MINE)]),
    ("more than 48 hours later", [copy(B, 0, None, fbp=MINE), copy(S, 48 * HOUR + 1, None, fbp=MINE)]),
    ("two of the browser", [copy(B, 0, None, fbp=MINE), copy(B, 1, None, fbp=MINE)]),
    ("two of the server", [copy(S, 0, None, fbp=MINE), copy(S, 1, None, fbp=MINE)]),
    ("another pixel", [copy(B), replace(copy(S), pixel="456")]),
    ("another name", [copy(B), replace(copy(S), name="Purchase")]),
    ("a message", [copy(B), replace(copy(S), read=MESSAGE)]),
    ("a message first", [replace(copy(S), read=MESSAGE), copy(B, 1)]),
    ("two messages", [replace(copy(S), read=MESSAGE), replace(copy(S, 1), read=MESSAGE)]),
]


@pytest.mark.parametrize(("copies", "counted", "verdict"), [pytest.param(*row[1:], id=row[0]) for row in BY_ID])
def test_one_id(copies: list[Copy], counted: int, verdict: str) -> None:
    """Copies with one id form one event, counted as often as the model says."""
    (pair,) = pairs(copies)

    assert (counted, verdict) == (pair.counted, pair.verdict)


@pytest.mark.parametrize(("copies", "by"), [pytest.param(*row[1:], id=row[0]) for row in BY_PERSON])
def test_no_shared_id(copies: list[Copy], by: str) -> None:
    """Without ids on both sides, a server copy and a browser copy pair by the person's match values."""
    (pair,) = pairs(copies)

    assert (1, "pair", by) == (pair.counted, pair.verdict, pair.by)


@pytest.mark.parametrize("copies", [pytest.param(row[1], id=row[0]) for row in STRANGERS])
def test_strangers_stay_apart(copies: list[Copy]) -> None:
    """Copies that Meta has no way to connect are two events."""
    assert [pair.counted for pair in pairs(copies)] == [1, 1]


@pytest.mark.parametrize(
    ("copies", "unsure"),
    [
        ([copy(B), copy(S, 1)], False),
        ([copy(S), copy(S, 1)], True),
        ([copy(S), copy(B, 1), copy(S, 2)], True),
        ([copy(S), copy(S, 49 * HOUR)], False),
    ],
)
def test_what_meta_does_not_say_is_marked(copies: list[Copy], unsure: bool) -> None:  # noqa: FBT001
    """A count that assumes that one server copy duplicates another is marked as unsure."""
    (pair,) = pairs(copies)

    assert unsure is pair.unsure


def test_two_visits_of_one_person_find_a_partner_each() -> None:
    """Two browser and two server copies of one person make two pairs, not one pair and a leftover."""
    copies = [copy(B, at, None, fbp=MINE) for at in (0, 1)] + [copy(S, at, None, fbp=MINE) for at in (2, 3)]

    assert [pair.verdict for pair in pairs(copies)] == ["pair", "pair"]


def test_a_pair_shows_what_either_side_knows() -> None:
    """The id and the event's time come from whichever copy has them."""
    (pair,) = pairs([copy(B, 0, None, fbp=MINE), copy(S, 1, "a", fbp=MINE)])

    assert (pair.id, pair.event_time, pair.copy_count(B), pair.copy_count(S)) == ("a", NOW, 1, 1)


def test_one_side_alone_was_matched_by_nothing() -> None:
    """Copies of one side with the same id form one event without a partner."""
    (pair,) = pairs([copy(S), copy(S, 1)])

    assert (pair.by, pair.copy_count(S)) == (None, 2)

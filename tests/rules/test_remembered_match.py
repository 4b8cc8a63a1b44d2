"""Match keys are remembered for a visit of one person, and no longer."""

from typing import Any

import pytest
from msgspec.structs import replace

from proxy.rules.identity.remembered_match import (
    IDLE_MS,
    LONGEST_MS,
    merge_match_keys,
    with_match_keys,
    without_match_keys,
)
from proxy.rules.identity.visitor_cookie import VisitorCookie

NOW = 1_764_000_000_000
KNOWN = {"em": ("m1", "m2"), "ph": ("p",)}
REMEMBERED = VisitorCookie("ab", match=KNOWN, match_since=NOW - 1000, match_seen=NOW - 10)
NEW: dict[str, Any] = {"match": {}, "match_since": 0, "match_seen": 0}

# Case, changes of the visitor cookie, keys of the event; the keys known then, whether it is still the same visit.
VISITS: list[tuple[str, dict[str, Any], dict[str, list[str]], dict[str, tuple[str, ...]], bool]] = [
    ("nothing-new", {}, {}, KNOWN, True),
    ("same-mail", {}, {"em": ["m2"]}, {"em": ("m2",), "ph": ("p",)}, True),
    ("same-mail-signed-by-a-library", {}, {"em": ["m1.AQQAAQIB"]}, {"em": ("m1.AQQAAQIB",), "ph": ("p",)}, True),
    ("other-mail", {}, {"em": ["x"]}, {"em": ("x",)}, False),
    ("other-phone", {}, {"ph": ["x"]}, {"em": ("m1", "m2"), "ph": ("x",)}, True),
    ("an-id-besides", {}, {"external_id": ["7"]}, {"em": ("m1", "m2"), "external_id": ("7",), "ph": ("p",)}, True),
    ("same-id", {"match": {"external_id": ("7",)}}, {"external_id": ["7"]}, {"external_id": ("7",)}, True),
    (
        "other-id",
        {"match": {"external_id": ("7",), "ph": ("p",)}},
        {"external_id": ["8"]},
        {"external_id": ("8",)},
        False,
    ),
    (
        "same-mail-other-id",
        {"match": {"em": ("m",), "external_id": ("7",)}},
        {"em": ["m"], "external_id": ["8"]},
        {"em": ("m",), "external_id": ("8",)},
        False,
    ),
    ("nearly-idle", {"match_seen": NOW - IDLE_MS}, {}, KNOWN, True),
    ("idle", {"match_seen": NOW - IDLE_MS - 1}, {}, {}, False),
    ("idle-then-known-again", {"match_seen": NOW - IDLE_MS - 1}, {"em": ["m1"]}, {"em": ("m1",)}, False),
    ("nearly-a-day", {"match_since": NOW - LONGEST_MS}, {}, KNOWN, True),
    ("a-day", {"match_since": NOW - LONGEST_MS - 1}, {}, {}, False),
    ("too-many-values", NEW, {"em": list("abcdef")}, {"em": tuple("abcd")}, False),
    ("a-key-of-no-use", NEW, {"app_user_id": ["x"]}, {}, False),
    ("an-empty-key", NEW, {"em": []}, {}, False),
]


@pytest.mark.parametrize(
    ("changes", "match", "expected", "same"), [row[1:] for row in VISITS], ids=[row[0] for row in VISITS]
)
def test_a_visit_is_one_person_for_a_while(
    changes: dict[str, Any], match: dict[str, list[str]], expected: dict[str, tuple[str, ...]], *, same: bool
) -> None:
    """Keys are added up until another person is named, half an hour passes without one, or a day is over."""
    before = replace(REMEMBERED, **changes)
    after = with_match_keys(before, match, now=NOW)

    since = before.match_since if same else NOW
    assert after == replace(
        before, match=expected, match_since=since if expected else 0, match_seen=NOW if expected else 0
    )


def test_the_most_telling_key_comes_first() -> None:
    """The keys that identify best come first, as a full cookie leaves out the last ones."""
    assert list(with_match_keys(VisitorCookie(), {"ge": ["f"], "ph": ["p"], "em": ["m"]}, now=NOW).match) == [
        "em",
        "ph",
        "ge",
    ]


def test_a_site_that_stops_remembering_forgets() -> None:
    """Everything remembered of match keys is deleted; the rest of the cookie is kept."""
    assert without_match_keys(REMEMBERED) == VisitorCookie("ab")


def test_several_pixels_speak_of_one_person() -> None:
    """The match keys given for several pixels are put together, each value once."""
    assert merge_match_keys([{"em": ["a"]}, {"em": ["a", "b"], "ph": ["p"]}, {}]) == {"em": ["a", "b"], "ph": ["p"]}

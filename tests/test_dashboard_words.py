"""The dashboard has words for everything the program may show there, and makes no markup of others' texts."""

import re
from typing import get_args

import pytest

from proxy.graph import law
from proxy.model.condition import ConditionCode
from proxy.model.event import BrowserCopy, DropReason
from proxy.model.event_facts import MATCH_KEYS
from proxy.model.ledger import Status
from proxy.static_files import static_file, static_names


def test_every_reason_has_plain_words() -> None:
    """Each event status, browser copy status, drop reason and cause of a pause or retry has words in the page."""
    script = static_file("operator-words.js").decode()
    causes = {*law.PAUSE_CODES.values(), *law.RETRY_CODES.values(), "transient", "timeout", "network", "systemic"}
    findings = {"repaired", "unusable", "doubtful", "missing", "misplaced"}
    words = {*Status, *BrowserCopy, *DropReason, *causes, *findings, "rejected", "not_received", "waiting"}

    assert sorted(word for word in words if not re.search(rf"^  {word}: ", script, re.MULTILINE)) == []


def test_every_match_key_has_a_name() -> None:
    """Each match key in the ledger has a name in words."""
    script = static_file("operator-names.js").decode()

    assert [key for key in MATCH_KEYS if not re.search(rf"^  {key}: ", script, re.MULTILINE)] == []


@pytest.mark.parametrize("name", static_names("operator*.js"))
def test_a_script_of_the_dashboard_is_short(name: str) -> None:
    """A script has at most 250 lines, or 350 if it consists of words."""
    assert static_file(name).decode().count("\n") <= (350 if name == "operator-words.js" else 250)


@pytest.mark.parametrize("name", static_names("operator*"))
def test_no_markup_is_made_of_text(name: str) -> None:
    """No script turns text into elements, styles or code, and none names another host."""
    text = static_file(name).decode().replace("http://www.w3.org/2000/svg", "").replace("https://shop.example", "")
    makers = r"(?:inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\bstyle=|\son\w+="

    assert re.findall(makers, text) == []
    assert re.findall(r"https?://[^\s\"']*", text) == []


def test_every_place_of_a_condition_is_of_one() -> None:
    """Every condition that has a place on the overview still exists."""
    script = static_file("operator-conditions.js").decode()
    listed = script[script.index("PLACES = {") : script.index("};")]

    assert set(re.findall(r'"(\w+)"', listed)) - set(get_args(ConditionCode)) == set()

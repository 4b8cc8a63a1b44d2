"""Match quality: the exact coverage of each key, and an estimate with a documented formula."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rolled import rollup

from proxy.figures.match_quality import WEIGHTS, MatchQuality, match_quality, score
from proxy.figures.sums import merge_sums, sums_by_cell
from proxy.model.event_facts import MATCH_KEYS
from proxy.model.ledger import Status
from proxy.model.rollup import Rollup

FIGURES = Path(__file__).resolve().parents[2] / "docs" / "figures.md"
BROWSER = {"fbp": 10, "client_ip_address": 10, "client_user_agent": 10}


def quality(*rollups: Rollup, name: str = "") -> MatchQuality:
    return match_quality(merge_sums(sums_by_cell(rollups).values()), name)


def test_the_weights_are_those_of_the_page() -> None:
    """The weights are those of the page about figures, and each is of a key that Graph knows."""
    written = re.findall(r"\| `(\w+)` \| (0\.\d\d) ", FIGURES.read_text())

    assert {key: round(float(weight) * 100) for key, weight in written} == WEIGHTS
    assert WEIGHTS.keys() <= set(MATCH_KEYS)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, 0),
        ({"client_ip_address": 2, "external_id": 2}, 320),
        ({"fbp": 2, "client_ip_address": 2, "client_user_agent": 2}, 394),
        ({"em": 2}, 550),
        ({"em": 1}, 275),
        ({"client_ip_address": 2, "client_user_agent": 2}, 193),  # 192.5 exactly
        ({"em": 2, "fbp": 2, "client_ip_address": 2, "client_user_agent": 2}, 727),
        (dict.fromkeys(WEIGHTS, 2), 978),
        ({"madid": 2, "ctwa_clid": 2}, 0),
    ],
)
def test_the_estimate_is_the_formula_of_the_page(counts: dict[str, int], expected: int) -> None:
    """The estimate equals results worked out by hand: ten times the chance that a key matches, in hundredths."""
    assert score(counts, 2) == expected


def test_coverage_is_counted_over_delivered_events_of_pages_and_servers() -> None:
    """Events that Graph never got do not count in the coverage."""
    found = quality(
        rollup(6, match_keys={"em": 3, "fbp": 6}),
        rollup(2, browser_copy="", match_keys={"em": 2}),
        rollup(90, status=Status.DROPPED, reason="bot", match_keys={"em": 90}),
        rollup(90, status=Status.DEAD, reason="rejected", match_keys={"em": 90}),
    )

    assert found.events == 8
    assert {each.key: (each.events, each.coverage) for each in found.keys if each.events} == {
        "em": (5, 0.625),
        "fbp": (6, 0.75),
    }


def test_without_events_there_is_no_estimate() -> None:
    """Without events there is no estimate, neither good nor bad."""
    assert quality(rollup(status=Status.DROPPED, reason="bot")) == MatchQuality(0, None, (), ())


def test_advice_comes_in_the_order_of_its_effect() -> None:
    """The advice with the largest gain is first; keys on every event, or that nobody can add, get no advice."""
    found = quality(rollup(10, name="Purchase", match_keys={**BROWSER, "ph": 5}), name="Purchase")
    gains = [each.gain for each in found.advice]

    assert found.advice[0].text == "pass em to fbq('init') at checkout"
    with_mail = score({**BROWSER, "ph": 5, "em": 10}, 10)
    assert found.advice[0].gain == (with_mail - score({**BROWSER, "ph": 5}, 10)) / 100
    assert gains == sorted(gains, reverse=True)
    assert {each.key for each in found.advice}.isdisjoint({*BROWSER, "fbc", "fb_login_id", "lead_id"})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("InitiateCheckout", "pass em to fbq('init') at checkout"),
        ("Lead", "pass em to fbq('init') where the form is sent"),
        ("PageView", "pass em to fbq('init') as soon as the visitor is known, such as after a login"),
    ],
)
def test_advice_says_where(name: str, words: str) -> None:
    """The advice names the place to act, which depends on the event."""
    assert quality(rollup(10, name=name, match_keys=BROWSER), name=name).advice[0].text == words


def test_advice_on_what_servers_leave_out_is_for_servers() -> None:
    """Advice about keys that servers leave out is for servers, since no page can add them."""
    found = quality(rollup(10, browser_copy="", match_keys={"em": 10}), rollup(1, match_keys={"em": 1}))
    texts = {each.key: each.text for each in found.advice}

    assert texts["ph"] == "send ph in user_data of your server's events"
    assert "user_data.fbp" in texts["fbp"]


@pytest.mark.parametrize(
    ("key", "setting"),
    [("client_ip_address", "trusted_proxies"), ("fbp", "domain"), ("client_user_agent", "User-Agent")],
)
def test_what_a_page_gives_by_itself_has_advice_of_its_own(key: str, setting: str) -> None:
    """For keys that a page sends by itself the advice is a setting, since nobody passes them to fbq."""
    keys = {each: 10 for each in BROWSER if each != key}
    texts = {each.key: each.text for each in quality(rollup(10, match_keys=keys)).advice}

    assert setting in texts[key]


_COUNTS = st.dictionaries(st.sampled_from(sorted(WEIGHTS)), st.integers(0, 1000), max_size=len(WEIGHTS))


@given(_COUNTS, st.sampled_from(sorted(WEIGHTS)))
def test_more_of_a_key_never_lowers_the_estimate(counts: dict[str, int], key: str) -> None:
    """The estimate stays within its scale, and more events with a key never lower it."""
    assert 0 <= score(counts, 1000) <= score({**counts, key: 1000}, 1000) < 1000

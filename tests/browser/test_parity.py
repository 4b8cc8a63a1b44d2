"""The Pixel with and without the tag: the page sees no difference, and every event is mirrored once with its id."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from conftest import USER_AGENT
from lab import laboratory
from parity import PLACEMENTS, Account, Tab, run
from parity_pages import COMMANDS_TABLE, FORWARDED, SETUPS_TABLE
from playwright.async_api import Browser

WITH_THE_TAG = [placement for placement in PLACEMENTS if placement != "none"]
UNDEFINED = "<undefined>"
# Not compared: the ids that the tag adds, and the Pixel's warning of an id in the wrong place, which such an id stops.
SHARED = ["seen", "names", "own", "facts"]
CHANCE = {"ts", "it", "eid", "fbp", "fbc", "dl", "rl", "ie[a]"}
Tabs = dict[str, Tab]


SCENARIOS = COMMANDS_TABLE | SETUPS_TABLE
# Commands work alike wherever the tag stands, so fewer placements will do; setups depend on the placement.
GROUPS = {"commands": (COMMANDS_TABLE, ["none", "trap", "sync"]), "setups": (SETUPS_TABLE, list(PLACEMENTS))}
# The trap is too small to read a queue that was filled before, or to look after its accessor. The tag does both once it
# is there, but here it comes last.
LEFT_OUT = {
    (name, "trap")
    for name in (
        "a stub assigned with a full queue",
        "a stub that is defined, not assigned",
        "a plugin that waits for the stub",
    )
}
BARE = [(group, name) for group, (table, _) in GROUPS.items() for name in table]
BESIDE = [
    (group, name, placement)
    for group, (table, placements) in GROUPS.items()
    for name in table
    for placement in placements
    if placement != "none" and (name, placement) not in LEFT_OUT
]
beside_the_tag = pytest.mark.parametrize(("tabs", "name", "placement"), BESIDE, indirect=["tabs"])


@pytest.fixture(scope="module", name="commands")
async def _commands(browser: Browser) -> Tabs:
    async with laboratory() as lab:
        return await run(browser, lab, *GROUPS["commands"], user_agent=USER_AGENT)


@pytest.fixture(scope="module", name="setups")
async def _setups(browser: Browser) -> Tabs:
    async with laboratory() as lab:
        return await run(browser, lab, *GROUPS["setups"], user_agent=USER_AGENT)


@pytest.fixture(name="tabs")
def _tabs(request: pytest.FixtureRequest) -> Tabs:
    tabs: Tabs = request.getfixturevalue(request.param)
    return tabs


@pytest.fixture(scope="module", name="forwarded")
async def _forwarded(browser: Browser) -> AsyncIterator[Tabs]:
    async with laboratory(forwarded_pixel=True) as lab:
        yield await run(browser, lab, FORWARDED, PLACEMENTS, user_agent=USER_AGENT)


def listed(text: str) -> list[str]:
    return text.split(", ") if text else []


def has_id(options: Any) -> bool:
    """Tell whether the Pixel reads an id from this value of the argument after the custom data."""
    if not isinstance(options, dict):
        return False
    identity = next((options[key] for key in ("eventID", "event_id") if options.get(key, UNDEFINED) != UNDEFINED), "")
    if isinstance(identity, dict):
        return has_id(identity)
    return bool(identity) and not isinstance(identity, bool) and isinstance(identity, str | int | float)


def cookie_scope_of(command: Any) -> int | None:
    """Return the index of the argument after the custom data in a recorded call; None if the command has none.

    A recorded call begins with what `this` was and the command.
    """
    if re.match("report.", str(command)):
        return 3
    return {"track": 4, "trackCustom": 4, "trackSingle": 5, "trackSingleCustom": 5}.get(str(command))


def same_call(bare: Sequence[Any], call: Sequence[Any]) -> bool:
    """Tell whether two calls are equal except for what the tag may change.

    That is an added id, `{}` for missing custom data, and `this`.
    """
    bare = [call[0] if call[0] == "fbq" else bare[0], *bare[1:]]
    place = cookie_scope_of(bare[1]) if len(bare) > 1 else None
    if place is None or list(call) == bare:
        return list(call) == bare
    full = [*bare, *[UNDEFINED] * (place + 1 - len(bare))]
    head, data, options = full[: place - 1], full[place - 1], full[place]
    expected = [*head, {} if data in (None, UNDEFINED) else data]
    event_data = call[place : place + 1]
    right = event_data == [options] if has_id(options) else any(map(has_id, event_data))
    return right and [*call[:place], *call[place + 1 :]] == [*expected, *bare[place + 1 :]]


def differing(bare: list[list[Any]], beside: list[list[Any]]) -> list[Any]:
    """Return the pairs of calls that are not the same, and the calls that only one side has."""
    pairs = [*zip(bare, beside, strict=False)]
    longer = [*bare[len(pairs) :], *beside[len(pairs) :]]
    return [pair for pair in pairs if not same_call(*pair)] + longer


def warnings(texts: list[str]) -> list[str]:
    return [text for text in texts if "'eventID' belongs" not in text]


def wire(account: Account) -> list[dict[str, str]]:
    """Return the Pixel's hits without the values that differ by chance, those sent by GET first.

    A form is posted only when its frame is there, so it may come later than the hits after it.
    """
    hits = [{key: value for key, value in hit.items() if key not in CHANCE} for hit in account.fired]
    return sorted(hits, key=lambda hit: hit["rqm"] != "GET")


def unpaired(account: Account) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Return the events that only the Pixel sent, and those that only the tag sent.

    The Pixel may send the same name and id several times, which Meta counts once; the tag sends them once.
    """
    fired, mirrored = Counter({*pairs(account.own)}), Counter(account.mirrored_pairs)
    return [*(fired - mirrored).elements()], [*(mirrored - fired).elements()]


def pairs(hits: Sequence[dict[str, str]]) -> list[tuple[str, str, str]]:
    return sorted((hit["id"], hit["ev"], hit.get("eid", "")) for hit in hits)


@pytest.mark.parametrize(("tabs", "name"), BARE, indirect=["tabs"])
def test_the_pixel_alone_does_what_the_page_is_about(tabs: Tabs, name: str) -> None:
    """Without the tag each page works, and the Pixel sends the events that the scenario lists."""
    account = tabs["none"].accounts[name]

    assert "never" not in account.view
    assert listed(SCENARIOS[name].fires) == account.names


@beside_the_tag
def test_a_page_sees_no_difference(tabs: Tabs, name: str, placement: str) -> None:
    """Return values, errors, warnings, globals, the Pixel's calls and its requests are as without the tag."""
    without, beside = (tabs[shown].accounts[name] for shown in ("none", placement))

    assert "never" not in beside.view
    assert {key: without.view[key] for key in SHARED} == {key: beside.view[key] for key in SHARED}
    assert warnings(without.view["log"]) == warnings(beside.view["log"])
    assert differing(without.view["taken"], beside.view["taken"]) == []
    assert wire(without) == wire(beside)


@beside_the_tag
def test_every_event_is_mirrored_once_with_its_id(tabs: Tabs, name: str, placement: str) -> None:
    """Each event that the Pixel sends is mirrored once with its id, and so are those that it could not send."""
    account, mirrors = tabs[placement].accounts[name], SCENARIOS[name].mirrors

    assert "never" not in account.view
    if mirrors is None:
        missed, alone = unpaired(account)
        assert missed == []
        assert [pair for pair in alone if pair[0] != SCENARIOS[name].lost] == []
    else:
        early = [f"{hit['id']} {hit['ev']}" for hit in account.fired[: account.early]]
        assert [event for event in listed(mirrors) if event not in early] == account.mirrored_names
        assert {pair for pair in pairs(account.own) if f"{pair[0]} {pair[1]}" in mirrors} <= {*account.mirrored_pairs}
    assert all(identity for _, _, identity in account.mirrored_pairs)


@pytest.mark.parametrize(
    ("tabs", "placement"),
    [(group, beside) for group, (_, placements) in GROUPS.items() for beside in placements if beside != "none"],
    indirect=["tabs"],
)
def test_the_browser_says_the_same(tabs: Tabs, placement: str) -> None:
    """The console messages of all pages together are the same as without the tag."""
    bare, beside = (Counter(warnings(tabs[shown].console)) for shown in ("none", placement))

    assert (dict(bare - beside), dict(beside - bare)) == ({}, {})


@pytest.mark.parametrize("placement", WITH_THE_TAG)
def test_a_forwarder_is_heard(forwarded: Tabs, placement: str) -> None:
    """If the Pixel runs in a worker, the forwarder gets the same calls, and these calls are mirrored."""
    for name, scenario in FORWARDED.items():
        without, beside = (forwarded[shown].accounts[name] for shown in ("none", placement))

        assert "never" not in beside.view
        assert differing(without.view["taken"], beside.view["taken"]) == []
        assert listed(scenario.mirrors or "") == beside.mirrored_names

"""Shortcuts for server events: each is taken for usual events, and its result is that of the long way."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from server_requests import FORM, event, events_read, form

from proxy.model.server_request import ServerBody
from proxy.rules.effort import run_parts
from proxy.rules.json_text import parsed_exactly
from proxy.rules.server_wire import fields, values
from proxy.rules.server_wire.claim import claim_of
from proxy.rules.server_wire.reading import elements_of
from proxy.rules.server_wire.values import without_nulls

HALF = "\ud83d"
NUMBERS = st.integers(-(10**25), 10**25) | st.integers(10**18, 10**20) | st.sampled_from([0, -1, 2**64, -(2**63) - 1])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text('0123456789 :,["-a', max_size=30) | st.just(f"null [] {HALF}"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab0:", max_size=25), inner, max_size=4),
    max_leaves=12,
)


def in_vain(*claimed: object, **_: object) -> object:
    raise AssertionError(claimed)


def cleaned(value: object) -> object:
    """Return a value without nulls, by looking at every member: the long way that a shortcut must agree with."""
    if isinstance(value, dict):
        return {name: left for name, member in value.items() if (left := cleaned(member)) is not None}
    if isinstance(value, list):
        return [left for member in value if (left := cleaned(member)) is not None] or None
    is_too_large = isinstance(value, int) and not -(2**63) <= value < 2**64
    return str(value) if is_too_large else value


@given(VALUES, st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:")]))
@example(12345678901234567890123, (",", ":"))
@settings(max_examples=500)
def test_numbers_are_read_exactly_wherever_they_stand(value: object, separators: tuple[str, str]) -> None:
    """The search for long numbers overlooks none, whatever surrounds it."""
    as_read = json.loads(json.dumps(value).replace(json.dumps(HALF)[1:-1], "\ufffd"))

    assert parsed_exactly(json.dumps(value, separators=separators).encode()) == as_read


@given(VALUES)
@example({"a": [[]], "b": {}})
@example([None])
@example({"half": HALF, "a": None})
@settings(max_examples=500)
def test_no_null_is_left_at_any_level(value: object) -> None:
    """A value without nulls skips the look at every member, with the same result."""
    assert without_nulls(value) == cleaned(value)


def test_what_holds_no_null_is_not_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """An order of thirty products is searched as one text instead of value by value."""
    goods = [{"id": f"sku-{number}", "quantity": 1} for number in range(30)]
    data = {"value": 1, "currency": "EUR", "contents": goods}
    monkeypatch.setattr(values, "_without_nulls", in_vain)

    assert without_nulls(data) == data


def test_escapes_that_sdks_write_never_go_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form as Meta's Python SDK writes it is never unescaped by ``urllib``, which took a third of the time."""
    told = [json.dumps(event(custom_data={"content_name": f"Größe {n}+=&"})) for n in range(200)]
    claim = claim_of(ServerBody(form(data=json.dumps(told)), FORM))
    monkeypatch.setattr(fields, "_unescaped_anyhow", in_vain)

    assert len(run_parts(elements_of(claim))) == 200


def test_a_digest_is_no_long_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nineteen digits in a row within a text do not send the event to the slow reader of exact numbers."""
    monkeypatch.setattr(json, "loads", in_vain)
    (hit,) = events_read(event(user_data={"em": ["7" * 64]})).hits

    assert hit.user_data["em"] == ("7" * 64,)

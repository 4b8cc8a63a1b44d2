"""A body is judged member by member: good events survive bad neighbours, and no error text repeats contact data."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.model.event import BrowserCopy
from proxy.model.ledger import BrowserCopyUpdate
from proxy.model.request import Consent, Hit, RefusedEvent, Visit
from proxy.rules import limits, wire, wire_members
from proxy.rules.wire_members import Malformed

SENT = 1_764_000_000_000
LAST_DATE = 8_640_000_000_000_000
PIXEL_IDS = "accepted: a list of 1 to 50 pixel ids, digits in quotes"
PLANTED = ("anna@x.de", "a@b", "Anna Musterfrau, Hauptstr. 1", "+49 1512 3456789-0001", "x" * 21, "4915123456789" * 2)


def event(**changes: Any) -> dict[str, Any]:
    return {"name": "PageView", "id": "id-1", "at": SENT - 1000, "pixels": ["123"], "data": {}} | changes


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in event().items() if key != name}


def body_with(*events: Any, **members: Any) -> bytes:
    return orjson.dumps({"v": 1, "sent": SENT, "events": list(events)} | members)


def nested(levels: int) -> Any:
    return {"a": nested(levels - 1)} if levels else 1


def complaint(body: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        wire.visit(body)
    return str(caught.value)


# A body that is no visit at all; the error text.
NO_VISITS = [
    (b"[]", "body: not an object; accepted: a JSON object"),
    (b"null", "body: not an object; accepted: a JSON object"),
    (b"7", "body: not an object; accepted: a JSON object"),
    (b'"text"', "body: not an object; accepted: a JSON object"),
    (b"{}", "v: missing; accepted: 1"),
    (body_with(v=2), "v: 2; accepted: 1"),
    (body_with(v="1"), "v: '1'; accepted: 1"),
    (body_with(v=[1]), "v: a list of 1; accepted: 1"),
    (b'{"v": 1}', "sent: missing; accepted: milliseconds since 1970"),
    (body_with(sent=None), "sent: missing; accepted: milliseconds since 1970"),
    (body_with(sent="now"), "sent: 'now'; accepted: milliseconds since 1970"),
    (body_with(sent=0), "sent: 0; accepted: milliseconds since 1970"),
    (body_with(sent=-1), "sent: -1; accepted: milliseconds since 1970"),
    (body_with(sent=True), "sent: True; accepted: milliseconds since 1970"),
    (body_with(sent=1e300), "sent: 1e+300; accepted: milliseconds since 1970"),
    (body_with(sent=LAST_DATE + 1), f"sent: {LAST_DATE + 1}; accepted: milliseconds since 1970"),
    (body_with(sent={}), "sent: a dict of 0; accepted: milliseconds since 1970"),
    (body_with(events=None), "events: missing; accepted: a list"),
    (body_with(events={"0": event()}), "events: a dict of 1; accepted: a list"),
    (body_with(events="none"), "events: 'none'; accepted: a list"),
    (body_with(fates={}), "fates: a dict of 0; accepted: a list"),
    (body_with(consent="maybe"), "consent: 'maybe'; accepted: granted, unknown, revoked"),
    (body_with(consent="Granted"), "consent: 'Granted'; accepted: granted, unknown, revoked"),
    (body_with(consent=True), "consent: True; accepted: granted, unknown, revoked"),
    (body_with(consent=None), "consent: missing; accepted: granted, unknown, revoked"),
    (body_with(consent=["granted"]), "consent: a list of 1; accepted: granted, unknown, revoked"),
    (body_with(consent={}), "consent: a dict of 0; accepted: granted, unknown, revoked"),
    (body_with(consent="anna@x.de"), "consent: a str of 9; accepted: granted, unknown, revoked"),
]
NO_JSON = {
    "empty": b"",
    "blank": b" ",
    "cut": b'{"v": 1',
    "not-utf-8": b'{"v": "\xff\xfe"}',
    "surrogate-cut-short": b'{"v": "\\ud80"}',
    "surrogate-without-an-end": b'{"v": "\\ud8',
    "nan": b'{"v": NaN}',
    "infinite": b'{"v": 1e999}',
    "deep": b"[" * 60_000,
    "deep-objects": b'{"a":' * 10_000,
    "byte-order-mark": b"\xef\xbb\xbf{}",
    "two-documents": b"{}{}",
    "nul": b"\x00",
    "form": b"v=1&sent=2",
}
TOO_MANY = "data: too many members, with those of the events before; accepted: 1000 in a body"

# A value that is no event; the reason in the refusal.
NO_EVENTS: list[tuple[Any, str]] = [
    (None, "event: not an object; accepted: an object"),
    ([], "event: not an object; accepted: an object"),
    ("PageView", "event: not an object; accepted: an object"),
    (event(data=None), "data: not an object; accepted: an object"),
    (event(data=[]), "data: not an object; accepted: an object"),
    (event(data="value=1"), "data: not an object; accepted: an object"),
    (event(data=nested(17)), "data: nested deeper than 16; accepted: 16 levels"),
    (event(data={"a": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}), "data: nested deeper than 16; accepted: 16 levels"),
    (
        event(data={"a": list(range(1000))}),
        "data: too many members, with those of the events before; accepted: 1000 in a body",
    ),
    (
        event(data={str(number): {} for number in range(1001)}),
        "data: too many members, with those of the events before; accepted: 1000 in a body",
    ),
    (without("name"), "name: missing; accepted: 1 to 100 printable characters"),
    (event(name=""), "name: a str of 0; accepted: 1 to 100 printable characters"),
    (event(name=7), "name: 7; accepted: 1 to 100 printable characters"),
    (event(name=["PageView"]), "name: a list of 1; accepted: 1 to 100 printable characters"),
    (event(name="x" * 101), "name: a str of 101; accepted: 1 to 100 printable characters"),
    (event(name="Page\nView"), "name: a str of 9; accepted: 1 to 100 printable characters"),
    (event(name="Page\u202eView"), "name: a str of 9; accepted: 1 to 100 printable characters"),
    (event(at=None), "at: missing; accepted: milliseconds since 1970"),
    (event(at=0), "at: 0; accepted: milliseconds since 1970"),
    (event(at="1764000000000"), "at: '1764000000000'; accepted: milliseconds since 1970"),
    (event(at="2025-11-24T16:00:00Z"), "at: a str of 20; accepted: milliseconds since 1970"),
    (event(at=False), "at: False; accepted: milliseconds since 1970"),
    (event(at=10**18), f"at: {10**18}; accepted: milliseconds since 1970"),
    (without("pixels"), f"pixels: missing; {PIXEL_IDS}"),
    (event(pixels=[]), f"pixels: a list of 0; {PIXEL_IDS}"),
    (event(pixels="123"), f"pixels: '123'; {PIXEL_IDS}"),
    (event(pixels=[123]), f"pixels: a list of 1; {PIXEL_IDS}"),
    (event(pixels=["123", ""]), f"pixels: a list of 2; {PIXEL_IDS}"),
    (event(pixels=["12a"]), f"pixels: a list of 1; {PIXEL_IDS}"),
    (event(pixels=["١٢٣"]), f"pixels: a list of 1; {PIXEL_IDS}"),
    (event(pixels=["1" * 21]), f"pixels: a list of 1; {PIXEL_IDS}"),
    (event(pixels=[str(number) for number in range(51)]), f"pixels: a list of 51; {PIXEL_IDS}"),
    (event(pixel="seen"), "pixel: 'seen'; accepted: fired, blocked, pending"),
    (event(pixel=None), "pixel: missing; accepted: fired, blocked, pending"),
    (event(pixel=[]), "pixel: a list of 0; accepted: fired, blocked, pending"),
]
# An event with a wrong id; the part of the id that the answer repeats, the reason in the refusal.
NO_IDS = [
    (without("id"), "", "id: missing; accepted: 1 to 200 printable characters"),
    (event(id=""), "", "id: a str of 0; accepted: 1 to 200 printable characters"),
    (event(id=17), "", "id: 17; accepted: 1 to 200 printable characters"),
    (event(id={}), "", "id: a dict of 0; accepted: 1 to 200 printable characters"),
    (event(id="x" * 201), "x" * 200, "id: a str of 201; accepted: 1 to 200 printable characters"),
    (event(id="a\x00b"), "a\x00b", "id: a str of 3; accepted: 1 to 200 printable characters"),
]

# Events at the limits of what is accepted.
EDGES = {
    "name": event(name="x" * 100),
    "name-of-another-script": event(name="購入"),
    "name-with-blanks": event(name="Add to cart"),
    "id": event(id="x" * 200),
    "time": event(at=LAST_DATE),
    "time-with-fraction": event(at=SENT + 0.5),
    "first-time": event(at=1),
    "pixel-id": event(pixels=["1" * 20]),
    "pixels": event(pixels=[str(number) for number in range(50)]),
    "depth": event(data=nested(16)),
    "no-data": without("data"),
    "unknown-member": event(more={"a": 1}),
}

# A wrong member that costs no event; the value that is read instead.
FORGIVEN: list[tuple[str, Any, Any]] = [
    ("url", 7, ""),
    ("url", None, ""),
    ("url", "x" * 2049, ""),
    ("url", "x" * 2048, "x" * 2048),
    ("url", "https://x/?" + "a" * 2048, "https://x/"),
    ("url", "https://x/#" + "a" * 2048, "https://x/"),
    ("url", "https://x/" + "é" * 1020, ""),
    ("url", "https://x/p?" + "é" * 1020, "https://x/p"),
    ("fbp", "x" * 2049, ""),
    ("referrer", ["https://shop.example"], ""),
    ("fbp", 1, ""),
    ("fbc", {}, ""),
    ("webdriver", 1, False),
    ("webdriver", "true", False),
    ("webdriver", True, True),
    ("gpc", 1, False),
    ("gpc", True, True),
    ("match", None, {}),
    ("match", [], {}),
    ("match", {"123": {"em": "x"}, "anna": {"em": "x"}, "456": "x"}, {"123": {"em": "x"}}),
    ("dpo", None, None),
    ("dpo", [[], 0, 0], ((), 0, 0)),
    ("dpo", [["LDU"], 0, 0], (("LDU",), 0, 0)),
    ("dpo", [["LDU"], 1, 1000], (("LDU",), 1, 1000)),
    ("dpo", [["LDU"], True, False], (("LDU",), 1, 0)),
    ("dpo", [["LDU"]], (("LDU",), 0, 0)),
    ("dpo", [[]], ((), 0, 0)),
    ("dpo", [[], "1", "1000"], ((), 1, 1000)),
    ("dpo", [[], None, None], ((), 0, 0)),
    ("dpo", [[], 0, "x"], (("LDU",), 0, 0)),
    ("dpo", [[], "1" * 5, 0], (("LDU",), 0, 0)),
    ("dpo", [[], 1, 1000, "more"], ((), 1, 1000)),
    ("dpo", [], (("LDU",), 0, 0)),
    ("dpo", [["LDU"], 1.5, 1000], (("LDU",), 0, 0)),
    ("dpo", [[], 10_000, 0], (("LDU",), 0, 0)),
    ("dpo", [[], 0, -1], (("LDU",), 0, 0)),
    ("dpo", [[], 0, 2**64 - 1], (("LDU",), 0, 0)),
    ("dpo", [["LDU"], None, None], (("LDU",), 0, 0)),
    ("dpo", [["anna@x.de"], 0, 0], (("LDU",), 0, 0)),
    ("dpo", ["LDU", 0, 0], (("LDU",), 0, 0)),
    ("dpo", {}, (("LDU",), 0, 0)),
    ("dpo", "LDU", (("LDU",), 0, 0)),
    ("more", {"a": 1}, None),
]

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=9)
)
JSON = st.recursive(
    SCALARS | st.sampled_from(PLANTED),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
EVENTS = st.fixed_dictionaries({}, optional={key: JSON | st.just(value) for key, value in event(pixel="fired").items()})
WIRES = st.fixed_dictionaries(
    {"v": st.just(1), "sent": st.just(SENT), "events": st.lists(EVENTS | JSON, max_size=4)},
    optional=dict.fromkeys(("url", "referrer", "fbp", "fbc", "consent", "dpo", "gpc", "match", "fates"), JSON),
)


def texts(body: bytes) -> list[str]:
    """Return all texts that a caller would read about this body."""
    try:
        return [refusal.why for refusal in wire.visit(body).refused]
    except Malformed as error:
        return [str(error)]


def test_a_whole_visit_is_read() -> None:
    """Every member of wire version 1 is read into its field."""
    body = body_with(
        event(name="Purchase", id="order-1", pixels=["123", "456", "123"], data={"value": 9.5}, pixel="fired"),
        url="https://shop.example/p?x=1",
        referrer="https://ads.example/",
        fbp="fb.1.1.2",
        fbc="fb.1.1.abc",
        consent="granted",
        dpo=[["LDU"], 1, 1000],
        webdriver=True,
        gpc=True,
        match={"123": {"em": "anna@x.de"}},
        fates=[{"name": "PageView", "id": "id-0", "pixel": "blocked"}],
    )

    assert wire.visit(body) == Visit(
        sent=SENT,
        url="https://shop.example/p?x=1",
        referrer="https://ads.example/",
        fbp="fb.1.1.2",
        fbc="fb.1.1.abc",
        consent=Consent.GRANTED,
        dpo=(("LDU",), 1, 1000),
        webdriver=True,
        gpc=True,
        match={"123": {"em": "anna@x.de"}},
        hits=(Hit("Purchase", "order-1", SENT - 1000, ("123", "456"), {"value": 9.5}, BrowserCopy.FIRED),),
        copy_updates=(BrowserCopyUpdate("PageView", "id-0", BrowserCopy.BLOCKED),),
    )


def test_the_least_visit_is_read() -> None:
    """Version and time of sending are enough; consent is then unknown."""
    assert wire.visit(b'{"v": 1, "sent": 1}') == Visit(sent=1, consent=Consent.UNKNOWN)


@pytest.mark.parametrize(("body", "text"), NO_VISITS, ids=[str(number) for number in range(len(NO_VISITS))])
def test_a_body_that_is_no_visit_is_named(body: bytes, text: str) -> None:
    """The error names the member, its value and what is accepted."""
    assert complaint(body) == text


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_is_no_json_says_so(body: bytes) -> None:
    """The error for a body that is not JSON is short and repeats nothing of the body."""
    assert re.fullmatch(r"body: not JSON \(.{1,80}\); accepted: a JSON object", complaint(body))


@pytest.mark.parametrize("size", [limits.BODY + 1, 10 * limits.BODY])
def test_a_body_has_a_limit(size: int) -> None:
    """A body of more than 64 KiB is refused without being parsed."""
    assert complaint(b" " * size) == f"body: {size} bytes; accepted: 65536"


def test_a_body_of_exactly_the_limit_is_read() -> None:
    """The limit itself is allowed."""
    body = body_with(event())

    assert len(wire.visit(body + b" " * (limits.BODY - len(body))).hits) == 1


@pytest.mark.parametrize(("wrong", "why"), NO_EVENTS, ids=[str(number) for number in range(len(NO_EVENTS))])
def test_a_bad_event_is_refused_by_itself(wrong: Any, why: str) -> None:
    """The refusal has index, id and reason; the events on both sides are read."""
    visit = wire.visit(body_with(event(id="before"), wrong, event(id="after")))

    claimed = "id-1" if isinstance(wrong, dict) else ""
    assert ([hit.id for hit in visit.hits], visit.refused) == (["before", "after"], (RefusedEvent(1, claimed, why),))


@pytest.mark.parametrize(("wrong", "claimed", "why"), NO_IDS)
def test_a_bad_id_is_repeated_only_as_far_as_it_is_text(wrong: Any, claimed: str, why: str) -> None:
    """The refusal repeats an id only as far as it is text."""
    assert wire.visit(body_with(wrong)).refused == (RefusedEvent(0, claimed, why),)


@pytest.mark.parametrize("edge", EDGES.values(), ids=EDGES.keys())
def test_the_edges_are_accepted(edge: Any) -> None:
    """A value exactly at its limit is accepted."""
    visit = wire.visit(body_with(edge))

    assert (len(visit.hits), visit.refused) == (1, ())


def test_events_beyond_the_limit_are_refused_by_name_and_their_neighbours_are_not() -> None:
    """The first 200 events are read, 200 more are refused by their ids, and the rest is only counted."""
    visit = wire.visit(body_with(*(event(id=f"id-{number}") for number in range(450))))

    why = "events: 450; accepted: the first 200 of a body"
    assert [hit.id for hit in visit.hits] == [f"id-{number}" for number in range(200)]
    assert visit.refused == tuple(RefusedEvent(number, f"id-{number}", why) for number in range(200, 400))
    assert visit.surplus == 50


def test_an_event_that_passes_the_pairs_of_event_and_pixel_is_refused_by_itself() -> None:
    """400 pairs are read; the event that exceeds them is refused, and so is every later one."""
    fifty = [str(number) for number in range(50)]
    visit = wire.visit(body_with(*(event(id=f"id-{number}", pixels=fifty) for number in range(9)), event(id="last")))

    accepted = "accepted: 400 in a body"
    assert [hit.place for hit in visit.hits] == list(range(8))
    assert visit.refused == (
        RefusedEvent(8, "id-8", f"pixels: 450 with those of events before; {accepted}"),
        RefusedEvent(9, "last", f"pixels: 450 with those of events before; {accepted}"),
    )


def test_news_beyond_the_limit_cost_no_event() -> None:
    """The first 200 updates of browser copies are read; the rest is ignored."""
    updates = [{"name": "PageView", "id": f"id-{number}", "pixel": "fired"} for number in range(1001)]
    visit = wire.visit(body_with(event(), fates=updates))

    assert ([update.id for update in visit.copy_updates], len(visit.hits)) == (
        [f"id-{number}" for number in range(200)],
        1,
    )


# A text as JSON writes it; the text that is read.
HALVES = [
    (rb"\ud83d", "\ufffd"),
    (rb"a\uDE00b", "a\ufffdb"),
    (rb"\ud83d\ude00\ud83d", "\U0001f600\ufffd"),
    (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
    (rb"\\ud83d\ud83d", "\\ud83d\ufffd"),
    (rb"\n\ud83d\"", '\n\ufffd"'),
]


@pytest.mark.parametrize(("written", "text"), HALVES)
def test_half_a_character_costs_no_event(written: bytes, text: str) -> None:
    """A text that a script cut within an emoji is read with U+FFFD in its place, and the rest of the body as usual."""
    body = body_with(event(data={"title": "HALF"})).replace(b"HALF", written)

    assert [hit.data for hit in wire.visit(body).hits] == [{"title": text}]


def test_what_is_cut_of_an_address_is_a_finding() -> None:
    """The finding has Meta's name of the address, and says whether its query was cut or all of it left out."""
    long = "https://shop.example/p?" + "a" * 2048
    visit = wire.visit(body_with(event(), url=long, referrer=long.replace("?", "/")))

    assert visit.findings == ("event_source_url:cut", "referrer_url:unusable")


@pytest.mark.parametrize(
    ("member", "value", "expected"), FORGIVEN, ids=[f"{row[0]}-{number}" for number, row in enumerate(FORGIVEN)]
)
def test_a_wrong_side_remark_costs_no_event(member: str, value: Any, expected: Any) -> None:
    """A wrong member of the body itself is replaced or left out, and the event is still read."""
    visit = wire.visit(body_with(event(), **{member: value}))

    assert (len(visit.hits), getattr(visit, member, None)) == (1, expected)


@pytest.mark.parametrize(
    "update",
    [
        None,
        "fired",
        {},
        {"name": "PageView", "id": "id-1"},
        {"name": "PageView", "id": "id-1", "pixel": "seen"},
        {"name": "PageView", "id": "id-1", "pixel": []},
        {"name": "PageView", "id": 1, "pixel": "fired"},
        {"name": "", "id": "id-1", "pixel": "fired"},
        {"name": "x" * 101, "id": "id-1", "pixel": "fired"},
    ],
)
def test_an_unreadable_update_costs_only_itself(update: Any) -> None:
    """An update that cannot be read is ignored; the others are read."""
    good = {"name": "PageView", "id": "id-1", "pixel": "fired"}

    assert (
        wire.visit(body_with(fates=[good, update, good])).copy_updates
        == (BrowserCopyUpdate("PageView", "id-1", BrowserCopy.FIRED),) * 2
    )


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_are_a_visit_or_malformed(body: bytes) -> None:
    """No bytes raise anything but ``Malformed``."""
    assert all(isinstance(text, str) for text in texts(body))


@given(WIRES | JSON)
@settings(max_examples=300, deadline=None)
def test_no_text_repeats_contact_data(document: Any) -> None:
    """No error text repeats contact data, or any text of more than 20 characters, from any JSON."""
    found = "\n".join(texts(orjson.dumps(document)))

    assert [planted for planted in PLANTED if planted in found] == []


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("key", ["name", "at", "pixels", "pixel"])
def test_contact_data_in_the_wrong_place_is_not_repeated(key: str, planted: str) -> None:
    """A mail address where a name, time or pixel should be is described, not quoted."""
    for wrong in (planted + "\n", [planted], {planted: planted}):
        (why,) = texts(body_with(event(**{key: wrong})))

        assert planted not in why


def test_the_members_of_a_body_are_counted_together() -> None:
    """The event that exceeds the limit of members is refused, and a smaller one behind it is still accepted."""
    big, small = {"a": [1] * 600}, {"a": 1}
    visit = wire.visit(body_with(event(id="1", data=big), event(id="2", data=big), event(id="3", data=small)))

    assert [hit.id for hit in visit.hits] == ["1", "3"]
    assert [refusal.id for refusal in visit.refused] == ["2"]


def test_nothing_behind_the_last_member_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body of thousands of empty lists costs no more calls than there are accepted members."""
    looks: list[Any] = []
    original = wire_members._members

    def looked(*arguments: Any) -> int:
        looks.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(wire_members, "_members", looked)
    wire.visit(body_with(event(data={"a": [[[]] * 900] * 20})))

    assert len(looks) <= 1001

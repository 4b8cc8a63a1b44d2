"""The reading of servers' bodies: keys, fields and events, in every encoding, whatever the content."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_to_bytes, urlencode

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from server_requests import FORM, JSON, NO_FIELDS, TEXT, event, events_read, form, multipart, read

from proxy.model.server_request import ServerBody
from proxy.rules import server_limits
from proxy.rules.effort import run_parts
from proxy.rules.server_wire import fields
from proxy.rules.server_wire.bounds import is_bounded
from proxy.rules.server_wire.claim import claim_of
from proxy.rules.server_wire.elements import event_of
from proxy.rules.server_wire.fields import Field, content_parts, unescaped
from proxy.rules.server_wire.reading import MalformedRequestError, elements_of

LEAD = event()
LIST = json.dumps([LEAD])
BOUNDARY = "------7"


def multipart_type(boundary: str = BOUNDARY) -> str:
    return f"multipart/form-data; boundary={boundary}"


def keys(content: bytes, content_type: str = JSON, query: str = "") -> tuple[str, ...]:
    return claim_of(ServerBody(content, content_type, query)).access_keys


def wrong(content: bytes, content_type: str = JSON) -> str:
    with pytest.raises(MalformedRequestError) as error:
        read(content, content_type)
    return str(error.value)


SHAPES: Mapping[str, tuple[bytes, str]] = {
    "list of objects": (orjson.dumps({"data": [LEAD]}), JSON),
    "list of texts": (orjson.dumps({"data": [json.dumps(LEAD)]}), JSON),
    "text of a list": (orjson.dumps({"data": LIST}), JSON),
    "text of texts": (orjson.dumps({"data": json.dumps([json.dumps(LEAD)])}), JSON),
    "one object": (orjson.dumps({"data": LEAD}), JSON),
    "numbers for names": (orjson.dumps({"data": {"0": LEAD}}), JSON),
    "parameters of the type": (orjson.dumps({"data": [LEAD]}), "Application/JSON; Charset=UTF-8"),
    "a vendor's type": (orjson.dumps({"data": [LEAD]}), "application/vnd.api+json"),
    "a byte order mark": (b"\xef\xbb\xbf" + orjson.dumps({"data": [LEAD]}), JSON),
    "blanks in front": (b" \r\n\t" + orjson.dumps({"data": [LEAD]}), ""),
    "JSON under a form": (orjson.dumps({"data": [LEAD]}), FORM),
    "JSON under text": (orjson.dumps({"data": [LEAD]}), TEXT),
    "JSON under bytes": (orjson.dumps({"data": [LEAD]}), "application/octet-stream"),
    "JSON under nothing": (orjson.dumps({"data": [LEAD]}), ""),
    "form": (form(data=LIST), FORM),
    "form under nothing": (form(data=LIST), ""),
    "form with a line end": (form(data=LIST) + b"\r\n", FORM),
    "form, one object": (form(data=json.dumps(LEAD)), FORM),
    "form, data[]": (form(**{"data[]": json.dumps(LEAD)}), FORM),
    "form, data[0]": (form(**{"data[0]": json.dumps(LEAD)}), FORM),
    "form, list of texts": (form(data=json.dumps([json.dumps(LEAD)])), FORM),
    "form, text of it": (form(data=json.dumps(LIST)), FORM),
    "form, text of that": (form(data=json.dumps(json.dumps(LIST))), FORM),
    "multipart": (multipart({"data": LIST}, BOUNDARY), multipart_type()),
    "multipart, typed parts": (
        multipart({"data": LIST}, BOUNDARY, "Content-Type: multipart/form-data"),
        multipart_type(),
    ),
    "multipart, quoted": (
        multipart({"data": LIST}, BOUNDARY),
        f'multipart/form-data; charset=x; Boundary="{BOUNDARY}"',
    ),
    "multipart, bare line ends": (multipart({"data": LIST}, BOUNDARY).replace(b"\r\n", b"\n"), multipart_type()),
    "multipart, a preamble": (b"to be passed over\r\n" + multipart({"data": LIST}, BOUNDARY), multipart_type()),
    "multipart, cut off": (multipart({"data": LIST}, BOUNDARY)[: -len(BOUNDARY) - 6], multipart_type()),
    "multipart, a file": (
        multipart({"data": LIST}, BOUNDARY).replace(b'name="data"', b'name="data"; filename="events.json"'),
        multipart_type(),
    ),
    "multipart, a name without quotes": (
        multipart({"data": LIST}, BOUNDARY).replace(b'name="data"', b"name=data"),
        multipart_type(),
    ),
    "multipart, headers in capitals": (
        multipart({"data": LIST}, BOUNDARY).replace(b"Content-Disposition", b"CONTENT-DISPOSITION"),
        multipart_type(),
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_holds_the_same_event(shape: str) -> None:
    """Each encoding gives the same hit as the plain list."""
    content, content_type = SHAPES[shape]
    (plain,) = events_read(LEAD).hits

    assert read(content, content_type).hits == (plain,)


def test_events_come_in_their_order() -> None:
    """Repeated fields, lists in them and nested fields keep their order."""
    parts = [
        ("data", json.dumps([event(event_id="1"), event(event_id="2")])),
        ("data[]", json.dumps(event(event_id="3"))),
    ]
    nested = [(f"data[7][{name}]", str(LEAD[name])) for name in ("event_name", "event_time", "action_source")]
    hits = read(urlencode([*parts, *nested, ("data[7][event_id]", "4")]).encode(), FORM).hits

    assert [(hit.place, hit.id) for hit in hits] == [(0, "1"), (1, "2"), (2, "3"), (3, "4")]


def test_nested_fields_become_objects_and_lists() -> None:
    """Nested fields numbered from 0 become a list; with a gap they become an object with the numbers as names."""
    told = {
        "data[0][event_name]": "Lead",
        "data[0][event_time]": str(LEAD["event_time"]),
        "data[0][action_source]": "app",
        "data[0][user_data][em][]": "ada@mail.example",
        "data[0][custom_data][contents][0][id]": "A1",
        "data[0][app_data][extinfo][0]": "a2",
        "data[0][app_data][extinfo][4]": "14",
    }
    (hit,) = read(urlencode(told).encode(), FORM).hits

    assert hit.user_data == {"em": ("ada@mail.example",)}
    assert hit.custom_data == {"contents": [{"id": "A1"}]}
    assert hit.more["app_data"]["extinfo"] == ["a2", "", "", "", "14", *[""] * 11]


@pytest.mark.parametrize(
    ("content", "content_type", "query", "expected"),
    [
        (orjson.dumps({"data": [], "access_token": "a"}), JSON, "", ("a",)),
        (orjson.dumps({"accessKey": "a", "data": []}), JSON, "", ("a",)),
        (orjson.dumps({"data": [], "access_token": "a"}), JSON, "access_token=a", ("a",)),
        (orjson.dumps({"data": [], "access_token": "b"}), JSON, "x=1&access_token=a", ("a", "b")),
        (orjson.dumps({"data": [], "access_token": "b", "accessKey": "c"}), JSON, "", ("b", "c")),
        (form(access_token="a|b c+d"), FORM, "", ("a|b c+d",)),
        (form(access_token="a") + b"&access_token=b", FORM, "", ("a", "b")),
        (multipart({"access_token": "a"}, BOUNDARY), multipart_type(), "", ("a",)),
        (b"", "", "access_token=a%7Cb", ("a|b",)),
        # No key
        (orjson.dumps({"data": [], "access_token": None}), JSON, "access_token=", ()),
        (orjson.dumps({"data": [], "access_token": ["a"]}), JSON, "", ()),
        (orjson.dumps({"data": [{"access_token": "a"}]}), JSON, "", ()),
        (orjson.dumps({"access_token": "a" * 7000}), JSON, "", ()),
        # A key is found even if the rest cannot be read
        (b"{", JSON, "access_token=a", ("a",)),
    ],
)
def test_keys_are_found(content: bytes, content_type: str, query: str, expected: tuple[str, ...]) -> None:
    """All different keys of query and body are returned, so that the endpoint can refuse contradictory ones."""
    assert keys(content, content_type, query) == expected


def test_fields_of_the_request_stand_beside_the_events() -> None:
    """Fields come from query and body, of which the body wins; nulls and blanks are ignored, numbers become text."""
    body = {"data": [LEAD], "test_event_code": " TEST1 ", "upload_id": 77, "partner_agent": None, "upload_tag": ""}
    noise = {"id": "111", "format": "json", "appsecret_proof": "p", "upload_source": {"a": 1}}
    fields = read(orjson.dumps(body | noise), JSON, "namespace_id=ns&test_event_code=OTHER").fields

    assert fields == NO_FIELDS._replace(test_event_code="TEST1", upload_id="77", namespace_id="ns")


WRONG: Mapping[str, tuple[bytes, str, str]] = {
    "no body": (b"", JSON, "body: not JSON"),
    "no data": (b"{}", JSON, "data: 0 events; accepted: 1 to 1000"),
    "empty form": (b"", FORM, "data: 0 events"),
    "no event": (b'{"data": []}', JSON, "data: 0 events"),
    "null": (b'{"data": null}', JSON, "data: 0 events"),
    "1,001 events": (b'{"data": [%b]}' % b",".join([b"{}"] * 1001), JSON, "data: 1001 events; accepted: 1 to 1000"),
    "a list": (b"[]", JSON, "body: not an object"),
    "half of it": (b'{"data": [', JSON, "body: not JSON"),
    "data that is no JSON": (b'{"data": "[1,"}', JSON, "data: not JSON"),
    "a word": (b"data=hello", FORM, ""),
    "not a number": (b'{"data": [{"event_time": NaN}]}', JSON, "body: not JSON"),
    "deep": (b'{"data": ' + b"[" * 1_000_000, JSON, "body: nested too deep"),
    "deep in a form": (b"data=" + b"[" * 1_000_000, FORM, "data: nested too deep"),
    "a type of its own": (b"<a/>", "application/xml", "content-type: 'application/xml'; accepted: application/json"),
    "no boundary": (b"--7\r\n", "multipart/form-data", "content-type: no boundary"),
    "another boundary": (b"--7\r\n", multipart_type("8"), "body: the boundary of content-type is not in it"),
    "too many fields": (b"&" * server_limits.FIELDS, FORM, "body: too many fields"),
    "too many parts": (b"\r\n--7" * (server_limits.FIELDS + 2), multipart_type("7"), "body: too many parts"),
    "too long a field": (
        form(partner_agent="a" * 201, data=LIST),
        FORM,
        "partner_agent: 201 characters; accepted: 200",
    ),
    "millions of nothings": (b"data=[" + b"0," * (server_limits.COMMAS + 1) + b"0]", FORM, "data: too large"),
    "too many keys": (b"&".join([b"access_token=a"] * 51), FORM, "access_token: too often; accepted: once"),
    "text in text in text": (form(data=json.dumps(json.dumps(json.dumps(LIST)))), FORM, "data: JSON text in JSON text"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_body_without_events_is_refused_with_a_reason(name: str) -> None:
    """The text names the member and what is accepted."""
    content, content_type, expected = WRONG[name]
    if name == "a word":
        (refusal,) = read(content, content_type).refused
        assert refusal.why.startswith("event: not JSON")
    else:
        assert wrong(content, content_type).startswith(expected)


def test_a_body_is_read_up_to_its_limit() -> None:
    """The limit is 16 MiB, whatever the HTTP server let through."""
    content = orjson.dumps({"data": [LEAD]})

    assert len(read(content.ljust(server_limits.BODY)).hits) == 1
    assert wrong(content.ljust(server_limits.BODY + 1)) == "body: 16777217 bytes; accepted: 16777216"


def test_a_bad_element_costs_no_neighbour() -> None:
    """Each bad element is refused with its place."""
    bad = ["x", 7, None, [], {"event_name": "Lead"}, "[]", '{"a":' * 30 + "1" + "}" * 30]
    content = orjson.dumps({"data": [LEAD, *bad, LEAD]})
    request = read(content)

    assert [hit.place for hit in request.hits] == [0, 8]
    assert [refusal.place for refusal in request.refused] == [1, 2, 3, 4, 5, 6, 7]


def test_whole_numbers_are_exact_whatever_their_size() -> None:
    """Lead ids exceed 2^53 and stay exact; numbers that exceed 64 bits become text."""
    members = (
        b'"event_name":"a","event_time":1,"action_source":"other","user_data":{"lead_id":%b},"custom_data":{"x":%b}'
    )
    text = b'{"data":[{%b}]}' % members
    (hit,) = read(text % (b"99007199254740993", b"123456789012345678901234567890")).hits

    assert hit.user_data["lead_id"] == ("99007199254740993",)
    assert hit.custom_data == {"x": "123456789012345678901234567890"}


def test_a_member_in_json_text_is_read_as_the_event_is() -> None:
    """Forms have custom data as JSON text: a long order number stays exact, and half a surrogate pair costs nothing."""
    told = '{"order_id": 12345678901234567890123, "content_name": "Tee \\ud83d"}'
    (hit,) = events_read(LEAD | {"custom_data": told}).hits

    assert hit.custom_data == {"order_id": "12345678901234567890123", "content_name": "Tee \ufffd"}


def test_half_a_character_does_not_cost_the_event() -> None:
    """JavaScript's ``slice`` may leave half an emoji in a title, which SDKs send in JSON, and in JSON within JSON."""
    text = json.dumps(event(custom_data={"content_name": "Tee \ud83d"}))
    for content in (b'{"data":[%b]}' % text.encode(), orjson.dumps({"data": [text]})):
        (hit,) = read(content).hits
        assert hit.custom_data == {"content_name": "Tee \ufffd"}


@given(st.binary(max_size=400), st.sampled_from([JSON, FORM, TEXT, "", multipart_type("7"), "x"]), st.text(max_size=50))
@settings(max_examples=400)
def test_any_body_is_read_or_refused(content: bytes, content_type: str, query: str) -> None:
    """No bytes raise anything but ``MalformedRequestError``."""
    try:
        request = read(content, content_type, query)
    except MalformedRequestError:
        return
    assert request.hits or request.refused


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
MEMBERS = st.sampled_from([
    "event_name", "event_time", "event_id", "action_source", "user_data", "custom_data", "event_source_url", "opt_out",
    "data_processing_options", "data_processing_options_country", "app_data", "original_event_data",
    "attribution_data", "advertiser_tracking_enabled", "messaging_channel", "note",
])  # fmt: skip


@given(st.dictionaries(MEMBERS, JSONS, max_size=8))
@example({"custom_data": '{"a":' * 900 + "1" + "}" * 900})
@example({"app_data": {"extinfo": {"9" * 5000: "x", "-1": 1, "²": 2}}})
@example({"event_time": "9" * 40})
@example({"event_time": "0001-01-01T00:00:00+23:59"})
@settings(max_examples=500)
def test_any_members_make_a_hit_or_a_refusal(changes: dict[str, Any]) -> None:
    """Whatever types the members have, the event is read or refused, and no other error is raised."""
    request = events_read(LEAD | changes)

    assert len(request.hits) + len(request.refused) == 1


@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda text: quote_plus(text).encode()))
@example(b"%%32%32")
@example(b"%2522%25+%7b%7B")
@example(b"%\n%\r\n%3d=\n=\r")
@example(b"%==%3D%")
@example(b"%")
@example(b"%2")
@settings(max_examples=500)
def test_unescaping_is_that_of_the_standard_library(content: bytes) -> None:
    """Reading escapes as quoted-printable agrees with ``urllib``, also for broken escapes and line ends."""
    assert unescaped(content) == unquote_to_bytes(content.replace(b"+", b" "))


@given(st.binary(min_size=1, max_size=40), st.integers(0, 60))
def test_pieces_are_cut_between_escapes(pattern: bytes, shift: int) -> None:
    """A long field that is unescaped piece by piece gives the same content, wherever the pieces end."""
    plain = b"x" * shift + pattern * (3 * server_limits.PART // len(pattern))
    field = Field("data", quote_plus(plain).encode(), is_escaped=True)

    assert run_parts(content_parts(field)) == plain


def test_no_name_is_unescaped_before_its_sender_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the access key is checked no field name is unescaped: 16 MB of escapes took three seconds."""

    def unescaped_in_vain(content: bytes) -> bytes:
        raise AssertionError(len(content))

    for function in ("unescaped", "unquote_to_bytes"):
        monkeypatch.setattr(fields, function, unescaped_in_vain)
    claim = claim_of(ServerBody(b"&".join([b"%41" * 1000 + b"=1", b"data%5B0%5D" + b"%41" * 1000 + b"=1"]), FORM))

    assert (claim.problem, len(claim.data)) == ("", 1)


@pytest.mark.parametrize("name", ["data[0][event_name]", "data" + "[a]" * 20, "data"])
@pytest.mark.parametrize(("escape", "most_pieces"), [(b"%41", 16), (b"%4x", 1)])
def test_a_long_content_is_unescaped_in_parts(name: str, escape: bytes, most_pieces: int) -> None:
    """Other requests can be served between the parts, which are smaller where unescaping is slow."""
    parts = 20
    content = quote_plus(name).encode() + b"=" + escape * (parts * most_pieces * server_limits.PART // 3)
    claim = claim_of(ServerBody(content, FORM))

    assert len(list(elements_of(claim))) >= parts


@given(st.dictionaries(st.sampled_from(["data", "access_token", "upload_tag"]), st.text(max_size=80)))
def test_multipart_fields_come_back(fields: dict[str, str]) -> None:
    """Names and contents are read as they were written, including line ends and dashes."""
    written = {name: value for name, value in fields.items() if f"--{BOUNDARY}" not in value}
    claim = claim_of(ServerBody(multipart(written, BOUNDARY), multipart_type()))

    assert claim.access_keys == tuple(filter(None, [written.get("access_token", "").strip()[:1000]]))
    assert [bytes(field.content).decode() for field in claim.data] == ([written["data"]] if "data" in written else [])


def test_an_event_has_as_many_bytes_as_it_may() -> None:
    """An event has at most 262,144 bytes, be it an object, JSON text or made of nested fields."""
    most = server_limits.EVENT - len(json.dumps(LEAD | {"note": ""}))
    fitting, beyond = (LEAD | {"note": "x" * length} for length in (most, most + 1))
    request = read(json.dumps({"data": [fitting, beyond, json.dumps(beyond)]}).encode())
    (nested,) = read(form(**{"data[0][a]": "x" * server_limits.EVENT}), FORM).refused

    assert [hit.place for hit in request.hits] == [0]
    assert [refusal.why for refusal in request.refused] == [
        "event: 262145 bytes; accepted: 262144",
        f"event: {len(json.dumps(json.dumps(beyond)))} bytes; accepted: 262144",
    ]
    assert nested.why == "event: 262152 bytes; accepted: 262144"


@pytest.mark.parametrize("number", ["9" * 4300, "9" * 4301, "1e999", "-1e999", "NaN", "Infinity"])
def test_numbers_beyond_any_measure_cost_their_event_alone(number: str) -> None:
    """Such a number is no time, whichever reader gets it, and the refusal does not repeat it."""
    text = json.dumps(LEAD).replace(str(LEAD["event_time"]), number)
    beside_a_long_one = text.replace("{", '{"note": 12345678901234567890, ', 1)
    refusals = read(form(data=json.dumps([text, beside_a_long_one])), FORM).refused

    assert len(refusals) == 2
    assert all(len(refusal.why) < 200 for refusal in refusals)


def test_an_event_has_as_many_members_as_it_may() -> None:
    """One more member, or one more level of nesting, is refused."""
    most = {"custom_data": dict.fromkeys(map(str, range(server_limits.MEMBERS - 1)), 0)}
    deep: Any = 0
    for _ in range(server_limits.DEPTH):
        deep = {"a": deep}

    assert event_of(most) == most
    assert event_of(deep) == deep
    assert not is_bounded(most | {"a": 0})
    assert not is_bounded({"a": deep})

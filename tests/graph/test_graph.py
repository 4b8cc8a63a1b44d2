"""Graph's interface: payloads as Meta documents them, and a verdict for every answer."""

import json
from datetime import UTC, datetime
from typing import Any, assert_never

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.graph.payload import body, proof, record, shared
from proxy.graph.verdict import clock_ahead, cooldown, is_content_subcode, judge
from proxy.model.event import BrowserCopy, Event
from proxy.model.record import Record
from proxy.model.server_request import RequestFields
from proxy.model.verdict import Dead, Delivered, GraphError, Pause, Retry, Split, Verdict

# Secret "app_secret", token "token".
PROOF = "059a4ea9403818b051f7309a311095ac009e10fdbaeafbc3ea4d066fab212e18"
HTML = b"<!DOCTYPE html><html><title>Error</title></html>"
STATUSES = (200, 400, 401, 403, 404, 413, 429, 500, 503)


def error(code: Any = None, subcode: Any = None, **more: Any) -> bytes:
    members = {"message": "Invalid parameter", "type": "OAuthException", "code": code, "error_subcode": subcode}
    stated = {key: value for key, value in (members | {"fbtrace_id": "Atrace"} | more).items() if value is not None}
    return orjson.dumps({"error": stated})


def received(count: Any) -> bytes:
    return orjson.dumps({"events_received": count, "messages": [], "fbtrace_id": "Atrace"})


def brief(verdict: Verdict) -> str:
    """Return the verdict in a word or two."""
    match verdict:
        case Delivered():
            return f"delivered {verdict.received}"
        case Pause():
            return f"pause {verdict.reason}"
        case Retry():
            return f"{'uncounted' if verdict.uncounted else 'retry'} {verdict.reason}"
        case Split():
            return "split"
        case Dead():
            return f"dead {verdict.reason}"
        case _:
            assert_never(verdict)


# Status, answer, size of the batch; the verdict.
ANSWERS = [
    # Counted
    (200, received(1), 1, "delivered 1"),
    (200, received(1000), 1000, "delivered 1000"),
    (201, received(2), 2, "delivered 2"),
    (200, received(1), 3, "delivered 1"),
    (200, received(3), 1, "delivered 3"),
    (200, b'{"events_received": 2}', 2, "delivered 2"),
    # Not counted
    (200, received(0), 2, "uncounted not_received"),
    (200, received(-1), 1, "uncounted not_received"),
    (200, received(None), 1, "uncounted not_received"),
    (200, received("2"), 2, "uncounted not_received"),
    (200, received(2.0), 2, "uncounted not_received"),
    (200, received([2]), 2, "uncounted not_received"),
    (200, received(True), 1, "uncounted not_received"),
    (200, b"{}", 1, "uncounted not_received"),
    (200, b'{"success": true}', 5, "uncounted not_received"),
    (200, b'{"error": "text"}', 1, "uncounted not_received"),
    # Unreadable
    (200, b"", 1, "retry http_200"),
    (200, HTML, 2, "retry http_200"),
    (200, received(2)[:-5], 2, "retry http_200"),
    (200, b"[1]", 1, "retry http_200"),
    (200, b"2", 1, "retry http_200"),
    (204, b"", 1, "retry http_204"),
    (302, HTML, 5, "retry http_302"),
    (500, HTML, 5, "retry http_500"),
    (502, HTML, 1, "retry http_502"),
    (503, b"", 1, "retry http_503"),
    (504, b"\xff\xfe", 1, "retry http_504"),
    (500, b"[" * 5000, 1, "retry http_500"),
    (500, b'{"error": "text"}', 1, "retry http_500"),
    (408, b"", 3, "retry http_408"),
    (429, HTML, 3, "retry http_429"),
    (429, b"", 1, "retry http_429"),
    (413, HTML, 2, "split"),
    (413, b"", 1, "dead rejected"),
    (400, HTML, 2, "retry http_400"),
    (400, b"", 1, "retry http_400"),
    (403, HTML, 2, "retry http_403"),
    (404, HTML, 2, "retry http_404"),
    # Token
    (400, error(190), 5, "pause token"),
    (401, error(190), 1, "pause token"),
    (500, error(190, 460), 1, "pause token"),
    (400, error(190, 458), 1, "pause token"),
    (400, error(190, 463), 1, "pause token"),
    (400, error(190, 467), 2, "pause token"),
    (400, error(190, is_transient=True), 2, "pause token"),
    (400, error(102), 2, "pause token"),
    (401, error(102, 459), 1, "pause token"),
    # Permission
    (400, error(3), 1, "pause permission"),
    (403, error(10), 2, "pause permission"),
    (403, error(200), 1, "pause permission"),
    (403, error(275, 1), 2, "pause permission"),
    (400, error(299), 1, "pause permission"),
    (400, error(100, 33, type="GraphMethodException"), 2, "pause permission"),
    (404, error(100, 33), 1, "pause permission"),
    # Throttled
    (400, error(4), 2, "retry throttled"),
    (400, error(4, 1504022), 1, "retry throttled"),
    (403, error(4, 1504039), 1, "retry throttled"),
    (400, error(17, 2446079), 2, "retry throttled"),
    (500, error(17), 1, "retry throttled"),
    (401, error(17), 1, "retry throttled"),
    (400, error(17, 1885172), 1, "retry throttled"),
    (400, error(32), 1, "retry throttled"),
    (400, error(341), 2, "retry throttled"),
    (400, error(613), 1, "retry throttled"),
    (400, error(613, 1487742), 1, "retry throttled"),
    (400, error(613, 5044001), 2, "retry throttled"),
    (400, error(80000), 1, "retry throttled"),
    (400, error(80003, 2446079), 1, "retry throttled"),
    (400, error(80004, 2446079), 2, "retry throttled"),
    (400, error(80014), 1, "retry throttled"),
    (200, error(4), 1, "retry throttled"),
    # Down, blocked, transient
    (400, error(1), 2, "retry down"),
    (500, error(1, 99), 1, "retry down"),
    (500, error(2, is_transient=True), 2, "retry down"),
    (503, error(2), 1, "retry down"),
    (400, error(368), 1, "retry blocked"),
    (400, error(368, 1390008), 2, "retry blocked"),
    (400, error(9999, is_transient=True), 2, "retry transient"),
    (400, error(is_transient=True), 1, "retry transient"),
    (400, error(100, is_transient=True), 2, "retry transient"),
    (400, error(100, 34, is_transient=True), 1, "retry transient"),
    (500, error(5000), 2, "retry http_500"),
    (503, error(9999), 2, "retry http_503"),
    (429, error(9999), 2, "retry http_429"),
    (200, error(9999), 2, "retry http_200"),
    (500, error(), 1, "retry http_500"),
    # Content
    (400, error(100), 2, "split"),
    (400, error(100), 1, "dead rejected"),
    (400, error(100, 2804003, is_transient=False), 1000, "split"),
    (400, error(100, 2804003, is_transient=False), 1, "dead rejected"),
    (400, error(100, 2804004), 1, "dead rejected"),
    (400, error(100, 2804008), 2, "split"),
    (400, error(100, 2804009), 1, "dead rejected"),
    (400, error(100, 2804011), 2, "split"),
    (400, error(100, 2804016), 1, "dead rejected"),
    (400, error(100, 2804017), 2, "split"),
    (400, error(100, 2804019), 2, "split"),
    (400, error(100, 2804001), 2, "split"),
    (400, error(100, 2804007), 2, "split"),
    (400, error(100, 2804023), 2, "split"),
    (400, error(100, 2804043), 2, "split"),
    (400, error(100, 2804048), 1, "dead rejected"),
    (400, error(100, 2804050), 2, "split"),
    (400, error(100, 2804066), 1, "dead rejected"),
    (400, error(100, 2804072), 1, "dead rejected"),
    (400, error(100, 2804087), 2, "split"),
    (400, error(100, 2804050, is_transient=True), 2, "split"),
    (500, error(100, 2804050), 2, "split"),
    (200, error(100, 2804050), 1, "dead rejected"),
    (404, error(100, 34), 2, "split"),
    (400, error(100, 38), 1, "dead rejected"),
    # Undocumented codes
    (400, error(9999), 2, "split"),
    (400, error(9999), 1, "dead rejected"),
    (400, error(506), 2, "split"),
    (400, error(21009), 2, "retry down"),
    (403, error(300), 1, "dead rejected"),
    (400, error(199), 2, "split"),
    (400, error(), 2, "split"),
    (400, error("190"), 2, "split"),
    (400, error(True), 2, "split"),
    (413, error(9999), 2, "split"),
    (400, orjson.dumps({"error": {}}), 1, "dead rejected"),
    (400, b'{"error": null}', 2, "retry http_400"),
    (400, b'{"error": ["text"]}', 2, "retry http_400"),
    # Members that must make no difference
    (400, error(100, 2804003, error_data='{"blame_field_specs":[["data"]]}'), 2, "split"),
    (400, error(100, 2804003, error_data={"blame_field_specs": [["custom_data", "currency"]]}), 1, "dead rejected"),
    (400, error(190, error_data="text", error_user_title="Jeton expiré"), 2, "pause token"),
    (400, error(100, 2804003, error_user_title="Horodatage trop ancien", error_user_msg="Trop vieux"), 2, "split"),
    (400, error(4, type="OAuthException", message="(#4) Trop d'appels"), 2, "retry throttled"),
    (400, error(100, message="token expired (#190)"), 2, "split"),
    (400, error(100, is_transient="true"), 2, "split"),
    (400, error(100, is_transient=1), 2, "split"),
]

# Code, subcode; the verdict, whatever the HTTP status.
WHATEVER_THE_STATUS = [
    (190, None, "pause token"),
    (102, None, "pause token"),
    (10, None, "pause permission"),
    (200, None, "pause permission"),
    (100, 33, "pause permission"),
    (4, None, "retry throttled"),
    (17, 2446079, "retry throttled"),
    (80004, None, "retry throttled"),
    (1, None, "retry down"),
    (2, None, "retry down"),
    (368, None, "retry blocked"),
    (100, None, "split"),
    (100, 2804003, "split"),
]

FULL = orjson.dumps({"call_count": 95, "total_time": 3, "total_cputime": 1}).decode()
HALF = orjson.dumps({"call_count": 50, "total_time": 50, "total_cputime": 50}).decode()
APP = "X-App-Usage"
BUSINESS = "X-Business-Use-Case-Usage"


def usage(*entries: Any) -> str:
    return orjson.dumps({"1234567890": list(entries)}).decode()


# Headers; seconds to wait before the next request.
USAGE: list[tuple[dict[str, str], float]] = [
    ({}, 0),
    ({APP: HALF}, 0),
    ({APP: FULL}, 60),
    ({APP: '{"call_count": 94.9}'}, 0),
    ({APP: '{"call_count": 100}'}, 60),
    ({APP: '{"total_time": 100}'}, 60),
    ({APP: '{"total_cputime": 250}'}, 60),
    ({APP: '{"call_count": "99"}'}, 60),
    ({APP: '{"another_count": 100}'}, 0),
    ({APP: ""}, 0),
    ({APP: "garbage"}, 0),
    ({APP: "[]"}, 0),
    ({APP: "100"}, 0),
    ({APP: '{"call_count": null, "total_time": [], "total_cputime": {}}'}, 0),
    ({APP: '{"call_count": "NaN"}'}, 0),
    ({APP: '{"call_count": -100}'}, 0),
    ({APP: "\udcff\udcfe"}, 0),
    ({BUSINESS: usage({"call_count": 95})}, 60),
    ({BUSINESS: usage({"call_count": 28, "total_cputime": 25, "total_time": 25})}, 0),
    ({BUSINESS: usage({"estimated_time_to_regain_access": 5})}, 300),
    ({BUSINESS: usage({"call_count": 100, "estimated_time_to_regain_access": 0})}, 60),
    ({BUSINESS: usage({"call_count": 1}, {"estimated_time_to_regain_access": 2})}, 120),
    ({BUSINESS: usage({"estimated_time_to_regain_access": 10**9})}, 3600),
    ({BUSINESS: usage({"estimated_time_to_regain_access": "inf"})}, 3600),
    ({BUSINESS: usage({"estimated_time_to_regain_access": "soon"})}, 0),
    ({BUSINESS: usage(None, 7, "text", [])}, 0),
    ({BUSINESS: '{"1": {"call_count": 100}}'}, 0),
    ({BUSINESS: "\udcff"}, 0),
    ({"X-Ad-Account-Usage": '{"acc_id_util_pct": 96.5}'}, 60),
    ({"X-Ad-Account-Usage": '{"acc_id_util_pct": 9.67, "reset_time_duration": 3000}'}, 0),
    ({APP: FULL, BUSINESS: usage({"estimated_time_to_regain_access": 3})}, 180),
]

# Answer, headers; the least wait in seconds.
WAITS: list[tuple[bytes, dict[str, str], float]] = [
    (error(4), {}, 0),
    (error(4), {"Retry-After": "7"}, 7),
    (error(4), {"Retry-After": "7.5"}, 7.5),
    (error(4), {"Retry-After": "-7"}, 0),
    (error(4), {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0),
    (error(4), {"Retry-After": ""}, 0),
    (error(4), {"Retry-After": "nan"}, 0),
    (error(4), {"Retry-After": "inf"}, 3600),
    (error(4), {"Retry-After": "99999999999"}, 3600),
    (error(4), {APP: FULL}, 60),
    (error(4), {"Retry-After": "7", APP: FULL}, 60),
    (error(4), {"Retry-After": "90", APP: FULL}, 90),
    (error(80004), {BUSINESS: usage({"estimated_time_to_regain_access": 19})}, 1140),
    (error(2), {"Retry-After": "7"}, 7),
    (error(9999, is_transient=True), {"Retry-After": "7"}, 7),
    (error(368), {}, 300),
    (error(368), {"Retry-After": "7"}, 300),
    (error(368), {"Retry-After": "900"}, 900),
    (HTML, {"Retry-After": "7"}, 7),
    (b"", {}, 0),
    (received(0), {"Retry-After": "7"}, 7),
]

EVENT: dict[str, Any] = {
    "pixel": "123",
    "name": "Purchase",
    "id": "order-1",
    "time_s": 1_764_000_000,
    "url": "https://shop.example/thanks",
    "referrer": "https://shop.example/cart",
    "user_data": {"client_user_agent": "x", "fbp": "fb.1.1.2"},
    "custom_data": {"value": 9.5, "currency": "EUR"},
    "options": None,
    "visitor": b"abcd",
    "browser_copy": BrowserCopy.FIRED,
    "bot_reason": "bot:crawler",
}
PAYLOAD = {
    "event_name": "Purchase",
    "event_time": 1_764_000_000,
    "event_id": "order-1",
    "action_source": "website",
    "user_data": {"client_user_agent": "x", "fbp": "fb.1.1.2"},
    "event_source_url": "https://shop.example/thanks",
    "referrer_url": "https://shop.example/cart",
    "custom_data": {"value": 9.5, "currency": "EUR"},
}
LDU = "data_processing_options"
# Changes of the event; the members of the payload that change, None for those that are missing.
PAYLOADS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"url": ""}, {"event_source_url": None}),
    ({"referrer": ""}, {"referrer_url": None}),
    ({"custom_data": {}}, {"custom_data": None}),
    ({"options": ((), 0, 0)}, {LDU: [], f"{LDU}_country": 0, f"{LDU}_state": 0}),
    ({"options": (("LDU",), 0, 0)}, {LDU: ["LDU"], f"{LDU}_country": 0, f"{LDU}_state": 0}),
    ({"options": (("LDU",), 1, 1000)}, {LDU: ["LDU"], f"{LDU}_country": 1, f"{LDU}_state": 1000}),
    ({"custom_data": {"a": [{"b": None}], "ü": 2**63}}, {"custom_data": {"a": [{"b": None}], "ü": 2**63}}),
]


@pytest.mark.parametrize(
    ("status", "answer", "size", "expected"),
    ANSWERS,
    ids=[f"{row[0]}-{number}-{row[3].replace(' ', '-')}" for number, row in enumerate(ANSWERS)],
)
def test_every_answer_has_its_verdict(status: int, answer: bytes, size: int, expected: str) -> None:
    """Code and subcode decide first, then is_transient, then the HTTP status; texts never."""
    assert brief(judge(status, answer, {}, size)) == expected


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(("code", "subcode", "expected"), WHATEVER_THE_STATUS)
def test_a_known_code_means_the_same_with_any_status(
    status: int, code: int, subcode: int | None, expected: str
) -> None:
    """The HTTP status makes no difference for a known code, as codes have been seen with several."""
    assert brief(judge(status, error(code, subcode), {}, 2)) == expected


def test_a_verdict_keeps_graphs_words() -> None:
    """Code, subcode, the text for users and the trace id are part of the verdict."""
    answer = error(100, 2804003, error_user_msg="Trop vieux")

    assert judge(400, answer, {}, 1) == Dead("rejected", GraphError(100, 2804003, "Trop vieux", "Atrace"))
    assert judge(400, answer, {}, 2) == Split(GraphError(100, 2804003, "Trop vieux", "Atrace"))
    assert judge(400, error(190), {}, 1) == Pause("token", GraphError(190, None, "Invalid parameter", "Atrace"))
    assert judge(400, error(4), {}, 1) == Retry(
        "throttled", graph_error=GraphError(4, None, "Invalid parameter", "Atrace")
    )
    assert judge(502, HTML, {}, 1) == Retry(
        "http_502", graph_error=GraphError(message="HTTP 502 without a Graph error")
    )


@pytest.mark.parametrize(
    ("answer", "graph_error"),
    [
        (error(message="x" * 9000), GraphError(message="x" * 500, fbtrace_id="Atrace")),
        (error(message=7, fbtrace_id=["x"]), GraphError()),
        (error(message=None, code=[4], subcode="x"), GraphError(fbtrace_id="Atrace")),
        (error(error_user_msg="", message="plain"), GraphError(message="plain", fbtrace_id="Atrace")),
    ],
)
def test_odd_words_are_shortened_or_left_out(answer: bytes, graph_error: GraphError) -> None:
    """An error text cannot fill the memory or have a wrong type."""
    assert judge(400, answer, {}, 1) == Dead("rejected", graph_error)


def test_a_delivery_keeps_count_trace_and_cooldown() -> None:
    """The number that Graph counted is kept, even if it is not the number sent."""
    assert judge(200, received(2), {APP: FULL}, 3) == Delivered(2, 3, "Atrace", 60.0)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"{}", "2xx without events_received"),
        (b'{"events_received": 0}', "events_received: 0"),
        (b'{"events_received": "two"}', "events_received: 'two'"),
    ],
)
def test_an_answer_that_counts_nothing_says_what_was_counted(answer: bytes, message: str) -> None:
    """A 2xx answer that counted nothing is tried again, with the reason."""
    assert judge(200, answer, {}, 2) == Retry("not_received", uncounted=True, graph_error=GraphError(message=message))


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("Thu, 17 Sep 2026 19:33:20 GMT", 0.0),
        ("Wed, 16 Sep 2026 19:33:20 GMT", 86_400.0),
        ("Thu, 17 Sep 2026 19:35:20 GMT", -120.0),
        ("soon", None),
        ("", None),
        ("Thu, 17 Sep 99999999999999999999 19:33:20 GMT", None),
    ],
)
def test_an_answer_tells_how_wrong_our_clock_is(date: str, ahead: float | None) -> None:
    """The Date of an answer, compared with our clock, gives the seconds by which ours is ahead; without one, None."""
    now = int(datetime(2026, 9, 17, 19, 33, 20, tzinfo=UTC).timestamp() * 1000)

    assert clock_ahead({"Date": date}, now) == ahead


@pytest.mark.parametrize(("headers", "seconds"), USAGE, ids=[str(number) for number in range(len(USAGE))])
def test_usage_headers_ask_to_wait(headers: dict[str, str], seconds: float) -> None:
    """From 95 percent on they ask for a minute, or Graph's estimate, an hour at most; unreadable ones for nothing."""
    assert cooldown(headers) == seconds


@pytest.mark.parametrize(("answer", "headers", "seconds"), WAITS, ids=[str(number) for number in range(len(WAITS))])
def test_a_retry_waits_as_long_as_it_is_asked_to(answer: bytes, headers: dict[str, str], seconds: float) -> None:
    """The least wait is that of Retry-After, the usage headers or a policy block, an hour at most."""
    verdict = judge(503, answer, headers, 1) if b"events_received" not in answer else judge(200, answer, headers, 1)

    assert (type(verdict), getattr(verdict, "after", None)) == (Retry, seconds)


@given(
    st.integers(100, 599),
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["error", "code", "error_subcode", "events_received", "message"]), inner)
        ),
        max_leaves=8,
    ).map(lambda document: json.dumps(document).encode(errors="replace")),
    st.dictionaries(st.sampled_from([APP, BUSINESS, "Retry-After"]), st.text(max_size=30)),
    st.integers(1, 1000),
)
@settings(deadline=None)
def test_no_answer_breaks_the_judge(status: int, answer: bytes, headers: dict[str, str], size: int) -> None:
    """Any status, body and headers give a verdict; only a batch is split, and only a single event is dead."""
    verdict = judge(status, answer, headers, size)

    assert isinstance(verdict, Delivered | Pause | Retry | Split | Dead)
    assert not isinstance(verdict, Split if size == 1 else Dead)


@pytest.mark.parametrize(
    ("subcode", "expected"),
    [(2804000, True), (2804050, True), (2804099, True), (2804100, False), (33, False), (None, False)],
)
def test_content_subcodes_are_a_block_of_a_hundred(subcode: int | None, *, expected: bool) -> None:
    """A subcode 28040xx concerns one event's content; any other may concern the whole pixel."""
    assert is_content_subcode(subcode) is expected


def test_the_proof_is_an_hmac_of_the_token() -> None:
    """The result is the check value computed from Meta's description."""
    assert proof("token", "app_secret") == PROOF


@pytest.mark.parametrize(("changes", "members"), PAYLOADS)
def test_a_record_has_the_payload_as_graph_takes_it(changes: dict[str, Any], members: dict[str, Any]) -> None:
    """Every member has its documented name; empty members are left out, and so are options that are not set."""
    written = record(Event(**(EVENT | changes)))

    expected = {key: value for key, value in (PAYLOAD | members).items() if value is not None}
    assert orjson.loads(written.whole) == expected
    assert orjson.loads(written.payload).keys().isdisjoint(orjson.loads(written.shared))


def test_a_record_says_outside_what_the_queue_must_know() -> None:
    """Pixel, name, id, time, visitor, browser copy and bot reason are members of the record itself."""
    written = record(Event(**EVENT))

    assert written == Record(
        *("123", "Purchase", "order-1", 1_764_000_000, b"abcd", BrowserCopy.FIRED, "bot:crawler", written.payload),
        worth=written.worth,
        shared=written.shared,
    )
    assert b"crawler" not in written.whole


def test_events_of_one_visitor_share_all_but_their_own() -> None:
    """Name, time, id and custom data are the event's own; the rest is written once for all."""
    alike = shared(Event(**EVENT))
    first, second = (record(Event(**EVENT | {"id": identity})) for identity in ("order-1", "order-2"))

    assert first.shared == second.shared == alike
    assert orjson.loads(first.payload).keys() == {"event_name", "event_time", "event_id", "custom_data"}
    assert orjson.loads(second.whole) == orjson.loads(first.whole) | {"event_id": "order-2"}


# Name and custom data; whether the worth equals that of a Purchase of 9.5 euros, None: no worth.
WORTHS: list[tuple[str, dict[str, Any], bool | None]] = [
    ("Purchase", {"value": 9.5, "currency": "EUR"}, True),
    ("Purchase", {"value": 9.50, "currency": "EUR", "order_id": "1"}, True),
    ("Purchase", {"value": 9.51, "currency": "EUR"}, False),
    ("Purchase", {"value": 9.5, "currency": "USD"}, False),
    ("Purchase", {"value": 9, "currency": "EUR"}, False),
    ("Purchase", {"currency": "EUR"}, None),
    ("Lead", {"value": 9.5, "currency": "EUR"}, None),
]


@pytest.mark.parametrize(("name", "data", "same"), WORTHS)
def test_a_purchase_is_told_by_its_value(name: str, data: dict[str, Any], *, same: bool | None) -> None:
    """Four bytes distinguish Purchases of different value or currency; other events have none."""
    worth = record(Event(**EVENT | {"name": name, "custom_data": data})).worth

    assert (len(worth), worth == record(Event(**EVENT)).worth) == (0 if same is None else 4, same is True)


@pytest.mark.parametrize(
    ("payloads", "extras", "expected"),
    [
        ([b'{"a":1}'], {}, b'{"data":[{"a":1}],"access_token":"token"}'),
        ([b'{"a":1}', b'{ "b" : 1.0 }'], {}, b'{"data":[{"a":1},{ "b" : 1.0 }],"access_token":"token"}'),
        (
            [b"{}"],
            {"fields": RequestFields(test_event_code="TEST1", upload_tag="spring")},
            b'{"data":[{}],"access_token":"token","test_event_code":"TEST1","upload_tag":"spring"}',
        ),
        (
            [b"{}"],
            {"app_secret": "app_secret", "fields": RequestFields(test_event_code='T"1')},
            b'{"data":[{}],"access_token":"token","appsecret_proof":"%s","test_event_code":"T\\"1"}' % PROOF.encode(),
        ),
    ],
)
def test_a_body_carries_the_payloads_byte_for_byte(
    payloads: list[bytes], extras: dict[str, Any], expected: bytes
) -> None:
    """The stored payloads are sent byte for byte; the body has token and proof, but never the app's secret."""
    assert body(payloads, access_token="token", **extras) == expected

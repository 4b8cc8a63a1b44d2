"""JSON Lines of the backfill, the ids of its events, their ages, and the report before anything is sent."""

from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from backfill_samples import NOW, claims_of, events_of, jsonl
from hypothesis import given
from hypothesis import strategies as st

from proxy.backfill.claims import Claim, FileOptions, LeftOut, NotSent
from proxy.backfill.ids import Namer, Occurrences
from proxy.backfill.judge import Ready, judge_claims, skip_done
from proxy.backfill.progress import Progress, read_progress
from proxy.backfill.report import Report
from proxy.model.server_request import RequestFields

DAY = 86_400
LEAD: dict[str, Any] = {
    "event_name": "Lead",
    "event_time": NOW - 100,
    "action_source": "website",
    "user_data": {"em": "rose@plants.example"},
}


def _judged(*events: object, **wishes: Any) -> list[Ready | NotSent]:
    claims = claims_of(jsonl(*events), "events.jsonl")
    return list(judge_claims(claims, Namer("shop"), FileOptions(**wishes), NOW))


def _ids(*events: object) -> list[str]:
    return [item.event["event_id"] for item in _judged(*events) if isinstance(item, Ready)]


# -- JSON Lines


def test_lines_as_they_are_found() -> None:
    """A BOM, CRLF, blank lines, copied request bodies, lists and a last line without an end are all read."""
    body = {"data": [LEAD, LEAD], "access_token": "secret-of-another", "test_event_code": "TEST1", "upload_id": 7}
    content = b"\xef\xbb\xbf" + orjson.dumps(LEAD) + b"\r\n\r\n \n" + orjson.dumps(body) + b"\n" + orjson.dumps([LEAD])

    claims = [claim for claim in claims_of(content, "events.jsonl") if isinstance(claim, Claim)]

    assert [claim.event for claim in claims] == [LEAD] * 4
    assert [claim.line for claim in claims] == [1, 4, 4, 5]
    assert [claim.fields for claim in claims[:2]] == [RequestFields(), RequestFields("TEST1", upload_id="7")]
    assert (claims[3].fields, claims[3].end) == (RequestFields(), len(content))


def test_bodies_of_other_sdks() -> None:
    """``data`` may also be JSON text, or a list of JSON texts."""
    texts = [orjson.dumps(LEAD).decode()]
    content = jsonl({"data": orjson.dumps([LEAD]).decode()}, {"data": texts}, {"data": LEAD})

    assert events_of(content, "events.ndjson") == [LEAD] * 3


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "no JSON"),
        (b"\xff\xfe{", "no JSON"),
        (b'{"value": NaN}', "no JSON"),
        (b"[" * 5000, "no JSON"),
        (b"7", "must be an object"),
        (b'{"data": [7]}', "must be an object"),
        (b'{"data": "x"}', "must be an object"),
        (b'{"x": ' + b"[" * 500 + b"]" * 500 + b"}", "nested deeper"),
        (b'{"data": "' + b"[" * 500 + b"]" * 500 + b'"}', "must be an object"),
        (b'{"data": "[{\\"x\\": ' + b"[" * 500 + b"]" * 500 + b'}]"}', "nested deeper"),
        (b'{"event_name": "\\ud800"}', "no JSON"),
        (b'{"event_id": 1.23E+12}', "event_id is a number whose digits are lost"),
        (b'{"user_data": {"external_id": ["a", 1.5]}}', "external_id is a number"),
        (b'{"custom_data": {"order_id": 123456789012345678901234567890}}', "order_id is a number"),
    ],
)
def test_a_bad_line_is_refused_by_its_number(line: bytes, why: str) -> None:
    """A line that is no event is refused with its number, and the lines around it are read."""
    claims = claims_of(jsonl(LEAD) + line + b"\n" + jsonl(LEAD), "events.jsonl")

    assert [isinstance(claim, Claim) for claim in claims] == [True, False, True]
    assert claims[1].line == 2
    assert isinstance(claims[1], NotSent)
    assert why in claims[1].why


def test_a_lead_keeps_all_its_digits() -> None:
    """A whole number beyond 2^53 keeps all its digits."""
    (event,) = events_of(b'{"user_data": {"lead_id": 98765432109876543}}', "events.json")

    assert event == {"user_data": {"lead_id": 98765432109876543}}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*LEAD, "data", "event_id"]), inner),
    max_leaves=6,
)
MEMBERS = st.dictionaries(st.sampled_from([*LEAD, "data", "event_id", "custom_data"]), VALUES)


@given(st.lists(MEMBERS.map(lambda member: {**LEAD, **member}) | VALUES, max_size=4), st.binary(max_size=20))
def test_no_line_is_too_odd(values: list[Any], noise: bytes) -> None:
    """Whatever a file contains, each line's events are ready or refused, and nothing raises."""
    content = b"".join(orjson.dumps(value, default=str) + b"\n" for value in values if _is_json(value)) + noise
    for item in judge_claims(claims_of(b" \n{}\n" + content, "events.jsonl"), Namer("shop"), FileOptions(), NOW):
        assert isinstance(item, NotSent) or orjson.dumps(dict(item.event))


def _is_json(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


# -- ids


def test_where_ids_come_from() -> None:
    """An id is the event's own, else that of its order as the tag derives it, else made from the line."""
    order = {**LEAD, "custom_data": {"order_id": 1001}}

    assert _ids({**LEAD, "event_id": "e-1"}, {**LEAD, "event_id": 7}, {**order, "event_id": "e-2"}, order) == [
        "e-1",
        "7",
        "e-2",
        "order-shop-1001",
    ]
    (made,) = _ids({**LEAD, "event_id": ""})
    assert made.startswith("line-")


def test_equal_lines_are_as_many_events() -> None:
    """Two equal lines are two events; each gets the same id in another run, whatever other lines are around."""
    other = {**LEAD, "event_name": "Contact"}

    first, second, third = _ids(LEAD, LEAD, other)

    assert len({first, second, third}) == 3
    assert _ids({**LEAD, "event_time": NOW - 7}, other, LEAD, LEAD)[1:] == [third, first, second]


def test_an_id_does_not_depend_on_the_day() -> None:
    """An id does not depend on which earlier lines are too old on that day."""
    old = {**LEAD, "event_time": NOW - 6 * DAY}

    def ids(now: int) -> list[str]:
        items = judge_claims(claims_of(jsonl(old, old, LEAD), "events.jsonl"), Namer("shop"), FileOptions(), now)
        return [item.event["event_id"] for item in items if isinstance(item, Ready)]

    assert len(ids(NOW)) == 3
    assert ids(NOW + 2 * DAY) == ids(NOW)[2:]


@given(
    st.lists(st.sampled_from([LEAD, {**LEAD, "event_id": "e-1"}, {**LEAD, "event_name": ""}, 7]), max_size=9), st.data()
)
def test_what_is_done_is_only_named(events: list[Any], data: st.DataObject) -> None:
    """After a part of the file was done in an earlier run, the rest gets the same ids."""
    claims = claims_of(jsonl(*events), "events.jsonl")
    done = data.draw(st.sampled_from([0, *(claim.end for claim in claims)]))
    namer = Namer("shop")

    left = list(judge_claims(skip_done(claims, namer, done), namer, FileOptions(), NOW))

    assert [item.end for item in left] == [claim.end for claim in claims]
    assert not any(isinstance(item, Ready) for item in left if item.end <= done)
    assert [item for item in left if item.end > done] == [item for item in _judged(*events) if item.end > done]


@given(st.lists(st.integers(0, 40), max_size=200))
def test_occurrences_are_counted_exactly(keys: list[int]) -> None:
    """Each content is numbered by how often it has occurred so far."""
    counter = Occurrences()

    numbers = [counter.count(key.to_bytes(1) * 8) for key in keys]

    assert numbers == [keys[: index + 1].count(key) for index, key in enumerate(keys)]


def test_occurrences_of_very_many() -> None:
    """The counts stay right when the table grows."""
    counter = Occurrences()
    digests = [(7919 * number).to_bytes(8, "little") for number in range(2, 40_000, 2)]

    assert {counter.count(digest) for digest in digests} == {1}
    assert {counter.count(digest) for digest in digests} == {2}


# -- what can be sent

REFUSED = [
    ("no name", {"event_name": ""}, LeftOut.REFUSED, "event_name is missing"),
    ("no action source", {"action_source": None}, LeftOut.REFUSED, "action_source is missing"),
    ("a place of no event", {"action_source": "a@plants.example"}, LeftOut.REFUSED, "must be one of website, app"),
    ("nobody", {"user_data": {"em": ""}}, LeftOut.REFUSED, "user_data"),
    ("nobody at all", {"user_data": None}, LeftOut.REFUSED, "user_data"),
    ("no time", {"event_time": None}, LeftOut.REFUSED, "event_time is missing"),
    ("milliseconds", {"event_time": NOW * 1000}, LeftOut.REFUSED, "milliseconds"),
    ("a list for a time", {"event_time": [NOW]}, LeftOut.REFUSED, "event_time must be"),
    ("a time without an offset", {"event_time": "2027-01-14T12:00:00"}, LeftOut.REFUSED, "--timezone"),
    ("tomorrow", {"event_time": NOW + DAY}, LeftOut.REFUSED, "future"),
    ("a Purchase of nothing", {"event_name": "Purchase"}, LeftOut.REFUSED, "custom_data.value"),
    (
        "a refund",
        {"event_name": "Purchase", "custom_data": {"value": -1, "currency": "EUR"}},
        LeftOut.REFUSED,
        "refund",
    ),
    ("eight days", {"event_time": NOW - 8 * DAY}, LeftOut.TOO_OLD, "older than 7 days"),
    ("about to grow too old", {"event_time": NOW - 7 * DAY + 60}, LeftOut.TOO_OLD, "older than 7 days"),
    (
        "63 days of a shop",
        {"event_time": NOW - 63 * DAY, "action_source": "physical_store"},
        LeftOut.TOO_OLD,
        "older than 62 days",
    ),
]


@pytest.mark.parametrize(("changes", "kind", "why"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_what_is_not_sent(changes: dict[str, Any], kind: LeftOut, why: str) -> None:
    """An event that Meta would certainly refuse is reported before anything is sent."""
    (item,) = _judged({**LEAD, **changes})

    assert isinstance(item, NotSent)
    assert (item.kind, why in item.why) == (kind, True)


SENT = [
    ("a week less two hours", {"event_time": NOW - 7 * DAY + 7200}, NOW - 7 * DAY + 7200),
    ("61 days of a shop", {"event_time": NOW - 61 * DAY, "action_source": "PHYSICAL_STORE"}, NOW - 61 * DAY),
    ("a time with an offset", {"event_time": "2027-01-15T08:00:00+01:00"}, NOW - 3600),
    ("a time as text", {"event_time": str(NOW)}, NOW),
    ("a time with a fraction", {"event_time": NOW + 0.9}, NOW),
]


@pytest.mark.parametrize(("changes", "time"), [pytest.param(*row[1:], id=row[0]) for row in SENT])
def test_what_is_sent(changes: dict[str, Any], time: int) -> None:
    """An event that Meta accepts is sent, with its time as a number."""
    (item,) = _judged({**LEAD, **changes})

    assert isinstance(item, Ready)
    assert (item.time_s, item.event["event_time"]) == (time, time)


def test_what_the_owner_adds() -> None:
    """Constants complete an event and never overwrite its values; the time zone completes its time."""
    bare = {"event_time": "2027-01-15 08:00:00", "user_data": {"em": "x"}, "custom_data": {"currency": "USD"}}
    constants = {
        "event_name": "Lead",
        "action_source": "physical_store",
        "custom_data.currency": "EUR",
        "custom_data.value": "3",
        "user_data.country": "de",
    }

    (item,) = _judged(bare, constants=constants, zone=ZoneInfo("Europe/Berlin"))

    assert isinstance(item, Ready)
    assert dict(item.event) | {"event_id": ""} == {
        "event_name": "Lead",
        "event_time": NOW - 3600,
        "event_id": "",
        "action_source": "physical_store",
        "user_data": {"em": "x", "country": "de"},
        "custom_data": {"currency": "USD", "value": "3"},
    }


@pytest.mark.parametrize("bare", [{}, {"custom_data": None}, {"custom_data": []}])
def test_what_the_owner_adds_to_an_event_without_custom_data(bare: dict[str, Any]) -> None:
    """A constant for custom data is added to an event without any; one for an order's items is not."""
    (item,) = _judged({**LEAD, **bare}, constants={"custom_data.colour": "red", "item.quantity": "1"})

    assert isinstance(item, Ready)
    assert item.event["custom_data"] == {"colour": "red"}
    assert "item" not in item.event


# -- the report


def test_the_report() -> None:
    """The report counts the events that can be sent and, by reason, those that cannot, with the first lines of each."""
    old = {**LEAD, "event_time": NOW - 9 * DAY}
    report = Report()
    for item in _judged(LEAD, {**LEAD, "action_source": "chat"}, *[old] * 12, {**LEAD, "event_name": ""}, LEAD):
        report.add(item)

    lines = ", ".join(map(str, range(3, 13)))
    assert list(report.lines()) == [
        "3 events can be sent",
        "  2 Lead from website",
        "  1 Lead from chat",
        "  from 2027-01-15 07:58Z to 2027-01-15 07:58Z",
        "12 too old",
        f"  older than 7 days, which is the most that Meta takes for website: 12 (line {lines}, …)",
        "1 refused",
        "  event_name is missing: 1 (line 15)",
    ]
    assert not report.is_clean


def test_a_report_does_not_grow_with_its_file() -> None:
    """Reasons beyond the fiftieth are counted together."""
    report = Report()
    for line in range(1000):
        report.add(NotSent(line, line, f"reason {line}"))

    assert len(report.reasons) == 51
    assert report.counts[LeftOut.REFUSED, "other reasons"] == 950


def test_names_do_not_fill_the_report() -> None:
    """Names of events beyond the hundredth are counted together."""
    report = Report()
    for item in _judged(*({**LEAD, "event_name": f"Event {number}"} for number in range(300))):
        report.add(item)

    assert (report.ready["other names", "website"], report.ready.total()) == (200, 300)


# -- progress


def test_progress_is_read_as_it_was_written() -> None:
    """Progress is read as it was written; other content is read as none."""
    progress = Progress(1, "asked", 10, "ab", 2, 30, 1)

    assert read_progress(progress.text()) == progress
    assert [read_progress(text) for text in (b"", b"{}", b"[]", progress.text()[:-5])] == [None] * 4
    assert read_progress(progress.text().replace(b'"format":1', b'"format":2')) is None

"""The simulator's rules: what Graph refuses, and with which subcode."""

from typing import Any

import orjson
import pytest
from simulator_samples import BARE, NOW, USER, event

from proxy.simulator.graph.reading import read
from proxy.simulator.graph.rules import batch_refusal, event_refusal
from proxy.simulator.graph.tables import SOURCES

DAY = 86_400
VALUE, CURRENCY = ("custom_data", "value"), ("custom_data", "currency")
DEVICE, TIME = ("app_data", "extinfo"), ("event_time",)
EXTINFO = ["a2", "shop.app", "1.0", "1.0.1", "14", *[""] * 11]


def _custom(data: dict[str, Any]) -> dict[str, Any]:
    return event(custom_data=data)


def _visit(at: int) -> dict[str, Any]:
    return event(event_time=at, action_source="physical_store")


def _messaging(name: str) -> dict[str, Any]:
    return event(event_name=name, action_source="business_messaging")


def _app(extinfo: Any) -> dict[str, Any]:
    return event(action_source="app", app_data={"extinfo": extinfo})


REFUSED = [
    ("older than seven days", event(event_time=NOW - 7 * DAY - 1), 2804003, TIME),
    ("a visit to a shop, older than 62 days", _visit(NOW - 62 * DAY - 1), 2804003, TIME),
    ("ahead by more than a minute", event(event_time=NOW + 61), 2804004, TIME),
    ("milliseconds", event(event_time=NOW * 1000), 2804004, TIME),
    ("Purchase without value", _custom({"currency": "EUR"}), 2804009, VALUE),
    ("Purchase without custom_data", event(custom_data=BARE), 2804009, VALUE),
    ("Purchase with words for a value", _custom({"value": "ten", "currency": "EUR"}), 2804009, VALUE),
    ("Purchase with true for a value", _custom({"value": True, "currency": "EUR"}), 2804009, VALUE),
    ("Purchase with an infinite value", _custom({"value": "inf", "currency": "EUR"}), 2804009, VALUE),
    ("Purchase without currency", _custom({"value": 1}), 2804011, CURRENCY),
    ("Purchase in euros by sign", _custom({"value": 1, "currency": "€"}), 2804011, CURRENCY),
    ("a name messaging does not know", _messaging("Lead"), 2804066, ("event_name",)),
    ("app without app_data", event(action_source="app"), 2804043, DEVICE),
    ("extinfo with 15 slots", _app(EXTINFO[:15]), 2804043, DEVICE),
    ("extinfo of an unknown platform", _app(["w1", *EXTINFO[1:]]), 2804043, DEVICE),
    ("extinfo without a system version", _app([*EXTINFO[:4], "", *EXTINFO[5:]]), 2804043, DEVICE),
    ("not an object", "Purchase", None, ("data",)),
    ("no name", event(event_name=BARE), None, ("event_name",)),
    ("blank name", event(event_name=""), None, ("event_name",)),
    ("no time", event(event_time=BARE), None, TIME),
    ("time in words", event(event_time="yesterday"), None, TIME),
    ("time without an offset", event(event_time="2027-01-15T08:00:00"), None, TIME),
    ("time older than seven days as text", event(event_time="2027-01-08T07:59:59Z"), 2804003, TIME),
    ("milliseconds as text", event(event_time=f"{NOW}000"), 2804004, TIME),
    ("time as a list", event(event_time=[NOW]), None, TIME),
    ("lead_id of 14 digits", event(user_data={"lead_id": "12345678901234"}), None, ("user_data", "lead_id")),
    (
        "lead_id that a float has rounded",
        event(user_data={"lead_id": 1.2345678901234568e17}),
        None,
        ("user_data", "lead_id"),
    ),
    ("lead_id with its prefix", event(user_data={"lead_id": "l:525645896321548"}), None, ("user_data", "lead_id")),
    ("time as true", event(event_time=True), None, TIME),
    ("no action_source", event(action_source=BARE), None, ("action_source",)),
    ("unknown action_source", event(action_source="web site"), None, ("action_source",)),
    ("event_id as a fraction", event(event_id=7.5), None, ("event_id",)),
    ("event_id as true", event(event_id=True), None, ("event_id",)),
    ("user_data as a list", event(user_data=[]), None, ("user_data",)),
    ("custom_data as text that is not JSON", event(custom_data="{"), None, ("custom_data",)),
    ("custom_data as JSON text of a list", event(custom_data="[]"), None, ("custom_data",)),
    ("opt_out in other words", event(opt_out="perhaps"), None, ("opt_out",)),
    ("a state in words", event(data_processing_options_state="CA"), None, ("data_processing_options_state",)),
    ("extinfo with a hole in slot 4", _app({"0": "a2", "5": "x"}), 2804043, DEVICE),
    ("extinfo with a slot beyond all", _app({"0": "a2", "4": "14", "999999999": "x"}), 2804043, DEVICE),
    (
        "a name messaging does not know, in capitals",
        event(event_name="Lead", action_source="BUSINESS_MESSAGING"),
        2804066,
        ("event_name",),
    ),
    ("nested too deep", event(nested=orjson.loads(b"[" * 40 + b"]" * 40)), None, ("data",)),
]

ACCEPTED = [
    ("flawless", event()),
    ("seven days old to the second", event(event_time=NOW - 7 * DAY)),
    ("a visit to a shop, 62 days old", _visit(NOW - 62 * DAY)),
    ("ahead by a minute", event(event_time=NOW + 60)),
    ("value as text", _custom({"value": "142.52", "currency": "usd"})),
    ("PageView without custom_data", event(event_name="PageView", custom_data=BARE)),
    ("Lead without currency", event(event_name="Lead", custom_data={"value": 1})),
    ("no client_user_agent, as seen live", event(user_data={"em": [USER["em"]]})),
    ("no event_source_url, which is lint", event(event_source_url=BARE)),
    ("no id", event(event_id=BARE)),
    ("a null where a field is optional", event(referrer_url=None, opt_out=None)),
    ("a name messaging knows", _messaging("LeadSubmitted")),
    ("an app event", _app(EXTINFO)),
    ("an app event with nulls for gaps, as of Python and PHP", _app([*EXTINFO[:5], *[None] * 11])),
    ("an app event with holes, as of Node", _app({"0": "i2", "4": "13.4.1"})),
    ("an app event of a form", _app(orjson.dumps(EXTINFO).decode())),
    ("time as digits", event(event_time=str(NOW))),
    ("time as a float", event(event_time=NOW - 0.5)),
    ("time as ISO 8601 in UTC, as of JavaScript", event(event_time="2027-01-15T07:59:59.123Z")),
    ("time as ISO 8601 with an offset", event(event_time="2027-01-15T09:59:59+02:00")),
    ("capitals in action_source, as of Node", event(action_source="WEBSITE")),
    ("event_id as a number", event(event_id=7)),
    (
        "user_data and custom_data as text",
        event(user_data='{"em": "x"}', custom_data='{"value": "1", "currency": "EUR"}'),
    ),
    (
        "a form's booleans and numbers",
        event(
            opt_out="true",
            data_processing_options="LDU",
            data_processing_options_country="1",
            data_processing_options_state="1000",
        ),
    ),
    ("opt_out as 0", event(opt_out=0)),
    ("lists as PHP writes them", event(user_data={"em": {"0": "x"}}, data_processing_options={"0": "LDU"})),
    ("lead_id beyond 2^53", event(action_source="system_generated", user_data={"lead_id": 98765432109876543})),
    ("lead_id as text", event(action_source="system_generated", user_data={"lead_id": "98765432109876543"})),
    ("everything null that may be", event(app_data=None, original_event_data=None, attribution_data=None)),
    *((f"from {source}", event(action_source=source)) for source in sorted(SOURCES - {"app"})),
]


@pytest.mark.parametrize(("sent", "subcode", "blame"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_each_fault_has_its_subcode(sent: Any, subcode: int | None, blame: tuple[str, ...]) -> None:
    """A bad event is refused with HTTP 400, code 100, its subcode and the field to blame."""
    refusal = event_refusal(read(sent), NOW)

    assert refusal
    assert (400, 100, subcode, blame) == (refusal.status, refusal.code, refusal.subcode, refusal.blame)


@pytest.mark.parametrize("sent", [pytest.param(row[1], id=row[0]) for row in ACCEPTED])
def test_the_good_side_of_each_border(sent: dict[str, Any]) -> None:
    """An event just within each limit is accepted."""
    assert event_refusal(read(sent), NOW) is None


@pytest.mark.parametrize(
    "keys",
    [
        "",
        "client_user_agent",
        "ct country st zp ge client_user_agent",
        "ge ct st country",
        "db client_user_agent",
        "db",
        "fn ge",
        "ln ge",
        "unheard_of",
        "fn ge unheard_of",
    ],
)
def test_too_broad_to_match(keys: str) -> None:
    """Each of Meta's four sets, and every part of one, fails with 2804050; unknown keys do not help."""
    refusal = event_refusal(event(user_data=dict.fromkeys(keys.split(), "x")), NOW)

    assert refusal
    assert refusal.subcode == 2804050


@pytest.mark.parametrize(
    "keys",
    ["em", "client_ip_address client_user_agent", "fn ln", "db ge", "fn zp", "ct country fn", "fbp", "external_id"],
)
def test_one_key_beyond_the_sets_is_enough(keys: str) -> None:
    """Any combination of keys that is not part of one set is accepted."""
    assert event_refusal(event(user_data=dict.fromkeys(keys.split(), "x")), NOW) is None


@pytest.mark.parametrize("nothing", [None, "", [], [""], [None], {}])
def test_an_empty_value_identifies_nobody(nothing: Any) -> None:
    """A key with an empty value does not count as sent."""
    refusal = event_refusal(event(user_data={"em": nothing, "client_user_agent": "x"}), NOW)

    assert refusal
    assert refusal.subcode == 2804050


def test_no_user_data_at_all() -> None:
    """An event without user_data fails like one with nothing in it."""
    refusal = event_refusal(event(user_data=BARE), NOW)

    assert refusal
    assert refusal.subcode == 2804050


@pytest.mark.parametrize(("count", "accepted"), [(0, False), (1, True), (1000, True), (1001, False)])
def test_batch_sizes(count: int, accepted: bool) -> None:  # noqa: FBT001
    """A request has one to a thousand events."""
    assert accepted is (batch_refusal([event()] * count, NOW) is None)


def test_one_bad_event_is_enough() -> None:
    """The first bad event refuses the whole request."""
    refusal = batch_refusal([event(), event(event_time=1), _custom({})], NOW)

    assert refusal
    assert refusal.subcode == 2804003

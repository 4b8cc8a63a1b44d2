"""The simulator's rules: what Graph refuses, with which subcode."""

from typing import Any

import orjson
import pytest
from simulator_samples import BARE, NOW, USER, event

from proxy.simulator.graph.rules import refuse, refuse_one

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
    ("time as text", event(event_time=str(NOW)), None, TIME),
    ("time as true", event(event_time=True), None, TIME),
    ("no action_source", event(action_source=BARE), None, ("action_source",)),
    ("unknown action_source", event(action_source="Website"), None, ("action_source",)),
    ("event_id as a number", event(event_id=7), None, ("event_id",)),
    ("user_data as a list", event(user_data=[]), None, ("user_data",)),
    ("custom_data as text", event(custom_data="{}"), None, ("custom_data",)),
    ("opt_out as text", event(opt_out="true"), None, ("opt_out",)),
    ("data_processing_options as text", event(data_processing_options="LDU"), None, ("data_processing_options",)),
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
]


@pytest.mark.parametrize(("sent", "subcode", "blame"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_each_fault_has_its_subcode(sent: Any, subcode: int | None, blame: tuple[str, ...]) -> None:
    """A bad event is refused with HTTP 400, code 100, its subcode and the field to blame."""
    refusal = refuse_one(sent, NOW)

    assert refusal
    assert (400, 100, subcode, blame) == (refusal.status, refusal.code, refusal.subcode, refusal.blame)


@pytest.mark.parametrize("sent", [pytest.param(row[1], id=row[0]) for row in ACCEPTED])
def test_the_good_side_of_each_border(sent: dict[str, Any]) -> None:
    """What lies just inside a rule is accepted."""
    assert refuse_one(sent, NOW) is None


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
    refusal = refuse_one(event(user_data=dict.fromkeys(keys.split(), "x")), NOW)

    assert refusal
    assert refusal.subcode == 2804050


@pytest.mark.parametrize(
    "keys",
    ["em", "client_ip_address client_user_agent", "fn ln", "db ge", "fn zp", "ct country fn", "fbp", "external_id"],
)
def test_one_key_beyond_the_sets_is_enough(keys: str) -> None:
    """Any combination that is no part of one set passes."""
    assert refuse_one(event(user_data=dict.fromkeys(keys.split(), "x")), NOW) is None


@pytest.mark.parametrize("nothing", [None, "", [], [""], [None], {}])
def test_an_empty_value_identifies_nobody(nothing: Any) -> None:
    """A key that holds nothing does not count as sent."""
    refusal = refuse_one(event(user_data={"em": nothing, "client_user_agent": "x"}), NOW)

    assert refusal
    assert refusal.subcode == 2804050


def test_no_user_data_at_all() -> None:
    """An event without user_data fails like one with nothing in it."""
    refusal = refuse_one(event(user_data=BARE), NOW)

    assert refusal
    assert refusal.subcode == 2804050


@pytest.mark.parametrize(("count", "accepted"), [(0, False), (1, True), (1000, True), (1001, False)])
def test_batch_sizes(count: int, accepted: bool) -> None:  # noqa: FBT001
    """One to a thousand events make a request."""
    assert accepted is (refuse([event()] * count, NOW) is None)


def test_one_bad_event_is_enough() -> None:
    """The first bad event decides for the whole request."""
    refusal = refuse([event(), event(event_time=1), _custom({})], NOW)

    assert refusal
    assert refusal.subcode == 2804003

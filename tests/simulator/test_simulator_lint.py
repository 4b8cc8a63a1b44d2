"""The simulator's lint: flaws that Meta accepts silently and handles badly."""

from typing import Any

import pytest
from simulator_samples import BARE, EMAIL, USER, event

from proxy.simulator.graph.lint import lint

NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
OPTIONS = "data_processing_options"
LDU = {OPTIONS: ["LDU"]}
DOUBLED = "doubled_appendix"
MARK = "AQQCAQIB"


def _user(**changes: Any) -> dict[str, Any]:
    user = {**USER, **changes}
    return event(user_data={key: value for key, value in user.items() if value is not BARE})


def _clicked(identity: str) -> dict[str, Any]:
    return {**_user(fbc=f"fb.1.1800000000000.{identity}"), "event_source_url": "https://shop.example/?fbclid=AbCd"}


REMARKS: list[tuple[str, dict[str, Any], str, str]] = [
    ("no address of the page", event(event_source_url=BARE), "missing", "event_source_url"),
    ("an address of another kind", event(event_source_url="shop.example"), "not_http", "event_source_url"),
    ("no user agent", _user(client_user_agent=BARE), "missing", "user_data.client_user_agent"),
    ("no id", event(event_id=BARE), "missing", "event_id"),
    ("id in the wrong place", event(custom_data={"event_id": "1"}), "misplaced", "custom_data.event_id"),
    ("plain e-mail", _user(em="a@b.example"), "unhashed", "user_data.em"),
    ("plain phone within a list", _user(ph=[EMAIL, "4915112345678"]), "unhashed", "user_data.ph"),
    ("MD5", _user(em="5d41402abc4b2a76b9719d911017c592"), "unhashed", "user_data.em"),
    ("hash of nothing", _user(fn=NOTHING), "hash_of_nothing", "user_data.fn"),
    ("upper-case hash", _user(em=EMAIL.upper()), "upper_case_hash", "user_data.em"),
    ("hash marked twice", _user(em=f"{EMAIL}.{MARK}.{MARK}"), DOUBLED, "user_data.em"),
    ("hashed address", _user(client_ip_address=EMAIL), "hashed", "user_data.client_ip_address"),
    ("hashed browser id", _user(fbp=EMAIL), "hashed", "user_data.fbp"),
    ("external_id as a number", _user(external_id=[7]), "not_text", "user_data.external_id"),
    ("private address", _user(client_ip_address="10.0.0.1"), "private_address", "user_data.client_ip_address"),
    ("loopback", _user(client_ip_address="::1"), "private_address", "user_data.client_ip_address"),
    ("no address", _user(client_ip_address="unknown"), "bad_address", "user_data.client_ip_address"),
    ("address marked twice", _user(client_ip_address=f"9.9.9.9.{MARK}.{MARK}"), DOUBLED, "user_data.client_ip_address"),
    ("click time in seconds", _user(fbc="fb.1.1800000000.AbCd"), "not_milliseconds", "user_data.fbc"),
    ("click id without its prefix", _user(fbc="AbCd"), "bad_format", "user_data.fbc"),
    ("click id marked twice", _user(fbc=f"fb.1.1800000000000.AbCd.{MARK}.{MARK}"), DOUBLED, "user_data.fbc"),
    ("click id in lower case", _clicked("abcd"), "altered_case", "user_data.fbc"),
    ("browser id of letters", _user(fbp="fb.1.1800000000000.x"), "bad_format", "user_data.fbp"),
    ("browser id marked twice", _user(fbp=f"fb.1.1800000000000.1.{MARK}.{MARK}"), DOUBLED, "user_data.fbp"),
    ("a key nobody knows", _user(email="x"), "unknown", "user_data.email"),
    ("value without currency", event(custom_data={"value": 1}), "missing", "custom_data.currency"),
    ("value in words", event(custom_data={"value": "ten", "currency": "EUR"}), "not_a_number", "custom_data.value"),
    (
        "an item without id",
        event(custom_data={"contents": [{"id": "1"}, {"quantity": 1}]}),
        "missing",
        "custom_data.contents.id",
    ),
    (
        "limited use without a country",
        event(LDU, data_processing_options_state=0),
        "missing",
        "data_processing_options_country",
    ),
    (
        "limited use without a state",
        event(LDU, data_processing_options_country=0),
        "missing",
        "data_processing_options_state",
    ),
]

CRM = {"event_source": "crm", "lead_event_source": "Desk"}
LEAD = event(action_source="system_generated", user_data={"lead_id": "525645896321548"}, custom_data=CRM)
APP = event(action_source="app", app_data={"advertiser_tracking_enabled": False, "application_tracking_enabled": True})
MESSAGE = event(action_source="business_messaging", messaging_channel="whatsapp")
BY_SOURCE: list[tuple[str, dict[str, Any], str, str]] = [
    ("a lead of no source", {**LEAD, "custom_data": {}}, "missing", "custom_data.event_source"),
    ("a lead of another source", {**LEAD, "custom_data": {"event_source": "x"}}, "missing", "custom_data.event_source"),
    ("a lead of no CRM", {**LEAD, "custom_data": {"event_source": "crm"}}, "missing", "custom_data.lead_event_source"),
    ("an app without a flag", {**APP, "app_data": {}}, "missing", "app_data.advertiser_tracking_enabled"),
    ("a message through no channel", {**MESSAGE, "messaging_channel": None}, "missing", "messaging_channel"),
]

CLEAN = [
    ("a lead of a CRM", LEAD),
    ("an app that says who may track", APP),
    (
        "a flag beside app_data, as Node writes it",
        {**APP, "app_data": {"application_tracking_enabled": True}, "advertiser_tracking_enabled": True},
    ),
    ("a message", MESSAGE),
    ("flawless", event()),
    ("a phone call has no page", event(action_source="phone_call", event_source_url=BARE)),
    ("a hash with Meta's mark", _user(em=f"{EMAIL}.{MARK}", ph=f"{EMAIL}.BA")),
    ("addresses with Meta's mark", _user(client_ip_address=f"168.212.226.204.{MARK}")),
    ("IPv6", _user(client_ip_address="2001:4860:4860::8888")),
    ("cookies", _user(fbc="fb.1.1800000000000.AbCd", fbp="fb.1.1800000000000.12345678")),
    ("cookies with Meta's mark", _user(fbc=f"fb.1.1800000000000.AbCd.{MARK}", fbp=f"fb.1.1800000000000.1.{MARK}")),
    ("the click of the address", _clicked("AbCd")),
    ("an older click", _clicked("xyz")),
    ("an address urllib cannot split", {**_user(fbc="fb.1.1800000000000.xyz"), "event_source_url": "http://["}),
    ("plain external_id", _user(external_id="customer-7")),
    (
        "limited use",
        event(LDU, data_processing_options_country=1, data_processing_options_state=1000),
    ),
]


@pytest.mark.parametrize(
    ("sent", "problem", "field"), [pytest.param(*row[1:], id=row[0]) for row in REMARKS + BY_SOURCE]
)
def test_each_flaw_is_remarked(sent: dict[str, Any], problem: str, field: str) -> None:
    """A flaw is reported together with its field."""
    assert (problem, field) in lint(sent)


@pytest.mark.parametrize("sent", [pytest.param(row[1], id=row[0]) for row in CLEAN])
def test_good_events_get_no_remark(sent: dict[str, Any]) -> None:
    """Lint reports nothing about events as Meta's pages and SDKs show them."""
    assert lint(sent) == []

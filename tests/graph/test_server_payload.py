"""Servers' events in the form that Graph accepts, and how old they may be."""

from typing import Any

import orjson
import pytest

from proxy.graph.law import ACTION_SOURCES, max_age_ms
from proxy.graph.payload import server_record
from proxy.model.event import Event
from proxy.model.server_request import NO_FIELDS, RequestFields

DAY_MS = 86_400_000
FIELDS = RequestFields(test_event_code="TEST1", upload_tag="till")


def event(**changes: Any) -> Event:
    usual: dict[str, Any] = {
        "pixel": "123",
        "name": "Purchase",
        "id": "order-1",
        "time_s": 1_764_000_000,
        "url": "",
        "referrer": "",
        "user_data": {"em": ["a" * 64]},
        "custom_data": {"value": 5, "currency": "EUR"},
        "options": None,
        "action_source": "app",
    }
    return Event(**(usual | changes))


USUAL = {
    "event_name": "Purchase",
    "event_time": 1_764_000_000,
    "event_id": "order-1",
    "action_source": "app",
    "user_data": {"em": ["a" * 64]},
    "custom_data": {"value": 5, "currency": "EUR"},
}


@pytest.mark.parametrize(
    ("changes", "members"),
    [
        ({}, {}),
        ({"opt_out": True}, {"opt_out": True}),
        ({"opt_out": False}, {"opt_out": False}),
        ({"more": {"app_data": {"extinfo": ["a2"]}, "note": "x"}}, {"app_data": {"extinfo": ["a2"]}, "note": "x"}),
        ({"more": {"event_name": "Other", "user_data": {}}}, {}),
        (
            {"url": "https://shop.example/", "referrer": "https://r.example/"},
            {"event_source_url": "https://shop.example/", "referrer_url": "https://r.example/"},
        ),
        (
            {"options": ((), 0, 0)},
            {
                "data_processing_options": [],
                "data_processing_options_country": 0,
                "data_processing_options_state": 0,
            },
        ),
    ],
)
def test_a_servers_event_is_written_whole(changes: dict[str, Any], members: dict[str, Any]) -> None:
    """Further members are sent unchanged, and never replace those that every event has."""
    assert orjson.loads(server_record(event(**changes), NO_FIELDS).whole) == USUAL | members


def test_a_servers_record_says_outside_what_the_queue_must_know() -> None:
    """The record has the request fields and the source, which decide its batch and its age limit, as attributes.

    It has no browser's copy and no visitor.
    """
    record = server_record(event(person_digests=(b"d" * 16,), findings=("value:doubtful",)), FIELDS)

    assert (record.action_source, record.fields, record.shared) == ("app", FIELDS, b"")
    assert (record.browser_copy, record.visitor) == (None, b"")
    assert (record.person_digests, record.findings) == ((b"d" * 16,), ("value:doubtful",))
    assert len(record.worth) == 4
    assert b"TEST1" not in record.payload


@pytest.mark.parametrize("source", ACTION_SOURCES)
def test_a_shop_of_bricks_has_longer(source: str) -> None:
    """The limit is 62 days, as Meta says of ``physical_store`` alone, and 7 for every other source."""
    assert max_age_ms(source) == (62 if source == "physical_store" else 7) * DAY_MS

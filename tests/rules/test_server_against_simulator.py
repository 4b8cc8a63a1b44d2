"""What the rules pass, the simulator of Graph accepts, though neither shares code with the other.

One event that Graph refuses fails its whole batch, so whatever a sender writes must be refused at our endpoint or come
out in a form that Graph accepts.
"""

from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from server_requests import NOW_S, event, purchase, taken

from proxy.graph import law
from proxy.simulator.graph.rules import event_refusal

EXTINFO = ["a2", "", "", "", "14", *[""] * 11]
ODD = st.sampled_from(
    [None, "", 0, 1, -1, 1.5, True, "a", "1", [], {}, [None], ["a", None], {"0": "a"}, 2**70, "x" * 300]
)
USER = st.dictionaries(
    st.sampled_from(["em", "ph", "ge", "fn", "db", "external_id", "lead_id", "fbp", "fbc", "client_ip_address",
                     "client_user_agent", "madid", "page_id", "ctwa_clid", "partner_id", "unknown"]),
    ODD | st.sampled_from(["ada@mail.example", "+4930901820", "fb.1.1.2", "93.184.216.34", "12345678901234567"]),
    max_size=5,
)  # fmt: skip
CUSTOM = st.dictionaries(
    st.sampled_from(
        ["value", "currency", "contents", "content_ids", "order_id", "num_items", "predicted_ltv", "other"]
    ),
    ODD | st.sampled_from(["EUR", "12.5", "12,50", '[{"id":"a"}]', [{"id": "a", "quantity": "2"}]]),
    max_size=5,
)
EVENTS = st.fixed_dictionaries(
    {
        "event_name": st.sampled_from([*sorted(law.STANDARD_EVENTS), "LeadSubmitted", "own name"]) | ODD,
        "event_time": st.integers(NOW_S - 70 * 86_400, NOW_S + 100) | st.just(str(NOW_S)) | ODD,
        "action_source": st.sampled_from(law.ACTION_SOURCES) | ODD,
        "user_data": USER | ODD,
    },
    optional={
        "event_id": ODD,
        "custom_data": CUSTOM | ODD,
        "event_source_url": st.sampled_from(["https://shop.example/", "shop", "https://shop.example/?fbclid=a"]) | ODD,
        "referrer_url": ODD,
        "opt_out": ODD,
        "data_processing_options": st.just(["LDU"]) | ODD,
        "data_processing_options_country": ODD,
        "data_processing_options_state": ODD,
        "app_data": st.fixed_dictionaries({"extinfo": st.just(EXTINFO) | ODD}) | ODD,
        "original_event_data": st.fixed_dictionaries({"event_time": ODD, "order_id": ODD}) | ODD,
        "attribution_data": ODD,
        "messaging_channel": ODD,
        "customer_segmentation": ODD,
        "note": ODD,
    },
)


@given(EVENTS)
@example(purchase(custom_data={"value": 2**70, "currency": "EUR"}))
@example(purchase(custom_data={"value": "-1e-3", "currency": "eur"}))
@example(event(user_data={"lead_id": "00012"}))
@settings(max_examples=600, deadline=None)
def test_what_passes_is_taken(claimed: dict[str, Any]) -> None:
    """Each event is refused or dropped here, or sent in a form that the simulator accepts."""
    decision = taken(claimed)

    assert decision.decision.faults == ()
    assert len(decision.refused) + len(decision.decision.dropped) + len(decision.decision.records) == 1
    for record in decision.decision.records:
        assert event_refusal(orjson.loads(record.whole), NOW_S) is None


@pytest.mark.parametrize(
    "claimed",
    [
        event(event_time=NOW_S - 8 * 86_400),
        event(event_time=NOW_S + 3600),
        event(event_time=NOW_S - 63 * 86_400, action_source="physical_store"),
        purchase(custom_data={"currency": "EUR"}),
        purchase(custom_data={"value": 1}),
        event(user_data={}),
        event(user_data={"ge": "f", "ct": "bonn", "client_user_agent": "x"}),
        event(action_source="business_messaging"),
        event(action_source="app"),
        event(action_source="nowhere"),
        event(user_data={"em": "a" * 64, "lead_id": "12"}),
        event(event_name=None),
        event(event_time=None),
    ],
)
def test_refusals_have_the_simulators_code_and_member(claimed: dict[str, Any]) -> None:
    """Our refusals have Graph's codes and member names, so a client that knows Graph's errors understands them."""
    (ours,) = taken(claimed).refused
    graphs = event_refusal(claimed, NOW_S)

    assert graphs is not None
    assert (ours.code, ours.subcode or None, ours.field) == (graphs.code, graphs.subcode, ".".join(graphs.blame))

"""The steps for server events: refused as by Graph, dropped according to the settings, or sent clean and hashed."""

from hashlib import sha256
from typing import Any

import pytest
from cases import FBC, FBP, KEYS, site
from hypothesis import given
from hypothesis import strategies as st
from server_requests import NOW_S, PERSON_KEY, PIXEL, event, only, purchase, sent, taken

from proxy.graph import law
from proxy.model.server_request import ServerHit, ServerRequest
from proxy.rules import server_records
from proxy.rules.effort import run_parts
from proxy.rules.identity.person import digests
from proxy.rules.policy import Policy
from proxy.rules.server import SERVER_STEPS, ingest_server, ingest_server_whole

DAY = 86_400
HASH = sha256(b"ada@mail.example").hexdigest()
EXTINFO = ["a2", "", "", "", "14", *[""] * 11]


def refused(*events: Any, **changes: Any) -> tuple[int, int, str]:
    """Return place, subcode and member of the only refusal."""
    decision = taken(*events, **changes)
    (refusal,) = decision.refused
    assert decision.decision.refused == 1
    assert refusal.code == 100
    return refusal.place, refusal.subcode, refusal.field


def dropped(*events: Any, **changes: Any) -> list[str]:
    decision = taken(*events, **changes)
    assert (decision.decision.records, decision.refused) == ((), ())
    return [str(row.reason) for row in decision.decision.dropped]


@pytest.mark.parametrize("source", law.ACTION_SOURCES)
def test_age_is_asked_of_the_action_source(source: str) -> None:
    """62 days for ``physical_store``, 7 otherwise, less an hour for delivery; up to a minute ahead counts as now."""
    most = (62 if source == "physical_store" else 7) * DAY - 3600
    usual = {"event_name": "Purchase", "action_source": source, "app_data": {"extinfo": EXTINFO}}
    told = usual | {"custom_data": {"value": 1, "currency": "EUR"}}

    assert only(taken(event(event_time=NOW_S - most, **told)))["event_time"] == NOW_S - most
    assert refused(event(event_time=NOW_S - most - 1, **told)) == (0, 2804003, "event_time")
    assert only(taken(event(event_time=NOW_S + 60, **told)))["event_time"] == NOW_S
    assert refused(event(event_time=NOW_S + 61, **told)) == (0, 2804004, "event_time")


@pytest.mark.parametrize(
    ("custom_data", "subcode", "member"),
    [
        (None, 2804009, "value"),
        ({"currency": "EUR"}, 2804009, "value"),
        ({"currency": "EUR", "value": None}, 2804009, "value"),
        ({"currency": "EUR", "value": "free"}, 2804009, "value"),
        ({"currency": "EUR", "value": "1,234"}, 2804009, "value"),
        ({"currency": "EUR", "value": True}, 2804009, "value"),
        ({"value": 1}, 2804011, "currency"),
        ({"value": 1, "currency": "euros"}, 2804011, "currency"),
        ({"value": 1, "currency": 978}, 2804011, "currency"),
    ],
)
def test_a_purchase_needs_value_and_currency(custom_data: Any, subcode: int, member: str) -> None:
    """A purchase without one is refused as by Graph, and the refusal names the member."""
    assert refused(purchase(custom_data=custom_data)) == (0, subcode, f"custom_data.{member}")


@pytest.mark.parametrize(
    "user_data",
    [
        {},
        {"ge": "f", "fn": "Ada"},
        {"db": "19800101", "client_user_agent": "x"},
        {"country": "de", "ct": "Bonn"},
        {"em": "n/a"},
        {"email": "ada@mail.example"},
        {"fbp": "nonsense"},
        {"client_ip_address": "unknown"},
    ],
)
def test_keys_that_fit_too_many_people_are_refused(user_data: Any) -> None:
    """Unusable values do not count, as Graph does not count them."""
    assert refused(event(user_data=user_data)) == (0, 2804050, "user_data")


@pytest.mark.parametrize("lead_id", ["77", "1" * 14, "1" * 18, "0" + "1" * 14, HASH, -1, "\u0660" * 15])
def test_a_wrong_id_of_a_lead_is_refused(lead_id: Any) -> None:
    """Meta refuses an event with such an id, whatever else identifies the person."""
    assert refused(event(user_data={"em": HASH, "lead_id": lead_id})) == (0, 0, "user_data.lead_id")


def test_a_refusal_names_the_unusable_keys_and_no_value() -> None:
    """The sender can find the mistake, while no log holds the person's data."""
    (refusal,) = taken(event(user_data={"em": "ada(at)mail.example", "fbp": "x.y"})).refused

    assert "(em:unusable, fbp:unusable)" in refusal.why
    assert "ada" not in refusal.why


@pytest.mark.parametrize("name", sorted(law.MESSAGING_EVENTS))
def test_messages_have_names_of_their_own(name: str) -> None:
    """For messages, Graph refuses every other name with 2804066."""
    told = {"action_source": "business_messaging", "messaging_channel": "whatsapp", "user_data": {"ctwa_clid": "ARx1"}}

    assert only(taken(purchase(event_name=name, **told)))["event_name"] == name
    assert refused(purchase(event_name=f"{name}d", **told)) == (0, 2804066, "event_name")


@pytest.mark.parametrize(
    "app_data",
    [None, {}, {"extinfo": []}, {"extinfo": ["a2"]}, {"extinfo": ["x", "", "", "", "1"]}, {"extinfo": {"4": "1"}}],
)
def test_an_app_must_name_its_device(app_data: Any) -> None:
    """Graph refuses an app's event without both versions with 2804043; an event of another source needs none."""
    assert refused(event(action_source="app", app_data=app_data)) == (0, 2804043, "app_data.extinfo")
    assert only(taken(event(action_source="chat", app_data=app_data or None)))["action_source"] == "chat"


def test_the_first_bad_event_refuses_all_where_the_door_is_graphs() -> None:
    """At Graph's endpoint nothing is stored or noted, and the first bad event is named, whatever is wrong with it."""
    good, old, broken = event(), event(event_time=1), event(action_source="x")
    for events, place in (((good, old, broken), 1), ((good, broken, old), 1), ((old, good), 0)):
        decision = taken(*events, all_or_nothing=True)
        assert [refusal.place for refusal in decision.refused] == [place]
        assert (decision.decision.records, decision.decision.dropped) == ((), ())
    gateway = taken(good, old, broken)
    assert ([refusal.place for refusal in gateway.refused], len(gateway.decision.records)) == ([1, 2], 1)
    assert (gateway.received, gateway.decision.taken) == (3, 1)


def test_a_thousand_events_with_three_bad_ones() -> None:
    """The Gateway's endpoint accepts 997 and names 3."""
    events = [event(event_id=str(number)) for number in range(1000)]
    for place in (3, 500, 999):
        events[place]["event_time"] = 1
    decision = taken(*events)

    assert len(decision.decision.records) == 997
    assert [(refusal.place, refusal.id) for refusal in decision.refused] == [(3, "3"), (500, "500"), (999, "999")]


def test_contact_data_is_hashed_and_ids_stay() -> None:
    """A raw value and its hash make the same event, and the same person digests for the queue."""
    raw = taken(
        event(user_data={"em": " Ada@Mail.example ", "ph": "+49 30 901820", "lead_id": "99007199254740993", "fbp": FBP})
    )
    hashed = taken(event(user_data={"em": [HASH.upper()], "ph": sha256(b"4930901820").hexdigest(), "fbp": FBP}))

    assert only(raw)["user_data"]["em"] == only(hashed)["user_data"]["em"] == [HASH]
    assert only(raw)["user_data"]["lead_id"] == 99007199254740993
    (first,), (second,) = raw.decision.records, hashed.decision.records
    assert first.person_digests == second.person_digests == digests(only(raw)["user_data"], [PERSON_KEY])


@pytest.mark.parametrize(
    ("claimed", "expected", "finding"),
    [
        ("93.184.216.34", "93.184.216.34", None),
        ("93.184.216.34.AQQAAQMC", "93.184.216.34", None),
        ("93.184.216.34.BA.AQQAAQMC", "93.184.216.34", None),
        ("2606:2800:220:1:248:1893:25C8:1946.AQQAAQMC", "2606:2800:220:1:248:1893:25c8:1946", None),
        ("::ffff:93.184.216.34", "93.184.216.34", None),
        ("10.0.0.7", "10.0.0.7", "client_ip_address:doubtful"),
        ("93.184.216.34, 10.0.0.1", None, "client_ip_address:unusable"),
        ("localhost", None, "client_ip_address:unusable"),
        ("1" * 5000, None, "client_ip_address:unusable"),
    ],
)
def test_only_an_address_is_an_address(claimed: str, expected: str | None, finding: str | None) -> None:
    """A library's appendix is removed from an address; a private address is reported, as it is hardly the buyer's."""
    decision = taken(event(user_data={"em": HASH, "client_ip_address": claimed}))

    assert only(decision)["user_data"].get("client_ip_address") == expected
    assert (finding is None) or finding in decision.decision.records[0].findings


def test_nothing_of_the_sender_is_the_buyers() -> None:
    """An event without address, user agent, visitor or browser id gets none from the sender's request."""
    (record,) = taken(event(user_data={"em": HASH})).decision.records

    assert set(only(taken(event(user_data={"em": HASH})))["user_data"]) == {"em"}
    assert (record.visitor, record.bot_reason) == (b"", "")


@pytest.mark.parametrize(
    ("user_data", "source", "expected"),
    [
        ({}, "website", f"fb.1.{(NOW_S - 60) * 1000}.XyZ"),
        ({"fbc": FBC}, "website", FBC),
        ({"fbc": f"{FBC}.AQQCAQMC"}, "website", f"{FBC}.AQQCAQMC"),
        ({"fbc": "nonsense"}, "website", f"fb.1.{(NOW_S - 60) * 1000}.XyZ"),
        ({}, "email", None),
    ],
)
def test_the_click_of_an_address_becomes_fbc(user_data: Any, source: str, expected: str | None) -> None:
    """The parameter is removed from the address, so ``fbc`` is made of it first."""
    url = "https://shop.example/?fbclid=XyZ.AQQCAQMC"
    made = only(taken(event(event_source_url=url, action_source=source, user_data={"em": HASH, **user_data})))

    assert made["user_data"].get("fbc") == expected
    assert made["event_source_url"] == "https://shop.example/"


@pytest.mark.parametrize(
    ("settings", "options", "expected"),
    [
        ({}, None, None),
        ({"ldu": True}, None, ["LDU"]),
        ({"ldu": True}, [], ["LDU"]),
        ({}, [], []),
    ],
)
def test_limited_data_use_of_site_and_event(settings: Any, options: Any, expected: Any) -> None:
    """The site's setting applies unless the event asks for Limited Data Use itself, with its own country and state."""
    told = {} if options is None else {"data_processing_options": options}

    assert only(taken(event(**told), **settings)).get("data_processing_options") == expected
    own = only(taken(event(data_processing_options=["LDU"], data_processing_options_country=1), **settings))
    assert (own["data_processing_options"], own["data_processing_options_country"]) == (["LDU"], 1)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"pixel": [{"id": PIXEL, "access_token": "t", "events": ["!Lead"]}]}, "excluded"),
        ({"pixel": [{"id": PIXEL, "access_token": "t", "events": ["Purchase"]}]}, "excluded"),
    ],
)
def test_settings_drop_events_knowingly(settings: Any, reason: str) -> None:
    """Such an event is acknowledged and has a ledger row with the reason, at both endpoints."""
    assert dropped(event(), **settings) == [reason]
    assert dropped(event(), all_or_nothing=True, **settings) == [reason]


def test_what_graph_would_refuse_is_refused_whatever_the_settings() -> None:
    """A sender learns of its mistake even if consent would have dropped the event."""
    assert refused(event(event_time=1), consent="required") == (0, 2804003, "event_time")


def test_sensitive_data_stay() -> None:
    """On a restricted site only standard names, origin, value, currency and what Graph requires are sent.

    The id made of the order is still the tag's.
    """
    told = {"value": 5, "currency": "EUR", "content_name": "Test kit", "order_id": "7001"}
    more = {"attribution_data": {"ad_id": "1"}, "original_event_data": {"order_id": "1"}, "note": "positive"}
    app = {"app_data": {"extinfo": EXTINFO, "screen": "results"}, "action_source": "app"}
    made = only(taken(purchase(event_id=None, custom_data=told, **more, **app), sensitive="restricted"))

    assert made["custom_data"] == {"value": 5, "currency": "EUR"}
    assert made["event_source_url"] == "https://shop.example"
    assert made["app_data"] == {"extinfo": EXTINFO}
    assert made["event_id"] == "order-shop-7001"
    assert not more.keys() & made.keys()
    assert dropped(event(event_name="Diagnosis"), sensitive="restricted") == ["restricted"]


@pytest.mark.parametrize("order", ["7001", 7001])
def test_an_order_that_may_not_leave_is_counted_once_too(order: Any) -> None:
    """The order key is made even where the order id is not sent: on a restricted site, or where it is blocked.

    The proxy needs the key for weeks to recognise an order that the shop reports again.
    """
    told = purchase(custom_data={"value": 5, "currency": "EUR", "order_id": order})
    (usual,), (restricted,), (blocked,) = (
        taken(told, **site).decision.records for site in ({}, {"sensitive": "restricted"}, {"block_keys": ["order_id"]})
    )

    assert usual.order
    assert b"7001" not in restricted.payload + blocked.payload
    assert restricted.order == blocked.order == usual.order


def test_names_and_ids_that_name_a_person_are_dropped() -> None:
    """Names and ids are stored and sent in the clear; the ledger's row does not hold such a name or id either."""
    decision = taken(event(event_id="ada@mail.example"), event(event_name="ada@mail.example"))

    assert [row.reason for row in decision.decision.dropped] == ["contact_data"] * 2
    assert "mail.example" not in repr(decision.decision)


def test_contact_data_is_taken_out_of_every_other_member() -> None:
    """No member keeps contact data, wherever a backend puts it; Meta's own ids and codes stay as they are."""
    mail, phone = "ada@mail.example", "+49 30 901820"
    told = event(
        event_source_url=f"https://shop.example/?utm_source=fb&email={mail}",
        referrer_url=f"https://ada:secret@shop.example/{mail}",
        custom_data={"email": mail, "note": f"call {phone}", "order_id": "A-77", "deep": {"list": [{"x": mail}]}},
        app_data={
            "install_referrer": f"utm_source=x&mail={mail}",
            "campaign_ids": "120330000001",
            "url_schemes": [mail],
        },
        original_event_data={"order_id": mail, "event_id": "lead-7"},
        attribution_data={"ad_id": "120330000000001", "touchpoint_id": mail},
        customer_segmentation=mail,
        note=mail,
        **{mail: 1},
    )
    decision = taken(told)
    made = only(decision)

    assert "mail.example" not in repr(decision.decision)
    assert "901820" not in repr(decision.decision)
    assert made["app_data"]["campaign_ids"] == "120330000001"
    assert made["attribution_data"]["ad_id"] == "120330000000001"
    assert made["original_event_data"]["event_id"] == "lead-7"
    assert made["custom_data"]["order_id"] == "A-77"
    assert decision.decision.redactions


def test_who_is_named_as_a_business_is_left_out() -> None:
    """These keys are sent unhashed, so contact data in them is left out."""
    decision = taken(event(user_data={"em": HASH, "partner_name": "ada@mail.example", "partner_id": "p-1"}))

    assert only(decision)["user_data"] == {"em": [HASH], "partner_id": "p-1"}
    assert "partner_name:unusable" in decision.decision.records[0].findings


@pytest.mark.parametrize("where", [{"ad_id": "x" * 4097 + " ada@mail.example"}, {"scope": {"ada@mail.example": 1}}])
def test_contact_data_is_taken_out_of_documented_members_too(where: Any) -> None:
    """No text is too long to be searched, and the names of members are searched too."""
    decision = taken(event(attribution_data=where))

    assert "mail.example" not in repr(decision.decision)
    assert [redaction.place for redaction in decision.decision.redactions] == ["attribution_data"]


def test_a_receipt_passes_whole() -> None:
    """An app store's signed receipt is longer than any text that is searched, and must not be changed."""
    receipt = "MIIT" + "aB3dEf9h" * 2000
    told = {"action_source": "app", "app_data": {"extinfo": EXTINFO, "receipt_data": receipt}}

    assert only(taken(event(**told)))["app_data"]["receipt_data"] == receipt


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"event_id": "given"}, "given"),
        ({}, "order-shop-A77"),
        ({"order_id": 77}, "order-shop-77"),
        ({"order_id": "#0077"}, "order-shop-#0077"),
    ],
)
def test_a_purchase_without_an_id_has_that_of_its_order(changes: dict[str, Any], expected: str) -> None:
    """The tag makes the same id of the order, so that Meta counts both copies once."""
    told = {"value": 1, "currency": "EUR", "order_id": changes.get("order_id", "A77")}

    assert only(taken(purchase(event_id=changes.get("event_id"), custom_data=told)))["event_id"] == expected


@pytest.mark.parametrize("order_id", [None, "", "none", "ada1@mail.example", "9" * 200, "a\n1"])
def test_a_number_that_is_no_orders_gives_no_id(order_id: Any) -> None:
    """An unfilled placeholder would make one id for all orders."""
    told = {"value": 1, "currency": "EUR", "order_id": order_id}
    made = only(taken(purchase(event_id=None, custom_data=told)))["event_id"]

    assert len(made) == 32
    assert not made.startswith("order")


@pytest.mark.parametrize(("order_id", "rests"), [("A77", True), ("ada1@mail.example", False)])
def test_no_digest_of_a_person_rests_as_that_of_an_order(order_id: str, *, rests: bool) -> None:
    """Contact data as order id makes no order key, as with pages' events, whose order ids are redacted first."""
    told = purchase(custom_data={"value": 1, "currency": "EUR", "order_id": order_id})
    records = [record for word in ("none", "restricted") for record in taken(told, sensitive=word).decision.records]

    assert [bool(record.order) for record in records] == [rests, rests]


@pytest.mark.parametrize("sensitive", ["none", "restricted"])
def test_lines_of_a_tills_order_are_each_an_event(sensitive: str) -> None:
    """The lines share the order's id, so neither an order key nor an id made of the order may make them repeats."""
    lines = [{"value": 1, "currency": "EUR", "order_id": "A77", "item_number": number} for number in "12"]
    decision = taken(*(purchase(event_id=None, custom_data=line) for line in lines), sensitive=sensitive).decision

    assert len({record.id for record in decision.records}) == 2
    assert [record.order for record in decision.records] == [b"", b""]


def test_an_event_without_an_id_has_the_same_each_time() -> None:
    """It is recognised when it is sent again, also in another batch and with its lists in another order."""
    one = event(event_id=None, user_data={"em": ["a@b.example", "c@d.example"], "fbp": FBP})
    again = event(event_id=None, user_data={"fbp": FBP, "em": ["c@d.example", "a@b.example"]})
    other = event(event_id=None, event_time=NOW_S - 61, user_data=one["user_data"])
    ids = [[payload["event_id"] for payload in sent(taken(*events))] for events in ((one, other), (again,), (other,))]

    assert ids == [[ids[0][0], ids[0][1]], [ids[0][0]], [ids[0][1]]]
    assert ids[0][0] != ids[0][1]


def test_equal_events_of_one_request_are_not_one() -> None:
    """Two equal events of one request have two ids, which are the same two when the request is sent again."""
    twice = [payload["event_id"] for payload in sent(taken(event(event_id=None), event(event_id=None)))]
    again = [payload["event_id"] for payload in sent(taken(event(event_id=None), event(event_id=None)))]

    assert len(set(twice)) == 2
    assert twice == again


def test_an_id_from_content_says_nothing_without_the_secret() -> None:
    """The id is stored in the clear and is made of hashed contact data, so it depends on the secret."""
    keys = {"event_id": None, "user_data": {"em": HASH}}
    hit = taken(event(**keys)).decision.records[0]
    claimed = ServerHit(0, "Lead", "", NOW_S - 60, "website", {"em": (HASH,)}, {}, url="https://shop.example/contact")
    request = ServerRequest(NOW_S * 1000, PIXEL, (claimed,))
    with_key, without = (
        ingest_server_whole(request, Policy(site(), KEYS, keys)).decision.records[0].id for keys in ((PERSON_KEY,), ())
    )

    assert with_key == hit.id != without


def test_fields_and_source_go_with_the_record() -> None:
    """The queue groups events into batches by these fields, and takes the age limit from the source."""
    claimed = ServerHit(0, "Lead", "1", NOW_S, "physical_store", {"em": (HASH,)}, {})
    fields = taken(event()).fields._replace(upload_tag="till")
    request = ServerRequest(NOW_S * 1000, PIXEL, (claimed,), fields=fields)
    (record,) = run_parts(ingest_server(request, Policy(site(), KEYS))).decision.records

    assert (record.action_source, record.fields, record.shared) == ("physical_store", fields, b"")


def test_a_pixel_of_another_site_has_no_events() -> None:
    """The endpoint checks the pixel first; the rules still refuse one that the site does not have."""
    decision = run_parts(ingest_server(ServerRequest(NOW_S * 1000, "999"), Policy(site(), KEYS)))

    assert decision.unreadable.startswith("pixel: not of this site")


def test_a_fault_costs_its_event_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unforeseen error refuses its event and is counted with its place, without a value of the event."""

    def fails(*_: object) -> None:
        raise ZeroDivisionError("ada@mail.example")

    monkeypatch.setattr(server_records, "clean_page", fails)
    decision = taken(event(), event(event_time=1))

    assert [refusal.why[:14] for refusal in decision.refused] == ["cannot be read", "event_time: 1 "]
    assert len(decision.decision.faults) == 1
    assert "mail.example" not in repr(decision)


def test_large_requests_are_worked_on_in_parts() -> None:
    """Browser requests can be served between the parts."""
    hits = tuple(ServerHit(place, "Lead", str(place), NOW_S, "email", {"em": (HASH,)}, {}) for place in range(1000))
    parts = ingest_server(ServerRequest(NOW_S * 1000, PIXEL, hits), Policy(site(), KEYS))

    assert sum(1 for _ in parts) >= 99


def test_every_subcode_that_a_step_names_is_refused_somewhere() -> None:
    """The steps list exactly these subcodes; each has its test in this file."""
    named = {subcode for step in SERVER_STEPS for subcode in step.refuses}

    assert named == {2804003, 2804004, 2804009, 2804011, 2804043, 2804050, 2804066}


@given(st.permutations(["em", "external_id", "fbp", "country"]))
def test_no_order_of_members_changes_what_is_sent(order: list[str]) -> None:
    """An event without an id gets the same one in any order of its members, and also some seconds later."""
    values = {"em": HASH, "external_id": "c-1", "fbp": FBP, "country": "de"}
    hit = ServerHit(0, "Lead", "", NOW_S, "email", {key: (values[key],) for key in order}, {})
    first = ServerRequest(NOW_S * 1000, PIXEL, (hit,))
    policy = Policy(site(), KEYS)

    ids = {
        ingest_server_whole(request, policy).decision.records[0].id
        for request in (first, first._replace(now=NOW_S * 1000 + 5000))
    }
    assert len(ids) == 1

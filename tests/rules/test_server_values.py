"""Single values of server events: which are repaired, which are refused, and the texts of the refusals."""

from typing import Any

import pytest
from server_requests import NOW_S, event, events_read

from proxy.model.server_request import RefusedHit, ServerHit


def hit(**changes: Any) -> ServerHit:
    (made,) = events_read(event(**changes)).hits
    return made


def refusal(**changes: Any) -> RefusedHit:
    (made,) = events_read(event() | changes).refused
    return made


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        (NOW_S, NOW_S),
        (str(NOW_S), NOW_S),
        (f" {NOW_S} ", NOW_S),
        (float(NOW_S), NOW_S),
        (NOW_S + 0.9, NOW_S),
        (f"{NOW_S}.75", NOW_S),
        ("2025-11-24T16:00:00Z", 1_764_000_000),
        ("2025-11-24T16:00:00.999Z", 1_764_000_000),
        ("2025-11-24T17:00:00+01:00", 1_764_000_000),
        ("2025-11-24 11:00:00 -0500", 1_764_000_000),
        ("20251124T160000Z", 1_764_000_000),
        ("1969-12-31T23:59:59.5Z", -1),
        (0, 0),
    ],
)
def test_times_become_seconds(claimed: Any, expected: int) -> None:
    """Accepted are numbers, digits and ISO 8601 with an offset; a fraction is cut off."""
    assert hit(event_time=claimed).time_s == expected


@pytest.mark.parametrize(
    ("claimed", "subcode", "words"),
    [
        (None, 0, "event_time: missing; accepted: Unix seconds, or ISO 8601 with an offset such as Z or +02:00"),
        (NOW_S * 1000, 2804004, "is in milliseconds, it seems"),
        (str(NOW_S * 1000), 2804004, "is in milliseconds, it seems"),
        ("2025-11-24T16:00:00", 0, "'2025-11-24T16:00:00'; accepted: Unix seconds, or ISO 8601 with an offset"),
        ("2025-11-24", 0, "'2025-11-24'; accepted"),
        ("24.11.2025 16:00", 0, "a text of 16; accepted"),
        ("", 0, "accepted"),
        (True, 0, "True; accepted"),
        ([NOW_S], 0, "a list of 1; accepted"),
        ({"$date": 1}, 0, "an object of 1; accepted"),
        ("9" * 30, 0, "accepted"),
    ],
)
def test_times_without_a_certain_meaning_are_refused(claimed: Any, subcode: int, words: str) -> None:
    """The refusal names the member, its value and what is accepted."""
    refused = refusal(event_time=claimed)

    assert (refused.code, refused.subcode, refused.field) == (100, subcode, "event_time")
    assert words in refused.why


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        (True, True),
        (1, True),
        ("1", True),
        ("true", True),
        ("TRUE ", True),
        (False, False),
        (0, False),
        ("0", False),
        ("false", False),
        (1.0, True),
        (None, None),
        ("", None),
    ],
)
def test_truths_are_read_however_they_are_written(claimed: Any, expected: object) -> None:
    """PHP, forms and Segment each write booleans in their own way."""
    assert hit(opt_out=claimed).opt_out is expected


@pytest.mark.parametrize("claimed", ["yes", 2, [], {}, "null"])
def test_what_is_neither_yes_nor_no_is_refused(claimed: Any) -> None:
    """A guess about an opt-out would be wrong half of the time."""
    assert refusal(opt_out=claimed).field == "opt_out"


@pytest.mark.parametrize(
    ("field", "claimed", "expected"),
    [
        ("event_id", 42, "42"),
        ("event_id", 99007199254740993, "99007199254740993"),
        ("event_id", "  a b ", "  a b "),
        ("event_id", 7.0, "7"),
        ("event_id", "", ""),
        ("event_name", "Käufe", "Käufe"),
        ("event_name", 404, "404"),
        ("action_source", " WebSite", "website"),
    ],
)
def test_names_and_ids_are_text(field: str, claimed: Any, expected: str) -> None:
    """An id becomes exact text whatever its type; only of ``action_source`` the case does not matter."""
    name = {"event_id": "id", "event_name": "name"}.get(field, field)

    assert getattr(hit(**{field: claimed}), name) == expected


@pytest.mark.parametrize(
    ("field", "claimed"),
    [
        ("event_name", None),
        ("event_name", ""),
        ("event_name", "  "),
        ("event_name", "a" * 101),
        ("event_name", "a\nb"),
        ("event_name", ["Lead"]),
        ("event_id", "a" * 201),
        ("event_id", "a\x00"),
        ("event_id", 1.5),
        ("event_id", True),
        ("event_id", ["1"]),
        ("action_source", None),
        ("action_source", "web"),
        ("action_source", 1),
        ("user_data", "ada@mail.example"),
        ("user_data", ["x"]),
        ("user_data", 1),
        ("custom_data", "value=1"),
        ("app_data", True),
        ("original_event_data", 7),
        ("messaging_channel", 0),
        ("messaging_channel", ["whatsapp"]),
    ],
)
def test_members_of_another_kind_are_refused_by_name(field: str, claimed: Any) -> None:
    """Each refusal has Graph's code and the member; long or personal values are not repeated."""
    refused = refusal(**{field: claimed})

    assert (refused.code, refused.field) == (100, field)
    assert refused.why.startswith(f"{field}: ")
    assert "ada@" not in refused.why
    assert "aaaa" not in refused.why


@pytest.mark.parametrize("field", ["user_data", "custom_data", "app_data", "attribution_data"])
@pytest.mark.parametrize("empty", [{}, [], "", None])
def test_empty_members_say_nothing(field: str, empty: Any) -> None:
    """PHP writes an empty object as a list, and an unset one as null."""
    made = hit(**{field: {}}) if empty is None else hit(**{field: empty})

    assert (made.user_data if field == "user_data" else made.custom_data) == {} or field not in made.more


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        ({"em": "a@b.de"}, {"em": ("a@b.de",)}),
        ({"em": ["a@b.de", None, "", " c@d.de "]}, {"em": ("a@b.de", "c@d.de")}),
        ({"em": None, "ph": [], "ge": [None]}, {}),
        (
            {"external_id": 42, "lead_id": 99007199254740993},
            {"external_id": ("42",), "lead_id": ("99007199254740993",)},
        ),
        ({"external_id": {"3": "a", "7": "b"}}, {"external_id": ("a", "b")}),
        ('{"em": "a@b.de"}', {"em": ("a@b.de",)}),
    ],
)
def test_values_of_a_person_are_lists_of_text(claimed: Any, expected: dict[str, tuple[str, ...]]) -> None:
    """Scalars, lists with nulls, numbers and JSON text are all forms that SDKs write."""
    assert hit(user_data=claimed).user_data == expected


@pytest.mark.parametrize(
    ("claimed", "findings"),
    [
        ({"email": "a@b.de", "phone": "1", "fbp": "x"}, ("user_data:unusable",)),
        ({"em": [True, {"a": 1}], "fbp": "x"}, ("em:unusable",)),
        ({"em": 1.5}, ("em:unusable",)),
    ],
)
def test_what_graph_would_pass_over_is_left_out_and_named(claimed: Any, findings: tuple[str, ...]) -> None:
    """An unknown member is reported as ``user_data``, a value of the wrong type under its key."""
    made = hit(user_data=claimed)

    assert made.findings == findings
    assert set(made.user_data) <= {"fbp"}


@pytest.mark.parametrize(
    ("options", "country", "state", "expected"),
    [
        (["LDU"], 1, 1000, (("LDU",), 1, 1000)),
        (["LDU"], "1", "1000", (("LDU",), 1, 1000)),
        (["LDU"], None, None, (("LDU",), 0, 0)),
        ("LDU", 0, 0, (("LDU",), 0, 0)),
        ('["LDU"]', 0, 0, (("LDU",), 0, 0)),
        ([], None, None, ((), 0, 0)),
        ([None], None, None, ((), 0, 0)),
        (["Ldu?"], None, None, (("LDU",), 0, 0)),
        (None, 1, 1000, None),
        ("", None, None, None),
    ],
)
def test_data_processing_options(options: Any, country: Any, state: Any, expected: Any) -> None:
    """No options are no choice; an empty list is the choice of none; unreadable options count as Limited Data Use."""
    names = ("data_processing_options", "data_processing_options_country", "data_processing_options_state")

    assert hit(**dict(zip(names, (options, country, state), strict=True))).options == expected


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        ("https://r.example/.AQIAAQMC", "https://r.example/"),
        ("https://shop.example/p?fbclid=XyZ.AQQCAQMC", "https://shop.example/p?fbclid=XyZ"),
        ("https://shop.example/p?fbclid=XyZ.AQQCAQMC.AQQAAQMC", "https://shop.example/p?fbclid=XyZ"),
        ("https://shop.example/a.AQ", "https://shop.example/a.AQ"),
        ("https://shop.example/index.html", "https://shop.example/index.html"),
        (" https://shop.example/ ", "https://shop.example/"),
        ("https://s.example/" + ".AQAAAAAA" * 20_000 + "x", ""),
    ],
)
def test_marks_of_the_builder_are_taken_off_addresses_of_pages(claimed: str, expected: str) -> None:
    """An appendix of eight characters begins with the byte 1; two characters at a path's end may be anything else."""
    assert hit(event_source_url=claimed).url == expected
    assert hit(referrer_url=claimed).referrer == expected


def test_long_addresses_are_cut_and_no_text_is_none() -> None:
    """As with a page's address, the part before the query is kept; a value that is no text is left out."""
    made = hit(event_source_url="https://shop.example/p?a=" + "x" * 3000, referrer_url=["https://shop.example/"])

    assert (made.url, made.referrer) == ("https://shop.example/p", "")
    assert made.findings == ("event_source_url:cut", "referrer_url:unusable")


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        (["a2", *[""] * 15], {0: "a2"}),
        (["i2", None, "1.0"], {0: "i2", 2: "1.0"}),
        ({"0": "a2", "4": "14", "9": 1080}, {0: "a2", 4: "14", 9: "1080"}),
        ('["a2", "", "", "", "14"]', {0: "a2", 4: "14"}),
        (["a2"] * 20, dict.fromkeys(range(16), "a2")),
        ([2.5, True, [1]], {0: "2.5"}),
        ({"16": "x", "-1": "x", "a": "x"}, {}),
        ("a2", {}),
    ],
)
def test_extinfo_has_sixteen_texts(claimed: Any, expected: dict[int, str]) -> None:
    """Each value keeps its slot, whatever gaps the SDK left."""
    slots = hit(action_source="app", app_data={"extinfo": claimed}).more["app_data"]["extinfo"]

    assert slots == [expected.get(slot, "") for slot in range(16)]


def test_other_members_lose_nulls_and_keep_the_rest() -> None:
    """Members that Meta may add in future are passed on unchanged, without nulls."""
    made = hit(
        original_event_data={
            "event_name": "Lead",
            "event_time": "2025-11-24T16:00:00Z",
            "order_id": 5,
            "event_id": None,
        },
        attribution_data=None,
        messaging_channel="whatsapp",
        advertiser_tracking_enabled="1",
        new_member={"a": [None, {"b": None, "c": 0}]},
        custom_data={"value": None, "tags": [None], "more": {"x": None, "y": False}},
    )

    assert made.more == {
        "original_event_data": {"event_name": "Lead", "event_time": 1_764_000_000, "order_id": "5"},
        "messaging_channel": "whatsapp",
        "advertiser_tracking_enabled": True,
        "new_member": {"a": [{"c": 0}]},
    }
    assert made.custom_data == {"more": {"y": False}}


def test_an_original_time_that_is_none_is_left_out() -> None:
    """The event is sent without it, as the event is worth more than its reference to another."""
    made = hit(original_event_data={"order_id": "5", "event_time": "yesterday"})

    assert made.more == {"original_event_data": {"order_id": "5"}}
    assert made.findings == ("original_event_data.event_time:unusable",)

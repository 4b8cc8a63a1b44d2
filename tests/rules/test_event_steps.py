"""A hit becomes one event for each pixel, or is dropped for the first reason that applies."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest
from cases import ADDRESS, AGENT, FBC, FBP, NOW, case_of, events_of, hit, judged, site

from proxy.graph.law import STANDARD_EVENTS
from proxy.model.event import BrowserCopy, DropReason, Event, Redaction
from proxy.model.ledger import LedgerRow, Status
from proxy.rules import written_events
from proxy.rules.browser import EVENT_STEPS
from proxy.rules.case import Case, EventCase
from proxy.rules.effort import Effort
from proxy.rules.identity.browser_ids import BrowserIds
from proxy.rules.payload.names import Allowed
from proxy.rules.payload.redact import CleanData, clean_data
from proxy.rules.selection import wants

SECOND, HOUR, DAY = 1000, 3_600_000, 86_400_000
YEAR = 365 * DAY
MAIL_HASH = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
REQUEST_KEYS = {"client_ip_address": ADDRESS, "client_user_agent": AGENT, "fbp": FBP, "fbc": FBC}


def results(case: Case) -> list[Event | LedgerRow]:
    """Return the events and drops of all hits, by hit; a drop for unknown pixels comes first, then the hit's order."""
    found: list[Event | LedgerRow] = []
    for claimed in case.visit.hits:
        event_case = judged(case, claimed)
        found += [event_case.unknown_pixel] if event_case.unknown_pixel else []
        found += sorted(
            [*events_of(event_case), *event_case.dropped], key=lambda result: claimed.pixels.index(result.pixel)
        )
    return found


def the_event(case: Case) -> Event:
    (result,) = results(case)
    assert isinstance(result, Event)
    return result


def reasons(case: Case) -> list[str]:
    return ["" if isinstance(result, Event) else result.reason for result in results(case)]


NOBODY: dict[str, Any] = {"ids": BrowserIds("", "", ()), "address": ""}
RESTRICTED = site(sensitive="restricted")
OLD = NOW - 8 * DAY

# Changes of the case, changes of the hit; the reason.
DROPS: list[tuple[dict[str, Any], dict[str, Any], DropReason]] = [
    ({}, {"pixels": ("999",)}, DropReason.UNKNOWN_PIXEL),
    ({"forbidden": DropReason.GPC}, {}, DropReason.GPC),
    ({"forbidden": DropReason.NO_CONSENT}, {}, DropReason.NO_CONSENT),
    ({"forbidden": DropReason.DNT}, {}, DropReason.DNT),
    ({"forbidden": DropReason.OPTED_OUT}, {}, DropReason.OPTED_OUT),
    ({"forbidden": DropReason.BOT, "bot": "crawler"}, {}, DropReason.BOT),
    ({}, {"at": OLD}, DropReason.TOO_OLD),
    ({}, {"pixels": ("789",)}, DropReason.EXCLUDED),
    ({"site": RESTRICTED}, {"name": "BookedTherapy"}, DropReason.RESTRICTED),
    ({}, {"name": "Purchase", "data": {"currency": "EUR"}}, DropReason.MISSING_VALUE),
    ({}, {"name": "Purchase", "data": {"value": 9.5}}, DropReason.MISSING_CURRENCY),
    (NOBODY, {}, DropReason.LITTLE_IDENTITY),
]

FINDINGS = {
    DropReason.BOT: ("bot:crawler",),
    DropReason.MISSING_CURRENCY: ("currency:missing",),
}

# All of these faults at once; the reason of the first is the one that is stored.
PRECEDENCE: list[tuple[dict[str, Any], dict[str, Any], DropReason]] = [
    (
        {"forbidden": DropReason.GPC, "site": RESTRICTED} | NOBODY,
        {"pixels": ("999",), "at": OLD, "name": "Own"},
        DropReason.UNKNOWN_PIXEL,
    ),
    (
        {"forbidden": DropReason.GPC, "site": RESTRICTED} | NOBODY,
        {"pixels": ("789",), "at": OLD, "name": "Own"},
        DropReason.GPC,
    ),
    ({"site": RESTRICTED} | NOBODY, {"pixels": ("789",), "at": OLD, "name": "Own"}, DropReason.TOO_OLD),
    ({"site": RESTRICTED} | NOBODY, {"pixels": ("789",), "name": "Own"}, DropReason.EXCLUDED),
    ({"site": RESTRICTED} | NOBODY, {"name": "Own"}, DropReason.RESTRICTED),
    ({"site": RESTRICTED} | NOBODY, {"name": "Purchase"}, DropReason.MISSING_VALUE),
    ({"site": RESTRICTED} | NOBODY, {"name": "Purchase", "data": {"value": 1}}, DropReason.MISSING_CURRENCY),
    ({"site": RESTRICTED} | NOBODY, {"name": "Lead"}, DropReason.LITTLE_IDENTITY),
]

# Case, browser's clock at sending, browser's clock at the event; when the event happened by our clock.
TIMES = [
    ("right-clock", NOW, NOW, NOW),
    ("half-a-minute-ago", NOW, NOW - 30 * SECOND, NOW - 30 * SECOND),
    ("clock-years-behind", NOW - 3 * YEAR, NOW - 3 * YEAR - 5 * SECOND, NOW - 5 * SECOND),
    ("clock-years-ahead", NOW + 10 * YEAR, NOW + 10 * YEAR - 5 * SECOND, NOW - 5 * SECOND),
    ("clock-since-1970", 10 * SECOND, 4 * SECOND, NOW - 6 * SECOND),
    ("offline-for-two-days", NOW + YEAR, NOW + YEAR - 2 * DAY, NOW - 2 * DAY),
    ("event-after-sending", NOW, NOW + SECOND, NOW),
    ("event-years-after-sending", NOW, NOW + YEAR, NOW),
    ("clock-set-back-in-between", NOW - YEAR, NOW, NOW),
    ("last-moment-accepted", NOW, NOW - 7 * DAY + HOUR, NOW - 7 * DAY + HOUR),
]
TOO_OLD = [
    ("first-moment-refused", NOW, NOW - 7 * DAY + HOUR - 1),
    ("a-week", NOW, NOW - 7 * DAY),
    ("a-week-by-a-wrong-clock", NOW - YEAR, NOW - YEAR - 7 * DAY),
    ("clock-set-forward-in-between", NOW + YEAR, NOW),
    ("absurd", 8_640_000_000_000_000, 1),
]

# The pixel's list, name, whether it is sent.
WANTED = [
    (("*",), "PageView", True),
    (("*",), "Anything of my own", True),
    (("*", "!Lead"), "Lead", False),
    (("*", "!Lead"), "Purchase", True),
    (("!Lead", "*"), "Lead", False),
    (("!Lead",), "Lead", False),
    (("!Lead",), "Purchase", True),
    (("Lead", "!Lead"), "Lead", False),
    (("Purchase",), "Purchase", True),
    (("Purchase",), "PageView", False),
    (("Purchase",), "purchase", False),
    ((), "PageView", False),
]

AMOUNTS = [0, 1, -1, 9.99, 10**15 - 1, 1e-300]
NO_AMOUNTS: list[Any] = [
    None,
    True,
    False,
    "",
    "free",
    "9,99 EUR",
    "NaN",
    "nan",
    "Infinity",
    "-inf",
    "1e999",
    10**15,
    -(2**63),
    1e20,
    1e300,
    "1e20",
    [],
    [9.99],
    {},
]


@pytest.mark.parametrize(("changes", "wrong", "reason"), DROPS, ids=[row[2] for row in DROPS])
def test_a_drop_is_named_in_its_ledger_row(changes: dict[str, Any], wrong: dict[str, Any], reason: DropReason) -> None:
    """What is not sent leaves a row with pixel, name, id, time, reason and the browser copy's status."""
    dropped = hit(**wrong)
    whole = case_of(dropped, **changes)

    assert results(whole) == [
        LedgerRow(
            at=NOW,
            pixel=dropped.pixels[0],
            name=dropped.name,
            id="id-1",
            time_s=dropped.at // 1000,
            status=Status.DROPPED,
            reason=reason,
            browser_copy=BrowserCopy.FIRED,
            findings=FINDINGS.get(reason, ()),
            visitor=whole.visitor,
            arrived=NOW,
        )
    ]


def test_every_drop_is_named_at_its_step() -> None:
    """Each reason belongs to one step, except those of the queue and of webhooks."""
    drops = [reason for step in EVENT_STEPS for reason in step.drops]

    assert sorted(drops) == sorted(set(DropReason) - {DropReason.ERASED, DropReason.UNUSABLE, DropReason.UNPAID})


@pytest.mark.parametrize(("changes", "wrong", "reason"), DROPS, ids=[row[2] for row in DROPS])
def test_an_event_ends_at_the_step_that_names_its_drop(
    changes: dict[str, Any], wrong: dict[str, Any], reason: DropReason
) -> None:
    """The drop appears exactly at the step that names its reason."""
    event_case = EventCase(case_of(**changes), hit(**wrong))
    before: tuple[LedgerRow, ...] = ()
    for step in EVENT_STEPS[:-1]:
        if event_case.pixels or step.always:
            step.run(event_case)
        drops = (*event_case.dropped, *([event_case.unknown_pixel] if event_case.unknown_pixel else ()))
        assert {row.reason for row in drops[len(before) :]} == ({reason} if reason in step.drops else set())
        before = drops


def test_every_reason_has_a_case() -> None:
    """Every reason has a row in ``DROPS``, except those of the queue, of webhooks and of ``test_labels``."""
    elsewhere = {DropReason.ERASED, DropReason.CONTACT_DATA, DropReason.UNUSABLE, DropReason.UNPAID}
    assert {row[2] for row in DROPS} == set(DropReason) - elsewhere


@pytest.mark.parametrize(("changes", "wrong", "reason"), PRECEDENCE, ids=[row[2] for row in PRECEDENCE])
def test_the_first_of_many_reasons_is_named(changes: dict[str, Any], wrong: dict[str, Any], reason: DropReason) -> None:
    """Unknown pixels come first, then what forbids the visit, then the event's own faults."""
    assert reasons(case_of(hit(**wrong), **changes)) == [reason]


@pytest.mark.parametrize(("sent", "at", "expected"), [row[1:] for row in TIMES], ids=[row[0] for row in TIMES])
def test_the_time_is_ours_whatever_the_browsers_clock_says(sent: int, at: int, expected: int) -> None:
    """Only the difference of the browser's two times counts, and no event is in the future."""
    assert the_event(case_of(hit(at=at), sent=sent)).time_s == expected // 1000


@pytest.mark.parametrize(("sent", "at"), [row[1:] for row in TOO_OLD], ids=[row[0] for row in TOO_OLD])
def test_what_graph_would_refuse_within_the_hour_is_too_old(sent: int, at: int) -> None:
    """Seven days less an hour is the limit, to the millisecond."""
    assert reasons(case_of(hit(at=at), sent=sent)) == [DropReason.TOO_OLD]


@pytest.mark.parametrize(("events", "name", "expected"), WANTED)
def test_a_pixel_gets_the_names_it_lists(events: tuple[str, ...], name: str, *, expected: bool) -> None:
    """A star is all names, an exclusion beats everything, names are case-sensitive."""
    assert wants(events, name) is expected


def test_one_hit_is_judged_for_each_pixel_by_itself() -> None:
    """The order is that of the hit's pixels, with the unknown one first; a pixel that excludes the name gets a drop."""
    bought = hit(name="Lead", pixels=("456", "999", "789", "123"))

    assert reasons(case_of(bought)) == [DropReason.UNKNOWN_PIXEL, "", DropReason.EXCLUDED, ""]


@pytest.mark.parametrize("value", AMOUNTS)
def test_a_number_is_a_value(value: Any) -> None:
    """Numbers are sent as they are."""
    bought = the_event(case_of(hit(name="Purchase", data={"value": value, "currency": "EUR"})))

    assert bought.custom_data == {"value": value, "currency": "EUR"}


@pytest.mark.parametrize("value", NO_AMOUNTS)
def test_what_is_no_number_is_no_value(value: Any) -> None:
    """A purchase with a value that Graph could not read is dropped with that reason."""
    assert reasons(case_of(hit(name="Purchase", data={"value": value}))) == [DropReason.MISSING_VALUE]


@pytest.mark.parametrize("currency", [None, "", "Euro", 978, ["EUR"], {}])
def test_a_purchase_without_a_currency_is_dropped_as_one_without_a_value(currency: Any) -> None:
    """Meta requires both; what is not a code of three letters counts as missing."""
    (row,) = results(case_of(hit(name="Purchase", data={"value": 9.5, "currency": currency})))

    assert isinstance(row, LedgerRow)
    assert (row.reason, row.findings[-1]) == (DropReason.MISSING_CURRENCY, "currency:missing")


@pytest.mark.parametrize("currency", ["EUR", "usd", "MRU", "XYZ"])
def test_a_currency_that_meta_may_know_is_sent(currency: str) -> None:
    """Lower case is accepted by Meta, and its list of currencies is not public: any three letters go out."""
    assert reasons(case_of(hit(name="Purchase", data={"value": 9.5, "currency": currency}))) == [""]


def test_a_value_without_a_currency_costs_no_other_event() -> None:
    """No page of Meta's says that it is refused outside of a Purchase, so it is sent with a finding."""
    assert the_event(case_of(hit(name="AddToCart", data={"value": 9.5}))).findings == ("currency:missing",)


@pytest.mark.parametrize("number", [1e20, "1e20", 2**64 - 1, -(2**63), 1e300])
@pytest.mark.parametrize("field", ["num_items", "predicted_ltv", "net_revenue", "value"])
def test_a_number_that_json_readers_disagree_on_is_left_out(field: str, number: Any) -> None:
    """Beyond 15 digits a number is a mistake; the event goes out without it and says so."""
    sent = the_event(case_of(hit(name="AddToCart", data={field: number, "contents": [{"id": 1, "quantity": number}]})))

    assert sent.custom_data == {"contents": [{"id": 1}]}
    assert f"{field}:unusable" in sent.findings
    assert "contents.quantity:unusable" in sent.findings


def test_custom_data_are_cleaned_once_for_all_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pixels an event has, the search for contact data in it runs once."""
    cleaned = []

    def counted(data: Mapping[str, Any], allowed: Allowed, effort: Effort) -> CleanData:
        cleaned.append(data)
        return clean_data(data, allowed, effort)

    monkeypatch.setattr(written_events, "clean_data", counted)
    pixels = [{"id": str(number), "access_token": "t"} for number in range(9)]
    bought = hit(data={"text": "anna@x.de"}, pixels=tuple(pixel["id"] for pixel in pixels))
    sent = results(case_of(bought, site=site(pixel=pixels)))

    assert [result.custom_data for result in sent if isinstance(result, Event)] == [{"text": "[redacted]"}] * 9
    assert len(cleaned) == 1


def test_many_pixels_of_other_people_are_one_row() -> None:
    """The row is that of the first unknown pixel, and has the number of all."""
    found = judged(case_of(), hit(pixels=("123", "1", "2", "3")))

    assert (len(events_of(found)), found.dropped, found.unknown_pixels) == (1, [], 3)
    assert found.unknown_pixel is not None
    assert (found.unknown_pixel.pixel, found.unknown_pixel.reason) == ("1", DropReason.UNKNOWN_PIXEL)


def test_what_was_too_long_is_a_finding_of_the_event() -> None:
    """A key with more values than are read is a finding, and so is an address that was cut when it was read."""
    case = case_of(hit(), match={"123": {"fn": list("abcdef")}})
    case.findings = ("event_source_url:cut",)

    assert the_event(case).findings == ("event_source_url:cut", "fn:cut")


def test_data_are_sent_as_meta_reads_them() -> None:
    """Values that can be repaired are, and the findings say so, for every pixel alike."""
    data = {"value": "1.299,00", "currency": "eur", "num_items": -1}
    sent = results(case_of(hit(name="Purchase", data=data, pixels=("123", "456"))))

    assert [(result.custom_data, result.findings) for result in sent if isinstance(result, Event)] == [
        ({"value": 1299.0, "currency": "EUR"}, ("value:repaired", "num_items:unusable"))
    ] * 2


def test_a_drop_says_what_led_to_it() -> None:
    """The row of a drop has the findings about the values or keys that caused it."""
    bought = hit(name="Purchase", data={"value": "1,299", "currency": "EUR"})
    unknown = case_of(hit(), match={"123": {"em": "nobody", "ge": "f"}}, user_agent="x", **NOBODY)

    assert [row.findings for row in (*results(case_of(bought)), *results(unknown))] == [
        ("value:unusable",),
        ("em:unusable",),
    ]


def test_keys_of_no_use_are_findings_of_the_event() -> None:
    """The event is sent without unusable values, and its findings name their keys."""
    match = {"123": {"em": ["nobody", "a@x.de"], "ph": "12"}}

    assert the_event(case_of(hit(), match=match)).findings == ("em:unusable", "ph:unusable")


def test_only_purchases_need_a_value() -> None:
    """Any other event goes out without one."""
    names = sorted(STANDARD_EVENTS - {"Purchase"})

    assert reasons(case_of(*(hit(name=name) for name in names))) == [""] * 17


def test_an_event_has_what_the_page_and_the_request_say() -> None:
    """It has clean addresses, the request's own keys, the page's data and options, and the browser copy's status."""
    case = case_of(
        hit(name="ViewContent", data={"content_ids": ["1"]}, browser_copy=BrowserCopy.BLOCKED),
        referrer="https://ads.example/?fbclid=abc",
        options=(("LDU",), 0, 0),
    )

    assert the_event(case) == Event(
        pixel="123",
        name="ViewContent",
        id="id-1",
        time_s=NOW // 1000,
        url="https://shop.example/p?utm_source=fb",
        referrer="https://ads.example/",
        user_data=REQUEST_KEYS,
        custom_data={"content_ids": ["1"]},
        options=(("LDU",), 0, 0),
        visitor=the_event(case_of(hit())).visitor,
        browser_copy=BrowserCopy.BLOCKED,
    )


def test_what_would_have_leaked_is_named_once() -> None:
    """Redactions of addresses are listed once a request, and those of custom data once an event, not once a pixel."""
    case = case_of()
    for number in range(2):
        judged(case, hit(id=f"id-{number}", data={"text": "anna@x.de"}, pixels=("123", "456")))

    in_data = Redaction("email", "custom_data")
    assert sorted(case.redactions) == [in_data, in_data, Redaction("parameter", "url")]


def test_what_is_not_known_is_left_out() -> None:
    """A key without a value is not sent empty."""
    case = case_of(hit(), ids=BrowserIds(FBP, "", ()), address="", user_agent="", url="about:blank")

    assert (the_event(case).user_data, the_event(case).url) == ({"fbp": FBP}, "")


def test_restricted_sites_send_the_least() -> None:
    """They send the origin instead of the address, no referrer, and of the data only value and currency."""
    bought = hit(name="Purchase", data={"value": 9.5, "currency": "EUR", "content_ids": ["hiv-test"]})
    sent = the_event(
        case_of(
            bought, site=RESTRICTED, url="https://shop.example:8443/hiv?utm_source=a", referrer="https://a.example/"
        )
    )

    assert (sent.url, sent.referrer, sent.custom_data) == (
        "https://shop.example:8443",
        "",
        {"value": 9.5, "currency": "EUR"},
    )


@pytest.mark.parametrize("name", sorted(STANDARD_EVENTS))
def test_restricted_sites_keep_standard_names(name: str) -> None:
    """All names of Meta's own list pass."""
    assert reasons(case_of(hit(name=name, data={"value": 1, "currency": "EUR"}), site=RESTRICTED)) == [""]


@pytest.mark.parametrize("name", ["Own", "purchase", "Page View", "SubmitApplication "])
def test_restricted_sites_drop_names_of_their_own(name: str) -> None:
    """A name of the site's own could reveal something, and is dropped."""
    assert reasons(case_of(hit(name=name), site=RESTRICTED)) == [DropReason.RESTRICTED]


@pytest.mark.parametrize(
    ("bot", "forbidden", "expected"),
    [
        (None, None, ("", "")),
        ("crawler", None, ("", "bot:crawler")),
        ("webdriver", None, ("", "bot:webdriver")),
        ("crawler", DropReason.BOT, (DropReason.BOT, "")),
    ],
)
def test_a_bot_is_dropped_or_marked(bot: str | None, forbidden: DropReason | None, expected: tuple[str, str]) -> None:
    """A bot's event that is sent has a finding with the reason of the doubt."""
    (result,) = results(case_of(hit(), bot=bot, forbidden=forbidden))

    found = ("", result.bot_reason) if isinstance(result, Event) else (result.reason, "")
    assert found == expected
    assert result.findings == ((f"bot:{bot}",) if bot else ())


def test_each_pixel_gets_its_own_matching_data() -> None:
    """The matching data of one pixel's ``init`` is never sent to another pixel."""
    case = case_of(hit(pixels=("123", "456")), match={"123": {"em": " John_Smith@gmail.com"}, "999": {"fn": "Mary"}})

    assert [result.user_data for result in results(case) if isinstance(result, Event)] == [
        {"em": [MAIL_HASH]} | REQUEST_KEYS,
        REQUEST_KEYS,
    ]


def test_the_request_answers_for_itself() -> None:
    """A page cannot replace the address, user agent and ids of the request itself."""
    claims = {"client_ip_address": "8.8.8.8", "client_user_agent": "x", "fbp": "fb.1.1.2", "fbc": "fb.1.1.x"}

    assert the_event(case_of(hit(), match={"123": claims})).user_data == REQUEST_KEYS


@pytest.mark.parametrize(
    ("country", "number"), [("", None), ("US", "16505551212"), ("us", "16505551212"), ("FR", None)]
)
def test_national_numbers_are_read_as_of_the_sites_country(country: str, number: str | None) -> None:
    """The site's country completes a number without a country code."""
    case = case_of(hit(), site=site(country=country), match={"123": {"ph": "(650)555-1212"}})

    expected = {"ph": [sha256(number.encode()).hexdigest()]} if number else {}
    assert the_event(case).user_data == expected | REQUEST_KEYS


def test_visitors_are_told_apart() -> None:
    """Visitors differ by the page's own ``fbp``; without one, by address and user agent."""
    someone = the_event(case_of(hit()))

    assert len(someone.visitor) == 4
    assert the_event(case_of(hit(), ids=BrowserIds("fb.1.1.9", "", ()), user_agent="x")).visitor == someone.visitor
    assert the_event(case_of(hit(), fbp="fb.1.1700000000000.2")).visitor != someone.visitor
    unknown = the_event(case_of(hit(), fbp="")).visitor
    assert the_event(case_of(hit(), fbp="", ids=BrowserIds("fb.1.1.9", "", ()))).visitor == unknown
    assert the_event(case_of(hit(), fbp="", user_agent="x")).visitor != unknown
    assert the_event(case_of(hit(), fbp="", address="8.8.8.8")).visitor != unknown


def test_custom_data_that_come_again_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal data of several events is cleaned once; each event has the data, the redactions and findings of its own."""
    cleaned = []

    def counted(data: Mapping[str, Any], allowed: Allowed, effort: Effort) -> CleanData:
        cleaned.append(data)
        return clean_data(data, allowed, effort)

    monkeypatch.setattr(written_events, "clean_data", counted)
    data = {"value": "12,50", "currency": "EUR", "text": "anna@x.de"}
    claims = (data, dict(data), data | {"value": 12.5})
    case = case_of(*(hit(name="Lead", data=claimed) for claimed in claims), url="https://shop.example/")
    first, second, third = results(case)

    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert isinstance(third, Event)
    assert first.custom_data == second.custom_data == third.custom_data
    assert first.custom_data == {"value": 12.5, "currency": "EUR", "text": "[redacted]"}
    assert (first.findings, second.findings, third.findings) == (("value:repaired",), ("value:repaired",), ())
    assert (len(cleaned), case.redactions) == (2, [Redaction("email", "custom_data")] * 3)

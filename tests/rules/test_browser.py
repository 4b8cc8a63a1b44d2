"""A whole request through the pure function: golden pairs, and what must hold for any bytes.

Each ``tests/golden/NAME.hit.json`` (settings of the site, facts of the request, body) has its ``NAME.event.json`` (the
answer, the records as Graph would get them, the drops). To rewrite the latter on purpose, after reading what differs,
run the tests once with ``GOLDEN=write`` in the environment; that run fails for every file it changed.
"""

import json
import os
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from received import Received, ingest, ingest_image
from shop_requests import FACTS, KEYS, NOW, PIXEL, policy

from proxy.edge.collect import tag_answer
from proxy.graph import payload
from proxy.model.decision import Decision
from proxy.model.event import DropReason, Event
from proxy.model.event_facts import EventFacts, bits_of, names_of
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.model.request import Consent
from proxy.model.units import DAY_MS
from proxy.rules import limits, wire, wire_members
from proxy.rules.identity.visitor_cookie import VisitorCookie, VisitorCookieKeys

GOLDEN = Path(__file__).parent.parent / "golden"
NAMES = sorted(path.name.removesuffix(".hit.json") for path in GOLDEN.glob("*.hit.json"))
(COOKIE_NAME,) = KEYS.names("shop")


def event(**changes: Any) -> dict[str, Any]:
    return {"name": "PageView", "id": "id-1", "at": NOW, "pixels": [PIXEL], "data": {}} | changes


def body_with(*events: Any, **members: Any) -> bytes:
    return orjson.dumps({"v": 1, "sent": NOW, "url": "https://shop.example/", "events": list(events)} | members)


def take(body: bytes, *, request: Received = FACTS, **changes: Any) -> Decision:
    return ingest(request._replace(body=body), policy(**changes))


HIDDEN = {"person_digests", "worth", "shared", "action_source", "fields", "order", "not_before", "pending", "facts"}


def written(record: Record) -> dict[str, Any]:
    outside = {key: value for key, value in record._asdict().items() if key not in HIDDEN}
    outside["mark"] = outside.pop("bot_reason")
    outside |= {"arrived": record.arrived, "facts": facts_as_golden(record.facts)}
    return outside | {"visitor": record.visitor.hex(), "payload": orjson.loads(record.whole)}


def opened(cookie: str) -> str:
    """Return a ``Set-Cookie`` value; a visitor cookie's shows its content in place of the ciphertext."""
    name, _, value = cookie.partition("; ")[0].partition("=")
    if name != COOKIE_NAME or not value:
        return cookie
    visitor_cookie = KEYS.open(value, "shop", now=NOW)
    assert visitor_cookie
    return cookie.replace(
        value, json.dumps({key: part for key, part in msgspec.structs.asdict(visitor_cookie).items() if part})
    )


def facts_as_golden(facts: EventFacts) -> dict[str, Any]:
    """Return the facts that are not empty, with match keys by their names."""
    return {
        key: names_of(value) if key == "match_keys" else value
        for key, value in facts._asdict().items()
        if value not in (0, "", (), None)
    }


# Left out of golden rows: the visitor, which is never read back, and what Graph and the ledger add later.
OF_LATER = {"visitor", "number", "action_source", "code", "subcode", "message"}


def dropped_as_golden(row: LedgerRow) -> dict[str, Any]:
    """Return a ledger row as JSON."""
    members = {key: value for key, value in row._asdict().items() if key not in OF_LATER}
    return members | {"facts": facts_as_golden(row.facts)}


def as_golden(outcome: Decision) -> Any:
    """Return an outcome as plain JSON."""
    document = {
        "status": tag_answer(outcome).status,
        "body": orjson.loads(tag_answer(outcome).body) if tag_answer(outcome).body else "",
        "cookies": [opened(cookie) for cookie in outcome.cookies],
        "records": [written(record) for record in outcome.records],
        "dropped": [dropped_as_golden(row) for row in outcome.dropped],
        "refused": outcome.refused,
        "fates": [asdict(news) for news in outcome.copy_updates],
        "pixels": outcome.pixels,
        "misdirected": outcome.untrusted_forwarding,
        "redactions": [redaction._asdict() for redaction in outcome.redactions],
    }
    return json.loads(json.dumps(document))


def visible(outcome: Decision) -> str:
    """Return all that is stored, listed or answered because of a request, and once more in lower case."""
    parts = [tag_answer(outcome).body, *(record.whole for record in outcome.records), repr(outcome).encode()]
    return b"\n".join([*parts, *(part.lower() for part in parts)]).decode()


@pytest.mark.parametrize("name", NAMES)
def test_a_hit_becomes_its_golden_events(name: str) -> None:
    """The outcome is the one in the golden file: records, cookies, drops and the answer."""
    hit = json.loads((GOLDEN / f"{name}.hit.json").read_text(encoding="utf-8"))
    request = Received(**hit["facts"], body=orjson.dumps(hit["body"]))
    actual = as_golden(ingest(request, policy(**hit["site"]), hit["trusted"]))
    path = GOLDEN / f"{name}.event.json"
    expected = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    if os.environ.get("GOLDEN") == "write" and actual != expected:
        path.write_text(json.dumps(actual, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert actual == expected


def test_every_golden_event_has_its_hit() -> None:
    """Every golden result has its request, and no result is left over from a removed one."""
    events = sorted(path.name.removesuffix(".event.json") for path in GOLDEN.glob("*.event.json"))

    assert events == NAMES
    assert len(NAMES) >= 8


# Body, settings; status, number of records, reasons of the drops, number of refused members, whether cookies are set.
OUTCOMES: list[tuple[str, bytes, dict[str, Any], tuple[int, int, list[DropReason], int, bool]]] = [
    ("one", body_with(event()), {}, (204, 1, [], 0, True)),
    ("none", body_with(), {}, (204, 0, [], 0, True)),
    ("fates-alone", body_with(fates=[{"name": "A", "id": "1", "pixel": "fired"}]), {}, (204, 0, [], 0, True)),
    ("unknown-pixel", body_with(event(pixels=["9"])), {}, (204, 0, [DropReason.UNKNOWN_PIXEL], 0, True)),
    ("partly-refused", body_with(event(), None), {}, (200, 1, [], 1, True)),
    ("refused-beside-dropped", body_with(event(pixels=["9"]), None), {}, (200, 0, [DropReason.UNKNOWN_PIXEL], 1, True)),
    ("all-refused", body_with(None, 7), {}, (400, 0, [], 2, True)),
    ("no-json", b"", {}, (400, 0, [], 0, False)),
    ("no-visit", b"{}", {}, (400, 0, [], 0, False)),
    ("too-large", b" " * (limits.BODY + 1), {}, (413, 0, [], 0, False)),
    ("bot", body_with(event(), webdriver=True), {}, (204, 0, [DropReason.BOT], 0, False)),
    ("bot-marked", body_with(event(), webdriver=True), {"bots": "mark"}, (204, 1, [], 0, True)),
    ("bot-ignored", body_with(event(), webdriver=True), {"bots": "ignore"}, (204, 1, [], 0, True)),
    ("gpc", body_with(event(), gpc=True), {}, (204, 0, [DropReason.GPC], 0, False)),
    ("gpc-ignored", body_with(event(), gpc=True), {"gpc": "ignore"}, (204, 1, [], 0, True)),
    ("unknown", body_with(event()), {"consent": "required"}, (204, 0, [DropReason.NO_CONSENT], 0, False)),
    ("granted", body_with(event(), consent="granted"), {"consent": "required"}, (204, 1, [], 0, True)),
    ("revoked", body_with(event(), consent="revoked"), {}, (204, 0, [DropReason.NO_CONSENT], 0, True)),
]


@pytest.mark.parametrize(
    ("body", "changes", "expected"), [row[1:] for row in OUTCOMES], ids=[row[0] for row in OUTCOMES]
)
def test_a_body_has_its_outcome(body: bytes, changes: dict[str, Any], expected: Any) -> None:
    """Each body has the expected status, records, drops, refusals, and cookies or none."""
    outcome = take(body, **changes)

    reasons = [row.reason for row in outcome.dropped]
    found = (tag_answer(outcome).status, len(outcome.records), reasons, outcome.refused, bool(outcome.cookies))
    assert found == expected


def test_every_refusal_is_answered_with_a_reason() -> None:
    """A malformed body, one without any valid event, and one with some get their reasons as JSON."""
    why = "event: not an object; accepted: an object"

    assert [
        orjson.loads(tag_answer(take(body)).body) for body in (b"{}", body_with(None), body_with(event(), None))
    ] == [
        {"error": "v: missing; accepted: 1"},
        {"error": "every event is wrong", "refused": [{"index": 0, "id": "", "why": why}]},
        {"refused": [{"index": 1, "id": "", "why": why}]},
    ]


def test_a_withdrawal_across_sites_touches_no_cookie() -> None:
    """On a proxy of another domain than the page, a withdrawal ends no cookie: those there are not the page's."""
    away = FACTS._replace(host="t.agency.example")

    assert take(body_with(consent="revoked"), request=away) == Decision(pixels=(PIXEL,))


@pytest.mark.parametrize(
    ("changes", "secure"),
    [
        ({}, True),
        ({"secure": False}, True),
        ({"secure": False, "origin": "http://shop.example"}, False),
        ({"secure": False, "origin": "", "referer": "https://shop.example/"}, True),
        ({"secure": False, "origin": "http://shop.example", "forwarded_proto": "https"}, False),
        ({"secure": False, "origin": "http://shop.example", "forwarded_proto": "https", "peer": "10.0.0.1"}, True),
        ({"secure": False, "origin": "http://shop.example", "forwarded_proto": "https, http", "peer": "::1"}, False),
    ],
)
def test_cookies_are_secure_where_the_page_is(changes: dict[str, Any], *, secure: bool) -> None:
    """A cookie is Secure if the listener, the page's own scheme or a trusted proxy says that the page is."""
    request = FACTS._replace(body=body_with(event()), **changes)

    cookies = ingest(request, policy(), ("10.0.0.0/8", "::1/128")).cookies
    assert ["; Secure" in cookie for cookie in cookies] == [secure, secure]


@pytest.mark.parametrize(
    ("peer", "host", "cookies"),
    [
        ("10.0.0.1", "t.shop.example", 2),
        ("10.0.0.1", "evil.example, t.shop.example", 2),
        ("10.0.0.1", "t.shop.example, evil.example", 0),
        ("10.0.0.1", "", 0),
        ("93.184.216.34", "t.shop.example", 0),
    ],
)
def test_the_host_a_trusted_proxy_saw_is_believed(peer: str, host: str, cookies: int) -> None:
    """Behind a trusted proxy the forwarded host decides the cookies' domain; a stranger's header has no effect."""
    request = FACTS._replace(body=body_with(event()), peer=peer, host="upstream:8080", forwarded_host=host)

    assert len(ingest(request, policy(), ("10.0.0.0/8",)).cookies) == cookies


def visitor_cookie_of(outcome: Decision) -> tuple[VisitorCookie | None, str]:
    """Return the content of the visitor cookie that an answer sets, and the next request's ``Cookie`` header."""
    jar = dict(cookie.partition("; ")[0].split("=", 1) for cookie in outcome.cookies)
    return KEYS.open(jar.get(COOKIE_NAME, ""), "shop", now=NOW), f"{COOKIE_NAME}={jar.get(COOKIE_NAME, '')}"


def user_data_of(outcome: Decision) -> dict[str, Any]:
    (record,) = outcome.records
    found: dict[str, Any] = written(record)["payload"]["user_data"]
    return found


FBP, FBC = "fb.1.1700000000000.1", "fb.1.1700000000000.abc"


def returning(body: bytes, *, cookie: str = "", **changes: Any) -> Decision:
    """Visit once with ids and a grant, then again a second later with only the visitor cookie and ``cookie``."""
    first = take(body_with(event(), fbp=FBP, fbc=FBC, consent="granted"), **changes)
    later = FACTS._replace(now=NOW + 1000, entropy=43, cookie=f"{visitor_cookie_of(first)[1]}; {cookie}")
    return take(body, request=later, **changes)


def test_ids_only_the_visitor_cookie_knows_go_on_the_server_copy_alone() -> None:
    """When the script's cookies are gone, the event still has both ids from the visitor cookie; none is set again."""
    outcome = returning(body_with(event()))

    sent = user_data_of(outcome)
    assert (sent["fbp"], sent["fbc"]) == (FBP, FBC)
    assert [cookie.partition("=")[0] for cookie in outcome.cookies] == [COOKIE_NAME]


def values_of_visits(*bodies: bytes, pause_ms: int = 1000, **changes: Any) -> list[str]:
    """Return the values of one browser's visitor cookie after each of its visits."""
    values: list[str] = []
    for number, body in enumerate(bodies):
        cookie = "; ".join([f"_fbp={FBP}", *values[-1:]])
        request = FACTS._replace(now=NOW + number * pause_ms, entropy=43 + number, cookie=cookie)
        values.append(visitor_cookie_of(take(body, request=request, **changes))[1])
    return values


GRANT = body_with(event(), consent="granted")


def test_a_visit_that_tells_nothing_new_gets_the_same_visitor_cookie_for_a_day() -> None:
    """The answer sets it again, and seals it anew only when a day has passed."""
    within = values_of_visits(GRANT, GRANT, body_with(event()), GRANT)
    daily = values_of_visits(GRANT, GRANT, pause_ms=DAY_MS)

    assert (len(set(within)), len(set(daily))) == (1, 2)


@pytest.mark.parametrize(
    ("second", "changes"),
    [
        (body_with(event(), consent="revoked"), {}),
        (body_with(event(), url="https://shop.example/?fbclid=new", consent="granted"), {}),
        (body_with(event(), match={PIXEL: {"em": "anna@shop.example"}}, consent="granted"), {"remember_match": True}),
    ],
    ids=["withdrawal", "click", "match"],
)
def test_what_a_visit_changes_is_sealed_at_once(second: bytes, changes: dict[str, Any]) -> None:
    """A withdrawal, a new click, and match keys to remember, whose half hour begins again with each event."""
    first, changed, *_ = values_of_visits(GRANT, second, **changes)
    again = values_of_visits(second, second, **changes) if changes else []

    assert changed not in {first, f"{COOKIE_NAME}="}
    assert len(set(again)) == len(again)


def test_what_an_old_secret_sealed_is_sealed_with_the_current_one() -> None:
    """Though nothing changed, the next answer sets the cookie under its new name."""
    keys = VisitorCookieKeys("another secret that is long enough", ["a secret for tests that is long enough"])
    (first,) = values_of_visits(GRANT)
    request = FACTS._replace(cookie=f"_fbp={FBP}; {first}", body=GRANT)
    found = ingest(request, replace(policy(), keys=keys)).cookies[-1].partition(";")[0]

    name, _, value = found.partition("=")
    assert name == keys.names("shop")[0] != COOKIE_NAME
    assert VisitorCookieKeys("another secret that is long enough").open(value, "shop", now=NOW) is not None


def test_what_the_browser_shows_beats_the_visitor_cookie() -> None:
    """A new _fbp of the page and a new click replace what was kept, and get their first time."""
    outcome = returning(body_with(event(), fbp="fb.1.1.2", url="https://shop.example/?fbclid=def"))

    clicked = f"fb.1.{NOW + 1000}.def"
    visitor_cookie, _ = visitor_cookie_of(outcome)
    assert visitor_cookie
    assert (user_data_of(outcome)["fbp"], user_data_of(outcome)["fbc"]) == ("fb.1.1.2", clicked)
    assert (visitor_cookie.fbp, visitor_cookie.fbc, visitor_cookie.fbp_since, visitor_cookie.since) == (
        "fb.1.1.2",
        clicked,
        NOW + 1000,
        NOW,
    )
    assert [cookie.partition(";")[0] for cookie in outcome.cookies[:2]] == ["_fbp=fb.1.1.2", f"_fbc={clicked}"]


def test_the_same_click_keeps_the_time_the_visitor_cookie_knows() -> None:
    """A click that comes again in the address keeps its first time on the server copy; no cookie comes back."""
    outcome = returning(body_with(event(), fbp=FBP, url="https://shop.example/?fbclid=abc"))

    assert user_data_of(outcome)["fbc"] == FBC
    assert [cookie.partition("=")[0] for cookie in outcome.cookies] == ["_fbp", COOKIE_NAME]


def test_the_visitor_id_stays_and_stands_beside_the_pages_own() -> None:
    """One visitor has one id, hashed, as the second external_id where the page gives one."""
    first = take(body_with(event(), fbp=FBP, fbc=FBC, consent="granted"))
    second = returning(body_with(event(), match={PIXEL: {"external_id": "7"}}))

    (own,) = user_data_of(first)["external_id"]
    visitor_cookie, _ = visitor_cookie_of(first)
    assert visitor_cookie
    assert own == sha256(visitor_cookie.visitor.encode()).hexdigest()
    assert user_data_of(second)["external_id"] == [sha256(b"7").hexdigest(), own]


def test_a_site_can_do_without_visitor_ids() -> None:
    """Without them nothing is sent, and an id made before is forgotten."""
    outcome = returning(body_with(event()), visitor_id=False)
    before = take(body_with(event()))
    after = take(body_with(event()), request=FACTS._replace(cookie=visitor_cookie_of(before)[1]), visitor_id=False)

    assert ["external_id" in user_data_of(decision) for decision in (outcome, after)] == [False, False]
    assert [(visitor_cookie_of(decision)[0] or VisitorCookie("?")).visitor for decision in (outcome, after)] == ["", ""]


@pytest.mark.parametrize(
    ("changes", "remembered"),
    [
        ({"remember_match": True}, True),
        ({}, False),
        ({"remember_match": True, "sensitive": "restricted"}, False),
    ],
)
def test_match_keys_last_for_the_visit_where_the_site_allows(changes: dict[str, Any], *, remembered: bool) -> None:
    """The match keys of a login are sent with the next event too, for all pixels of the site."""
    pixels: dict[str, Any] = {"pixel": [{"id": PIXEL, "access_token": "t"}, {"id": "9", "access_token": "t"}]}
    login = body_with(event(), match={PIXEL: {"em": "anna@shop.example", "external_id": "7"}}, consent="granted")
    first = take(login, **changes, **pixels)
    later = FACTS._replace(now=NOW + 1000, entropy=43, cookie=visitor_cookie_of(first)[1])
    found = user_data_of(take(body_with(event(pixels=["9"])), request=later, **changes, **pixels))

    mail = sha256(b"anna@shop.example").hexdigest()
    assert user_data_of(first)["em"] == [mail]
    assert (found.get("em"), len(found["external_id"])) == (([mail], 2) if remembered else (None, 1))


def test_the_pages_word_beats_the_memory() -> None:
    """Another e-mail address replaces everything that was remembered with the first."""
    allowed: dict[str, Any] = {"remember_match": True}
    first = take(body_with(event(), match={PIXEL: {"em": "anna@shop.example", "ph": "+4915112345678"}}), **allowed)
    later = FACTS._replace(now=NOW + 1000, entropy=43, cookie=visitor_cookie_of(first)[1])
    second = take(body_with(event(), match={PIXEL: {"em": "berta@shop.example"}}), request=later, **allowed)

    assert "ph" in user_data_of(first)
    assert user_data_of(second)["em"] == [sha256(b"berta@shop.example").hexdigest()]
    assert "ph" not in user_data_of(second)


def test_the_visitor_cookie_remembers_the_last_clear_word() -> None:
    """A page that says nothing of consent leaves the earlier grant as it is."""
    visitor_cookie, _ = visitor_cookie_of(returning(body_with(event(), consent="unknown")))

    assert visitor_cookie
    assert visitor_cookie.consent == "granted"


@pytest.mark.parametrize(
    ("members", "changes"),
    [({"gpc": True}, {}), ({}, {"consent": "required"}), ({"webdriver": True}, {})],
)
def test_a_dropped_visit_sets_no_visitor_cookie(members: dict[str, Any], changes: dict[str, Any]) -> None:
    """A visit that may not be measured gets no id from the proxy."""
    assert take(body_with(event(), **members), **changes).cookies == ()


def sealed(visitor_cookie: VisitorCookie) -> str:
    """Return the ``Cookie`` header of a browser with this visitor cookie."""
    return f"{COOKIE_NAME}={KEYS.seal(visitor_cookie, 'shop', now=NOW, entropy=1)}"


@pytest.mark.parametrize("opted_out", [False, True])
def test_a_withdrawal_ends_the_ids_and_keeps_the_word(*, opted_out: bool) -> None:
    """A withdrawal empties the visitor cookie; only the withdrawal itself and an opt-out stay in it."""
    visitor_cookie = VisitorCookie("ab", NOW, FBP, NOW, FBC, NOW, match={"em": ("c" * 64,)}, opted_out=opted_out)
    outcome = take(body_with(consent="revoked"), request=FACTS._replace(cookie=sealed(visitor_cookie)))

    assert [cookie.partition(";")[0] for cookie in outcome.cookies[:2]] == ["_fbp=", "_fbc="]
    assert visitor_cookie_of(outcome)[0] == VisitorCookie(consent=Consent.REVOKED, opted_out=opted_out)


def test_a_withdrawal_ends_old_names() -> None:
    """A withdrawal also deletes the visitor cookie under the name that an old secret gave it."""
    keys = VisitorCookieKeys("another secret that is long enough", ["a secret for tests that is long enough"])
    request = FACTS._replace(cookie=sealed(VisitorCookie("ab")), body=body_with(consent="revoked"))
    cookies = ingest(request, replace(policy(), keys=keys)).cookies

    assert cookies[3:] == (f"{COOKIE_NAME}=; Max-Age=0; Path=/; SameSite=Lax; Domain=shop.example; Secure; HttpOnly",)


def test_after_a_withdrawal_nothing_leaves_until_a_grant() -> None:
    """The browser's next words: unknown is dropped and sets nothing, granted is sent as of a new visitor."""
    withdrawn = FACTS._replace(cookie=sealed(VisitorCookie(consent=Consent.REVOKED)))
    silent = take(body_with(event()), request=withdrawn)
    granted = take(body_with(event(), consent="granted"), request=withdrawn)

    assert ([row.reason for row in silent.dropped], silent.cookies) == ([DropReason.NO_CONSENT], ())
    (record,) = granted.records
    visitor_cookie, _ = visitor_cookie_of(granted)
    assert visitor_cookie
    assert (visitor_cookie.consent, visitor_cookie.suppression, record.id) == (Consent.GRANTED, "", "id-1")


def test_an_opt_out_holds_against_the_page() -> None:
    """Whatever the page says of consent, events are dropped, no id is made, and the opt-out is kept alive."""
    opted_out = VisitorCookie(opted_out=True)
    outcome = take(body_with(event(), consent="granted"), request=FACTS._replace(cookie=sealed(opted_out)))

    assert [row.reason for row in outcome.dropped] == [DropReason.OPTED_OUT]
    assert (len(outcome.cookies), visitor_cookie_of(outcome)[0]) == (1, opted_out)


PEOPLE = (b"k" * 32, b"o" * 32)


PROVING = replace(policy(), person_keys=PEOPLE)


def test_a_withdrawal_suppresses_what_the_cookie_proves() -> None:
    """The visitor number counts, by the digest that events of the browser carry; sealed claims of a page do not."""
    em = sha256(b"anna@example.com").hexdigest()
    visitor_cookie = VisitorCookie("ab", fbp=FBP, match={"em": (em,), "external_id": (em,)})
    withdrawal = ingest(FACTS._replace(cookie=sealed(visitor_cookie), body=body_with(consent="revoked")), PROVING)
    claim = {PIXEL: {"em": "Anna@Example.com", "external_id": em}}
    (claimed,) = ingest(FACTS._replace(body=body_with(event(), fbp=FBP, match=claim)), PROVING).records
    (returned,) = ingest(FACTS._replace(cookie=sealed(visitor_cookie), body=body_with(event())), PROVING).records

    assert len(withdrawal.withdrawn) == 1
    assert set(withdrawal.withdrawn) & set(claimed.person_digests) == set()
    assert set(withdrawal.withdrawn) <= set(returned.person_digests)
    assert visitor_cookie_of(withdrawal)[0] == VisitorCookie(
        consent=Consent.REVOKED, suppression=withdrawal.withdrawn[0].hex()
    )


def test_a_grant_lifts_what_the_same_cookie_withdrew() -> None:
    """The cookie that a withdrawal left names its digest; a grant elsewhere, or of a claimed person, names none."""
    number = sha256(b"ab").hexdigest()
    withdrawal = FACTS._replace(cookie=sealed(VisitorCookie("ab")), body=body_with(consent="revoked"))
    (digest,) = ingest(withdrawal, PROVING).withdrawn
    left = FACTS._replace(cookie=sealed(VisitorCookie(consent=Consent.REVOKED, suppression=digest.hex())))
    grant = body_with(event(), consent="granted", match={PIXEL: {"external_id": number}})

    assert ingest(left._replace(body=grant), PROVING).granted == (digest,)
    assert digest not in ingest(FACTS._replace(cookie=sealed(VisitorCookie("cd")), body=grant), PROVING).granted
    assert ingest(FACTS._replace(body=grant), PROVING).granted == ()
    assert ingest(left._replace(body=body_with(event())), PROVING).granted == ()


def test_a_grant_does_not_lift_what_it_cannot_change() -> None:
    """Of a browser that opted out, or whose privacy signal is obeyed, a grant lifts nothing."""
    grant = body_with(event(), consent="granted")
    opted_out = VisitorCookie(opted_out=True, consent=Consent.REVOKED, suppression="00" * 16)
    signalling = FACTS._replace(cookie=sealed(VisitorCookie("ab")), gpc="1")

    assert ingest(FACTS._replace(cookie=sealed(opted_out), body=grant), PROVING).granted == ()
    assert ingest(signalling._replace(body=grant), PROVING).granted == ()


def test_a_grant_names_the_visitor_under_every_key() -> None:
    """A cookie that an answer under way has overwritten proves its visitor number, under old secrets too."""
    grant = FACTS._replace(cookie=sealed(VisitorCookie("ab")), body=body_with(event(), consent="granted"))
    (record,) = ingest(grant, PROVING).records

    assert len(ingest(grant, PROVING).granted) == len(PEOPLE)
    assert set(ingest(grant, PROVING).granted) <= set(record.person_digests)


def test_a_page_suppresses_nobody_by_its_claims() -> None:
    """A forged withdrawal with somebody's address and ids names no person."""
    body = body_with(consent="revoked", fbp=FBP, match={PIXEL: {"em": "anna@example.com"}})

    assert ingest(FACTS._replace(body=body), PROVING).withdrawn == ()


@pytest.mark.parametrize("host", ["t.agency.example", "shop.example.agency.example"])
def test_across_sites_there_is_no_visitor_cookie(host: str) -> None:
    """A proxy on another domain than the page reads no visitor cookie, sets none and has no visitor id."""
    (_, cookie) = visitor_cookie_of(take(body_with(event())))
    outcome = take(body_with(event()), request=FACTS._replace(host=host, cookie=cookie))

    assert (outcome.cookies, "external_id" in user_data_of(outcome)) == ((), False)


@given(st.text(max_size=60) | st.sampled_from(["", "AA", "A" * 1600, "="]))
@settings(max_examples=100, deadline=None)
def test_a_forged_visitor_cookie_is_as_none(value: str) -> None:
    """Any text under the visitor cookie's name gives the outcome of a visit without one."""
    header = f"{COOKIE_NAME}={value.replace(';', '')}"

    assert take(body_with(event()), request=FACTS._replace(cookie=header)) == take(body_with(event()))


def test_an_untrusted_forwarding_header_from_next_door_is_noticed() -> None:
    """The commonest mistake of all is marked, and the private address is not sent."""
    request = FACTS._replace(body=body_with(event()), peer="172.17.0.1", forwarded="93.184.216.34")
    outcome = ingest(request, policy())

    (record,) = outcome.records
    assert (outcome.untrusted_forwarding, "client_ip_address" in written(record)["payload"]["user_data"]) == (
        True,
        False,
    )


def test_the_image_is_a_page_view_of_the_referer() -> None:
    """Without script the page's address comes from the Referer, for every pixel of the site, with an id of its own."""
    request = FACTS._replace(origin="", referer="https://shop.example/p?email=anna@x.de&utm_source=a")
    outcome = ingest_image(request, policy(pixel=[{"id": "1", "access_token": "t"}, {"id": "2", "access_token": "t"}]))

    expected = (204, [(pixel, "PageView", f"{42:032x}", "https://shop.example/p?utm_source=a") for pixel in "12"])
    found = [
        (record.pixel, record.name, record.id, written(record)["payload"]["event_source_url"])
        for record in outcome.records
    ]
    assert (tag_answer(outcome).status, found) == expected


@pytest.mark.parametrize(
    ("changes", "asked", "reason", "findings"),
    [
        ({"consent": "required"}, FACTS, DropReason.NO_CONSENT, ()),
        ({}, FACTS._replace(gpc="1"), DropReason.GPC, ()),
        ({}, FACTS._replace(user_agent="curl/8.5.0"), DropReason.BOT, ("bot:crawler",)),
        ({"pixel": [{"id": PIXEL, "access_token": "t", "events": ["Lead"]}]}, FACTS, DropReason.EXCLUDED, ()),
    ],
)
def test_the_image_obeys_the_same_rules(
    changes: dict[str, Any], asked: Received, reason: DropReason, findings: tuple[str, ...]
) -> None:
    """Consent, Privacy Control, bots and the pixel's list hold for the image as for the tag."""
    expected = LedgerRow(NOW, PIXEL, "PageView", f"{42:032x}", NOW // 1000, Status.DROPPED, reason, findings=findings)
    (dropped,) = ingest_image(asked, policy(**changes)).dropped
    consent = EventFacts("shop", 0, "unknown", changes.get("consent", "pixel"))
    assert dropped._replace(visitor=b"") == expected._replace(arrived=NOW, facts=consent)


MAIL = "Anna.Secretova@Mail.Example"
PHONE = "+49 1517 6665544"
# What of them must never be seen, in any notation of ours.
SECRETS = ("secretova", "6665544", "anna.s")
PLANTED = st.sampled_from(
    [MAIL, f" {MAIL} ", MAIL.upper(), f"mailto:{MAIL}", f"<{MAIL}>", PHONE, PHONE.replace(" ", ""), f"{MAIL},{PHONE}"]
)
ADDRESSES = st.sampled_from(
    [
        f"https://shop.example/u/{MAIL}/orders",
        f"https://shop.example/u/{MAIL.replace('@', '%40')}",
        f"https://shop.example/?utm_source={MAIL}",
        f"https://shop.example/?em={MAIL}&ph={PHONE}",
        f"https://shop.example/#{MAIL}",
        f"https://{MAIL.replace('@', '%40')}:{PHONE}@shop.example/",
        f"mailto:{MAIL}",
        MAIL,
        PHONE,
    ]
)
WRONG = PLANTED | st.none() | st.integers(-9, 99) | st.booleans() | st.lists(PLANTED, max_size=2)
MATCH = st.dictionaries(
    st.sampled_from(["em", "email", "ph", "phone", "fn", "ct", "zp", "db", "external_id", "country", "more"]),
    WRONG | st.dictionaries(PLANTED, PLANTED, max_size=1),
    max_size=5,
)
CALLS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["PageView", "Purchase", "Own"]),
        "id": st.sampled_from(["id-1", "id-2"]),
        "at": st.integers(1, 2 * NOW) | WRONG,
        "pixels": st.lists(st.sampled_from([PIXEL, "9", "x"]), max_size=3) | WRONG,
        "data": st.dictionaries(st.sampled_from(["value", "currency"]), st.integers(0, 99), max_size=2) | WRONG,
    },
    optional={"pixel": WRONG | st.just("fired"), "more": WRONG},
)
VISITS = st.fixed_dictionaries(
    {"v": st.just(1), "sent": st.integers(1, 2 * NOW), "events": st.lists(CALLS | WRONG, max_size=3)},
    optional={
        "url": ADDRESSES,
        "referrer": ADDRESSES,
        "fbp": WRONG,
        "fbc": WRONG,
        "consent": st.sampled_from(["granted", "unknown", "revoked"]),
        "dpo": st.lists(WRONG, max_size=3),
        "match": st.dictionaries(st.sampled_from([PIXEL, "9", MAIL]), MATCH | WRONG, max_size=2) | WRONG,
        "fates": st.lists(WRONG | st.dictionaries(st.sampled_from(["name", "id", "pixel"]), WRONG), max_size=2),
        "more": WRONG,
    },
)
SITES = st.fixed_dictionaries(
    {},
    optional={
        "consent": st.sampled_from(["pixel", "required"]),
        "gpc": st.sampled_from(["drop", "ldu", "ignore"]),
        "sensitive": st.sampled_from(["none", "restricted"]),
        "bots": st.sampled_from(["drop", "mark", "ignore"]),
        "country": st.sampled_from(["", "DE"]),
    },
)


def judged_hits(body: bytes) -> int:
    """Return how many pairs of event and pixel a body has."""
    try:
        return sum(len(hit.pixels) for hit in wire.visit(body).hits)
    except wire_members.Malformed:
        return 0


@given(VISITS, SITES)
@settings(max_examples=300, deadline=None)
def test_contact_data_never_gets_past_the_door(document: dict[str, Any], changes: dict[str, Any]) -> None:
    """Wherever but in its own words a page puts a mail address or a number, no record, row or answer holds it."""
    outcome = take(orjson.dumps(document), **changes)

    seen = visible(outcome)
    assert [secret for secret in SECRETS if secret in seen] == []


@given(VISITS, SITES)
@settings(max_examples=100, deadline=None)
def test_every_event_is_kept_dropped_or_refused(document: dict[str, Any], changes: dict[str, Any]) -> None:
    """For each event and pixel there is one record or one drop, and each refused member is counted.

    One row stands for all pairs with pixels that the site does not list.
    """
    body = orjson.dumps(document)
    outcome = take(body, **changes)

    assert tag_answer(outcome).status in {204, 200, 400}
    rows = len(outcome.dropped) + max(0, outcome.unknown_pixels - 1)
    assert len(outcome.records) + rows == judged_hits(body)
    assert (tag_answer(outcome).status == 204) == (outcome.refused == 0 and tag_answer(outcome).body == b"")


@given(
    st.binary(max_size=200) | VISITS.map(orjson.dumps),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("peer", "host", "origin", "referer", "cookie", "user_agent", "gpc", "forwarded", "forwarded_host"),
            st.text(max_size=20) | st.sampled_from(["127.0.0.1", "_fbp=fb.1.1.1", "https://[", "shop.example:x", ","]),
        ),
    ),
)
@settings(max_examples=200, deadline=None)
def test_no_request_breaks_the_rules(body: bytes, headers: dict[str, Any]) -> None:
    """Any bytes under any headers have one of four answers, and records never outnumber events and pixels."""
    outcome = ingest(FACTS._replace(body=body, **headers), policy(), ("127.0.0.0/8",))

    assert tag_answer(outcome).status in {204, 200, 400, 413}
    assert len(outcome.records) + len(outcome.dropped) <= judged_hits(body)
    assert all(cookie.isascii() and cookie.isprintable() for cookie in outcome.cookies)


def test_records_are_what_graphs_language_makes_of_events() -> None:
    """The payload in the record is the one that the room graph writes, byte for byte."""
    (record,) = take(body_with(event(name="Purchase", data={"value": 1, "currency": "EUR"}))).records
    sent = orjson.loads(record.whole)

    again = payload.record(
        Event(
            pixel=PIXEL,
            name="Purchase",
            id="id-1",
            time_s=NOW // 1000,
            url="https://shop.example/",
            referrer="",
            user_data=sent["user_data"],
            custom_data={"value": 1, "currency": "EUR"},
            options=None,
            visitor=record.visitor,
            browser_copy=record.browser_copy,
            findings=record.findings,
        )
    )
    assert again._replace(facts=record.facts, arrived=NOW) == record
    assert record.facts == EventFacts(
        "shop", bits_of(sent["user_data"]), "unknown", "pixel", value=10_000, currency="EUR"
    )


@pytest.mark.parametrize(
    ("blocked", "value", "currency"),
    [([], 10_000, "EUR"), (["currency"], 10_000, ""), (["value"], None, ""), (["note"], 10_000, "EUR")],
)
@pytest.mark.parametrize("times", [1, 3])
def test_what_may_not_leave_is_not_summed(blocked: list[str], value: int | None, currency: str, times: int) -> None:
    """A value or a currency that the site blocks is in no record's facts, however often the page says the same."""
    data = {"value": 1, "currency": "EUR", "note": "x"}
    sent = [event(name="Purchase", id=f"id-{number}", data=data) for number in range(times)]
    records = take(body_with(*sent), block_keys=blocked).records

    assert [(record.facts.value, record.facts.currency) for record in records] == [(value, currency)] * times
    assert all(record.facts.redactions == (("key:custom_data",) if blocked else ()) for record in records)

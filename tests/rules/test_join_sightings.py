"""The sightings that a page's events leave for a server's event of the same order."""

import sys
from types import FrameType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joins import DOOR, FBP, OLD_SECRET, SECRET, event, key, kinds, page, policy, seen
from shop_requests import FACTS, KEYS, NOW

from proxy.model.join import CERTAIN, JoinKind, Sighting
from proxy.model.request import Consent
from proxy.rules import limits
from proxy.rules.identity.person import browser_digests, digests, number_digests
from proxy.rules.identity.visitor_cookie import VisitorCookie
from proxy.rules.match.keys import match_keys

PIXELS = [{"id": number, "access_token": "t"} for number in ("1234567890", "2", "3")]
NUMBER = "d" * 32
FIELDS = {"fbp": "", "fbc": "", "address": "", "user_agent": "", "options": None, "person_digests": ()}


def cookie(**changes: Any) -> str:
    """Return a ``Cookie`` header with a visitor cookie that holds a visitor number."""
    sealed = KEYS.seal(VisitorCookie(visitor=NUMBER, since=NOW, **changes), "shop", now=NOW, entropy=1)
    return f"{KEYS.names('shop')[0]}={sealed}"


def left(decision_of: Any) -> list[str]:
    return [sighting.forbidden for sighting in decision_of.sightings]


@pytest.mark.parametrize("name", ["InitiateCheckout", "Lead", "Purchase", "StartTrial", "Subscribe"])
def test_an_event_about_an_order_leaves_its_visitor(name: str) -> None:
    """The sighting has the browser ids, the address, the user agent, the event's id, and the keys that find it."""
    request = FACTS._replace(cookie=cookie())
    found = seen(event(name, data={"order_id": "1001"}), request=request, fbc="fb.1.1700000000000.click", dpo=["LDU"])

    own = (*number_digests(NUMBER, (SECRET,)), *browser_digests(FBP, (SECRET,)))
    assert found == Sighting(
        site="shop",
        keys=found.keys,
        name=name,
        id="of-the-page-1",
        at=NOW,
        visitor=found.visitor,
        fbp=FBP,
        fbc="fb.1.1700000000000.click",
        address="93.184.216.34",
        user_agent=FACTS.user_agent,
        options=(("LDU",), 0, 0),
        person_digests=own,
    )
    assert kinds(found.keys) == [JoinKind.EVENT, JoinKind.ORDER, JoinKind.BROWSER, JoinKind.NUMBER]
    assert len(found.visitor) == 8


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("PageView", DOOR),
        ("AddToCart", DOOR),
        ("Refund", DOOR),
        ("purchase", DOOR),
        ("Purchase", {"access_keys": []}),
    ],
)
def test_nothing_is_left_of_other_visits(name: str, site: dict[str, Any]) -> None:
    """A mere visit leaves no sighting, and no event does on a site whose servers cannot report orders."""
    shop = policy(**site)

    assert page(event(name), shop=shop).sightings == ()
    assert page(event(name), shop=shop, gpc=True).sightings == ()


@pytest.mark.parametrize("site", [{"webhook": [{"kind": "stripe", "secret": "s"}], "access_keys": []}, DOOR])
def test_a_webhook_is_a_door_too(site: dict[str, Any]) -> None:
    """Either a webhook or an access key suffices for sightings to be left."""
    assert left(page(event(), shop=policy(**site))) == [""]


def test_an_event_leaves_its_visitor_once_for_all_its_pixels() -> None:
    """What the page told each pixel about the visitor makes keys of one sighting, the most certain first."""
    ids = [pixel["id"] for pixel in PIXELS]
    match = {"2": {"em": "ada@mail.example"}, "3": {"em": "bob@mail.example", "external_id": "7"}}
    found = seen(event(pixels=ids), shop=policy(pixel=PIXELS), match=match)

    assert kinds(found.keys) == [
        *(JoinKind.EVENT, JoinKind.BROWSER, JoinKind.NUMBER, JoinKind.ACCOUNT, JoinKind.EMAIL, JoinKind.EMAIL)
    ]


def test_an_erasure_finds_it_by_all_that_the_page_told() -> None:
    """The person digests of a sighting cover every address and account that the page told any of its pixels."""
    ids = [pixel["id"] for pixel in PIXELS]
    match = {"2": {"em": "ada@mail.example"}, "3": {"external_id": "7"}}
    found = seen(event(pixels=ids), shop=policy(pixel=PIXELS), match=match)

    for told in ({"em": "ada@mail.example"}, {"external_id": "7"}):
        assert set(digests(match_keys(told).hashed, (SECRET,))) <= set(found.person_digests)


def test_what_one_request_leaves_is_bounded() -> None:
    """The sightings of a request are bounded, as are their keys and digests, for any number of pixels and people."""
    pixels = [{"id": str(number), "access_token": "t"} for number in range(1, 31)]
    match = {pixel["id"]: {"em": [f"{pixel['id']}-{each}@mail.example" for each in range(4)]} for pixel in pixels}
    decision = page(
        *(event(id=f"id-{number}", pixels=[pixel["id"] for pixel in pixels]) for number in range(10)),
        shop=policy(pixel=pixels),
        match=match,
    )

    assert len(decision.sightings) == limits.SIGHTINGS
    assert {len(sighting.keys) for sighting in decision.sightings} == {limits.SIGHTING_KEYS}
    assert {len(sighting.person_digests) for sighting in decision.sightings} == {limits.SIGHTING_KEYS}
    assert len(page(*(event(id=f"id-{number}") for number in range(10)), gpc=True).sightings) == limits.SIGHTINGS


def test_an_event_that_is_refused_leaves_nothing() -> None:
    """Neither does an event that its pixel excludes, that Meta would refuse, or that is too large."""
    shop = policy(pixel=[{"id": "1234567890", "access_token": "t", "events": ["!Lead"]}])
    many = [{"id": str(number), "access_token": "t"} for number in range(1, 21)]
    wide = event(pixels=[pixel["id"] for pixel in many], data={"note": "n" * 20_000})

    assert page(event("Lead"), shop=shop).sightings == ()
    assert page(event(data={"value": "free"})).sightings == ()
    assert page(event(id="ada.lovelace@mail.example")).sightings == ()
    too_large = page(wide, shop=policy(pixel=many))
    assert (too_large.refused, too_large.sightings) == (1, ())


def test_visitors_are_told_apart_by_their_browser() -> None:
    """The index and appendix of the browser id and a rotated secret change nothing of the visitor."""
    visitors = [
        seen(event(), fbp=fbp, shop=policy(secrets)).visitor
        for fbp in (FBP, FBP.replace("fb.1", "fb.2") + ".AQQCAQMC", FBP[:-1] + "8")
        for secrets in ((SECRET,), (OLD_SECRET,))
    ]

    assert len(set(visitors[:4])) == 1
    assert len(set(visitors)) == 2


REFUSALS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ({}, {"gpc": True}, {}, "gpc"),
    ({"gpc": "1"}, {}, {}, "gpc"),
    ({"dnt": "1"}, {}, {"dnt": "drop"}, "dnt"),
    ({"cookie": cookie(opted_out=True)}, {}, {}, "opted_out"),
    ({"cookie": cookie(opted_out=True)}, {"consent": "granted"}, {}, "opted_out"),
    ({}, {"consent": "revoked"}, {}, "no_consent"),
    ({}, {"consent": "revoked"}, {"consent": "required"}, "no_consent"),
    ({"cookie": cookie(consent=Consent.REVOKED)}, {}, {}, "no_consent"),
]


@pytest.mark.parametrize(("facts", "members", "site", "reason"), REFUSALS)
def test_a_refusal_leaves_the_order_and_nothing_of_the_visitor(
    facts: dict[str, Any], members: dict[str, Any], site: dict[str, Any], reason: str
) -> None:
    """A refusal's sighting holds back a server's copy of the order, and has no key that names the buyer."""
    bought = event(data={"order_id": "1001"})
    person = {"1234567890": {"em": "ada@mail.example"}}
    decision = page(bought, request=FACTS._replace(**facts), shop=policy(**site), match=person, **members)

    (found,) = decision.sightings
    assert decision.records == ()
    assert found._asdict().items() >= FIELDS.items()
    assert (found.forbidden, found.visitor, found.name, found.id) == (reason, b"", "Purchase", "")
    assert found.keys == (key(JoinKind.EVENT, "Purchase\0of-the-page-1"), key(JoinKind.ORDER, "1001"))
    assert set(kinds(found.keys)) <= CERTAIN


@pytest.mark.parametrize(
    ("facts", "members", "site"),
    [
        ({}, {}, {"consent": "required"}),
        ({"cookie": cookie(consent=Consent.REVOKED)}, {}, {"consent": "required"}),
        ({}, {"webdriver": True}, {}),
    ],
    ids=["no answer yet", "no answer yet after a withdrawal", "a machine"],
)
def test_who_refused_nothing_forbids_nothing(
    facts: dict[str, Any], members: dict[str, Any], site: dict[str, Any]
) -> None:
    """While a page has no answer yet, its events leave no sighting; nor do a bot's."""
    decision = page(event(), request=FACTS._replace(**facts), shop=policy(**site), **members)

    assert (decision.records, decision.sightings) == ((), ())


def test_the_answer_to_a_page_is_what_it_leaves() -> None:
    """A page that sends an event as unknown, then as granted, leaves one sighting, which permits."""
    shop, bought = policy(consent="required"), event(data={"order_id": "1"})
    sightings = [each for word in ("unknown", "granted") for each in page(bought, shop=shop, consent=word).sightings]

    assert [each.forbidden for each in sightings] == [""]


def test_no_contact_data_is_in_a_refusal_whatever_the_page_calls_its_order() -> None:
    """No sighting is left if ids are contact data, since their digests would be stored."""
    bought = event(id="ada.lovelace@mail.example", data={"order_id": "ada.lovelace@mail.example"})

    assert page(bought, gpc=True).sightings == ()


def test_a_restricted_site_keeps_no_key_of_an_order() -> None:
    """Order ids of a restricted site are not used; its events are still found by their ids."""
    shop, bought = policy(sensitive="restricted"), event(data={"order_id": "1001"})

    assert kinds(page(bought, shop=shop, gpc=True).sightings[0].keys) == [JoinKind.EVENT]
    assert JoinKind.ORDER not in kinds(seen(bought, shop=shop).keys)


TEXTS = st.one_of(st.text(max_size=40), st.sampled_from(["1001", "#1", "ada@mail.example", "[redacted]", "0"]))


@given(
    TEXTS,
    st.one_of(TEXTS, st.integers(-(2**63), 2**63), st.none(), st.lists(TEXTS, max_size=2)),
    TEXTS,
    TEXTS,
    st.booleans(),
)
def test_whatever_a_page_sends_is_bounded_and_finds_no_fault(
    identity: str,
    order: Any,
    path: str,
    email: str,
    refused: bool,  # noqa: FBT001 - drawn
) -> None:
    """No order, id, address or person causes an error of ours or more keys than allowed; a refusal never has ids."""
    person = {"1234567890": {"em": email, "external_id": [email, path]}}
    url = f"https://shop.example/checkouts/{path}/order-received/{path}"
    decision = page(event(id=identity, data={"order_id": order}), gpc=refused, match=person, url=url)

    assert decision.faults == ()
    for sighting in decision.sightings:
        assert len(sighting.keys) <= limits.SIGHTING_KEYS
        assert bool(sighting.forbidden) is refused is not bool(sighting.fbp)
    assert len(decision.sightings) == len(decision.records) or (refused and not decision.records)


def test_without_a_secret_nothing_is_left() -> None:
    """Without a secret no key is made, since anybody could make the same keys."""
    assert page(event(), shop=policy(())).sightings == ()


def test_the_decision_shows_no_raw_contact_data() -> None:
    """Of an e-mail address, an account or an order, only keys are stored."""
    person = {"1234567890": {"em": "ada@mail.example", "external_id": "account-4711"}}
    (found,) = page(event(data={"order_id": "order-9876"}), match=person).sightings
    text = msgspec.json.encode(found).decode()

    assert not [word for word in ("ada@", "account-4711", "order-9876") if word in text]


@pytest.mark.parametrize("site", [{"access_keys": []}, DOOR])
def test_a_page_view_pays_nothing_for_the_join(site: dict[str, Any]) -> None:
    """No function of the join rules is called for an event that is not about an order."""
    shop, called = policy(**site), []

    def note(frame: FrameType, happened: str, _: object) -> None:
        if happened == "call" and "/rules/joins/" in frame.f_code.co_filename:
            called.append(frame.f_code.co_name)

    def calls(name: str) -> list[str]:
        called.clear()
        sys.setprofile(note)
        try:
            page(event(name), shop=shop)
        finally:
            sys.setprofile(None)
        return list(called)

    assert calls("PageView") == []
    assert bool(calls("Purchase")) is bool(site["access_keys"])

"""Only permitted events leave: Global Privacy Control decides first, then consent, then bots."""

from itertools import product
from typing import Any

import pytest

from proxy.config.schema import Site
from proxy.model.event import DropReason
from proxy.model.request import Consent, Visit
from proxy.rules.identity.visitor_cookie import NOTHING, VisitorCookie
from proxy.rules.permission.consent import drop_reason, options, permission, signals_dnt, signals_gpc

GRANTED, UNKNOWN, REVOKED = Consent.GRANTED, Consent.UNKNOWN, Consent.REVOKED
GPC, NO_CONSENT, BOT = DropReason.GPC, DropReason.NO_CONSENT, DropReason.BOT
DNT, OPTED_OUT = DropReason.DNT, DropReason.OPTED_OUT
LDU = (("LDU",), 0, 0)
CALIFORNIA = (("LDU",), 1, 1000)
NO_LDU: tuple[tuple[str, ...], int, int] = ((), 0, 0)


def site(**changes: Any) -> Site:
    usual = {"name": "shop", "domains": ["shop.example"], "pixel": [{"id": "123", "access_token": "t"}]}
    return Site.model_validate(usual | changes, context={"resolve": str})


# Sec-GPC header, the tag's ``gpc`` member, whether that is a signal.
SIGNALS = [
    ("", False, False),
    ("0", False, False),
    ("1", False, True),
    (" 1 ", False, True),
    ("1, 1", False, True),
    ("0, 1", False, True),
    ("true", False, False),
    ("01", False, False),
    ("1.0", False, False),
    ("11", False, False),
    ("?1", False, False),
    ("", True, True),
    ("0", True, True),
]

# Visitor cookie, settings of the site, consent of the page, DNT; the reason that forbids the visit.
WORDS: list[tuple[VisitorCookie, dict[str, str], Consent, bool, DropReason | None]] = [
    (NOTHING, {}, UNKNOWN, True, None),
    (NOTHING, {"dnt": "drop"}, UNKNOWN, True, DNT),
    (NOTHING, {"dnt": "drop"}, GRANTED, True, DNT),
    (NOTHING, {"dnt": "drop"}, GRANTED, False, None),
    (VisitorCookie(opted_out=True), {}, UNKNOWN, False, OPTED_OUT),
    (VisitorCookie(opted_out=True), {}, GRANTED, False, OPTED_OUT),
    (VisitorCookie(opted_out=True, consent=GRANTED), {"consent": "required"}, GRANTED, False, OPTED_OUT),
    (VisitorCookie(opted_out=True), {"dnt": "drop"}, GRANTED, True, DNT),
    (VisitorCookie(consent=REVOKED), {}, UNKNOWN, False, NO_CONSENT),
    (VisitorCookie(consent=REVOKED), {}, GRANTED, False, None),
    (VisitorCookie(consent=REVOKED), {"consent": "required"}, UNKNOWN, False, NO_CONSENT),
    (VisitorCookie(consent=GRANTED), {}, UNKNOWN, False, None),
    (VisitorCookie(consent=GRANTED), {}, REVOKED, False, NO_CONSENT),
    (VisitorCookie(consent=GRANTED), {"consent": "required"}, UNKNOWN, False, NO_CONSENT),
]

# Settings of the site; consent, GPC, whether a public address is known, whether it is a bot; the reason that forbids
# it.
CASES: list[tuple[dict[str, str], Consent, bool, bool, bool, DropReason | None]] = [
    ({}, GRANTED, False, True, False, None),
    ({}, UNKNOWN, False, True, False, None),
    ({}, UNKNOWN, False, False, False, None),
    ({}, REVOKED, False, True, False, NO_CONSENT),
    ({"consent": "required"}, GRANTED, False, True, False, None),
    ({"consent": "required"}, UNKNOWN, False, True, False, NO_CONSENT),
    ({"consent": "required"}, REVOKED, False, True, False, NO_CONSENT),
    ({}, GRANTED, True, True, False, GPC),
    ({}, GRANTED, True, False, False, GPC),
    ({"gpc": "ldu"}, GRANTED, True, True, False, None),
    ({"gpc": "ldu"}, GRANTED, True, False, False, GPC),
    ({"gpc": "ldu"}, GRANTED, False, False, False, None),
    ({"gpc": "ldu"}, REVOKED, True, True, False, NO_CONSENT),
    ({"gpc": "ldu", "consent": "required"}, UNKNOWN, True, True, False, NO_CONSENT),
    ({"gpc": "ldu", "consent": "required"}, UNKNOWN, True, False, False, GPC),
    ({"gpc": "ignore"}, GRANTED, True, True, False, None),
    ({"gpc": "ignore"}, GRANTED, True, False, False, None),
    ({"gpc": "ignore"}, REVOKED, True, True, False, NO_CONSENT),
    ({}, REVOKED, True, True, False, GPC),
    ({}, GRANTED, False, True, True, BOT),
    ({"bots": "mark"}, GRANTED, False, True, True, None),
    ({"bots": "ignore"}, GRANTED, False, True, True, None),
    ({}, REVOKED, False, True, True, NO_CONSENT),
    ({}, GRANTED, True, True, True, GPC),
]

# Setting, GPC, the page's own data processing options; those that the events carry.
OPTIONS = [
    ("drop", False, None, None),
    ("drop", False, CALIFORNIA, CALIFORNIA),
    ("drop", False, NO_LDU, NO_LDU),
    ("ldu", False, None, None),
    ("ldu", True, None, LDU),
    ("ldu", True, NO_LDU, LDU),
    ("ldu", True, LDU, LDU),
    ("ldu", False, CALIFORNIA, CALIFORNIA),
    ("ignore", True, None, None),
    ("ignore", True, CALIFORNIA, CALIFORNIA),
]


@pytest.mark.parametrize(("header", "tag", "expected"), SIGNALS)
def test_the_signal_is_exactly_one(header: str, *, tag: bool, expected: bool) -> None:
    """Sec-GPC counts only if it is 1; without the header the tag's own report counts."""
    assert signals_gpc(header, Visit(sent=1, gpc=tag)) is expected


@pytest.mark.parametrize(("changes", "consent", "gpc", "located", "bot", "expected"), CASES)
def test_the_first_reason_forbids_the_visit(
    changes: dict[str, str], consent: Consent, *, gpc: bool, located: bool, bot: bool, expected: DropReason | None
) -> None:
    """Global Privacy Control comes first, then consent, then bots; the site's settings say how strict each is."""
    visit = Visit(sent=1, consent=consent)

    assert drop_reason(site(**changes), visit, NOTHING, gpc=gpc, dnt=False, located=located, bot=bot) == expected


@pytest.mark.parametrize(("visitor_cookie", "changes", "consent", "dnt", "expected"), WORDS)
def test_the_visitor_cookie_and_the_browser_have_a_word(
    visitor_cookie: VisitorCookie, changes: dict[str, str], consent: Consent, *, dnt: bool, expected: DropReason | None
) -> None:
    """An opt-out overrules the page, a withdrawal lasts until the page reports a grant, and a stored grant is none."""
    visit = Visit(sent=1, consent=consent)

    assert drop_reason(site(**changes), visit, visitor_cookie, gpc=False, dnt=dnt, located=True, bot=False) == expected


@pytest.mark.parametrize(("header", "expected"), [("1", True), (" 1", True), ("", False), ("0", False), ("11", False)])
def test_do_not_track_is_exactly_one(header: str, *, expected: bool) -> None:
    """DNT counts only if it is 1."""
    assert signals_dnt(header) is expected


@pytest.mark.parametrize(
    ("dpo", "expected"), [(None, LDU), (NO_LDU, LDU), (LDU, LDU), (CALIFORNIA, CALIFORNIA)], ids=str
)
def test_a_site_may_limit_all_its_data(
    dpo: tuple[tuple[str, ...], int, int] | None, expected: tuple[tuple[str, ...], int, int]
) -> None:
    """With ``ldu`` every event carries Limited Data Use; a country and state named by the page are kept."""
    assert options(site(ldu=True), Visit(sent=1, dpo=dpo), gpc=False) == expected


@pytest.mark.parametrize(("setting", "gpc", "dpo", "expected"), OPTIONS)
def test_limited_data_use_comes_from_the_page_or_from_the_signal(
    setting: str,
    *,
    gpc: bool,
    dpo: tuple[tuple[str, ...], int, int] | None,
    expected: tuple[tuple[str, ...], int, int] | None,
) -> None:
    """The page's own choice stands unless the visitor's signal asks for more."""
    assert options(site(gpc=setting), Visit(sent=1, dpo=dpo), gpc=gpc) == expected


@pytest.mark.parametrize("settings", [{}, {"consent": "required"}, {"ldu": True}, {"gpc": "ldu"}, {"dnt": "drop"}])
@pytest.mark.parametrize("cookie", [NOTHING, VisitorCookie(consent=REVOKED), VisitorCookie(opted_out=True)])
def test_a_visit_without_any_signal_is_judged_as_any_other(settings: dict[str, Any], cookie: VisitorCookie) -> None:
    """The shortcut for nearly all visits gives the same permission as all questions together."""
    for consent, gpc, dnt, tag, bot in product(Consent, ("", "0", "1"), ("", "0", "1"), (False, True), (False, True)):
        visit, shop = Visit(sent=1, consent=consent, gpc=tag, dpo=CALIFORNIA), site(**settings)
        has_gpc, has_dnt = signals_gpc(gpc, visit), signals_dnt(dnt)

        forbidden = drop_reason(shop, visit, cookie, gpc=has_gpc, dnt=has_dnt, located=True, bot=bot)
        answer = permission(shop, visit, cookie, gpc=has_gpc, dnt=dnt, is_located=True, is_bot=bot)

        assert answer == (forbidden, options(shop, visit, gpc=has_gpc))

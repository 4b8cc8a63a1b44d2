"""A visitor cookie is read only if we sealed it, for this site, at most 400 days ago."""

import base64
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from proxy.model.request import Consent
from proxy.model.units import DAY_MS
from proxy.rules.identity import visitor_cookie
from proxy.rules.identity.browser_ids import BrowserIds
from proxy.rules.identity.visitor import renewed
from proxy.rules.identity.visitor_cookie import (
    MAX_AGE_S,
    MAX_VALUE,
    FoundCookie,
    VisitorCookie,
    VisitorCookieKeys,
)

NOW = 1_764_000_000_000
OLD, NEW = "an old secret that is long enough", "a new secret that is long enough"
KEYS = VisitorCookieKeys(NEW)
HASHES = [sha256(str(number).encode()).hexdigest() for number in range(40)]
FULL = VisitorCookie(
    visitor="0123456789abcdef0123456789abcdef",
    since=NOW - 3,
    fbp="fb.1.1596403881668.1116446470.AQQAAQIB",
    fbp_since=NOW - 2,
    fbc="fb.1.1554763741205." + "x" * 500 + ".Bg",
    fbc_since=NOW - 1,
    consent=Consent.GRANTED,
    opted_out=True,
    match={"em": (HASHES[0], HASHES[1]), "external_id": (HASHES[2], "d" * 32, f"{HASHES[3]}.AQQAAQIB")},
    match_since=NOW - 5,
    match_seen=NOW,
    suppression="0123456789abcdef" * 2,
)


def seal(
    content: VisitorCookie, *, keys: VisitorCookieKeys = KEYS, site: str = "shop", now: int = NOW, entropy: int = 1
) -> str:
    return keys.seal(content, site, now=now, entropy=entropy)


def test_a_visitor_cookie_comes_back_whole() -> None:
    """Every member survives, an empty cookie does too, and the value fits a cookie of 1.5 KB."""
    values = [seal(content) for content in (FULL, VisitorCookie())]

    assert [KEYS.open(value, "shop", now=NOW) for value in values] == [FULL, VisitorCookie()]
    assert len(values[0]) <= MAX_VALUE


def test_the_value_needs_no_quoting() -> None:
    """A cookie's value consists of base64url characters without padding."""
    assert set(seal(FULL)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_nothing_of_it_can_be_read() -> None:
    """Neither ids nor hashes are visible in the decoded value, and equal content gives different values."""
    raw = base64.urlsafe_b64decode(seal(FULL) + "===")

    assert [word for word in (b"1116446470", b"xxxxxxxx", HASHES[0].encode(), b"fb.1") if word in raw] == []
    assert seal(FULL, entropy=1 << 40) != seal(FULL, entropy=2 << 40)


@pytest.mark.parametrize(
    ("days", "found"), [(0, True), (399, True), (400, True), (400 + 1 / 86400, False), (-1, True), (-1.1, False)]
)
def test_a_visitor_cookie_lasts_400_days(days: float, *, found: bool) -> None:
    """An older cookie is ignored; so is one from the future, unless clocks of several proxies explain it."""
    value = seal(FULL)

    assert (KEYS.open(value, "shop", now=NOW + int(days * DAY_MS)) is not None) is found
    assert MAX_AGE_S * 1000 == 400 * DAY_MS


def test_a_visitor_cookie_of_another_site_is_none() -> None:
    """A value is bound to its site, and each site's cookie has a name of its own."""
    assert KEYS.open(seal(FULL), "blog", now=NOW) is None
    assert KEYS.names("shop") != KEYS.names("blog")


def test_a_visitor_cookie_of_another_installation_is_none() -> None:
    """Nothing opens without the secret that sealed it."""
    assert KEYS.open(seal(FULL, keys=VisitorCookieKeys(OLD)), "shop", now=NOW) is None


def test_old_secrets_still_open() -> None:
    """After a change of the secret the cookie is found under its old name, and would be written under the new one."""
    both = VisitorCookieKeys(NEW, [OLD])
    (old_name,), value = VisitorCookieKeys(OLD).names("shop"), seal(FULL, keys=VisitorCookieKeys(OLD))

    assert both.names("shop") == (*KEYS.names("shop"), old_name)
    newest, unreadable = both.names("shop")[0], seal(VisitorCookie("ab"))
    assert both.find({old_name: value}, "shop", now=NOW) == FoundCookie(FULL, "")
    assert both.find({old_name: value, newest: unreadable}, "shop", now=NOW) == FoundCookie(
        VisitorCookie("ab"), unreadable
    )
    assert both.find({newest: "forged", old_name: value}, "shop", now=NOW) == FoundCookie(FULL, "")


@pytest.mark.parametrize(("age_s", "again"), [(-1, False), (0, True), (86_399, True), (86_400, False)])
def test_a_value_may_be_set_again_for_a_day(age_s: int, *, again: bool) -> None:
    """A value that was sealed less than a day ago, by a clock that is not ahead, need not be sealed again."""
    (name,), value = KEYS.names("shop"), seal(FULL)

    found = KEYS.find({name: value}, "shop", now=NOW + age_s * 1000)

    assert found == FoundCookie(FULL, value if again else "")


@pytest.mark.parametrize("entropy", [0, 1, 2**96, 2**128 - 1])
def test_any_entropy_makes_a_visitor_and_a_nonce(entropy: int) -> None:
    """One 128-bit number is enough for visitor number and nonce, and the nonce does not reveal the visitor number."""
    visitor = KEYS.new_visitor(entropy)

    assert (len(visitor), int(visitor, 16) == entropy, KEYS.new_visitor(entropy)) == (32, False, visitor)
    assert VisitorCookieKeys(OLD).new_visitor(entropy) != visitor
    assert KEYS.open(seal(FULL, entropy=entropy), "shop", now=NOW) == FULL


def test_every_day_has_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key seals values of one day only, so that random nonces do not repeat; it is derived once a day."""
    made: list[bytes] = []

    def counted(key: bytes) -> AESGCM:
        made.append(key)
        return AESGCM(key)

    monkeypatch.setattr(visitor_cookie, "AESGCM", counted)
    keys = VisitorCookieKeys(NEW)
    for now in (NOW, NOW + 1, NOW + DAY_MS, NOW + DAY_MS + 1):
        keys.open(seal(FULL, keys=keys, now=now), "shop", now=now)

    assert len(made) == len(set(made)) == 2


@given(st.data())
def test_a_changed_visitor_cookie_is_none(data: st.DataObject) -> None:
    """A value with any byte changed, or cut anywhere, does not open."""
    raw = bytearray(base64.urlsafe_b64decode(seal(FULL) + "==="))
    place = data.draw(st.integers(0, len(raw) - 1))
    cut = bytes(raw[:place])
    raw[place] ^= data.draw(st.integers(1, 255))

    values = [base64.urlsafe_b64encode(raw_value).rstrip(b"=").decode() for raw_value in (cut, bytes(raw))]
    assert [KEYS.open(value, "shop", now=NOW) for value in values] == [None, None]


@given(st.text() | st.binary(max_size=80).map(lambda raw: base64.urlsafe_b64encode(b"\x01" + raw).decode()))
def test_any_text_is_read_without_an_error(value: str) -> None:
    """Any text is accepted as input and opens to nothing."""
    assert KEYS.open(value, "shop", now=NOW) is None


def test_what_does_not_fit_is_left_out() -> None:
    """Match keys are left out, the last first, until the value fits; the ids always stay."""
    keys = ("em", "external_id", "ph", "fn", "ln", "ct", "st", "zp", "country", "db")
    crowded = replace(FULL, match={key: tuple(HASHES[:4]) for key in keys})
    value = seal(crowded)
    opened = KEYS.open(value, "shop", now=NOW)

    assert opened
    assert len(value) <= MAX_VALUE
    assert list(opened.match) == list(keys)[: len(opened.match)] != []
    assert replace(opened, match={}) == replace(crowded, match={})


@pytest.mark.parametrize("change", [lambda packed: [*packed, {"later": 1}], lambda packed: packed[:-1]])
def test_another_version_gives_what_both_know(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[list[Any]], list[Any]]
) -> None:
    """A cookie of a newer layout gives the members known here, one of an older layout those that it has."""
    packed = visitor_cookie._packed
    monkeypatch.setattr(visitor_cookie, "_packed", lambda content: change(packed(content)))

    opened = KEYS.open(seal(FULL), "shop", now=NOW)

    assert opened
    assert replace(opened, suppression=FULL.suppression) == FULL


def test_a_visitor_cookie_from_before_there_were_suppressions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The previous layout, with the time of an agreement before the match keys, opens with every other member."""
    plain = replace(FULL, suppression="")
    packed = visitor_cookie._packed(plain)
    monkeypatch.setattr(visitor_cookie, "_packed", lambda _held: [*packed[:8], NOW, *packed[9:-1]])

    assert KEYS.open(seal(plain), "shop", now=NOW) == plain


def test_what_stays_the_same_keeps_its_first_time() -> None:
    """A visit renews the times of changed ids only, and consent changes only with an explicit answer."""
    granted = Consent.GRANTED
    first = renewed(VisitorCookie(), "ab", BrowserIds("p", "c", ()), consent=granted, now=1)
    second = renewed(first, "ab", BrowserIds("p", "d", ()), consent=Consent.UNKNOWN, now=2)

    assert first == VisitorCookie("ab", 1, "p", 1, "c", 1, consent=granted)
    assert second == VisitorCookie("ab", 1, "p", 1, "d", 2, consent=granted)

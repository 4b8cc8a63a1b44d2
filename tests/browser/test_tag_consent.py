"""What consent and Global Privacy Control allow the tag, and the browser ids it keeps."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page
from tagpage import ALONE, BASE, CALLS, TAG, Stage, script, site, stage, until


@pytest.fixture(name="here")
async def _here(page: Page) -> AsyncIterator[Stage]:
    async with stage(page) as here:
        yield here


async def test_nothing_leaves_before_consent(here: Stage) -> None:
    """While consent is revoked nothing is sent and no cookie made; a grant releases all in order with first times."""
    await here.show(TAG, BASE, script("fbq('consent', 'revoke')"), CALLS)
    await here.page.wait_for_function("!!fbq.callMethod")
    before = await here.run("return Date.now()")
    await here.page.wait_for_function(f"Date.now() > {before} + 20")
    assert not here.letters
    assert not await here.run("return document.cookie")
    await here.run("fbq('consent', 'grant')")
    await here.settle()

    assert here.fired_pairs == here.mirrored_pairs
    assert [event["name"] for event in here.events][:2] == ["PageView", "Lead"]
    assert {event["at"] <= before for event in here.events[:2]} == {True}
    assert here.letters[0]["consent"] == "granted"


async def test_a_withdrawal_is_told_once(here: Stage) -> None:
    """A revoke after events went out is told without events, ends the cookies, and holds what follows."""
    await here.show(TAG, BASE, CALLS)
    await until(lambda: here.letters, "a letter")
    await here.run("fbq('consent', 'revoke')", "fbq('consent', 'revoke')", "fbq('track', 'Contact')")
    await until(lambda: len(here.letters) == 2, "the withdrawal")
    assert not await here.run("return document.cookie")
    await here.run("fbq('consent', 'grant')")
    await here.settle()

    withdrawal = here.letters[1]
    assert withdrawal == {"v": 1, "sent": withdrawal["sent"], "consent": "revoked", "webdriver": True, "match": False}
    assert {letter["consent"] for letter in here.letters[2:]} == {"granted"}
    assert here.fired_pairs == here.mirrored_pairs


async def test_a_first_revoke_withdraws_nothing(here: Stage) -> None:
    """A page that revokes before anything was sent, as Meta advises, sends nothing."""
    await here.show(TAG, BASE, script("fbq('consent', 'revoke')"), CALLS, script("fbq('consent', 'grant')"))
    await here.settle()

    assert "revoked" not in {letter["consent"] for letter in here.letters}


async def test_required_consent_holds_until_granted(here: Stage) -> None:
    """A site that requires consent sends nothing and makes no cookie until the page grants it."""
    here.site = site(consent="required")
    await here.show(TAG, BASE, CALLS)
    await here.settle(["fired"])
    assert not here.letters
    await here.run("fbq('consent', 'grant')")
    await until(lambda: here.letters, "a letter")

    [letter] = here.letters
    assert letter["consent"] == "granted"
    assert here.fired_pairs == here.mirrored_pairs


@pytest.mark.parametrize(("policy", "made"), [("drop", False), ("ldu", True), ("ignore", True)])
async def test_global_privacy_control_is_told(here: Stage, policy: str, made: bool) -> None:  # noqa: FBT001
    """The signal is on the letter, and where it means no sending it also means no cookie."""
    here.site = site(gpc=policy)
    await here.page.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    await here.show(TAG, ALONE, CALLS)
    await until(lambda: here.letters, "a letter")

    assert here.letters[0]["gpc"] is True
    assert made == ("fbp" in here.letters[0])
    assert made == ("_fbp" in await here.run("return document.cookie"))


@pytest.mark.parametrize(("host", "index"), [("www.shop.test", 1), ("a.b.shop.co.uk", 2), ("localhost", 0)])
async def test_browser_ids_stand_where_the_pixel_puts_them(here: Stage, host: str, index: int) -> None:
    """The tag makes both cookies in the Pixel's form, and Pixel and tag agree on them from the first event."""
    here.site = site(domains=["shop.test", "shop.co.uk"] if "shop" in host else [host])
    await here.show(TAG, BASE, CALLS, path="/?fbclid=Abc-9_", host=host)
    await here.settle()

    letter = here.letters[0]
    assert re.fullmatch(rf"fb\.{index}\.\d{{13}}\.\d{{1,18}}", letter["fbp"])
    assert re.fullmatch(rf"fb\.{index}\.\d{{13}}\.Abc-9_", letter["fbc"])
    assert {(hit["fbp"], hit["fbc"]) for hit in here.fired} == {(letter["fbp"], letter["fbc"])}
    assert sorted((await here.run("return document.cookie")).split("; ")) == [
        f"_fbc={letter['fbc']}",
        f"_fbp={letter['fbp']}",
    ]


@pytest.mark.parametrize(
    ("path", "stored", "expected"),
    [
        ("/#fbclid=abc", "", r"fb\.1\.\d{13}\.abc"),
        ("/?a=1&fbclid=abc&b=2#top", "", r"fb\.1\.\d{13}\.abc"),
        ("/?fbclid=abc", "fb.1.5.abc", r"fb\.1\.5\.abc"),
        ("/?fbclid=abc", "fb.1.5.abc.AQYB", None),
        ("/?fbclid=abc", "fb.1.5.abc.AQ", r"fb\.1\.5\.abc\.AQ"),
        ("/?fbclid=new", "fb.1.5.abc", r"fb\.1\.\d{13}\.new"),
        ("/", "fb.1.5.abc", r"fb\.1\.5\.abc"),
        ("/?fbclid=", "", None),
        ("/?fbclid=" + "a" * 500, "", r"fb\.1\.\d{13}\.a{500}"),
        ("/?fbclid=" + "a" * 501, "", None),
        ("/?fbclid=a.b", "", None),
        ("/?fbclid=a%2Cb", "", None),
        ("/?fbclid=a;domain=shop.test", "", None),
        ("/?xfbclid=abc", "", None),
    ],
)
async def test_click_ids_are_kept_as_the_pixel_keeps_them(
    here: Stage, path: str, stored: str, expected: str | None
) -> None:
    """A new click id replaces an old one, the same one keeps its time, and odd ones are left to the proxy."""
    cookie = script(f"document.cookie = '_fbc={stored};domain=shop.test;path=/'") if stored else ""
    await here.show(cookie, TAG, ALONE, CALLS, path=path)
    await until(lambda: here.letters, "a letter")

    found = here.letters[0].get("fbc", "")
    assert re.fullmatch(expected or f"{re.escape(stored)}", found)


async def test_no_cookie_is_made_when_the_page_forbids_it(here: Stage) -> None:
    """`set firstPartyCookies false` keeps the tag from making cookies."""
    await here.show(TAG, BASE, script("fbq('set', 'firstPartyCookies', false)"), CALLS, path="/?fbclid=abc")
    await here.settle()

    assert not await here.run("return document.cookie")
    assert "fbp" not in here.letters[0]

"""What consent and Global Privacy Control allow the tag to do, and the browser ids that it keeps."""

import re

import pytest
from polling import until
from shop_page import ALONE, BASE, CALLS, INIT, TAG, TRAP, script, site
from stage import Stage


async def test_nothing_leaves_before_consent(here: Stage) -> None:
    """While consent is revoked nothing is sent and no cookie is made; a grant sends all events, with first times."""
    await here.show(TAG, BASE, script("fbq('consent', 'revoke')"), CALLS)
    await here.page.wait_for_function("!!fbq.callMethod")
    before = await here.run("return Date.now()")
    await here.page.wait_for_function(f"Date.now() > {before} + 20")
    assert not here.batches
    assert not await here.run("return document.cookie")
    await here.run("fbq('consent', 'grant')")
    await here.settle()

    assert here.fired_pairs == here.mirrored_pairs
    assert [event["name"] for event in here.events][:2] == ["PageView", "Lead"]
    assert {event["at"] <= before for event in here.events[:2]} == {True}
    assert here.batches[0]["consent"] == "granted"


async def test_a_withdrawal_is_told_once(here: Stage) -> None:
    """A revoke after events were sent is reported without events, ends the cookies, and holds later events."""
    await here.show(TAG, BASE, CALLS)
    await here.take_over()
    await until(lambda: len(here.copy_updates) == 2, what="both events are told to have fired")
    await here.run("fbq('consent', 'revoke')", "fbq('consent', 'revoke')", "fbq('track', 'Contact')")
    await until(lambda: any(batch.get("consent") == "revoked" for batch in here.batches), what="the withdrawal")
    assert not await here.run("return document.cookie")
    await here.run("fbq('consent', 'grant')")
    await here.settle()

    [withdrawal] = [batch for batch in here.batches if batch.get("consent") == "revoked"]
    assert withdrawal == {"v": 1, "sent": withdrawal["sent"], "consent": "revoked", "webdriver": True, "match": False}
    assert {batch["consent"] for batch in here.batches[here.batches.index(withdrawal) + 1 :]} == {"granted"}
    assert here.fired_pairs == here.mirrored_pairs


async def test_a_first_revoke_withdraws_nothing(here: Stage) -> None:
    """A page that revokes before anything was sent, as Meta advises, sends no withdrawal."""
    await here.show(TAG, BASE, script("fbq('consent', 'revoke')"), CALLS, script("fbq('consent', 'grant')"))
    await here.settle(["batches"])

    assert "revoked" not in {batch.get("consent") for batch in here.batches}


RETURNING = script(
    "document.cookie = '_fbp=fb.1.5.7;domain=shop.test;path=/'",
    "document.cookie = '_fbc=fb.1.5.abc;domain=shop.test;path=/'",
)
STORED = script(
    "fbq('consent', 'revoke')",
    "fbq('init', '111')",
    "fbq('track', 'PageView')",
    "fbq('track', 'Lead')",
    "fbq('consent', 'grant')",
)
WAITS = "window.fbq && fbq.callMethod && fbq.queue.length"


@pytest.mark.parametrize("placement", ["trap", "sync", "early", "late"])
async def test_a_stored_consent_lets_all_events_out_and_keeps_the_browser_ids(here: Stage, placement: str) -> None:
    """With revoke, events and grant before the Pixel came, each event is mirrored once, and the cookies do not change.

    The Pixel stays locked, since it never runs a grant that waits in its queue; so these are the only copies.
    """
    head = {"trap": TRAP, "sync": TAG}.get(placement, "")
    await here.show(RETURNING, head, BASE, STORED, TAG if placement == "early" else "")
    await here.page.wait_for_function(WAITS)
    if placement in {"trap", "late"}:
        await here.page.add_script_tag(url="/k/m.js")
    await here.settle(["batches"])

    assert [event["name"] for event in here.events] == ["PageView", "Lead", "End"]
    assert {batch["consent"] for batch in here.batches} == {"granted"}
    assert {(batch["fbp"], batch["fbc"]) for batch in here.batches} == {("fb.1.5.7", "fb.1.5.abc")}
    assert await here.run("return document.cookie") == "_fbp=fb.1.5.7; _fbc=fb.1.5.abc"
    assert here.fired == []


@pytest.mark.parametrize("placement", ["trap", "late"])
async def test_a_tag_behind_a_locked_pixel_waits_for_the_grant(here: Stage, placement: str) -> None:
    """A tag that comes when the Pixel has taken a revoke, and holds its init, holds the events too."""
    revoked = STORED.replace(";\nfbq('consent', 'grant')", "")
    await here.show(TRAP if placement == "trap" else "", BASE, revoked)
    await here.page.wait_for_function(WAITS)
    await here.page.add_script_tag(url="/k/m.js")
    await here.run("fbq('track', 'Contact')")
    await here.page.evaluate("new Promise((done) => setTimeout(done, 50))")
    assert here.batches == []
    await here.run("fbq('consent', 'grant')")
    await here.settle()

    assert {name for _, name, _ in here.mirrored_pairs} == {"PageView", "Lead", "Contact"}
    assert here.fired_pairs == here.mirrored_pairs


@pytest.mark.parametrize("placement", ["trap", "sync"])
async def test_an_event_before_init_stays_out_however_often_it_is_replayed(here: Stage, placement: str) -> None:
    """An event that the Pixel drops, as it was called before any init, is not mirrored, even after a replay."""
    await here.show(TRAP if placement == "trap" else TAG, BASE, script("fbq('track', 'Lead')"), INIT)
    if placement == "trap":
        await here.page.add_script_tag(url="/k/m.js")
    await here.run("fbq.queue = fbq.queue.slice()")
    await here.settle()

    assert here.fired_pairs == here.mirrored_pairs == []


async def test_required_consent_holds_until_granted(here: Stage) -> None:
    """On a site that requires consent nothing is sent and no cookie is made until the page grants it."""
    here.lab.site = site(consent="required")
    await here.show(TAG, BASE, CALLS)
    await here.settle(["fired"])
    assert not here.batches
    await here.run("fbq('consent', 'grant')")
    await until(lambda: here.batches, what="a batch")

    [batch] = here.batches
    assert batch["consent"] == "granted"
    assert here.fired_pairs == here.mirrored_pairs


@pytest.mark.parametrize(("policy", "made"), [("drop", False), ("ldu", True), ("ignore", True)])
@pytest.mark.own_page
async def test_global_privacy_control_is_told(here: Stage, policy: str, made: bool) -> None:  # noqa: FBT001
    """The batch has the signal; if the site's policy is not to send, no cookie is made either."""
    here.lab.site = site(gpc=policy)
    await here.page.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    await here.show(TAG, ALONE, CALLS)
    await until(lambda: here.batches, what="a batch")

    assert here.batches[0]["gpc"] is True
    assert made == ("fbp" in here.batches[0])
    assert made == ("_fbp" in await here.run("return document.cookie"))


@pytest.mark.parametrize(("host", "index"), [("www.shop.test", 1), ("a.b.shop.co.uk", 2), ("localhost", 0)])
async def test_browser_ids_stand_where_the_pixel_puts_them(here: Stage, host: str, index: int) -> None:
    """The tag makes both cookies in the Pixel's form and place, and both use the same ids from the first event on."""
    here.lab.site = site(domains=["shop.test", "shop.co.uk"] if "shop" in host else [host])
    await here.show(TAG, BASE, CALLS, path="/?fbclid=Abc-9_", host=host)
    await here.settle()

    batch = here.batches[0]
    assert re.fullmatch(rf"fb\.{index}\.\d{{13}}\.\d{{1,18}}", batch["fbp"])
    assert re.fullmatch(rf"fb\.{index}\.\d{{13}}\.Abc-9_", batch["fbc"])
    assert {(hit["fbp"], hit["fbc"]) for hit in here.fired} == {(batch["fbp"], batch["fbc"])}
    assert sorted((await here.run("return document.cookie")).split("; ")) == [
        f"_fbc={batch['fbc']}",
        f"_fbp={batch['fbp']}",
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
    """A new click id replaces an old one, an equal one keeps its time, and malformed ones are left to the proxy."""
    cookie = script(f"document.cookie = '_fbc={stored};domain=shop.test;path=/'") if stored else ""
    await here.show(cookie, TAG, ALONE, CALLS, path=path)
    await until(lambda: here.batches, what="a batch")

    found = here.batches[0].get("fbc", "")
    assert re.fullmatch(expected or f"{re.escape(stored)}", found)


async def test_a_click_id_at_the_end_of_the_referrer_is_kept(here: Stage) -> None:
    """The page after the landing page finds the click id at the end of its referrer, and stores it."""
    await here.show("<a href=/next>next</a>", path="/?fbclid=abc")
    here.lab.pages["/"] = f"<!doctype html>{TAG}{ALONE}{CALLS}"
    await here.page.click("a")
    await until(lambda: here.batches, what="a batch")

    assert here.batches[0]["referrer"].endswith("fbclid=abc")
    assert here.batches[0]["fbc"].endswith(".abc")


async def test_no_cookie_is_made_when_the_page_forbids_it(here: Stage) -> None:
    """After `set firstPartyCookies false` the tag makes no cookies."""
    await here.show(TAG, BASE, script("fbq('set', 'firstPartyCookies', false)"), CALLS, path="/?fbclid=abc")
    await here.settle()

    assert not await here.run("return document.cookie")
    assert "fbp" not in here.batches[0]

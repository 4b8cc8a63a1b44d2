"""The opt-out address over real sockets: what it answers, what an opt-out affects, and who may change it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from support import (
    ORIGIN,
    PIXEL,
    SECRET,
    USER_AGENT,
    Installation,
    browser_headers,
    get_json,
    installation,
    until,
    wire,
)

from proxy.model.keys import person_key
from proxy.model.request import Consent
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import QueueFullError
from proxy.rules.identity.person import digests
from proxy.rules.identity.reference import resolve
from proxy.rules.identity.visitor_cookie import VisitorCookie, VisitorCookieKeys

pytestmark = pytest.mark.usefixtures("front")

KEYS = VisitorCookieKeys(SECRET)
(NAME,) = KEYS.names("shop")
OUR_OWN = "https://t.shop.example"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(name="shop", scope="module")
async def _shop(
    tmp_path_factory: pytest.TempPathFactory,
    front: str,  # noqa: ARG001 - each front has its own
) -> AsyncIterator[Installation]:
    directory = tmp_path_factory.mktemp("shop")
    async with installation(directory, bots="ignore", domains=["shop.example", "shop.test"]) as shop:
        yield shop


@dataclass
class Browser:
    """Keeps and sends cookies as one browser does."""

    shop: Installation
    jar: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request to the opt-out address; a POST comes from a page of the site unless headers say otherwise."""
        usual = {"Host": "t.shop.example", "User-Agent": USER_AGENT, "Cookie": self._cookie()}
        if method == "POST":
            usual |= {"Origin": ORIGIN, "Content-Type": "application/json"}
        sent_headers = {name: value for name, value in (usual | _header_names(headers)).items() if value}
        address = f"{self.shop.public}/shop-tools/c"
        async with self.shop.session.request(
            method, address, data=body, headers=sent_headers, allow_redirects=False, skip_auto_headers=["Content-Type"]
        ) as answer:
            self._take(answer)
            return answer.status, answer.headers, await answer.read()

    async def says(self, **headers: str) -> dict[str, Any]:
        status, _, body = await self.ask("GET", b"", **headers)
        assert status == 200, body
        document: dict[str, Any] = orjson.loads(body)
        return document

    async def choose(self, *, opted_out: bool) -> dict[str, Any]:
        status, _, body = await self.ask("POST", orjson.dumps({"opted_out": opted_out}))
        assert status == 200, body
        document: dict[str, Any] = orjson.loads(body)
        return document

    async def visit(self, identity: str, **members: Any) -> tuple[str, str]:
        """Send one event; return its status and reason in the ledger."""
        body = wire({"name": "Lead", "id": identity}, **{"fbp": "", **members})
        await self._post(body)

        async def ended() -> list[tuple[str, str]]:
            found = await get_json(self.shop.session, f"{self.shop.operator}/api/events?id={identity}")
            return [(row["status"], row["reason"]) for row in found["events"]]

        ends: list[tuple[str, str]] = await until(ended, what=f"the end of {identity}")
        (end,) = ends
        return end

    async def withdraw(self) -> None:
        """Send a withdrawal, as the tag does."""
        await self._post(wire(consent="revoked"))

    async def _post(self, body: Mapping[str, Any]) -> None:
        headers = browser_headers(Cookie=self._cookie())
        address = f"{self.shop.public}/shop-tools/e"
        async with self.shop.session.post(address, data=orjson.dumps(body), headers=headers) as answer:
            assert answer.status == 204
            self._take(answer)

    def visitor_cookie(self) -> VisitorCookie | None:
        return KEYS.open(self.jar.get(NAME, ""), "shop", now=_now())

    def number(self) -> str:
        """Return the hash of the visitor number, as events carry it."""
        visitor_cookie = self.visitor_cookie()
        assert visitor_cookie
        return sha256(visitor_cookie.visitor.encode()).hexdigest()

    def digest(self) -> str:
        """Return the digest of the visitor number, in hex."""
        return _person_digests({"external_id": [self.number()]})[0].hex()

    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.jar.items())

    def _take(self, answer: aiohttp.ClientResponse) -> None:
        for cookie in answer.headers.getall("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.jar.pop(name, None)
            if "Max-Age=0" not in cookie:
                self.jar[name] = value


def _header_names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _now() -> int:
    return int(wire()["sent"])


async def dropped(shop: Installation, reason: str) -> float:
    """Return the counter of drops for one reason."""
    async with shop.session.get(f"{shop.operator}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    start = f'capi_proxy_events_total{{reason="{reason}",result="dropped"}} '
    return sum(float(line.removeprefix(start)) for line in lines if line.startswith(start))


async def test_a_new_browser_has_not_opted_out(shop: Installation) -> None:
    """For a new browser the answer says that it has not opted out; no cookie is set, and the answer is not cached."""
    browser = Browser(shop)
    _, headers, _ = await browser.ask(Origin=ORIGIN)

    assert await browser.says() == {"opted_out": False, "gpc": "absent", "consent": "unknown"}
    assert browser.jar == {}
    assert (headers["Cache-Control"], headers["Access-Control-Allow-Origin"]) == ("no-store", ORIGIN)
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Vary"] == "Accept, Origin"


@pytest.mark.parametrize("signal", ["1", "0", ""])
@pytest.mark.parametrize("setting", ["drop", "ldu", "ignore"])
async def test_the_page_can_tell_whether_the_signal_is_honoured(tmp_path: Path, setting: str, signal: str) -> None:
    """GPC is "honoured" if it drops or limits events, "ignored" if the site says so, absent without the signal."""
    async with installation(tmp_path, gpc=setting) as shop:
        found = await Browser(shop).says(Sec_GPC=signal)

    honoured = "ignored" if setting == "ignore" else "honoured"
    assert found["gpc"] == (honoured if signal == "1" else "absent")


async def test_an_opt_out_holds_until_it_is_taken_back(shop: Installation) -> None:
    """An opt-out is then the browser's only cookie, and drops events, with its own reason, until it is taken back."""
    browser, before = Browser(shop), await dropped(shop, "opted_out")
    assert await browser.visit("choice-before") == ("delivered", "")
    digest = browser.digest()
    assert (await browser.choose(opted_out=True))["opted_out"] is True
    word = VisitorCookie(opted_out=True, suppression=digest)
    assert browser.jar.keys() == {NAME}
    assert browser.visitor_cookie() == word

    assert await browser.visit("choice-during", consent="granted") == ("dropped", "opted_out")
    assert browser.visitor_cookie() == word
    assert (await browser.says())["opted_out"] is True
    assert await dropped(shop, "opted_out") == before + 1
    assert (await browser.choose(opted_out=False))["opted_out"] is False
    assert await browser.visit("choice-after") == ("delivered", "")


async def test_an_opt_out_binds_the_visitor_elsewhere(shop: Installation) -> None:
    """An opt-out also stops events of another browser that have the visitor number, until it is taken back."""
    browser, elsewhere = Browser(shop), Browser(shop)
    await browser.visit("binds-before")
    match = {PIXEL: {"external_id": browser.number()}}
    assert await elsewhere.visit("binds-sent", match=match) == ("delivered", "")
    await browser.choose(opted_out=True)

    assert await elsewhere.visit("binds-dropped", match=match) == ("dropped", "opted_out")
    assert await elsewhere.visit("binds-nobody-else") == ("delivered", "")
    await browser.choose(opted_out=False)
    assert await elsewhere.visit("binds-no-more", match=match) == ("delivered", "")


async def test_a_withdrawal_binds_and_a_grant_ends_it(shop: Installation) -> None:
    """The page's revoke suppresses the visitor, and a later grant ends that, for events from elsewhere too."""
    browser, elsewhere = Browser(shop), Browser(shop)
    await browser.visit("withdrawn-before", consent="granted")
    match, digest = {PIXEL: {"external_id": browser.number()}}, browser.digest()
    await browser.withdraw()

    assert browser.jar.keys() == {NAME}
    assert browser.visitor_cookie() == VisitorCookie(consent=Consent.REVOKED, suppression=digest)
    assert await browser.says() == {"opted_out": False, "gpc": "absent", "consent": "revoked"}
    assert await browser.visit("withdrawn-unknown") == ("dropped", "no_consent")
    assert await elsewhere.visit("withdrawn-elsewhere", match=match) == ("dropped", "no_consent")
    assert await browser.visit("granted-again", consent="granted", match=match) == ("delivered", "")
    assert await elsewhere.visit("granted-elsewhere", match=match) == ("delivered", "")


# With remember_match the visitor cookie contains match keys that the page claimed, without proof.
VICTIM = {"em": "anna@example.com", "ph": "+49301234567", "external_id": "customer-7"}


@pytest.mark.parametrize("kind", ["opt-out", "withdrawal"])
async def test_a_stranger_suppresses_nobody_by_claiming_them(tmp_path: Path, kind: str) -> None:
    """Whoever claims another person's contact data and _fbp, and opts out or withdraws, affects nobody else."""
    async with installation(tmp_path, bots="ignore", remember_match=True) as shop:
        stranger, victim, fbp = Browser(shop), Browser(shop), "fb.1.1700000000000.4711"
        await stranger.visit("forged", match={PIXEL: VICTIM}, fbp=fbp)
        visitor_cookie = stranger.visitor_cookie()
        assert visitor_cookie
        assert (visitor_cookie.fbp, set(visitor_cookie.match)) == (fbp, set(VICTIM))
        await (stranger.choose(opted_out=True) if kind == "opt-out" else stranger.withdraw())

        assert await victim.visit("honest", match={PIXEL: VICTIM}, fbp=fbp) == ("delivered", "")


async def test_nobody_lifts_the_opt_out_of_another_browser(tmp_path: Path) -> None:
    """Neither a claim of the visitor's number, nor a grant, nor another browser's choice ends a visitor's opt-out."""
    async with installation(tmp_path, bots="ignore", remember_match=True) as shop:
        browser, stranger = Browser(shop), Browser(shop)
        await browser.visit("own", match={PIXEL: VICTIM})
        number = browser.number()
        claim = {PIXEL: {**VICTIM, "external_id": number}}
        await browser.choose(opted_out=True)
        await stranger.visit("claim", match={PIXEL: VICTIM}, consent="granted")
        await stranger.choose(opted_out=True)
        await stranger.choose(opted_out=False)
        await stranger.withdraw()

        assert await stranger.visit("claimed", match=claim, consent="granted") == ("dropped", "opted_out")
        assert await stranger.visit("claimed-again", match=claim, consent="granted") == ("dropped", "opted_out")
        assert (await browser.says())["opted_out"] is True
        assert [suppression.kind for suppression in await shop.proxy.queue.suppressions()] == [SuppressionKind.OPT_OUT]


async def test_a_grant_of_the_page_ends_no_opt_out(shop: Installation) -> None:
    """A grant in the same browser ends the withdrawal, but not the opt-out."""
    browser, elsewhere = Browser(shop), Browser(shop)
    await browser.visit("banner-before", consent="granted")
    match = {PIXEL: {"external_id": browser.number()}}
    await browser.withdraw()
    await browser.choose(opted_out=True)

    assert await browser.visit("banner-granted", consent="granted") == ("dropped", "opted_out")
    assert await elsewhere.visit("banner-elsewhere", match=match) == ("dropped", "opted_out")
    await browser.choose(opted_out=False)
    assert await elsewhere.visit("banner-withdrawn", match=match) == ("dropped", "no_consent")
    assert await browser.visit("banner-again", consent="granted") == ("delivered", "")
    assert await elsewhere.visit("banner-over", match=match) == ("delivered", "")


async def test_an_answer_under_way_at_the_opt_out_does_not_end_it(shop: Installation) -> None:
    """If an event's late answer overwrites the opt-out cookie, the proxy still remembers the opt-out."""
    browser = Browser(shop)
    await browser.visit("race-before")
    late = dict(browser.jar)
    await browser.choose(opted_out=True)
    browser.jar = late

    assert await browser.visit("race-after") == ("dropped", "opted_out")
    assert (await browser.says())["opted_out"] is True
    await browser.choose(opted_out=False)
    assert await browser.visit("race-over") == ("delivered", "")


async def test_an_answer_under_way_at_a_withdrawal_does_not_outlast_a_grant(shop: Installation) -> None:
    """If a late answer overwrites the cookie after a withdrawal, a grant still ends it, by the visitor number."""
    browser = Browser(shop)
    await browser.visit("late-before", consent="granted")
    late = dict(browser.jar)
    await browser.withdraw()
    browser.jar = late

    assert await browser.visit("late-unknown") == ("dropped", "no_consent")
    assert await browser.visit("late-granted", consent="granted") == ("delivered", "")


async def test_a_browser_without_a_number_writes_nothing(tmp_path: Path) -> None:
    """Opt-outs and withdrawals without a visitor number are kept only in their cookies, so they take no memory."""
    async with installation(tmp_path, bots="ignore") as shop:
        for _ in range(3):
            await Browser(shop).choose(opted_out=True)
            await Browser(shop).withdraw()
        nobody = shop.proxy.queue.stats().suppressions
        browser = Browser(shop)
        await browser.visit("numbered")
        await browser.choose(opted_out=True)

        assert (nobody, shop.proxy.queue.stats().suppressions) == ({}, {SuppressionKind.OPT_OUT: 1})


async def test_suppressions_are_counted(tmp_path: Path) -> None:
    """Metrics tell how many there are, and how many were set and lifted, by kind."""
    async with installation(tmp_path, bots="ignore") as shop:
        browsers = [Browser(shop) for _ in range(2)]
        for number, browser in enumerate(browsers):
            await browser.visit(f"counted-{number}", consent="granted")
            await browser.withdraw()
            await browser.choose(opted_out=True)
        await browsers[0].choose(opted_out=False)
        await browsers[0].visit("counted-granted", consent="granted")
        async with shop.session.get(f"{shop.operator}/metrics") as answer:
            lines = (await answer.text()).splitlines()

    found = {line.removeprefix("capi_proxy_suppress") for line in lines if line.startswith("capi_proxy_suppress")}
    assert {cookie for cookie in found if "_created" not in cookie} == {
        'ion_changes_total{change="set",kind="withdrawn"} 2.0',
        'ion_changes_total{change="set",kind="opted_out"} 2.0',
        'ion_changes_total{change="lifted",kind="withdrawn"} 1.0',
        'ion_changes_total{change="lifted",kind="opted_out"} 1.0',
        'ions{kind="opted_out"} 1.0',
        'ions{kind="withdrawn"} 1.0',
        'ions{kind="erased"} 0.0',
    }


# Method, headers in addition to the usual ones, expected status.
STRANGERS = [
    ("POST", {"Origin": "https://evil.example"}, 403),
    ("POST", {"Origin": "null"}, 403),
    ("POST", {"Origin": "https://shop.example.evil.example"}, 403),
    ("POST", {"Origin": ""}, 403),
    ("POST", {"Origin": "", "Referer": "https://evil.example/shop.example"}, 403),
    ("POST", {"Origin": "https://evil.example", "Referer": f"{ORIGIN}/p"}, 403),
    ("POST", {"Origin": "https://evil.example", "Content-Type": FORM}, 403),
    ("GET", {"Origin": "https://evil.example"}, 403),
    ("OPTIONS", {"Origin": "https://evil.example"}, 403),
    # A page of the site, but on another registrable domain, for which the browser would keep no cookie.
    ("POST", {"Origin": "https://shop.test"}, 403),
    ("GET", {"Origin": "https://shop.test"}, 403),
    ("POST", {"Origin": "", "Referer": f"{ORIGIN}/p"}, 200),
    ("POST", {"Origin": "https://www.shop.example"}, 200),
    ("OPTIONS", {"Origin": ORIGIN}, 204),
    ("GET", {"Referer": "https://mail.example/"}, 200),
]


@pytest.mark.parametrize(("method", "headers", "expected"), STRANGERS)
async def test_only_the_site_changes_a_choice(
    shop: Installation, method: str, headers: dict[str, str], expected: int
) -> None:
    """Another site's page, or none, can neither change nor read the choice; but a link to the address works for all."""
    browser = Browser(shop)
    status, answer, body = await browser.ask(method, b'{"opted_out": true}' if method == "POST" else b"", **headers)

    assert status == expected
    assert bool(browser.jar) is (expected == 200 and method == "POST")
    if expected == 403:
        assert b"opted_out" not in body
        assert "Set-Cookie" not in answer


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/json", b"", 400),
        ("application/json", b"{", 400),
        ("application/json", b"[true]", 400),
        ("application/json", b'{"opted_out": "true"}', 400),
        ("application/json", b'{"opted_out": null}', 400),
        ("application/json", b"\xff\xfe", 400),
        ("application/json", b"[" * 20_000, 400),
        ("application/json", b" " * 70_000, 413),
        (FORM, b"opted_out=maybe", 400),
        (FORM, b"", 400),
        ("text/plain", b'{"opted_out": true}', 200),
    ],
)
async def test_what_is_no_choice_changes_nothing(shop: Installation, kind: str, body: bytes, expected: int) -> None:
    """Any other body is a 4xx with a message that says what is accepted, and changes nothing."""
    browser = Browser(shop)
    status, _, answer = await browser.ask("POST", body, Content_Type=kind)

    assert status == expected
    assert bool(browser.jar) is (expected == 200)
    assert (b"accepted" in answer) is (expected != 200)


async def test_the_form_leads_back_to_the_page(shop: Installation) -> None:
    """Without script the button posts a form, and the answer leads back to the page, which shows the choice."""
    browser = Browser(shop)
    status, headers, _ = await browser.ask("POST", b"opted_out=true", Content_Type=FORM, Origin=OUR_OWN)
    _, page_headers, page = await browser.ask(Accept="text/html,*/*;q=0.8")

    assert (status, headers["Location"]) == (303, "c")
    assert browser.visitor_cookie() == VisitorCookie(opted_out=True)
    assert b"You have opted out." in page
    assert b'value="false"' in page
    assert "frame-ancestors 'none'" in page_headers["Content-Security-Policy"]
    assert page_headers["Content-Type"] == "text/html; charset=utf-8"


async def _reference(browser: Browser) -> str:
    _, _, page = await browser.ask(Accept="text/html")
    return page.decode().partition("<code>")[2].partition("</code>")[0]


@pytest.mark.parametrize("opted_out", [False, True])
async def test_the_page_shows_a_reference_and_no_visitor_number(shop: Installation, *, opted_out: bool) -> None:
    """The page shows another reference each time, which identifies the visitor to nobody without the secret."""
    browser = Browser(shop)
    await browser.visit(f"reference-{opted_out}")
    visitor_cookie, digest = browser.visitor_cookie(), browser.digest()
    assert visitor_cookie
    if opted_out:
        await browser.choose(opted_out=True)
    _, _, page = await browser.ask(Accept="text/html", Sec_Fetch_Dest="document", Sec_Fetch_Mode="navigate")
    references = [await _reference(browser) for _ in range(2)]

    assert [word for word in (visitor_cookie.visitor, browser.number(), digest) if word.encode() in page] == []
    assert references[0] != references[1]
    assert {resolve(reference, [person_key(SECRET)]) for reference in references} == {bytes.fromhex(digest)}


async def test_a_new_browser_gets_no_reference(shop: Installation) -> None:
    """For an unknown browser, about which no event waits, the page shows no reference."""
    assert await _reference(Browser(shop)) == ""


async def test_a_choice_that_cannot_be_kept_is_not_confirmed(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the queue cannot store the opt-out, the answer is 503 and the browser's cookies do not change."""
    browser = Browser(shop)
    await browser.visit("choice-full")
    jar = dict(browser.jar)

    async def full(*_: object) -> None:
        raise QueueFullError("the disk is full")

    monkeypatch.setattr("proxy.queue.sqlite.engine.LocalQueue.suppress", full)
    status, headers, _ = await browser.ask("POST", b'{"opted_out": true}')

    assert (status, headers["Retry-After"], browser.jar) == (503, "5", jar)


async def test_what_waits_is_dropped_and_counted(tmp_path: Path) -> None:
    """Events that wait for Graph when their person opts out are never sent; a gauge has their number."""
    async with installation(tmp_path, bots="ignore") as shop:
        await shop.fault(mode="190", **{"for": 2})
        browser = Browser(shop)
        await shop.post(wire({"name": "Lead", "id": "waits"}, fbp="fb.1.1700000000000.77"))
        await shop.proxy.queue.suppress(
            _person_digests({"fbp": "fb.1.1700000000000.77"}), SuppressionKind.OPT_OUT, _now()
        )
        assert await browser.visit("another") == ("delivered", "")

        async def told() -> bool:
            async with shop.session.get(f"{shop.operator}/metrics") as answer:
                return 'capi_proxy_withheld_events{reason="opted_out"} 1.0' in await answer.text()

        await until(told, what="the gauge")
        sent = await get_json(shop.session, f"{shop.graph}/sim/events")

    assert [entry["event"]["event_id"] for entry in sent["events"]] == ["another"]


def _person_digests(user_data: dict[str, Any]) -> tuple[bytes, ...]:
    return digests(user_data, [person_key(SECRET)])

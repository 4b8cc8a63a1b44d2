"""The address where visitors opt out, over real sockets: what it says, what it binds, and who may change it."""

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

from proxy.keys import people_key
from proxy.model import Consent
from proxy.queue.base import QueueFullError
from proxy.rules.keeper import Keeper, KeeperKeys
from proxy.rules.people import digests

KEYS = KeeperKeys(SECRET)
(NAME,) = KEYS.names("shop")
OUR_OWN = "https://t.shop.example"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    directory = tmp_path_factory.mktemp("shop")
    async with installation(directory, bots="ignore", domains=["shop.example", "shop.test"]) as shop:
        yield shop


@dataclass
class Browser:
    """Keeps the cookies it is given, as one browser does, and sends them along."""

    shop: Installation
    jar: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, Mapping[str, str], bytes]:
        """Ask the choice address; a POST comes from a page of the site unless the headers say otherwise."""
        usual = {"Host": "t.shop.example", "User-Agent": USER_AGENT, "Cookie": self._cookie()}
        if method == "POST":
            usual |= {"Origin": ORIGIN, "Content-Type": "application/json"}
        given = {name: value for name, value in (usual | _named(headers)).items() if value}
        address = f"{self.shop.public}/shop-tools/c"
        async with self.shop.session.request(
            method, address, data=body, headers=given, allow_redirects=False, skip_auto_headers=["Content-Type"]
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
        """Send one event; return how it ended in the ledger, and why."""
        body = wire({"name": "Lead", "id": identity}, fbp="", **members)
        await self._post(body)

        async def ended() -> list[tuple[str, str]]:
            found = await get_json(self.shop.session, f"{self.shop.operator}/api/events?id={identity}")
            return [(row["status"], row["reason"]) for row in found["events"]]

        ends: list[tuple[str, str]] = await until(ended, what=f"the end of {identity}")
        (end,) = ends
        return end

    async def withdraw(self) -> None:
        """Tell of a withdrawal, as the tag does."""
        await self._post(wire(consent="revoked"))

    async def _post(self, body: Mapping[str, Any]) -> None:
        headers = browser_headers(Cookie=self._cookie())
        address = f"{self.shop.public}/shop-tools/e"
        async with self.shop.session.post(address, data=orjson.dumps(body), headers=headers) as answer:
            assert answer.status == 204
            self._take(answer)

    def keeper(self) -> Keeper | None:
        return KEYS.open(self.jar.get(NAME, ""), "shop", now=_now())

    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.jar.items())

    def _take(self, answer: aiohttp.ClientResponse) -> None:
        for cookie in answer.headers.getall("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.jar.pop(name, None)
            if "Max-Age=0" not in cookie:
                self.jar[name] = value


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _now() -> int:
    return int(wire()["sent"])


async def dropped(shop: Installation, reason: str) -> float:
    """Read the counter of drops for one reason."""
    async with shop.session.get(f"{shop.operator}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    start = f'capi_proxy_events_total{{reason="{reason}",result="dropped"}} '
    return sum(float(line.removeprefix(start)) for line in lines if line.startswith(start))


async def test_a_new_browser_has_not_opted_out(shop: Installation) -> None:
    """Nothing is known of it, nothing is set, and nobody caches the answer."""
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
    """GPC is honoured where it drops or limits, ignored where the site says so, absent without the signal."""
    async with installation(tmp_path, gpc=setting) as shop:
        found = await Browser(shop).says(Sec_GPC=signal)

    honoured = "ignored" if setting == "ignore" else "honoured"
    assert found["gpc"] == (honoured if signal == "1" else "absent")


async def test_an_opt_out_holds_until_it_is_taken_back(shop: Installation) -> None:
    """The mark alone stays in the browser, events are dropped under their own counted reason, and then sent again."""
    browser, before = Browser(shop), await dropped(shop, "opted_out")
    assert await browser.visit("choice-before") == ("delivered", "")
    assert (await browser.choose(opted_out=True))["opted_out"] is True
    assert browser.jar.keys() == {NAME}
    assert browser.keeper() == Keeper(opted_out=True)

    assert await browser.visit("choice-during", consent="granted") == ("dropped", "opted_out")
    assert browser.keeper() == Keeper(opted_out=True)
    assert (await browser.says())["opted_out"] is True
    assert await dropped(shop, "opted_out") == before + 1
    assert (await browser.choose(opted_out=False))["opted_out"] is False
    assert await browser.visit("choice-after") == ("delivered", "")


async def test_an_opt_out_binds_the_person_elsewhere(shop: Installation) -> None:
    """An event that names the visitor's id comes from elsewhere: sent before the opt-out, dropped after it."""
    browser, elsewhere = Browser(shop), Browser(shop)
    await browser.visit("binds-before")
    keeper = browser.keeper()
    assert keeper
    match = {PIXEL: {"external_id": sha256(keeper.visitor.encode()).hexdigest()}}
    assert await elsewhere.visit("binds-sent", match=match) == ("delivered", "")
    await browser.choose(opted_out=True)

    assert await elsewhere.visit("binds-dropped", match=match) == ("dropped", "opted_out")
    assert await elsewhere.visit("binds-nobody-else") == ("delivered", "")


async def test_a_withdrawal_binds_and_a_grant_ends_it(shop: Installation) -> None:
    """The page's revoke marks keeper and person; its later grant is the latest word, for events elsewhere too."""
    browser, elsewhere = Browser(shop), Browser(shop)
    await browser.visit("withdrawn-before", consent="granted")
    keeper = browser.keeper()
    assert keeper
    match = {PIXEL: {"external_id": sha256(keeper.visitor.encode()).hexdigest()}}
    await browser.withdraw()

    assert browser.jar.keys() == {NAME}
    assert browser.keeper() == Keeper(consent=Consent.REVOKED)
    assert await browser.says() == {"opted_out": False, "gpc": "absent", "consent": "revoked"}
    assert await browser.visit("withdrawn-unknown") == ("dropped", "no_consent")
    assert await elsewhere.visit("withdrawn-elsewhere", match=match) == ("dropped", "opted_out")
    assert await browser.visit("granted-again", consent="granted", match=match) == ("delivered", "")
    assert await elsewhere.visit("granted-elsewhere", match=match) == ("delivered", "")


# Method, headers beside the usual ones, status.
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
    # A page of the site's, but on another registrable domain: the browser would keep no cookie.
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
    """A foreign page, or none, changes nothing and reads nothing; anybody may follow a link."""
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
    """Anything but the two words is a 4xx with a reason that names what is accepted."""
    browser = Browser(shop)
    status, _, answer = await browser.ask("POST", body, Content_Type=kind)

    assert status == expected
    assert bool(browser.jar) is (expected == 200)
    assert (b"accepted" in answer) is (expected != 200)


async def test_the_form_leads_back_to_the_page(shop: Installation) -> None:
    """Without script the button posts a form, and the answer shows the page anew."""
    browser = Browser(shop)
    status, headers, _ = await browser.ask("POST", b"opted_out=true", Content_Type=FORM, Origin=OUR_OWN)
    _, page_headers, page = await browser.ask(Accept="text/html,*/*;q=0.8")

    assert (status, headers["Location"]) == (303, "c")
    assert browser.keeper() == Keeper(opted_out=True)
    assert b"You have opted out." in page
    assert b'value="false"' in page
    assert "frame-ancestors 'none'" in page_headers["Content-Security-Policy"]
    assert page_headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("destination", "shown"), [("document", True), ("empty", False), ("iframe", False), ("", False)]
)
async def test_the_visitor_number_is_for_people(shop: Installation, destination: str, *, shown: bool) -> None:
    """The id stands on the page that a person opens, and in nothing that a script asks for."""
    browser = Browser(shop)
    await browser.visit(f"number-{destination}")
    keeper = browser.keeper()
    assert keeper
    _, _, page = await browser.ask(Accept="text/html", Sec_Fetch_Dest=destination)

    assert (keeper.visitor.encode() in page) is shown
    assert keeper.visitor not in str(await browser.says(Sec_Fetch_Dest=destination))


async def test_a_choice_that_cannot_be_kept_is_not_confirmed(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the queue cannot mark the person, the answer is 503 and the browser keeps what it had."""
    browser = Browser(shop)
    await browser.visit("choice-full")
    jar = dict(browser.jar)

    async def full(*_: object) -> None:
        raise QueueFullError("the disk is full")

    monkeypatch.setattr("proxy.queue.local.LocalQueue.opt_out", full)
    status, headers, _ = await browser.ask("POST", b'{"opted_out": true}')

    assert (status, headers["Retry-After"], browser.jar) == (503, "5", jar)


async def test_what_waits_is_dropped_and_counted(tmp_path: Path) -> None:
    """Events that wait for Graph when their person opts out are never sent; a gauge says how many."""
    async with installation(tmp_path, bots="ignore") as shop:
        await shop.fault(mode="190", **{"for": 2})
        browser = Browser(shop)
        await shop.post(wire({"name": "Lead", "id": "waits"}, fbp="fb.1.1700000000000.77"))
        await shop.proxy.queue.opt_out(_people({"fbp": "fb.1.1700000000000.77"}), _now())
        assert await browser.visit("another") == ("delivered", "")

        async def told() -> bool:
            async with shop.session.get(f"{shop.operator}/metrics") as answer:
                return 'capi_proxy_withheld_events{reason="opted_out"} 1.0' in await answer.text()

        await until(told, what="the gauge")
        sent = await get_json(shop.session, f"{shop.graph}/sim/events")

    assert [entry["event"]["event_id"] for entry in sent["events"]] == ["another"]


def _people(user_data: dict[str, Any]) -> tuple[bytes, ...]:
    return digests(user_data, [people_key(SECRET)])

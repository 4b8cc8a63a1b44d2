"""Logging in: a browser gets a session, and pages of other sites can neither read nor write."""

import asyncio
import re
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import pytest
from support import Installation, installation

from proxy.config.password_hash import hash_of, read_hash
from proxy.operator.password import OperatorPassword
from proxy.operator.sessions import SESSION_S, Sessions

PASSWORD = "the right one of the owner: é"
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    settings = {"operator_password": str(hash_of(PASSWORD, b"0123456789abcdef"))}
    async with installation(tmp_path_factory.mktemp("shop"), more={"server": settings}) as shop:
        yield shop


@pytest.fixture(name="browser")
async def _browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        yield browser


async def _log_in(
    shop: Installation, browser: aiohttp.ClientSession, password: str = PASSWORD, **headers: str
) -> tuple[int, SimpleCookie]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()} or SAME
    async with browser.post(f"{shop.operator}/api/session", json={"password": password}, headers=sent) as answer:
        return answer.status, answer.cookies


async def _status(shop: Installation, browser: aiohttp.ClientSession, path: str = "/api/status") -> int:
    async with browser.get(shop.operator + path) as answer:
        return answer.status


async def test_whoever_knows_the_password_has_a_session_until_logging_out(
    shop: Installation, browser: aiohttp.ClientSession
) -> None:
    """A login gives this browser a cookie that no script can read; after a logout the cookie is useless."""
    before = await _status(shop, browser)
    status, cookies = await _log_in(shop, browser)
    inside = await _status(shop, browser)
    ((name, session),) = cookies.items()
    kept = session.value
    async with browser.post(f"{shop.operator}/api/session/end", json={}, headers=SAME) as answer:
        ended = answer.status
    browser.cookie_jar.update_cookies({name: kept})
    after = await _status(shop, browser)

    assert (before, status, inside, ended, after) == (401, 200, 200, 200, 401)
    assert session["httponly"]
    assert (session["samesite"], session["path"]) == ("Strict", "/")
    assert int(session["max-age"]) == SESSION_S


@pytest.mark.parametrize(("origin", "secure"), [("https", True), ("http", False)])
async def test_the_cookie_stays_on_https_where_the_page_came_by_it(
    shop: Installation, browser: aiohttp.ClientSession, origin: str, secure: object
) -> None:
    """If the page came by https, from a server in front, the cookie is Secure."""
    address = shop.operator.replace("http", origin, 1)
    _, cookies = await _log_in(shop, browser, Origin=address)

    assert [bool(cookie["secure"]) for cookie in cookies.values()] == [secure]


async def test_two_proxies_on_one_host_leave_each_others_session_alone(
    shop: Installation, browser: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Browsers do not separate cookies by port, so each proxy has its own cookie name."""
    async with installation(tmp_path, more={"server": {"operator_password": PASSWORD}}) as other:
        logins = [(await _log_in(each, browser))[0] for each in (shop, other)]
        assert (logins, [await _status(each, browser) for each in (shop, other)]) == ([200, 200], [200, 200])


async def test_each_login_makes_a_new_session(shop: Installation, browser: aiohttp.ClientSession) -> None:
    """A token that somebody planted, or an earlier one, is useless after a login."""
    _, earlier = await _log_in(shop, browser)
    (name,) = earlier
    browser.cookie_jar.update_cookies({name: "planted"})
    _, first = await _log_in(shop, browser)
    _, second = await _log_in(shop, browser)
    tokens = [first[name].value, second[name].value]
    statuses = []
    for token in ("planted", *tokens):
        browser.cookie_jar.clear()
        browser.cookie_jar.update_cookies({name: token})
        statuses.append(await _status(shop, browser))

    assert "planted" not in tokens
    assert statuses == [401, 401, 200]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "SELF"}, 200),
        ({"Origin": "https://behind.example", "Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[evil"}, 403),
        ({"Origin": "SELF", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "SELF", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_only_a_page_of_ours_writes_with_a_session(
    shop: Installation, browser: aiohttp.ClientSession, headers: dict[str, str], status: int
) -> None:
    """A write with the session cookie needs an Origin or Sec-Fetch-Site that shows a page of this listener."""
    await _log_in(shop, browser)
    sent = {name: value.replace("SELF", shop.operator) for name, value in headers.items()}
    async with browser.post(f"{shop.operator}/api/dead/discard", json={"ids": []}, headers=sent) as answer:
        assert answer.status == status


async def test_a_program_needs_no_session(shop: Installation) -> None:
    """Basic credentials of the user operator work, also for writes without an Origin."""
    auth = {"Authorization": aiohttp.encode_basic_auth("operator", PASSWORD, encoding="utf-8")}
    async with aiohttp.ClientSession(headers=auth) as program:
        async with program.post(f"{shop.operator}/api/dead/discard", json={"ids": []}) as answer:
            assert answer.status == 200
        async with program.get(f"{shop.operator}/metrics") as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/", "./login"),
        ("/?range=7d", "./login?next=%2F%3Frange%3D7d"),
        ("/?path=/a/b", "./login?next=%2F%3Fpath%3D%2Fa%2Fb"),
        ("//evil.example/x", "./../../login?next=%2F%2Fevil.example%2Fx"),
        ("/api/dead/export", "./../../login?next=%2Fapi%2Fdead%2Fexport"),
    ],
)
async def test_a_person_is_led_to_the_login(shop: Installation, path: str, location: str) -> None:
    """A link without a session leads to the login page of this listener, and from there back to the link's target."""
    accept = {"Accept": "text/html,application/xhtml+xml"}
    async with shop.session.get(shop.operator + path, headers=accept, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, location)
    async with shop.session.get(f"{shop.operator}/login") as answer:
        page = await answer.text()
    for needed in re.findall(r'(?:src|href)="([^"]+)"', page):
        async with shop.session.get(f"{shop.operator}/{needed}") as answer:
            assert answer.status == 200, needed


async def test_a_script_without_a_session_makes_no_browser_ask(shop: Installation) -> None:
    """API requests get 401 without a Basic challenge, which would make a browser ask for a password."""
    for accept, scheme in (("application/json", "Session"), ("text/event-stream", "Session"), ("*/*", "Basic")):
        async with shop.session.get(f"{shop.operator}/api/status", headers={"Accept": accept}) as answer:
            assert (answer.status, answer.headers["WWW-Authenticate"].split()[0]) == (401, scheme)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"password": "a guess"}, 401),
        ({"password": ""}, 401),
        ({"password": "\ud800"}, 400),
        ({"password": 7}, 400),
        ({}, 400),
        ({"password": "x" * 2000}, 400),
    ],
)
async def test_what_is_not_the_password_lets_nobody_in(
    shop: Installation, body: dict[str, object], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong or malformed password starts no session."""
    monkeypatch.setattr("proxy.operator.wrong_passwords.FIRST_DELAY_S", 0.0)
    monkeypatch.setattr("proxy.operator.wrong_passwords.LONGEST_DELAY_S", 0.0)
    async with shop.session.post(f"{shop.operator}/api/session", json=body) as answer:
        assert (answer.status, len(answer.cookies)) == (status, 0)


@pytest.mark.parametrize("path", ["/", "/login", "/api/status", "/metrics", "/nothing-here", "/api/session"])
async def test_every_answer_carries_what_protects_it(
    shop: Installation, browser: aiohttp.ClientSession, path: str
) -> None:
    """All answers have headers against framing, sniffing and foreign or inline content."""
    await _log_in(shop, browser)
    async with browser.get(shop.operator + path) as answer:
        headers = answer.headers
    policy = headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_without_a_password_there_is_nothing_to_log_in_to(tmp_path: Path) -> None:
    """On loopback without a password everything is open to this machine, and a login request is told so."""
    async with installation(tmp_path) as shop:
        async with shop.session.get(f"{shop.operator}/api/session") as answer:
            assert await answer.json() == {"password": False, "until": None}
        async with shop.session.post(f"{shop.operator}/api/session", json={"password": "x"}) as answer:
            assert answer.status == 400
        headers = {"Origin": "https://evil.example"}
        async with shop.session.post(f"{shop.operator}/api/dead/discard", json={"ids": []}, headers=headers) as answer:
            assert answer.status == 403


def test_sessions_end_and_are_few() -> None:
    """A session ends after 12 hours, and the oldest ends when there are more than 64."""
    now = 0.0
    sessions = Sessions(lambda: now)
    first = sessions.open()
    now = SESSION_S - 1
    assert sessions.seconds_left(first) == 1
    others = [sessions.open() for _ in range(64)]
    assert sessions.seconds_left(first) == 0
    assert all(sessions.seconds_left(token) for token in others)
    now += SESSION_S
    assert not any(sessions.seconds_left(token) for token in others)
    assert sessions.seconds_left("") == 0


@pytest.mark.parametrize(
    "text",
    [
        "scrypt:",
        "scrypt:15:8:3:c2FsdA==:a2V5",
        "scrypt:4:8:3:c3Nzc3Nzc3Nzc3Nzc3Nzcw==:" + "A" * 43 + "=",
        "scrypt:20:32:3:c3Nzc3Nzc3Nzc3Nzc3Nzcw==:" + "A" * 43 + "=",
        "scrypt:15:8:99:c3Nzc3Nzc3Nzc3Nzc3Nzcw==:" + "A" * 43 + "=",
        "scrypt:15:0:3:c3Nzc3Nzc3Nzc3Nzc3Nzcw==:" + "A" * 43 + "=",
        "scrypt:\u0661\u0665:8:3:c3Nzc3Nzc3Nzc3Nzc3Nzcw==:" + "A" * 43 + "=",
    ],
)
def test_a_hash_that_is_none_is_refused(text: str) -> None:
    """A password hash that is malformed, too cheap or needs too much memory is an error of the configuration."""
    with pytest.raises(ValueError, match="hash"):
        read_hash(text)


def test_a_hash_tells_its_password_and_no_other() -> None:
    """A hash accepts its own password only, and differs each time it is made."""
    first, second = hash_of(PASSWORD, b"a" * 16), hash_of(PASSWORD, b"b" * 16)

    assert read_hash(str(first)).matches(PASSWORD)
    assert not read_hash(str(first)).matches(PASSWORD + " ")
    assert first.key != second.key
    assert PASSWORD not in str(first)


async def test_passwords_that_wait_for_their_check_are_counted() -> None:
    """While several passwords wait for the slow check of the hash, their number is known; the right one is found."""
    password = OperatorPassword(str(hash_of(PASSWORD, b"0123456789abcdef")))
    checks = [asyncio.create_task(password.is_right(f"guess {number}")) for number in range(8)]
    await asyncio.sleep(0)
    checking = password.checking
    answers = await asyncio.gather(*checks)

    assert (checking, password.checking) == (8, 0)
    assert answers == [False] * 8
    assert await password.is_right(PASSWORD)

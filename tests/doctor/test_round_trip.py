"""The doctor's findings from a request through the public address, and the running proxy's answer to it."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from support import SECRET, Installation, installation, raw_config

from proxy import __version__
from proxy.config import load
from proxy.config.schema import Settings
from proxy.doctor.web import round_trip
from proxy.doctor.web.place import PublicPlace
from proxy.doctor.web.round_trip import FORGED_ADDRESS, FORGED_HOST, ProbeAnswer
from proxy.doctor.web.visitor import Unreached, WebAnswer
from proxy.installation import now_ms
from proxy.model.probe import ProbeKeys

OWN = "93.184.216.34"
SET = "k=ab; Max-Age=90; Path=/; SameSite=Lax; Domain=shop.example; Secure; HttpOnly"
SEEN = {
    "version": __version__,
    "address": OWN,
    "believed": True,
    "peer": "127.0.0.1",
    "forwarded": OWN,
    "host": "shop.example",
    "secure": True,
    "cookie": "ab",
    "set_cookie": SET,
    "tag": "",
}


def settings(**server: Any) -> Settings:
    raw = raw_config("http://127.0.0.1:1", Path("/nowhere"))
    raw["server"] |= server
    return load.parse(raw, {}, base=Path()).settings


def place(base: str = "https://shop.example") -> PublicPlace:
    return PublicPlace(settings().site[0], "/shop-tools", "https://shop.example/", base, "")


def codes(
    seen: dict[str, Any], *, cookies: tuple[str, ...] = (SET,), cdn: str = "", own: str = OWN, **server: Any
) -> list[str]:
    passage = ProbeAnswer("ab", SEEN | seen, cookies, cdn)
    found = round_trip.probe_findings(place(), settings(**server), passage, frozenset({own}))
    return [finding.code for finding in found]


FAULTS: dict[str, dict[str, Any]] = {
    "host_changed": {"seen": {"host": "capi_proxy"}},
    "scheme_unknown": {"seen": {"secure": False}},
    "cookie_not_forwarded": {"seen": {"cookie": ""}},
    "cookie_stripped": {"seen": {}, "cookies": ()},
    "cookie_changed": {"seen": {}, "cookies": (SET.replace("SameSite=Lax", "SameSite=None"),)},
    "address_of_web_server": {"seen": {"believed": False, "address": "127.0.0.1"}},
    "address_header_missing": {"seen": {"address": "", "forwarded": ""}},
    "address_not_own": {"seen": {"address": "104.16.0.9"}},
    "version_differs": {"seen": {"version": "0.0.1"}},
}
PASSED_OVER: dict[str, dict[str, Any]] = {
    "all as it is": {"seen": {}},
    "attributes in another order": {
        "seen": {},
        "cookies": ("k=ab; path=/; secure; httponly; samesite=lax; max-age=90; domain=.shop.example",),
    },
    "a port in the host": {"seen": {"host": "shop.example:443"}},
    "a router on the way": {"seen": {"address": "104.16.0.9"}, "own": "192.168.1.20"},
    "a CDN whose header is read": {
        "seen": {"address": "104.16.0.9"},
        "cdn": "cloudflare",
        "client_ip_preset": "cloudflare",
    },
    "a machine that the proxy trusts itself": {"seen": {"address": ""}},
    "the PROXY protocol": {"seen": {"believed": False, "forwarded": ""}, "proxy_protocol": True},
}


@pytest.mark.parametrize(("code", "case"), FAULTS.items(), ids=FAULTS)
def test_each_fault_of_a_round_trip_is_found(code: str, case: dict[str, Any]) -> None:
    """A request that reaches the proxy changed in one way causes the finding for it and no other."""
    assert codes(**case) == [code]


@pytest.mark.parametrize("case", PASSED_OVER.values(), ids=PASSED_OVER)
def test_a_sound_round_trip_is_passed_over(case: dict[str, Any]) -> None:
    """A request that arrives right, in any of its forms, causes no finding."""
    assert codes(**case) == []


def test_a_cdn_in_front_is_named_with_its_preset() -> None:
    """The line to paste is the setting that reads the CDN's header."""
    passage = ProbeAnswer("ab", SEEN | {"address": "104.16.0.9"}, (SET,), "cloudflare")
    (finding,) = round_trip.probe_findings(place(), settings(), passage, frozenset({"10.0.0.5"}))

    assert (finding.code, finding.paste) == ("address_not_own", 'client_ip_preset = "cloudflare"')


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, []),
        ({"address": FORGED_ADDRESS, "forwarded": FORGED_ADDRESS}, ["address_forgeable"]),
        ({"address": FORGED_ADDRESS, "forwarded": f"{FORGED_ADDRESS}, {OWN}"}, []),
        ({"host": FORGED_HOST}, ["host_forgeable"]),
    ],
)
def test_what_a_stranger_can_write_is_told(seen: dict[str, Any], expected: list[str]) -> None:
    """A forged address or host that the proxy believes is a finding; one that a web server overwrote is not."""
    found = round_trip.forged_findings(place(), settings(), ProbeAnswer("ab", SEEN | seen, (), ""), frozenset({OWN}))

    assert [finding.code for finding in found] == expected


OURS = {"Content-Type": "application/json"}
CORS = OURS | {"Access-Control-Allow-Origin": "https://shop.example", "Access-Control-Allow-Credentials": "true"}
HOST = "https://t.shop.example"


@pytest.mark.parametrize(
    ("status", "body", "headers", "base", "expected"),
    [
        (400, b'{"error":"v: missing"}', OURS, "https://shop.example", []),
        (400, b'{"error":"v: missing"}', CORS, HOST, []),
        (400, b'{"error":"v: missing"}', OURS, HOST, ["cors_changed"]),
        (400, b'{"error":"v: missing"}', CORS | {"access-control-allow-origin": "*"}, HOST, ["cors_changed"]),
        (403, b'{"error":"origin: not a page of this site"}', OURS, HOST, ["collect_refused"]),
        (301, b"", {"Location": "https://www.shop.example/shop-tools/e"}, HOST, ["collect_redirected"]),
        (405, b"<h1>405</h1>", {"Content-Type": "text/html"}, HOST, ["collect_not_proxied"]),
        (200, b"<!doctype html>", {"Content-Type": "text/html"}, HOST, ["collect_not_proxied"]),
        (404, b'{"error":"nothing here"}', OURS, HOST, ["collect_not_proxied"]),
        (400, b"[1]", OURS, HOST, ["collect_not_proxied"]),
        (403, b"Just a moment...", {}, HOST, ["collect_not_proxied"]),
    ],
)
def test_what_happens_to_events_is_told(
    status: int, body: bytes, headers: dict[str, str], base: str, expected: list[str]
) -> None:
    """The answer to a body that the proxy refuses shows what becomes of events; CORS counts only on another host."""
    answer = WebAnswer(f"{base}/shop-tools/e", status, CIMultiDictProxy(CIMultiDict(headers)), body)

    assert [finding.code for finding in round_trip.collect_findings(place(base), answer)] == expected


def test_events_that_get_no_answer_are_told() -> None:
    """A firewall that drops only what is posted loses every event, while the tag and the doctor's question pass."""
    unreached = Unreached(f"{HOST}/shop-tools/e", "no answer within 10 seconds")
    (finding,) = round_trip.collect_findings(place(HOST), unreached)

    assert (finding.code, finding.seen) == ("collect_not_proxied", "POST: no answer within 10 seconds")


KEYS = ProbeKeys(SECRET)


async def probed(proxy: Installation, body: bytes, *, method: str = "POST", leaf: str = KEYS.leaf) -> tuple[int, bytes]:
    headers = {"Host": "shop.example", "Cookie": f"{KEYS.cookie}=mine", "X-Forwarded-For": OWN}
    async with aiohttp.ClientSession() as session:
        address = f"{proxy.public}/shop-tools/{leaf}"
        async with session.request(method, address, data=body or None, headers=headers) as answer:
            return answer.status, await answer.read()


async def test_the_running_proxy_tells_the_doctor_what_it_sees(tmp_path: Path) -> None:
    """The answer to a sealed question has address, host and cookie as the proxy saw them, for the asker alone."""
    question = KEYS.question("shop", now=now_ms())
    async with installation(tmp_path) as proxy:
        status, body = await probed(proxy, question.body)
    seen = KEYS.read_answer(body, question)

    assert status == 200
    assert seen is not None
    assert {key: seen[key] for key in ("address", "host", "cookie", "version", "believed")} == {
        "address": OWN,
        "host": "shop.example",
        "cookie": "mine",
        "version": __version__,
        "believed": True,
    }
    assert OWN.encode() not in body
    assert KEYS.read_answer(body, KEYS.question("shop", now=now_ms())) is None
    assert ProbeKeys(SECRET + "x").read_answer(body, question) is None


async def test_for_strangers_there_is_no_such_address(tmp_path: Path) -> None:
    """Without the secret, too late, or with another method the answer is that of an unknown path, byte for byte."""
    late = KEYS.question("shop", now=now_ms() - 121_000).body
    foreign = ProbeKeys(SECRET + "x").question("shop", now=now_ms()).body
    sound = KEYS.question("shop", now=now_ms()).body
    async with installation(tmp_path) as proxy:
        unknown = await probed(proxy, b"x", leaf="q2w3e4r5")
        answers = [
            await probed(proxy, body, method=method)
            for method, body in (
                ("POST", b"x"),
                ("POST", b""),
                ("POST", late),
                ("POST", foreign),
                ("POST", sound[:-4] + b"AAAA"),
                ("POST", bytes(5000)),
                ("PUT", sound),
                ("GET", b""),
            )
        ]

    assert unknown[0] == 404
    assert answers == [unknown] * len(answers)

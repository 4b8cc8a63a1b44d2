"""The public listener over real sockets: durable before 204, clear refusals, never a 5xx for bad input."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import brotli
import orjson
import pytest
from support import (
    ORIGIN,
    PIXEL,
    TOKEN,
    USER_AGENT,
    VISITOR_ADDRESS,
    Installation,
    browser_headers,
    get_json,
    installation,
    page_views,
    until,
    wire,
)

from proxy.static_files import static_file

pytestmark = pytest.mark.usefixtures("front")


@pytest.fixture(name="shop", scope="module")
async def _shop(
    tmp_path_factory: pytest.TempPathFactory,
    front: str,  # noqa: ARG001 - each front has its own
) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("shop"), bots="ignore") as shop:
        yield shop


async def sent_events(shop: Installation, identity: str) -> list[dict[str, Any]]:
    async def arrived() -> list[dict[str, Any]]:
        found = await get_json(shop.session, f"{shop.graph}/sim/events?id={identity}")
        return [entry["event"] for entry in found["events"]]

    events: list[dict[str, Any]] = await until(arrived, what=f"event {identity} at the simulator")
    return events


async def test_a_hit_arrives_as_an_event(shop: Installation) -> None:
    """A posted event reaches Graph with its id, and the visitor's address, user agent and cookie ids."""
    cookies = "_fbp=fb.1.1700000000000.1116446470; _fbc=fb.1.1700000000001.AbC"
    status, headers, body = await shop.post(page_views(["whole-path"]), Cookie=cookies)
    (event,) = await sent_events(shop, "whole-path")

    assert (status, body) == (204, b"")
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert event["event_source_url"] == "https://shop.example/p"
    (visitor,) = event["user_data"].pop("external_id")
    assert len(visitor) == 64
    assert event["user_data"] == {
        "client_ip_address": VISITOR_ADDRESS,
        "client_user_agent": USER_AGENT,
        "fbp": "fb.1.1700000000000.1116446470",
        "fbc": "fb.1.1700000000001.AbC",
    }


async def test_the_answer_lengthens_the_life_of_the_cookies(shop: Installation) -> None:
    """A 204 sets both cookies again, with their values, for 90 days on the registrable domain, Lax and Secure."""
    cookies = "_fbp=fb.1.1700000000000.1116446470; _fbc=fb.1.1700000000001.AbC"
    async with shop.session.post(
        f"{shop.public}/shop-tools/e", data=orjson.dumps(page_views(["c1"])), headers=browser_headers(Cookie=cookies)
    ) as answer:
        *found, visitor_cookie = answer.headers.getall("Set-Cookie")

    assert visitor_cookie.endswith("; Max-Age=34560000; Path=/; SameSite=Lax; Domain=shop.example; Secure; HttpOnly")
    assert found == [
        "_fbp=fb.1.1700000000000.1116446470; Max-Age=7776000; Path=/; SameSite=Lax; Domain=shop.example; Secure",
        "_fbc=fb.1.1700000000001.AbC; Max-Age=7776000; Path=/; SameSite=Lax; Domain=shop.example; Secure",
    ]


async def test_good_neighbours_of_a_bad_event_are_stored(shop: Installation) -> None:
    """If one event is bad, the answer is 200 and names it by index and id, and the good ones arrive."""
    body = page_views(["good-1", "good-2"])
    body["events"].insert(1, {"name": "", "id": "bad-1", "at": 1, "pixels": [PIXEL]})
    status, _, answer = await shop.post(body)
    await sent_events(shop, "good-2")

    assert status == 200
    (refused,) = orjson.loads(answer)["refused"]
    assert (refused["index"], refused["id"]) == (1, "bad-1")
    assert "accepted" in refused["why"]


NESTED = b'{"v":1,"sent":1,"events":[{"name":"A","id":"1","at":1,"pixels":["1"],"data":%s}]}'
BAD_BODIES: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "not JSON": (b"{", 400),
    "a list": (b"[]", 400),
    "a number": (b"5", 400),
    "null": (b"null", 400),
    "no version": (b"{}", 400),
    "another version": (b'{"v":2,"sent":1,"events":[]}', 400),
    "no time": (b'{"v":1,"events":[]}', 400),
    "a time of text": (b'{"v":1,"sent":"now","events":[]}', 400),
    "a huge time": (b'{"v":1,"sent":1e300,"events":[]}', 400),
    "infinity": (b'{"v":1,"sent":1e999,"events":[]}', 400),
    "NaN": (b'{"v":1,"sent":NaN,"events":[]}', 400),
    "events of text": (b'{"v":1,"sent":1,"events":"all"}', 400),
    "an unknown consent": (b'{"v":1,"sent":1,"consent":"maybe","events":[]}', 400),
    "only bad events": (b'{"v":1,"sent":1,"events":[1,null,{},"x"]}', 400),
    "10,000 events": (b'{"v":1,"sent":1,"events":[' + b",".join([b"{}"] * 10_000) + b"]}", 400),
    "deep nesting": (b"[" * 10_000, 400),
    "deep data": (NESTED % (b'{"a":' * 200 + b"1" + b"}" * 200), 400),
    "invalid UTF-8": (b'{"v":1,"sent":1,"url":"\xff\xfe"}', 400),
    "a huge integer": (b'{"v":1,"sent":' + b"9" * 400 + b',"events":[]}', 400),
    "too large": (b'{"v":1,"sent":1,"url":"' + b"x" * 70_000 + b'"}', 413),
}


@pytest.mark.parametrize(("body", "expected"), BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_bad_body_gets_a_short_reason(shop: Installation, body: bytes, expected: int) -> None:
    """A malformed body is a 4xx with a short JSON reason and CORS headers."""
    status, headers, answer = await shop.post(body)

    assert (status, headers["Access-Control-Allow-Origin"]) == (expected, ORIGIN)
    assert orjson.loads(answer)["error"]
    assert len(answer) < 4096


ODD_REQUESTS: dict[str, tuple[dict[str, str], int]] = {
    "foreign origin": ({"Origin": "https://shop.example.evil.com"}, 403),
    "suffix trick": ({"Origin": "https://evilshop.example"}, 403),
    "null origin": ({"Origin": "null"}, 403),
    "another scheme": ({"Origin": "file://shop.example"}, 403),
    "sub-domain": ({"Origin": "https://www.shop.example"}, 204),
    "origin with port": ({"Origin": "https://shop.example:8443"}, 204),
    "upper case": ({"Origin": "https://SHOP.example"}, 204),
    "compressed": ({"Content-Encoding": "gzip"}, 415),
    "an absurd cookie": ({"Cookie": "_fbp=" + "x" * 4000 + "; ;;=; _fbc"}, 204),
    "bytes in a cookie": ({"Cookie": "_fbp=\udcff\udcfe"}, 204),
    "bytes in the user agent": ({"User-Agent": "Mozilla/5.0 \udcff"}, 204),
    "a garbage forwarding list": ({"X-Forwarded-For": "unknown, , [::1"}, 204),
    "an unknown host": ({"Host": "elsewhere.example"}, 204),
}


@pytest.mark.parametrize(("headers", "expected"), ODD_REQUESTS.values(), ids=ODD_REQUESTS)
async def test_odd_requests_are_judged_not_crashed(
    shop: Installation, headers: dict[str, str], expected: int, request: pytest.FixtureRequest
) -> None:
    """Odd headers cause a clear refusal or are ignored."""
    body = page_views([f"odd-{request.node.callspec.id}"])
    status, answer_headers, _ = await shop.post(body, **headers)

    assert status == expected
    assert ("Access-Control-Allow-Origin" in answer_headers) is (expected != 403)


async def test_no_origin_is_judged_by_the_referer(shop: Installation) -> None:
    """Without an Origin, a Referer of the site is enough; without both the request is refused."""
    headers = browser_headers()
    del headers["Origin"]
    statuses = []
    for extra in ({"Referer": "https://shop.example/p"}, {"Referer": "https://other.example/"}, {}):
        async with shop.session.post(
            f"{shop.public}/shop-tools/e", data=orjson.dumps(page_views(["r1"])), headers=headers | extra
        ) as answer:
            statuses.append(answer.status)

    assert statuses == [204, 403, 403]


async def test_a_preflight_is_answered_for_the_site_only(shop: Installation) -> None:
    """OPTIONS is 204 with CORS headers for a page of the site, 403 for others."""
    async with shop.session.options(f"{shop.public}/shop-tools/e", headers={"Origin": ORIGIN}) as answer:
        allowed = answer.status, answer.headers["Access-Control-Allow-Methods"]
    async with shop.session.options(
        f"{shop.public}/shop-tools/e", headers={"Origin": "https://evil.example"}
    ) as answer:
        foreign = answer.status

    assert (allowed, foreign) == ((204, "POST"), 403)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/shop-tools/e", 405),
        ("PUT", "/shop-tools/e", 405),
        ("POST", "/shop-tools/m.js", 405),
        ("POST", "/shop-tools/n.gif", 405),
        ("GET", "/shop-tools/x", 404),
        ("GET", "/", 404),
        ("GET", "/m.js", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/%00%ff", 404),
        ("GET", "/api/events", 404),
        ("GET", "/metrics", 404),
    ],
)
async def test_other_paths_and_methods_are_refused(shop: Installation, method: str, path: str, expected: int) -> None:
    """Unknown paths and methods are 404 or 405, and operator addresses do not exist on the public port."""
    async with shop.session.request(method, shop.public + path, headers={"Origin": ORIGIN}) as answer:
        assert answer.status == expected
        assert (await answer.json())["error"]


@pytest.mark.parametrize(
    "head",
    [
        b"POST /shop-tools/e HTTP/1.1",
        b"POST /shop-tools/e HTTP/1.1\r\nHost: a\r\nHost: b",
        b"BREW /shop-tools/e?em=planted HTTP/1.1\r\nHost: a",
        b"POST /shop-tools/e HTTP/1.1\r\nHost: a\r\nCookie: planted\x00",
        b"\xff\xfe\xfd",
    ],
)
async def test_malformed_http_is_a_quiet_400(shop: Installation, head: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A request that is no HTTP, or has no Host, gets 400; the log has neither a traceback nor the request's bytes."""
    reader, writer = await asyncio.open_connection(shop.proxy.public.host, shop.proxy.public.port)
    writer.write(head + b"\r\nOrigin: https://shop.example\r\nContent-Length: 2\r\n\r\n{}")
    line = await asyncio.wait_for(reader.readline(), 60)
    writer.close()
    await writer.wait_closed()

    assert line.split()[1] == b"400"
    assert "planted" not in caplog.text
    assert "Traceback" not in caplog.text
    assert (await shop.post(page_views(["after-malformed"])))[0] == 204


async def test_another_pixel_on_the_page_is_a_counted_drop(shop: Installation) -> None:
    """Events for pixels that the site does not list are acknowledged, dropped, and in the ledger with their reason."""
    status, _, _ = await shop.post(wire({"name": "Lead", "id": "not-ours", "pixels": ["55"]}))

    async def noted() -> list[str]:
        found = await get_json(shop.session, f"{shop.operator}/api/events?id=not-ours")
        return [row["reason"] for row in found["events"]]

    assert status == 204
    assert await until(noted, what="a ledger row") == ["unknown_pixel"]


@pytest.mark.parametrize(
    ("event", "members", "headers", "reason"),
    [
        ({"name": "Purchase", "data": {"currency": "EUR"}}, {}, {}, "missing_value"),
        ({"name": "PageView", "at": 1}, {}, {}, "too_old"),
        ({"name": "PageView"}, {}, {"Sec-GPC": "1"}, "gpc"),
        ({"name": "PageView"}, {"gpc": True}, {}, "gpc"),
    ],
)
async def test_what_may_not_leave_is_a_counted_drop(
    shop: Installation, event: dict[str, Any], members: dict[str, Any], headers: dict[str, str], reason: str
) -> None:
    """An event that Graph would refuse or the visitor forbade is acknowledged and counted; GPC gets no cookie."""
    identity = f"drop-{reason}-{len(members)}"
    status, answer_headers, _ = await shop.post(wire({"id": identity, **event}, **members), **headers)

    async def noted() -> list[str]:
        found = await get_json(shop.session, f"{shop.operator}/api/events?id={identity}")
        return [row["reason"] for row in found["events"]]

    assert status == 204
    assert ("Set-Cookie" in answer_headers) is (reason != "gpc")
    assert await until(noted, what="a ledger row") == [reason]


async def test_the_tag_is_served_with_the_settings_of_the_site(shop: Installation) -> None:
    """The tag is the built file with the site's settings; it may be cached, and never sets a cookie."""
    async with shop.session.get(f"{shop.public}/shop-tools/m.js", headers={"Accept-Encoding": "identity"}) as answer:
        script = await answer.read()
        headers = answer.headers
    settings = {"__SITE__": '["e","shop.example","fb.1.",0,0,1]', "__ORDERS__": '"order-shop-"'}
    built = static_file("tag.min.js").decode()
    for placeholder, expression in settings.items():
        built = built.replace(f'"{placeholder}"', expression)

    assert script.decode() == built.strip(";\n")
    assert headers["Cache-Control"] == "public, max-age=3600"
    assert headers["Vary"] == "Accept-Encoding"
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("br;q=0, gzip", "gzip"), ("identity", None), ("", None)],
)
async def test_the_tag_is_served_compressed(shop: Installation, accepted: str, coding: str | None) -> None:
    """The tag is sent in the best encoding that the browser accepts, and each decodes to the same script."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        headers = {"Accept-Encoding": accepted}
        async with session.get(f"{shop.public}/shop-tools/m.js", headers=headers) as answer:
            body, found = await answer.read(), answer.headers.get("Content-Encoding")
            etag = answer.headers["ETag"]
        async with session.get(f"{shop.public}/shop-tools/m.js", headers=headers | {"If-None-Match": etag}) as answer:
            unchanged = answer.status
    decode = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[coding]

    assert (found, unchanged) == (coding, 304)
    assert b"callMethod" in decode(body)


async def test_the_tag_fits_its_budget_as_served(shop: Installation) -> None:
    """The default site's tag takes at most 2,200 bytes on the wire with brotli."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        headers = {"Accept-Encoding": "br"}
        async with session.get(f"{shop.public}/shop-tools/m.js", headers=headers) as answer:
            size = len(await answer.read())

    assert size <= 2200


async def test_the_image_is_a_page_view_of_its_referer(shop: Installation) -> None:
    """The image, for browsers without scripts, is a GIF that is not cached, and its PageView reaches Graph."""
    headers = {"Referer": "https://shop.example/noscript?x=1", "User-Agent": USER_AGENT, "Host": "shop.example"}
    async with shop.session.get(f"{shop.public}/shop-tools/n.gif", headers=headers) as answer:
        body, status, cache = await answer.read(), answer.status, answer.headers["Cache-Control"]

    async def arrived() -> bool:
        found = await get_json(shop.session, f"{shop.graph}/sim/events?name=PageView")
        return any(e["event"]["event_source_url"] == "https://shop.example/noscript" for e in found["events"])

    assert (status, body[:6], cache) == (200, b"GIF89a", "no-store")
    assert await until(arrived, what="the image's PageView")


async def test_the_image_is_refused_elsewhere(shop: Installation) -> None:
    """A page of another site, or none, cannot make events through the image."""
    for headers in ({"Referer": "https://other.example/"}, {}):
        async with shop.session.get(f"{shop.public}/shop-tools/n.gif", headers=headers) as answer:
            assert answer.status == 403


async def test_gpc_support_is_declared(shop: Installation) -> None:
    """The well-known resource says that GPC is honoured."""
    assert await get_json(shop.session, f"{shop.public}/.well-known/gpc.json") == {"gpc": True}


async def test_gpc_support_is_not_claimed_where_ignored(tmp_path: Path) -> None:
    """A site that ignores GPC has no such resource, and sends its events."""
    async with installation(tmp_path, gpc="ignore") as shop:
        async with shop.session.get(f"{shop.public}/.well-known/gpc.json") as answer:
            assert answer.status == 404
        await shop.post(page_views(["gpc-ignored"]), **{"Sec-GPC": "1"})
        await sent_events(shop, "gpc-ignored")


async def test_a_repeat_is_sent_once(shop: Installation) -> None:
    """The same hit twice is acknowledged twice, sent once, and counted as a duplicate."""
    body = page_views(["twice"])
    statuses = [(await shop.post(body))[0] for _ in range(2)]

    async def noted() -> list[str]:
        found = await get_json(shop.session, f"{shop.operator}/api/events?id=twice")
        rows = [row["status"] for row in found["events"]]
        return sorted(rows) if len(rows) == 2 else []

    assert statuses == [204, 204]
    assert await until(noted, what="two ledger rows") == ["delivered", "duplicate"]


async def test_later_news_comes_alone(shop: Installation) -> None:
    """A body with only updates of browser copies is accepted, and the ledger has the new status."""
    await shop.post(page_views(["with-update"]))
    body = wire(fates=[{"name": "PageView", "id": "with-update", "pixel": "blocked"}])
    status, _, _ = await shop.post(body)

    async def told() -> bool:
        found = await get_json(shop.session, f"{shop.operator}/api/events?id=with-update")
        return [row["browser_copy"] for row in found["events"]] == ["blocked"]

    assert status == 204
    assert await until(told, what="the update")


async def test_nothing_secret_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Logs contain no tokens, contact data or bodies, also when Graph refuses events and when bodies are bad."""
    caplog.set_level(logging.DEBUG)
    async with installation(tmp_path) as shop:
        await shop.fault(mode="190", **{"for": 1})
        match = {PIXEL: {"em": "planted@mail.example", "ph": "+16505551212"}}
        await shop.post(wire({"name": "Lead", "id": "secret"}, match=match))
        await shop.post(b'{"v":1,"sent":1,"events":[{"name":"planted@mail.example"}]}')
        await shop.post(b"planted@mail.example")
        await until(lambda: get_status(shop), what="a pause")

    assert TOKEN not in caplog.text
    assert "planted" not in caplog.text
    assert "6505551212" not in caplog.text


async def get_status(shop: Installation) -> bool:
    status = await get_json(shop.session, f"{shop.operator}/api/status")
    return bool(status["lanes"][0]["paused"])

"""The endpoints for servers over real sockets: keys, refusals in Graph's shape at every layer, and what is stored."""

import asyncio
import gzip
import io
import logging
import re
import time
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pytest
from sdks import AT_ONCE, FOREIGN_KEY, KEY, OTHER_PIXEL, OTHER_SITE
from support import PIXEL, Installation, get_json, installation, until

from proxy.edge.server.body import MOST_BYTES
from proxy.model.record import Record
from proxy.queue.contract import QueueError, Stored

NEXT_KEY = "9d0e" * 8
JSON = {"Content-Type": "application/json"}
GRAPH, GATEWAY = f"/v26.0/{PIXEL}/events", f"/capi/{PIXEL}/events"
_ERROR = {
    "message": str,
    "type": str,
    "code": int,
    "error_subcode": int,
    "is_transient": bool,
    "error_user_title": str,
    "error_user_msg": str,
    "error_data": dict,
    "fbtrace_id": str,
}


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """Run a proxy with a site that has two keys, and with a site of another owner."""
    limits = {"body_seconds": 1.0, "header_seconds": 1.0}
    more: dict[str, Mapping[str, Any]] = {"limits": limits}
    async with installation(
        tmp_path_factory.mktemp("shop"), more=more, others=[OTHER_SITE], access_keys=[KEY, NEXT_KEY], orders=AT_ONCE
    ) as shop:
        yield shop


def purchase(identity: str, **members: Any) -> dict[str, Any]:
    return {
        "event_name": "Purchase",
        "event_time": int(time.time()),
        "event_id": identity,
        "action_source": "website",
        "event_source_url": "https://shop.example/thank-you",
        "user_data": {"em": ["a" * 64], "client_user_agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0"},
        "custom_data": {"value": 12.5, "currency": "EUR"},
        **members,
    }


def wrong(identity: str) -> dict[str, Any]:
    """Return an event that Graph would not take: it is a month old."""
    return purchase(identity, event_time=int(time.time()) - 30 * 86_400)


@dataclass
class Answered:
    """An answer; a wrong shape of it fails the test at once."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    document: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.document = orjson.loads(self.body)
        assert self.headers["Content-Type"] == "application/json"
        assert "Content-Encoding" not in self.headers
        assert [name for name in self.headers if name.lower().startswith(("access-control", "set-cookie"))] == []
        if self.status >= 400:
            assert list(self.document) == ["error"]
            wrong = {name: value for name, value in self.error.items() if type(value) is not _ERROR[name]}
            assert wrong == {}
            assert {"message", "type", "code", "is_transient", "fbtrace_id"} <= set(self.error)
            assert self.error["fbtrace_id"].startswith("A")

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.document["error"]
        return error

    @property
    def code(self) -> tuple[int, int, int]:
        """Status, code and subcode."""
        return self.status, self.error["code"], self.error.get("error_subcode", 0)


async def ask(
    shop: Installation, path: str, body: Any = None, *, method: str = "POST", key: str = KEY, **headers: str
) -> Answered:
    """Send a request to a server endpoint; the key is in the query unless it is empty."""
    address = f"{shop.public}{path}" + (f"?access_token={key}" if key else "")
    sent = body if isinstance(body, bytes | None) else orjson.dumps(body)
    data = io.BytesIO(sent) if sent and len(sent) > 1 << 20 else sent  # aiohttp warns of longer bytes
    more = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    async with shop.session.request(method, address, data=data, headers=more, allow_redirects=False) as answer:
        return Answered(answer.status, dict(answer.headers), await answer.read())


async def arrived(shop: Installation, identity: str) -> list[dict[str, Any]]:
    async def look() -> list[dict[str, Any]]:
        found = await get_json(shop.session, f"{shop.graph}/sim/events?id={identity}")
        return [entry["event"] for entry in found["events"]]

    events: list[dict[str, Any]] = await until(look, what=f"event {identity} at the simulator")
    return events


async def nothing_arrived(shop: Installation, refused: str) -> None:
    """Wait until a later event has arrived, and check that this one has not."""
    later = f"after-{refused}"
    assert (await ask(shop, GRAPH, {"data": [purchase(later)]})).status == 200
    await arrived(shop, later)
    found = await get_json(shop.session, f"{shop.graph}/sim/events?id={refused}")

    assert found["events"] == []


PLACES = [
    "/v26.0/{}/events",
    "//v26.0/{}/events",
    "/v13.0/{}/events/",
    "/shop-tools/v26.0/{}/events",
    "/shop-tools//v26.0/{}/events",
    "/other-tools/v26.0/{}/events",
    "/capi/{}/events",
    "//capi/{}/events",
    "/shop-tools/capi/{}/events",
]


@pytest.mark.parametrize("path", PLACES)
async def test_events_are_taken_at_every_place(shop: Installation, path: str) -> None:
    """An event is accepted and arrives at the root, under a prefix and with doubled slashes."""
    identity = f"place-{PLACES.index(path)}"
    answer = await ask(shop, path.format(PIXEL), {"data": [purchase(identity)]})
    (event,) = await arrived(shop, identity)

    assert answer.status == (202 if "capi" in path else 200)
    assert (answer.document["events_received"], answer.document["messages"]) == (1, [])
    assert len(answer.document["fbtrace_id"]) == 23
    assert event["custom_data"]["value"] == 12.5
    assert event["user_data"].get("client_ip_address") is None


@pytest.mark.parametrize("key", [KEY, NEXT_KEY])
@pytest.mark.parametrize("place", ["query", "body", "accessKey", "header", "all"])
async def test_a_key_opens_the_door_from_every_place(shop: Installation, key: str, place: str) -> None:
    """Each of a site's keys is accepted in query, body and header, so that keys can be replaced step by step."""
    body: dict[str, Any] = {"data": [purchase(f"key-{place}-{key[:4]}")]}
    body |= {"access_token": key} if place in ("body", "all") else {}
    body |= {"accessKey": key} if place == "accessKey" else {}
    headers = {"Authorization": f"Bearer {key}"} if place in ("header", "all") else {}
    answer = await ask(shop, GRAPH, body, key=key if place in ("query", "all") else "", **headers)

    assert answer.status == 200


@pytest.mark.parametrize("path", [GRAPH, GATEWAY])
async def test_different_keys_are_refused(shop: Installation, path: str) -> None:
    """Two different keys in a request are refused, wherever they are; a wrong one in the query is refused first."""
    body = {"data": [purchase("two-keys")], "access_token": NEXT_KEY}

    assert (await ask(shop, path, body)).code == (400, 100, 0)
    assert (await ask(shop, path, {"data": []}, Authorization=f"Bearer {NEXT_KEY}")).code == (400, 100, 0)
    assert (await ask(shop, path, body, key="wrong")).code == (401, 190, 0)
    await nothing_arrived(shop, "two-keys")


@pytest.mark.parametrize(
    ("path", "key", "code"),
    [
        (GRAPH, "", (400, 104, 0)),
        (GATEWAY, "", (400, 104, 0)),
        (f"/v26.0/{OTHER_PIXEL}/events", KEY, (400, 100, 33)),
        (GRAPH, FOREIGN_KEY, (400, 100, 33)),
        ("/v26.0/999/events", KEY, (400, 100, 33)),
    ],
)
async def test_a_key_opens_its_own_site_alone(
    shop: Installation, path: str, key: str, code: tuple[int, int, int]
) -> None:
    """Without a key, or with another site's, nothing is stored; a foreign pixel and an unknown one look alike."""
    answer = await ask(shop, path, {"data": [purchase("closed")]}, key=key)

    assert answer.code == code
    await nothing_arrived(shop, "closed")


async def test_a_pixel_of_another_and_none_look_alike(shop: Installation) -> None:
    """The answers for a foreign and an unknown pixel differ only in the requested id."""
    foreign, none = [
        (await ask(shop, f"/v26.0/{pixel}/events", {"data": []})).body.replace(pixel.encode(), b"")
        for pixel in (OTHER_PIXEL, "3333333333")
    ]
    cut = b'"fbtrace_id"'

    assert foreign.partition(cut)[0] == none.partition(cut)[0]


Refused: TypeAlias = tuple[str, str, Any, dict[str, str], tuple[int, int, int]]
"""Method, path, body and headers of a request; status, code and subcode of its answer."""
REFUSED: dict[str, Refused] = {
    "no body": ("POST", GRAPH, b"", {}, (400, 100, 0)),
    "no JSON": ("POST", GRAPH, b"{", {}, (400, 100, 0)),
    "a list": ("POST", GRAPH, b"[]", {}, (400, 100, 0)),
    "no data": ("POST", GRAPH, {}, {}, (400, 100, 0)),
    "empty data": ("POST", GRAPH, {"data": []}, {}, (400, 100, 0)),
    "deep": ("POST", GRAPH, b'{"data":' + b"[" * 1_000_000, {}, (400, 100, 0)),
    "deep within an event": ("POST", GRAPH, b'{"data":[{"a":%s1%s}]}' % (b"[" * 9999, b"]" * 9999), {}, (400, 100, 0)),
    "1,001 events": ("POST", GRAPH, {"data": [purchase(f"many-{n}") for n in range(1001)]}, {}, (400, 100, 0)),
    "another type": ("POST", GRAPH, b"<a/>", {"Content_Type": "text/xml"}, (400, 100, 0)),
    "another coding": ("POST", GRAPH, b"", {"Content_Encoding": "br"}, (415, 100, 0)),
    "two codings": ("POST", GRAPH, b"", {"Content_Encoding": "gzip, gzip"}, (415, 100, 0)),
    "no gzip": ("POST", GRAPH, b"{}", {"Content_Encoding": "gzip"}, (400, 100, 0)),
    "a bomb": ("POST", GRAPH, gzip.compress(bytes(64 << 20)), {"Content_Encoding": "gzip"}, (413, 100, 0)),
    "too large": ("POST", GRAPH, bytes((16 << 20) + 1), {}, (413, 100, 0)),
    "GET": ("GET", GRAPH, None, {}, (405, 100, 33)),
    "PUT": ("PUT", GATEWAY, b"", {}, (405, 100, 33)),
    "preflight": ("OPTIONS", GRAPH, None, {"Origin": "https://shop.example"}, (405, 100, 33)),
    "Graph batch": ("POST", "/v26.0/", b"batch=[]", {}, (404, 100, 33)),
    "crash report": ("POST", "/v26.0/1234/instruments", b"bizsdk_crash_report=x", {}, (404, 100, 33)),
    "debug_token": ("GET", "/v24.0/debug_token", None, {}, (404, 100, 33)),
    "another object": ("POST", "/v26.0/me/events", {"data": []}, {}, (404, 100, 33)),
    "below the Gateway": ("GET", "/capi/hub", None, {}, (404, 100, 33)),
    "a mistyped prefix": ("POST", "/shop-tool" + GRAPH, {"data": []}, {}, (404, 100, 33)),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_a_refusal_has_graphs_shape(shop: Installation, case: Refused) -> None:
    """Every refusal is an error that an SDK can handle, and that no web page can read."""
    method, path, body, headers, code = case

    assert (await ask(shop, path, body, method=method, **headers)).code == code


async def test_1001_events_store_none(shop: Installation) -> None:
    """A request with more than 1,000 events is refused as a whole."""
    await ask(shop, GATEWAY, {"data": [purchase(f"too-many-{number}") for number in range(1001)]})
    await nothing_arrived(shop, "too-many-0")


async def test_graph_stores_none_and_names_the_first(shop: Installation) -> None:
    """With 3 bad events among 1,000, the Graph endpoint stores none, and names the first by its index and member."""
    events = [(wrong if number in (41, 7, 900) else purchase)(f"mixed-{number}") for number in range(1000)]
    answer = await ask(shop, GRAPH, {"data": events})

    assert answer.code == (400, 100, 2804003)
    assert answer.error["error_data"]["blame_field_specs"][0] == ["data", 7, "event_time"]
    assert "data[7]" in answer.error["error_user_msg"]
    await nothing_arrived(shop, "mixed-0")


async def test_the_gateway_stores_the_good_ones(shop: Installation) -> None:
    """With 3 bad events among 1,000, the Gateway endpoint stores 997 and names 3."""
    events = [(wrong if number in (41, 7, 900) else purchase)(f"gate-{number}") for number in range(1000)]
    answer = await ask(shop, GATEWAY, {"data": events, "accessKey": KEY}, key="")
    await arrived(shop, "gate-999")

    assert (answer.status, answer.document["events_received"], answer.document["refused_in_all"]) == (202, 997, 3)
    named = [(each["index"], each["id"], each["code"], each["subcode"]) for each in answer.document["refused"]]
    assert named == [(number, f"gate-{number}", 100, 2804003) for number in (7, 41, 900)]


async def test_a_large_request_is_stored_in_parts(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 events are stored in small commits; if one fails, the answer is 503, and a repeat sends nothing twice."""
    append, sizes = shop.proxy.queue.append, list[int]()

    async def failing_once(records: Sequence[Record], **options: Any) -> Stored:
        sizes.append(len(records))
        if len(sizes) == 3:
            raise QueueError("the disk is full")
        return await append(records, **options)

    monkeypatch.setattr(shop.proxy.queue, "append", failing_once)
    body = {"data": [purchase(f"parts-{number}") for number in range(1000)]}
    first, again = await ask(shop, GRAPH, body), await ask(shop, GRAPH, body)

    async def repeats() -> bool:
        rows: list[dict[str, Any]] = (
            await get_json(shop.session, f"{shop.operator}/api/events?status=duplicate&limit=1000")
        )["events"]
        return len([row for row in rows if str(row["id"]).startswith("parts-")]) == 64

    await until(repeats, what="64 repeats in the ledger")
    assert (first.status, again.status, max(sizes), sum(sizes)) == (503, 200, 32, 1096)


@pytest.mark.parametrize("error", [QueueError("the disk is full"), TypeError("a fault of ours")])
async def test_what_was_stored_before_a_failure_is_delivered(
    shop: Installation, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever error ends a large request, its part that was stored is delivered without waiting for another event."""
    append, sizes = shop.proxy.queue.append, list[int]()

    async def failing(records: Sequence[Record], **options: Any) -> Stored:
        sizes.append(len(records))
        if len(sizes) > 1:
            raise error
        return await append(records, **options)

    monkeypatch.setattr(shop.proxy.queue, "append", failing)
    name = type(error).__name__
    answer = await ask(shop, GRAPH, {"data": [purchase(f"{name}-{number}") for number in range(33)]})
    await arrived(shop, f"{name}-0")

    assert (answer.status, sizes) == (503, [32, 1])


async def test_a_gateway_request_of_bad_events_alone_is_an_error(shop: Installation) -> None:
    """If the Gateway endpoint accepts no event of a request, it answers with an error as Graph does."""
    assert (await ask(shop, GATEWAY, {"data": [wrong("bad-1"), wrong("bad-2")]})).code == (400, 100, 2804003)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_packed_body_is_read(shop: Installation, coding: str) -> None:
    """A compressed body is accepted."""
    body = orjson.dumps({"data": [purchase(f"packed-{coding}")]})
    packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)

    assert (await ask(shop, GRAPH, packed, Content_Encoding=coding)).status == 200
    await arrived(shop, f"packed-{coding}")


async def raw(shop: Installation, *pieces: bytes) -> Answered:
    """Send bytes, and return the last answer before the connection ended."""
    reader, writer = await asyncio.open_connection(shop.proxy.public.host, shop.proxy.public.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        head, _, body = (await reader.read()).rpartition(b"\r\n\r\n")
    finally:
        writer.close()
    lines = re.split(r"HTTP/1\.[01] ", head.decode())[-1].split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return Answered(int(lines[0].split()[0]), headers, body)


HEAD = f"POST {GRAPH}?access_token={KEY} HTTP/1.1\r\nHost: t.shop.example\r\n".encode()
BROKEN = {
    "no HTTP": ((b"\x16\x03\x01 hello\r\n\r\n",), (400, 100)),
    "a bad header": ((HEAD + b"a b c\r\n\r\n",), (400, 100)),
    "a bad length": ((HEAD + b"Content-Length: x\r\n\r\n",), (400, 100)),
    "bad chunks": ((HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",), (400, 100)),
    "long headers": ((HEAD + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 4000) for n in range(6)) + b"\r\n",), (431, 100)),
    "a slow head": ((HEAD,), (408, 2)),
    "a slow body": ((HEAD + b"Content-Length: 100\r\n\r\n{",), (408, 2)),
    "an announced giant": ((HEAD + b"Connection: close\r\nContent-Length: 67108864\r\n\r\n",), (413, 100)),
    "a wrong key before a giant": (
        (HEAD.replace(KEY.encode(), b"wrong") + b"Connection: close\r\nContent-Length: 16000000\r\n\r\n",),
        (401, 190),
    ),
    "a giant in chunks": (
        (
            HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
            *[b"100000\r\n" + bytes(1 << 20) + b"\r\n"] * 17,
        ),
        (413, 100),
    ),
}


@pytest.mark.parametrize(("pieces", "code"), BROKEN.values(), ids=BROKEN)
async def test_connections_end_in_graphs_shape(
    shop: Installation, pieces: tuple[bytes, ...], code: tuple[int, int]
) -> None:
    """Errors of HTTP itself, before any endpoint is reached, have Graph's shape; bodies stay unread where possible."""
    answer = await raw(shop, *pieces)

    assert answer.code[:2] == code


async def test_wrong_keys_are_slowed_and_right_ones_never(shop: Installation) -> None:
    """After some wrong keys from an address the answer is 429, but the right key from that address still works."""
    client = {"X_Forwarded_For": "198.51.100.7"}
    body = {"data": [purchase("slowed")]}
    codes = [(await ask(shop, GRAPH, body, key=f"wrong-{number}", **client)).code for number in range(40)]
    last = await ask(shop, GRAPH, {**body, "access_token": "in the body"}, key="", **client)
    right = await ask(shop, GRAPH, body, **client)
    others = await ask(shop, GRAPH, body, key="wrong", X_Forwarded_For="198.51.100.8")

    assert codes[0] == (401, 190, 0)
    assert set(codes) == {(401, 190, 0), (429, 4, 0)}
    assert last.code == (429, 4, 0)
    assert last.error["is_transient"]
    assert last.error["type"] == "ApiException"
    assert int(last.headers["Retry-After"]) >= 1
    assert (right.status, others.code) == (200, (401, 190, 0))


async def test_a_stranger_has_few_bytes_searched(shop: Installation) -> None:
    """Small compressed bodies that are large once unpacked lead to 429 without a key; the right key still works."""
    client = {"X_Forwarded_For": "198.51.100.9"}
    bomb = gzip.compress(b"{" + b" " * ((16 << 20) - 2) + b"}")
    codes = [(await ask(shop, GRAPH, bomb, key="", Content_Encoding="gzip", **client)).code for _ in range(6)]
    last = await ask(shop, GRAPH, {"data": [], "accessKey": KEY}, key="", **client)
    right = await ask(shop, GRAPH, {"data": [purchase("not-a-stranger")]}, **client)
    others = await ask(shop, GRAPH, {"data": []}, key="", X_Forwarded_For="198.51.100.10")

    assert (codes[0], codes[-1], last.code) == ((400, 104, 0), (429, 4, 0), (429, 4, 0))
    assert int(last.headers["Retry-After"]) >= 1
    assert (right.status, others.code) == (200, (400, 104, 0))


async def test_large_bodies_with_their_key_are_no_strangers(shop: Installation) -> None:
    """With the right key in their bodies, large requests are not limited."""
    client = {"X_Forwarded_For": "198.51.100.11"}
    blank = b" " * ((16 << 20) - 2000)
    for number in range(4):
        body = {"accessKey": KEY, "data": [purchase(f"large-{number}")]}
        packed = gzip.compress(orjson.dumps(body)[:-1] + blank + b"}")
        assert (await ask(shop, GATEWAY, packed, key="", Content_Encoding="gzip", **client)).status == 202


async def test_no_key_is_told_to_anybody(shop: Installation, caplog: pytest.LogCaptureFixture) -> None:
    """Keys, right or wrong, are in no answer, log line, metric, ledger row or file."""
    caplog.set_level(logging.DEBUG)
    tried = "a-wrong-key-that-somebody-tried-KEEP-OUT"
    body = {"data": [purchase("quiet", custom_data={"value": 1, "currency": "EUR", "note": "x"})]}
    answers = [
        await ask(shop, GRAPH, body, appsecret_proof="p"),
        await ask(shop, GRAPH, body, key=tried),
        await ask(shop, GRAPH, {"access_token": tried}, key=""),
        await ask(shop, "/v24.0/debug_token", method="GET", key=tried),
    ]
    await arrived(shop, "quiet")
    told = [answer.body for answer in answers]
    for path in ("/metrics", "/readyz", "/api/status", "/api/events"):
        async with shop.session.get(f"{shop.operator}{path}") as found:
            told.append(await found.read())
    told.append(caplog.text.encode())

    assert [text for text in told if any(key.encode() in text for key in (KEY, NEXT_KEY, tried))] == []


async def test_a_body_that_finds_no_room_is_refused_for_now(shop: Installation) -> None:
    """Unfinished bodies of one client fill its share of the room; then one of them gets 503 with Retry-After."""
    size = 15 << 20
    head = HEAD + b"Content-Length: %d\r\n\r\n" % (size + 1)
    unended = [
        asyncio.create_task(raw(shop, head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), bytes(size)))
        for _ in range(MOST_BYTES // 2 // size + 1)
    ]
    done, pending = await asyncio.wait(unended, return_when=asyncio.FIRST_COMPLETED)
    answer = done.pop().result()
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)

    assert answer.code[:2] == (503, 2)
    assert answer.error["is_transient"]
    assert int(answer.headers["Retry-After"]) >= 1


async def test_a_site_without_keys_is_closed(tmp_path: Path) -> None:
    """If no site has keys, no key works, not even an empty one; the answer has Graph's shape all the same."""
    async with installation(tmp_path) as shop:
        for key, code in (("", (400, 104, 0)), (KEY, (401, 190, 0)), ("%00", (401, 190, 0))):
            assert (await ask(shop, GRAPH, {"data": [purchase("closed")]}, key=key)).code == code
        header = await ask(shop, GRAPH, {"data": [purchase("closed")]}, key="", Authorization="Bearer ")

        assert header.code == (400, 104, 0)
        assert (await shop.report())["counted_once"] == 0


async def test_what_cannot_be_stored_is_refused_for_now(tmp_path: Path) -> None:
    """If the queue stores nothing, the answer says when to retry, and nothing arrives."""
    more = {"queue": {"min_free_bytes": 1 << 60}}
    async with installation(tmp_path, more=more, access_keys=[KEY], orders=AT_ONCE) as shop:
        for path in (GRAPH, GATEWAY):
            answer = await ask(shop, path, {"data": [purchase("no-disk")]})

            assert answer.code == (503, 2, 0)
            assert answer.error["is_transient"]
            assert int(answer.headers["Retry-After"]) >= 1
        assert (await shop.report())["counted_once"] == 0


def contents(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in directory.rglob("*") if path.is_file()]


async def test_no_key_reaches_a_file(tmp_path: Path) -> None:
    """After events with a right and a wrong key, no file of the proxy contains either key."""
    tried = "a-wrong-key-that-somebody-tried-KEEP-OUT"
    async with installation(tmp_path, access_keys=[KEY], orders=AT_ONCE) as shop:
        assert (await ask(shop, GRAPH, {"data": [purchase("on-disk")], "access_token": KEY})).status == 200
        assert (await ask(shop, GRAPH, {"data": [purchase("not-on-disk")]}, key=tried)).status == 401
        await arrived(shop, "on-disk")
    files = contents(tmp_path)

    assert files
    assert [content for content in files if KEY.encode() in content or tried.encode() in content] == []


async def test_who_hangs_up_leaves_no_trace(shop: Installation) -> None:
    """A connection that ends within a body stores nothing, and the next request is answered."""
    body = orjson.dumps({"data": [purchase("cut")]})
    reader, writer = await asyncio.open_connection(shop.proxy.public.host, shop.proxy.public.port)
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % (len(body) + 1) + body)
    await writer.drain()
    writer.close()
    await reader.read()
    await nothing_arrived(shop, "cut")

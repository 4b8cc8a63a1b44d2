"""A run leaves no contact data, address, cookie, token or secret behind, neither in clear nor encoded."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from urllib.parse import quote

import aiohttp
import orjson
import pytest
from alert_receivers import hook
from backend_traces import server_events
from conftest import Say
from machine import Machine
from planted import (
    ACCESS_KEY,
    ADDRESS,
    ADDRESS_6,
    AGENT,
    APP_SECRET,
    EMAIL,
    FBC,
    FBP,
    FORGED,
    MATCH,
    NAME,
    OTHER_TOKEN,
    PASSWORD,
    PHONE,
    PLANTED,
    SESSION,
    found_in,
)
from servers import simulator
from support import PIXEL, SECRET, TOKEN, browser_headers, get_json, until, wire
from traces import Traces, fault, files, overheard, paused, said, stories, told_by_operator

from proxy.rules.identity.visitor_cookie import VisitorCookie, VisitorCookieKeys

CONFIG = f"""
[[site.pixel]]
id = "555"
access_token = "{TOKEN}"
app_secret = "{APP_SECRET}"
events = ["!Lead"]
"""


ALERTS = """
[alerts]
after_seconds = 0
failing_after_seconds = 0
[[alerts.webhook]]
url = "{}"
"""


@pytest.mark.parametrize("what", PLANTED)
@pytest.mark.parametrize(
    "disguise",
    [
        str.encode,
        lambda text: quote(text, safe="").encode(),
        lambda text: text.upper().encode(),
        lambda text: text.encode().hex().encode(),
        lambda text: base64.b64encode(text.encode()),
        lambda text: base64.b64encode(b"x=" + text.encode() + b"&"),
        lambda text: base64.b64encode(b"y" + text.encode() + b"z"),
    ],
    ids=["plain", "percent", "upper", "hex", "base64", "base64 later", "base64 within"],
)
def test_the_search_finds(what: str, disguise: Callable[[str], bytes]) -> None:
    """Each planted text is found in each encoding, so that a search without a result means something."""
    assert what in found_in(b"...." + disguise(PLANTED[what]) + b"....")


async def _post(session: aiohttp.ClientSession, machine: Machine, body: object, **headers: str) -> int:
    cookies = f"sid={SESSION}; _fbp={FBP}; _fbc={FBC}"
    forwarded = {"X_Forwarded_For": f"{FORGED}, {ADDRESS}", "User_Agent": AGENT, "Cookie": cookies}
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    address = f"{machine.public}/shop-tools/e?email={quote(EMAIL)}&token={OTHER_TOKEN}"
    async with session.post(address, data=data, headers=browser_headers(**(forwarded | headers))) as answer:
        return answer.status


def _visit(identity: str, **members: object) -> object:
    page = f"https://shop.example/u/{EMAIL}/p?email={quote(EMAIL)}&token={OTHER_TOKEN}#{NAME}"
    event = {"name": "Lead", "id": identity, "pixels": [PIXEL, "555", "999"]}
    return wire(event, **{"url": page, "referrer": page, "fbp": FBP, "fbc": FBC, "match": MATCH, **members})


async def _ended(session: aiohttp.ClientSession, machine: Machine, identity: str, status: str) -> None:
    async def there() -> bool:
        found = await get_json(session, f"{machine.operator}/api/events?id={identity}")
        return any(row["status"] == status for row in found["events"])

    await until(there, what=f"{identity} {status}")


async def _live(session: aiohttp.ClientSession, machine: Machine, graph: str) -> bytes:
    """Produce events of every outcome: delivered, dropped, refused, foreign, malformed, dead, erased, waiting.

    Returns what backends were answered.
    """
    assert await _post(session, machine, _visit("delivered")) == 204
    await _ended(session, machine, "delivered", "delivered")
    assert await _post(session, machine, _visit("over-ipv6"), X_Forwarded_For=ADDRESS_6) == 204
    assert await _post(session, machine, _visit("gpc", gpc=True)) == 204
    assert await _post(session, machine, _visit("delivered")) == 204
    assert await _post(session, machine, wire({"name": "Lead", "id": EMAIL * 20}, match=MATCH)) == 400
    assert await _post(session, machine, wire(sent=EMAIL)) == 400
    assert await _post(session, machine, EMAIL.encode()) == 400
    assert await _post(session, machine, _visit("foreign"), Origin=f"https://{NAME}.example") == 403
    assert await _post(session, machine, wire(consent="revoked", match=MATCH)) == 204
    await _malformed(machine)
    answers = await server_events(session, machine)
    await _ended(session, machine, "from-a-server", "delivered")
    await fault(session, graph, mode="poison", match="dead-")
    assert await _post(session, machine, _visit("dead-letter")) == 204
    await _ended(session, machine, "dead-letter", "dead")
    await fault(session, graph, mode="190")
    assert await _post(session, machine, _visit("waiting")) == 204
    await paused(session, machine)
    await _ended(session, machine, "gpc", "dropped")
    await _ended(session, machine, "delivered", "duplicate")
    return answers


async def _ordered(session: aiohttp.ClientSession, machine: Machine) -> bytes:
    """Send every order about a pixel, valid and invalid; return all answers."""
    answers = b""
    for word, order in (
        *(("pause", {}), ("resume", {}), ("token", {}), ("test", {"code": "TEST1"}), ("test", {"code": ""})),
        *(("test", {"code": EMAIL}), ("pause", {"note": EMAIL})),
    ):
        async with session.post(f"{machine.operator}/api/pixels/{PIXEL}/{word}", json=order) as answer:
            answers += await answer.read()
    async with session.post(f"{machine.operator}/api/pixels/{PIXEL}/resume", json={}) as answer:
        return answers + await answer.read()


async def _seek_to_be_tallied(session: aiohttp.ClientSession, machine: Machine) -> None:
    """Send requests of refused pages, and of an unknown tag, that name a person, so that they might be tallied."""
    for _ in range(4):
        assert await _post(session, machine, _visit("foreign"), Origin=f"https://{EMAIL}") == 403
        assert await _post(session, machine, _visit("address"), Origin=f"https://{ADDRESS}") == 403
        assert await _post(session, machine, _visit("tallied", gpc=True)) == 204
        headers = browser_headers(If_None_Match=f'"{EMAIL}", "{OTHER_TOKEN}"', Referer=f"https://shop.example/{EMAIL}")
        async with session.get(f"{machine.public}/shop-tools/m.js", headers=headers) as answer:
            assert answer.status == 200


async def _malformed(machine: Machine) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", machine.port)
    writer.write(f"BREW /{EMAIL}?token={OTHER_TOKEN} HTTP/1.1\r\nCookie: {SESSION}\x00\r\n\r\n".encode())
    assert b"400" in await asyncio.wait_for(reader.readline(), 60)
    writer.close()
    await writer.wait_closed()


@pytest.fixture(name="traces", scope="module")
async def _traces(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traces]:
    directory = tmp_path_factory.mktemp("traces")
    headers = {"Authorization": aiohttp.encode_basic_auth("operator", PASSWORD)}
    async with (
        simulator() as graph,
        hook() as receiver,
        aiohttp.ClientSession() as session,
        aiohttp.ClientSession(headers=headers) as owner,
    ):
        machine = Machine(directory, graph)
        text = machine.config.read_text().replace("[graph]", f'operator_password = "{PASSWORD}"\n[graph]')
        text = text.replace('name = "shop"', f'name = "shop"\naccess_keys = ["{ACCESS_KEY}"]')
        machine.config.write_text(text + CONFIG + ALERTS.format(receiver.url))
        await machine.start()
        async with overheard(owner, machine) as heard:
            answers = await _live(owner, machine, graph)
            orders = await _ordered(owner, machine)
            await until(lambda: b'"waiting"' in heard, what="a waiting event in the stream")
            await until(lambda: receiver.bodies, what="an alert")
        async with session.get(f"{graph}/sim/events") as answer:
            at_graph = await answer.read()
        places = {"answers": answers, "stream": bytes(heard), "orders": orders}
        places |= await told_by_operator(owner, machine) | await stories(owner, machine)
        places |= files(directory / "data", "at work")
        places["erase"] = await said(machine, "erase", "--email", f"nobody.{EMAIL}")
        places["wrong erase"] = await said(machine, "erase", "--phone", f"{PHONE}999999")
        await machine.kill()
        places |= files(directory / "data", "after a crash")
        places["events"] = await said(machine, "events", "--json")
        places["dead list"] = await said(machine, "dead", "list", "--json")
        places["check"] = await said(machine, "check")
        await machine.start()
        # Tallies are written when the proxy ends in order.
        await _seek_to_be_tallied(owner, machine)
        assert await machine.terminate() == 0
        places["alerts"] = repr(receiver.bodies).encode()
        await machine.start()
        tallied = await told_by_operator(owner, machine)
        places |= {f"{path} at last": told for path, told in tallied.items()}
        assert await machine.terminate() == 0
        places |= files(directory / "data", "at rest")
        places["log"] = machine.log().encode()
        yield Traces(places, at_graph)


def test_nothing_planted_is_left_behind(traces: Traces, say: Say) -> None:
    """No file, log line, metric, page, API answer or command output contains any planted text."""
    size = sum(map(len, traces.places.values()))
    say(f"{len(PLANTED)} planted texts sought in {len(traces.places)} places, {size} bytes in all")

    assert {where: found for where, text in traces.places.items() if (found := found_in(text))} == {}


def test_the_run_was_real(traces: Traces) -> None:
    """The planted data reached Graph, and there are events of every outcome."""
    expected = {"client address", "IPv6 address", "user agent", "fbp", "click id", f"hash of {EMAIL}"}
    assert expected <= found_in(traces.at_graph)
    assert {"queue.db at work", "queue.db-wal at work", "queue.db after a crash", "queue.db at rest"} <= set(
        traces.places
    )
    for where, words in {
        "/api/events?limit=1000": (b'"delivered"', b'"dead"', b'"dropped"', b'"duplicate"', b'"gpc"'),
        "/api/dead?limit=1000": (b"dead-letter",),
        "/api/status": (b'"waiting":1',),
        "/api/sources at last": (b'"gpc":', b'"is_current":true', b'"mail.example"'),
        "/api/pixels": (b'"state":"paused"', b'"code":190'),
        "/api/waiting?limit=1000": (b'"waiting"',),
        "stream": (b'"delivered"', b'"dead"', b'"waiting"'),
        "story of Lead delivered 1234567890": (b'"happened"', b'"arrived"', b'"delivered"'),
        "alerts": (b"pixel_paused",),
        "/metrics": (b'result="refused"', b'endpoint="collect",status="403"'),
        "erase": (b"0 waiting events",),
        "log": (b"paused",),
    }.items():
        assert [word for word in words if word not in traces.places[where]] == [], where


def test_the_visitor_cookie_shows_nothing() -> None:
    """The visitor cookie, which holds the ids, shows none of them."""
    keys = VisitorCookieKeys(SECRET)
    value = keys.seal(VisitorCookie("ab" * 16, fbp=FBP, fbc=FBC), "shop", now=1_764_000_000_000, entropy=1)

    assert found_in(base64.urlsafe_b64decode(value + "==") + value.encode()) == set()

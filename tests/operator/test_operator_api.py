"""The operator listener: closed to strangers, and truthful about health."""

import base64
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from queues import local
from servers import simulator
from support import PIXEL, TOKEN, Installation, get_json, installation, page_views, raw_config, until, wire

from proxy.app import run_proxy
from proxy.config import load


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


async def test_metrics_count_what_happened(shop: Installation) -> None:
    """The counters of stored, dropped, refused, repeated and delivered events rise, without any visitor's data."""
    await shop.post(page_views(["m-1", "m-2"]))
    await shop.post(page_views(["m-1"]))
    await shop.post(wire({"name": "Lead", "id": "m-3", "pixels": ["55"]}, {"name": ""}))
    await shop.counted(2)

    async def counted() -> str:
        text = await _text(shop, "/metrics")
        return text if f'finished_events_total{{pixel="{PIXEL}",status="delivered"}} 2.0' in text else ""

    text = await until(counted, what="two delivered events in the metrics")
    for line in (
        'capi_proxy_events_total{reason="",result="stored"} 2.0',
        'capi_proxy_events_total{reason="",result="duplicate"} 1.0',
        'capi_proxy_events_total{reason="",result="refused"} 1.0',
        'capi_proxy_events_total{reason="unknown_pixel",result="dropped"} 1.0',
        'capi_proxy_requests_total{endpoint="collect",status="204"} 2.0',
        'capi_proxy_requests_total{endpoint="collect",status="200"} 1.0',
        "capi_proxy_dead_letters 0.0",
    ):
        assert line in text
    assert "m-1" not in text
    assert TOKEN not in text


@pytest.mark.parametrize(
    ("path", "writes"), [("/metrics", []), ("/api/events", []), ("/readyz", ["touch"]), ("/api/status", ["touch"])]
)
async def test_who_looks_asks_the_thread_that_acknowledges_for_a_sign_of_life_at_most(
    shop: Installation, path: str, writes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only readiness commits something small, to prove that commits work; all other answers use the reading thread."""
    asked: list[str] = []
    writer = local(shop.proxy.queue)._writer
    submit = writer._submit

    def counted(line: Any, call: Any) -> None:
        # Lanes and housekeeping write too; a write that an answer waits for has operator code on its stack.
        in_answer = any("/proxy/operator/" in frame.filename for frame in traceback.extract_stack())
        name = getattr(call.work, "__name__", "group")
        if in_answer or name == "touch":  # readiness commits in a task of its own, with its own stack
            asked.append(name)
        submit(line, call)

    monkeypatch.setattr(writer, "_submit", counted)
    await _text(shop, path)

    assert asked == writes


async def _text(shop: Installation, path: str) -> str:
    async with shop.session.get(f"{shop.operator}{path}") as answer:
        return await answer.text()


async def test_findings_are_counted_and_listed_with_their_event(shop: Installation) -> None:
    """The findings about an event are in its row, and in a counter by field and kind, without any value."""
    data = {"value": "1.299,00", "currency": "Zloty-KEEP-OUT", "contents": [{"id": "a"}]}
    match = {PIXEL: {"em": "nobody-KEEP-OUT"}}
    await shop.post(wire({"name": "AddToCart", "id": "odd", "data": data}, match=match))
    findings = ["em:unusable", "value:repaired", "currency:unusable", "contents.quantity:missing", "currency:missing"]

    async def finished() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await get_json(shop.session, f"{shop.operator}/api/events?id=odd"))["events"]
        return rows

    (row,) = await until(finished, what="the ledger row")
    async with shop.session.get(f"{shop.operator}/metrics") as answer:
        metrics = await answer.text()

    assert (row["status"], row["findings"]) == ("delivered", findings)
    for finding in findings:
        field, _, word = finding.partition(":")
        assert f'capi_proxy_findings_total{{field="{field}",finding="{word}"}} 1.0' in metrics
    assert "KEEP-OUT" not in metrics + str(row)


async def test_dropped_machines_are_counted_by_what_gave_them_away(shop: Installation) -> None:
    """Each way to recognise a bot has its own count, and is a finding in the row of the drop."""
    chromium = '"Chromium";v="156"'
    await shop.post(wire({"name": "Lead", "id": "bot-1"}, webdriver=True))
    await shop.post(wire({"name": "Lead", "id": "bot-2"}), User_Agent="curl/8.5.0")
    await shop.post(wire({"name": "Lead", "id": "bot-3"}), Sec_CH_UA=f'{chromium}, "HeadlessChrome";v="156"')
    await shop.post(wire({"name": "Lead", "id": "bot-4"}), Sec_CH_UA=chromium, Sec_CH_UA_Platform='"Windows"')
    await shop.post(wire({"name": "Lead", "id": "human"}), Sec_CH_UA=chromium, Sec_CH_UA_Mobile="?1")

    async def dropped() -> list[dict[str, Any]] | None:
        rows = (await get_json(shop.session, f"{shop.operator}/api/events?reason=bot"))["events"]
        return rows if len(rows) == 4 else None

    rows = await until(dropped, what="four dropped machines")
    async with shop.session.get(f"{shop.operator}/metrics") as answer:
        metrics = await answer.text()

    kinds = ["webdriver", "crawler", "headless", "contradiction"]
    assert [row["findings"] for row in reversed(rows)] == [[f"bot:{kind}"] for kind in kinds]
    for kind in kinds:
        assert f'capi_proxy_findings_total{{field="bot",finding="{kind}"}} 1.0' in metrics
    assert 'capi_proxy_events_total{reason="bot",result="dropped"} 4.0' in metrics


async def test_metrics_count_what_would_have_leaked(shop: Installation) -> None:
    """Removed contact data is counted by kind and place, and its value is neither in the metrics nor at Graph."""
    event = {"name": "Lead", "id": "r-1", "data": {"note": ["+49 30 1234567"]}}
    await shop.post(wire(event, url="https://shop.example/u/anna@mail.example?x=1"))
    await shop.counted(1)

    async with shop.session.get(f"{shop.operator}/metrics") as answer:
        text = await answer.text()
    for what, place in (("email", "url"), ("parameter", "url"), ("phone", "custom_data")):
        assert f'capi_proxy_redacted_total{{place="{place}",what="{what}"}} 1.0' in text
    async with shop.session.get(f"{shop.graph}/sim/events") as answer:
        seen = text + await answer.text()
    assert "anna" not in seen
    assert "1234567" not in seen.replace(PIXEL, "")


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/events", "/api/status", "/readyz"])
async def test_a_rebound_host_name_is_refused(shop: Installation, path: str) -> None:
    """Without a password only loopback host names are answered, so that DNS rebinding gives no web page access."""
    async with shop.session.get(shop.operator + path, headers={"Host": "evil.example"}) as answer:
        assert answer.status == 403


async def test_writes_need_json(shop: Installation) -> None:
    """A form on another site cannot replay or discard: writes need a content type that triggers a preflight."""
    for kind, expected in (("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("application/json", 200)):
        headers = {"Content-Type": kind}
        async with shop.session.post(
            f"{shop.operator}/api/dead/discard", data=b'{"ids": []}', headers=headers
        ) as answer:
            assert answer.status == expected


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/api/events?limit=0", "limit"),
        ("/api/events?limit=x", "limit"),
        ("/api/events?status=lost", "status"),
        ("/api/events?since=-1", "since"),
        ("/api/events?since=" + "9" * 5000, "since"),
        ("/api/events?limit=" + "9" * 5000, "limit"),
        ("/api/suppressions?limit=" + "9" * 5000, "limit"),
        ("/api/suppressions?after=" + "0" * 31, "after"),
        ("/api/suppressions?after=xyz", "after"),
        ("/api/dead?before=x", "before"),
    ],
)
async def test_a_bad_query_is_explained(shop: Installation, path: str, word: str) -> None:
    """A parameter that cannot be used is a 400 that names it and what is accepted."""
    async with shop.session.get(shop.operator + path) as answer:
        assert answer.status == 400
        error = (await answer.json())["error"]

    assert error.startswith(f"{word}: ")
    assert "accepted" in error


@pytest.mark.parametrize("body", [b"", b"[]", b'{"ids": "all"}', b'{"ids": ["1"]}', b'{"ids": [-1]}'])
async def test_a_bad_write_is_explained(shop: Installation, body: bytes) -> None:
    """A body that names no dead letters is a 400."""
    headers = {"Content-Type": "application/json"}
    async with shop.session.post(f"{shop.operator}/api/dead/replay", data=body, headers=headers) as answer:
        assert answer.status == 400


async def test_a_password_is_asked_for(tmp_path: Path) -> None:
    """With a password everything needs Basic credentials of the user operator."""
    raw = raw_config("http://127.0.0.1:9", tmp_path / "data")
    raw["server"]["operator_password"] = "pass word"
    right = base64.b64encode(b"operator:pass word").decode()
    wrong = base64.b64encode(b"operator:pass").decode()
    async with run_proxy(load.parse(raw, {}, base=tmp_path)) as proxy, aiohttp.ClientSession() as session:
        address = f"http://{proxy.operator.host}:{proxy.operator.port}/api/status"
        statuses = []
        for value in (None, f"Basic {right}", f"basic {right}", f"Basic {wrong}", f"Bearer {right}", "Basic \u00fc"):
            async with session.get(address, headers={"Authorization": value} if value else {}) as answer:
                statuses.append(answer.status)

    assert statuses == [401, 200, 200, 401, 401, 401]


async def test_readiness_names_a_paused_pixel(tmp_path: Path) -> None:
    """A refused token pauses the pixel, and readiness says so; with a valid token delivery resumes without loss."""
    async with installation(tmp_path) as shop:
        await shop.fault(mode="190", **{"for": 3})
        await shop.post(page_views(["p-1"]))

        async def failing() -> list[str]:
            async with shop.session.get(f"{shop.operator}/readyz") as answer:
                reasons: list[str] = (await answer.json())["reasons"]
                return reasons if answer.status == 503 else []

        reasons = await until(failing, what="a failing readiness")
        await shop.counted(1)

        async def ready() -> bool:
            async with shop.session.get(f"{shop.operator}/readyz") as answer:
                return answer.status == 200

        assert reasons[0].startswith(f"pixel_paused {PIXEL}: token; Meta says: code 190")
        assert await until(ready, what="readiness")


async def test_readiness_tells_of_an_untrusted_forwarding_header(tmp_path: Path) -> None:
    """A forwarding header from a private address that is no trusted proxy makes readiness degraded, and is ignored."""
    async with simulator() as graph, aiohttp.ClientSession() as session:
        raw = raw_config(graph, tmp_path / "data")
        raw["server"]["trusted_proxies"] = []
        async with run_proxy(load.parse(raw, {}, base=tmp_path)) as proxy:
            shop = Installation(session, graph, proxy)
            await shop.post(page_views(["f-1"]))
            await shop.counted(1)
            (found,) = (await get_json(session, f"{graph}/sim/events"))["events"]
            health = await get_json(session, f"{shop.operator}/readyz")

    assert "client_ip_address" not in found["event"]["user_data"]
    assert (health["status"], [condition["code"] for condition in health["conditions"]]) == (
        "degraded",
        ["untrusted_forwarding"],
    )


async def test_a_dead_letter_is_listed_replayed_and_delivered(tmp_path: Path) -> None:
    """A refused event is kept with Graph's words and without match values; replayed, it arrives with its id."""
    async with installation(tmp_path) as shop:
        await shop.fault(mode="poison", match="bad", **{"for": 60})
        await shop.post(page_views(["good", "bad-1"]))

        async def letters() -> list[dict[str, object]]:
            return list((await get_json(shop.session, f"{shop.operator}/api/dead"))["dead"])

        (letter,) = await until(letters, what="a dead letter")
        await shop.fault(mode=None)
        async with shop.session.post(f"{shop.operator}/api/dead/replay", json={"ids": [letter["id"]]}) as answer:
            replayed = await answer.json()
        report = await shop.counted(2)

    assert (letter["event_id"], letter["reason"], letter["code"]) == ("bad-1", "rejected", 100)
    assert letter["subcode"]
    assert letter["message"]
    assert letter["fbtrace_id"]
    assert "93.184.216.34" not in str(letter)
    assert replayed == {"replayed": 1, "left": 0}
    assert {pair["id"] for pair in report["pairs"]} == {"good", "bad-1"}


async def test_a_lone_proxy_tells_of_no_replicas(shop: Installation) -> None:
    """With a local queue the answer lists no replicas."""
    status = await get_json(shop.session, f"{shop.operator}/api/status")

    assert status["replicas"] == []
    assert {lane["replica"] for lane in status["lanes"]} == {""}

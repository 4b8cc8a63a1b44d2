"""Requests of clients of Meta's API, recorded or rebuilt from their source: their events arrive at Graph."""

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from sdks import AT_ONCE, KEY, ROOT, SDKS, STARTED, enriched, in_order, recorded
from support import PIXEL, TOKEN, Installation, get_json, installation, until

GOLDEN = ROOT / "tests" / "golden" / "server"


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("shop"), access_keys=[KEY], orders=AT_ONCE) as shop:
        yield shop


CLIENTS = [
    *("curl", "django", "gateway_curl", "java", "json_as_text", "node_24", "node_26", "node_app", "php_curl"),
    *("php_gateway", "php_guzzle", "php_nested", "python_async", "python_sync", "rivercode", "ruby", "segment"),
    "woocommerce",
]
GOLDEN_S = 1764000000


def moved(payload: dict[str, Any], seconds: int) -> dict[str, Any]:
    """Return a golden payload without its event time, with a click id made at that time moved by ``seconds``."""
    text = json.dumps({name: value for name, value in payload.items() if name != "event_time"})
    made_at = payload["event_time"]
    moved: dict[str, Any] = json.loads(text.replace(f"fb.1.{made_at}000", f"fb.1.{made_at + seconds}000"))
    return moved


def of_now(text: str, seconds: int) -> str:
    """Return a recorded body or query with the test's key, and with its times moved by ``seconds``."""
    text = re.sub(r"(?<![.\d])17[56]\d{7}(?!\d)", lambda found: str(int(found[0]) + seconds), text)
    later = datetime.fromtimestamp(STARTED - 60, UTC)
    text = re.sub(r"\b2025-\d\d-\d\dT[\d:.]+Z", later.strftime("%Y-%m-%dT%H:%M:%SZ"), text)
    return text.replace("Content-Length: 7\r\n\r\nkey-one", f"Content-Length: {len(KEY)}\r\n\r\nkey-one").replace(
        "key-one", KEY
    )


async def has_arrived(shop: Installation, wanted: dict[str, Any], without: set[str]) -> bool:
    found = (await get_json(shop.session, f"{shop.graph}/sim/events?name={wanted['event_name']}"))["events"]
    return wanted in [{key: value for key, value in entry["event"].items() if key not in without} for entry in found]


@pytest.mark.parametrize("name", CLIENTS)
async def test_recorded_bytes_arrive(shop: Installation, name: str) -> None:
    """Recorded requests of other clients, PHP's two classes among them, are accepted, and their events arrive."""
    # Each client's order gets an id of its own, since the same order of two clients would be one event.
    own = str(6000 + CLIENTS.index(name))
    request, events = (
        json.loads((GOLDEN / f"{name}.{part}.json").read_text().replace("5001", own).replace("view-1", f"view-{own}"))
        for part in ("request", "events")
    )
    golden = events["records"]
    seconds = STARTED - GOLDEN_S
    path = f"/{'capi' if request['door'] == 'gateway' else 'v25.0'}/{PIXEL}/events?{request.get('query', '')}"
    headers = {"Content-Type": request["content_type"]} if request.get("content_type") else {}
    headers |= {} if "key-one" in request["body"] + path else {"Authorization": f"Bearer {KEY}"}
    async with shop.session.post(
        shop.public + of_now(path, 0), data=of_now(request["body"], seconds).encode(), headers=headers
    ) as answer:
        document = json.loads(await answer.read())

    assert (answer.status, document.get("events_received")) == (202 if "/capi/" in path else 200, len(golden)), document
    for record in golden:
        without = {"event_time"} if record["id"] in request["body"] else {"event_time", "event_id"}
        payload = moved(record["payload"], seconds)
        wanted = {key: value for key, value in payload.items() if key not in without}
        await until(partial(has_arrived, shop, wanted, without), what=f"the event of {name} at the simulator")


Event = dict[str, Any]
Written = tuple[str, dict[str, str], bytes]
"""Path with query, headers and body of a request."""
GRAPH, GATEWAY = f"/v25.0/{PIXEL}/events", f"/capi/{PIXEL}/events"
BOUNDARY = "----------------1f3a77b2c9d0"


@pytest.fixture(name="whole", scope="module")
async def _whole(shop: Installation) -> dict[str, Event]:
    """Return every event that the Python SDK can build, as it writes them."""
    answers = (await SDKS["python"]().run(shop.graph, TOKEN, "material-", "all"))["answers"]
    count = sum(answer["received"] for each in answers.values() for answer in each)
    return {name: entry["event"] for name, entry in (await recorded(shop, "material-", count)).items()}


def by_php(event: Event) -> Event:
    """Return an event with values as PHP writes them: digits as numbers, and null for unset objects."""
    ids = event.get("user_data", {}).get("external_id", [])
    user = event.get("user_data", {}) | ({"external_id": [int(i) if i.isdigit() else i for i in ids]} if ids else {})
    return {"app_data": None, "original_event_data": None, "attribution_data": None} | event | {"user_data": user}


def php_text(events: list[Event]) -> str:
    return json.dumps([by_php(event) for event in events]).replace("/", r"\/")


def multipart(fields: Mapping[str, str], *, is_labelled: bool) -> Written:
    """Return a multipart body; with ``is_labelled`` each part has the headers that PHP's asynchronous class writes."""
    parts = []
    for name, value in fields.items():
        labels = f"Content-Type: multipart/form-data\r\nContent-Length: {len(value)}\r\n" if is_labelled else ""
        parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n{labels}\r\n{value}\r\n')
    body = "".join([*parts, f"--{BOUNDARY}--\r\n"])
    return GRAPH, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, body.encode()


def php(events: list[Event], *, is_labelled: bool) -> Written:
    proof = {"access_token": KEY, "appsecret_proof": "0" * 64}
    return multipart({"data": php_text(events), **proof}, is_labelled=is_labelled)


def gateway(events: list[Event]) -> Written:
    body = f'{{"accessKey":"{KEY}","data":{php_text(events)}}}'
    return GATEWAY, {"Content-Type": "application/json; charset=utf-8"}, body.encode()


def by_segment(event: Event) -> Event:
    """Return an event with values as Segment writes them: single values bare, ISO 8601 times, flags as 0 and 1."""
    user = {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value
        for name, value in event.get("user_data", {}).items()
    }
    app = {name: int(value) if isinstance(value, bool) else value for name, value in event.get("app_data", {}).items()}
    at = datetime.fromtimestamp(event["event_time"], UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return event | {"user_data": user, "event_time": at} | ({"app_data": app} if app else {})


def segment(events: list[Event]) -> Written:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    return GRAPH, headers, json.dumps({"data": list(map(by_segment, events))}).encode()


def by_rivercode(event: Event) -> Event:
    """Return an event with values as SDK 13 writes them: empty ids, and device data with gaps."""
    app_data = dict(event.get("app_data", {}))
    if "extinfo" in app_data:
        app_data["extinfo"] = {str(slot): value for slot, value in enumerate(app_data["extinfo"]) if value}
    empty = {"fbc": "", "fbp": "", "ph": []}
    return event | {"user_data": empty | event.get("user_data", {})} | ({"app_data": app_data} if app_data else {})


def rivercode(events: list[Event]) -> Written:
    more = {"access_token": KEY, "id": PIXEL, "test_event_code": None, "partner_agent": None}
    body = json.dumps({"data": list(map(by_rivercode, events)), **more}, ensure_ascii=False)
    return f"{GRAPH}?access_token={KEY}", {"content-type": "application/json"}, body.encode()


SHAPES: dict[str, Callable[[list[Event]], Written]] = {
    "php-curl": partial(php, is_labelled=False),
    "php-guzzle": partial(php, is_labelled=True),
    "gateway": gateway,
    "segment": segment,
    "rivercode": rivercode,
}


def marked(event: Event, mark: str) -> Event:
    """Return an event with a mark before its event id and its order id."""
    data = event.get("custom_data", {})
    order = {"custom_data": data | {"order_id": mark + data["order_id"]}} if "order_id" in data else {}
    return event | order | {"event_id": mark + event["event_id"]}


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_field_arrives_in_every_shape(shop: Installation, whole: dict[str, Event], shape: str) -> None:
    """All events of an SDK, in the form of PHP's classes, Segment or rivercode, arrive as if sent directly."""
    events = [marked(event, f"{shape}-") for event in whole.values()]
    path, headers, body = SHAPES[shape](events)
    async with shop.session.post(shop.public + path, data=body, headers=headers) as answer:
        document = json.loads(await answer.read())
    assert (answer.status, document.get("events_received")) == (202 if shape == "gateway" else 200, len(events)), (
        document
    )
    arrived = await recorded(shop, f"{shape}-", len(events))

    assert {name: in_order(entry["event"]) for name, entry in arrived.items()} == {
        name: in_order(enriched(event)) for name, event in whole.items()
    }

"""Bytes that clients of Meta's API send, recorded or after their source: what they mean arrives at Graph."""

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from sdks import KEY, ROOT, STARTED
from support import PIXEL, Installation, get_json, installation, until

GOLDEN = ROOT / "tests" / "golden" / "server"


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("shop"), access_keys=[KEY]) as shop:
        yield shop


CLIENTS = [
    *("curl", "django", "gateway_curl", "java", "json_as_text", "node_24", "node_26", "node_app", "php_curl"),
    *("php_gateway", "php_guzzle", "php_nested", "python_async", "python_sync", "rivercode", "ruby", "segment"),
    "woocommerce",
]
GOLDEN_S = 1764000000


def moved(payload: dict[str, Any], seconds: int) -> dict[str, Any]:
    """Return a golden payload with its times so much later, the one in a click id made at that time among them."""
    text = json.dumps({name: value for name, value in payload.items() if name != "event_time"})
    made_at = payload["event_time"]
    moved: dict[str, Any] = json.loads(text.replace(f"fb.1.{made_at}000", f"fb.1.{made_at + seconds}000"))
    return moved


def of_now(text: str, seconds: int) -> str:
    """Return a recorded body or query with the key of the test, and with times that lie so much later."""
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
    """The bytes that other clients of Meta's API send, PHP's two classes among them, are stored and arrive."""
    # An id of its own for each, where it has any, since the same order of two clients is one event.
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

"""Meta's SDKs, unmodified, pointed at the proxy: what they send arrives as if sent directly, and errors are Meta's."""

import asyncio
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support import PIXEL, TOKEN, Installation, get_json, installation, until

from proxy import __version__

ROOT = Path(__file__).resolve().parents[3]
HERE, GOLDEN = Path(__file__).parent, ROOT / "tests" / "golden" / "server"
KEY, FOREIGN_KEY = "c3a5e1f09b7d42688e0fa2b4d6c81357", "5b1f" * 8
AT_ONCE = {"wait_seconds": 0}
OTHER_PIXEL = "2222222222"
BAD = ("too-old", "future", "no-value", "too-broad", "second-is-bad", "nothing", "too-many")
# Where `make bench` puts the peers, for whoever has them there already.
PEERS = ROOT / "build" / "peers"


@dataclass(frozen=True)
class Sdk:
    """One SDK: what runs its program, and where the SDK is."""

    command: Sequence[str]
    environment: Mapping[str, str]

    async def run(self, base: str, token: str, mark: str, *names: str, pixel: str = PIXEL) -> dict[str, Any]:
        """Send cases to a host, and return how each was answered."""
        arguments = (base, token, pixel, mark, str(STARTED), *names)
        process = await asyncio.create_subprocess_exec(
            *self.command,
            *arguments,
            env={**os.environ, **self.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        assert out, errors.decode()[-3000:]
        answers: dict[str, Any] = json.loads(out)
        return answers


STARTED = int(time.time())


def python_sdk() -> Sdk:
    peer = PEERS / "python" / "bin" / "python"
    has_it = find_spec("facebook_business") is not None
    assert has_it or peer.exists(), "facebook-business is missing: it belongs to the development requirements"
    return Sdk((sys.executable if has_it else str(peer), str(HERE / "python_sdk.py")), {})


def node_sdk() -> Sdk:
    places = (ROOT / "node_modules", PEERS / "node" / "node_modules")
    found = next((place for place in places if (place / "facebook-nodejs-business-sdk").exists()), None)
    assert found, "facebook-nodejs-business-sdk is missing: it belongs to the development dependencies"
    return Sdk(("node", str(HERE / "node_sdk.js")), {"NODE_PATH": str(found)})


SDKS = {"python": python_sdk, "node": node_sdk}


@pytest.fixture(name="sdk", scope="module", params=SDKS)
def _sdk(request: pytest.FixtureRequest) -> Sdk:
    return SDKS[request.param]()


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    other = {
        "name": "other",
        "domains": ["other.example"],
        "prefix": "/other-tools",
        "access_keys": [FOREIGN_KEY],
        "orders": AT_ONCE,
        "pixel": [{"id": OTHER_PIXEL, "access_token": TOKEN}],
    }
    async with installation(
        tmp_path_factory.mktemp("shop"), refused_with=[100], others=[other], access_keys=[KEY], orders=AT_ONCE
    ) as shop:
        yield shop


async def recorded(shop: Installation, mark: str, count: int) -> dict[str, dict[str, Any]]:
    """Wait until so many events whose ids begin with a mark are at the simulator; return them by the rest of the id."""

    async def look() -> dict[str, dict[str, Any]] | None:
        found = (await get_json(shop.session, f"{shop.graph}/sim/events"))["events"]
        marked = {entry["id"].removeprefix(mark): entry for entry in found if entry["id"].startswith(mark)}
        return marked if len(marked) >= count else None

    events: dict[str, dict[str, Any]] = await until(look, what=f"{count} events {mark}…")
    return events


def enriched(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as the proxy writes it: the documented changes of form, made independently of it."""
    user = {name: value if isinstance(value, list) else [value] for name, value in event["user_data"].items()}
    if "external_id" in user:
        user["external_id"] = [hashlib.sha256(value.encode()).hexdigest() for value in user["external_id"]]
    written = {**event, "user_data": {name: sorted(map(str, values)) for name, values in user.items()}}
    if "currency" in written.get("custom_data", {}):
        written["custom_data"] = {**written["custom_data"], "currency": written["custom_data"]["currency"].upper()}
    extinfo = written.get("app_data", {}).get("extinfo")
    if extinfo is not None:
        slots = extinfo if isinstance(extinfo, dict) else dict(enumerate(extinfo))
        found = {int(slot): value for slot, value in slots.items()}
        written["app_data"] = {**written["app_data"], "extinfo": [found.get(slot) or "" for slot in range(16)]}
    return {name: value for name, value in written.items() if name != "event_id"}


def plain(event: dict[str, Any]) -> dict[str, Any]:
    """Return what arrived by way of the proxy with values of one in the same form."""
    user = {name: value if isinstance(value, list) else [value] for name, value in event["user_data"].items()}
    in_order = {name: sorted(map(str, values)) for name, values in user.items()}
    return {name: value for name, value in {**event, "user_data": in_order}.items() if name != "event_id"}


async def test_every_event_arrives_as_if_sent_directly(shop: Installation, sdk: Sdk) -> None:
    """With nothing but its host changed, an SDK's events of all sources arrive at Graph equal to its direct ones.

    Only the form differs where the documentation says so; what stands beside the events arrives with them alone.
    """
    mark = f"{Path(sdk.command[-1]).stem}-"
    direct = await sdk.run(shop.graph, TOKEN, f"{mark}direct-")
    proxied = await sdk.run(f"{shop.public}/shop-tools", KEY, f"{mark}proxied-")
    sent = await recorded(shop, f"{mark}direct-", len(direct))
    arrived = await recorded(shop, f"{mark}proxied-", len(direct))

    assert {(answer["received"], *answer["messages"]) for answer in proxied.values()} == {(1,)}
    assert all(re.fullmatch(r"A[\w-]{22}", answer["trace"]) for answer in proxied.values())
    assert {name: plain(entry["event"]) for name, entry in arrived.items()} == {
        name: enriched(entry["event"]) for name, entry in sent.items()
    }
    assert {name: entry["request"] for name, entry in arrived.items()} == {
        name: {"partner_agent": f"capi-proxy-{__version__}"} | entry["request"] for name, entry in sent.items()
    }


async def test_errors_of_events_surface_as_metas(shop: Installation, sdk: Sdk) -> None:
    """What Graph refuses, the proxy refuses at once with the same status, type, code, subcode and blamed member."""
    direct = await sdk.run(shop.graph, TOKEN, "direct-", *BAD)
    proxied = await sdk.run(shop.public, KEY, "proxied-", *BAD)
    alike = ("status", "type", "code", "subcode", "is_transient")

    for name in BAD:
        assert {key: proxied[name][key] for key in alike} == {key: direct[name][key] for key in alike}, name
        assert not proxied[name]["shows_token"]
    for name in BAD[:5]:
        place = 1 if name == "second-is-bad" else 0
        assert proxied[name]["blame"] == [["data", place, *direct[name]["blame"][0]]]


@pytest.mark.parametrize(
    ("path", "opening", "code"),
    [
        ("", ("not-the-key-of-any-site-0123456789", PIXEL), (401, 190, None, "OAuthException")),
        ("", (KEY, OTHER_PIXEL), (400, 100, 33, "GraphMethodException")),
        ("", (FOREIGN_KEY, PIXEL), (400, 100, 33, "GraphMethodException")),
        ("/mistyped", (KEY, PIXEL), (404, 100, 33, "GraphMethodException")),
    ],
)
async def test_closed_doors_surface_as_errors(
    shop: Installation, sdk: Sdk, path: str, opening: tuple[str, str], code: tuple[Any, ...]
) -> None:
    """A wrong key, a foreign pixel and a mistyped prefix raise the SDK's own error, with a code to act on."""
    key, pixel = opening
    found = (await sdk.run(shop.public + path, key, "closed-", "plain", pixel=pixel))["plain"]

    assert (found["status"], found["code"], found["subcode"], found["type"]) == code


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

"""Meta's SDKs as programs, a shop that they send to, and the changes that the proxy may make to their events."""

import asyncio
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from support import PIXEL, TOKEN, Installation, get_json, until

ROOT = Path(__file__).resolve().parents[3]
KEY, FOREIGN_KEY, OTHER_PIXEL = "c3a5e1f09b7d42688e0fa2b4d6c81357", "5b1f" * 8, "2222222222"
AT_ONCE = {"wait_seconds": 0}
OTHER_SITE = {
    "name": "other",
    "domains": ["other.example"],
    "prefix": "/other-tools",
    "access_keys": [FOREIGN_KEY],
    "orders": AT_ONCE,
    "pixel": [{"id": OTHER_PIXEL, "access_token": TOKEN}],
}
"""A site of another owner on the same proxy."""
STARTED = int(time.time())
_HERE = Path(__file__).parent
_RUN_S = 300.0
"""Seconds after which a program that hangs is ended: an SDK sets no time limit of its own."""
# The directory where `make bench` installs the peers, for machines that have them already.
_PEERS = ROOT / "build" / "peers"
_NUMBERS = {"lead_id", "fb_login_id"}
# Match keys that are never hashed, and so have a single value and no list.
_PLAIN = {
    *("client_ip_address", "client_user_agent", "fbc", "fbp", "subscription_id", "madid", "anon_id", "ctwa_clid"),
    "page_id",
}
_OPTIONS = "data_processing_options"
_MARK_OF_A_BUILDER = re.compile(r"\.AQ[\w-]{6}$", re.ASCII)


@dataclass(frozen=True)
class Sdk:
    """An SDK: the command that runs its program, and the environment in which the program finds the SDK."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]

    async def run(self, base: str, token: str, mark: str, *names: str, pixel: str = PIXEL) -> dict[str, Any]:
        """Run the program to send cases to a host, and return the answers by case."""
        arguments = (base, token, pixel, mark, str(STARTED), *names)
        process = await asyncio.create_subprocess_exec(
            *self.command,
            *arguments,
            env={**os.environ, **self.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, errors = await asyncio.wait_for(process.communicate(), _RUN_S)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        assert process.returncode == 0, errors.decode()[-3000:]
        answers: dict[str, Any] = json.loads(out.splitlines()[-1])
        return answers


def _python() -> Sdk:
    peer = _PEERS / "python" / "bin" / "python"
    has_it = find_spec("facebook_business") is not None
    assert has_it or peer.exists(), "facebook-business is missing: it belongs to the development requirements"
    return Sdk("python", (sys.executable if has_it else str(peer), str(_HERE / "python_sdk.py")), {})


def _node() -> Sdk:
    places = (ROOT / "node_modules", _PEERS / "node" / "node_modules")
    found = next((place for place in places if (place / "facebook-nodejs-business-sdk").exists()), None)
    assert found, "facebook-nodejs-business-sdk is missing: it belongs to the development dependencies"
    return Sdk("node", ("node", str(_HERE / "node_sdk.js")), {"NODE_PATH": str(found)})


SDKS = {"python": _python, "node": _node}


async def recorded(shop: Installation, mark: str, count: int) -> dict[str, dict[str, Any]]:
    """Wait until the simulator has ``count`` events whose ids begin with a mark; return them without it, by id."""

    async def look() -> dict[str, dict[str, Any]] | None:
        found = (await get_json(shop.session, f"{shop.graph}/sim/events"))["events"]
        marked = {entry["id"].removeprefix(mark): entry for entry in found if entry["id"].startswith(mark)}
        return marked if len(marked) >= count else None

    events: dict[str, dict[str, Any]] = await until(look, seconds=60, what=f"{count} events {mark}…")
    return {name: json.loads(json.dumps(entry).replace(mark, "")) for name, entry in events.items()}


def enriched(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as the proxy should write it: this repeats the documented changes of form independently."""
    written = {name: _without_nulls(value) for name, value in event.items()}
    written["user_data"] = {name: _key(name, value) for name, value in written.get("user_data", {}).items()}
    for name in {"event_source_url", "referrer_url"}.intersection(written):
        written[name] = _MARK_OF_A_BUILDER.sub("", written[name])
    if isinstance(written["event_time"], str):
        written["event_time"] = int(datetime.fromisoformat(written["event_time"]).timestamp())
    data = written.get("custom_data", {})
    if "currency" in data:
        data["currency"] = data["currency"].upper()
    if event.get(_OPTIONS) is not None:
        places = {f"{_OPTIONS}_country": 0, f"{_OPTIONS}_state": 0}
        written = places | written | {_OPTIONS: event[_OPTIONS]}
    extinfo = event.get("app_data", {}).get("extinfo")
    if extinfo is not None:
        slots = extinfo if isinstance(extinfo, dict) else dict(enumerate(extinfo))
        found = {int(slot): value for slot, value in slots.items()}
        written["app_data"]["extinfo"] = [str(found.get(slot) or "") for slot in range(16)]
    return {name: value for name, value in written.items() if value not in (None, {})}


def _key(name: str, value: Any) -> Any:
    if name == "external_id":
        return [hashlib.sha256(each.encode()).hexdigest() for each in value]
    if name in _NUMBERS:
        return int(value)
    return value if isinstance(value, list) or name in _PLAIN else [value]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: inner for name, member in value.items() if (inner := _without_nulls(member)) is not None}
    if isinstance(value, list):
        return [inner for member in value if (inner := _without_nulls(member)) is not None] or None
    return value


def in_order(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event with the lists of its match keys sorted, since an SDK writes them in any order."""
    user = event.get("user_data", {})
    return {**event, "user_data": {name: sorted(v) if isinstance(v, list) else v for name, v in user.items()}}

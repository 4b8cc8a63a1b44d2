"""Events and clocks that the simulator's tests share."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient

from proxy.simulator.graph.dedup import Copy, Source

Client = TestClient[web.Request, web.Application]

NOW = 1_800_000_000
EVENTS = "/v26.0/123/events"
EMAIL = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
USER = {"em": [EMAIL], "client_ip_address": "168.212.226.204", "client_user_agent": "Mozilla/5.0"}
BARE = object()


class Clock:
    """A clock that only tests move."""

    def __init__(self, at: float = NOW) -> None:
        self.at = at

    def __call__(self) -> float:
        """Return the time as set."""
        return self.at


def event(changes: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a flawless Purchase; a change to BARE removes the field."""
    flawless = {
        "event_name": "Purchase",
        "event_time": NOW - 10,
        "event_id": "order-1",
        "action_source": "website",
        "event_source_url": "https://shop.example/thanks",
        "user_data": USER,
        "custom_data": {"value": 9.5, "currency": "EUR"},
    }
    changed = {**flawless, **(changes or {}), **more}
    return {name: value for name, value in changed.items() if value is not BARE}


def copy(source: Source, seconds: float = 0, identity: str | None = "a", **more: Any) -> Copy:
    """Return a copy of one Lead, ``seconds`` after NOW; ``more`` are match values."""
    content = {"event_time": NOW, "user_data": more} if source == "server" else more
    return Copy(int((NOW + seconds) * 1000), source, "123", "Lead", identity, content, content)


async def send(client: Client, *events: Any) -> tuple[int, dict[str, Any]]:
    """Post events as JSON; return the status and the decoded answer."""
    response = await client.post(EVENTS, json={"data": events, "access_token": "token"})
    return response.status, await response.json()


async def stored(client: Client) -> list[dict[str, Any]]:
    """Return what the simulator accepted, newest first."""
    found: list[dict[str, Any]] = (await (await client.get("/sim/events")).json())["events"]
    return found

"""A stand-in for the proxy's Gateway endpoint: it records what it receives, and answers as a test says."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "access-key-of-the-shop-KEEP-OUT"


@dataclass
class Gateway:
    """What was received, and how requests are answered."""

    refuse: Callable[[dict[str, Any]], str] = lambda _event: ""
    """Return the reason to refuse an event, empty to accept it."""
    troubles: list[web.Response] = field(default_factory=list)
    """Answers to the next requests, whose bodies are not read."""
    most_bytes: int = 16 << 20
    delay: float = 0
    """Seconds before each answer."""
    ids: Counter[str] = field(default_factory=Counter)
    """How often each accepted event came, by its id."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """The members besides the events, for each request."""
    sizes: list[int] = field(default_factory=list)
    """The number of events of each request."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """The latest accepted events, at most ten."""

    def app(self) -> web.Application:
        """Return the stand-in as an application."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/capi/{pixel}/events", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        if self.troubles:
            return self.troubles.pop(0)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": {"message": "Invalid OAuth access token", "code": 190}}, status=401)
        if len(await request.read()) > self.most_bytes:
            return web.json_response({"error": {"message": "too large", "code": 100}}, status=413)
        await asyncio.sleep(self.delay)
        return self._taken(await request.json())

    def _taken(self, body: dict[str, Any]) -> web.Response:
        events = body.pop("data")
        self.bodies.append(body)
        self.sizes.append(len(events))
        named = [{"index": at, "why": why} for at, event in enumerate(events) if (why := self.refuse(event))]
        bad = {item["index"] for item in named}
        good = [event for at, event in enumerate(events) if at not in bad]
        if not good:
            blame = {"blame_field_specs": [["data", 0]]}
            error = {"message": "Invalid parameter", "error_user_msg": "data[0]: all wrong", "error_data": blame}
            return web.json_response({"error": {**error, "code": 100}}, status=400)
        self.ids.update(event["event_id"] for event in good)
        self.events = [*self.events, *good][-10:]
        return web.json_response(
            {"events_received": len(good), "messages": [], "fbtrace_id": "A", "refused": named[:100]}, status=202
        )

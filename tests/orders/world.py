"""A shop's orders as reported by pages and backends, in any order of arrival, and what of them reaches Graph.

Rules and queue are real, with a clock that the world sets. Deliveries are written down instead of sent.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import orjson
from buyers import BROWSER_KEYS, SECOND, Browser, Order
from clock import Clock
from received import Received, ingest

from proxy.config.schema import Site
from proxy.model.record import Record
from proxy.model.server_request import ServerBody
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Settlement
from proxy.queue.sqlite.engine import LocalQueue
from proxy.rules.effort import run_parts
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys
from proxy.rules.policy import Policy
from proxy.rules.server import ingest_claim
from proxy.rules.server_wire.claim import claim_of

PIXEL = "1234567890"
WAIT_S = 60
_LATE_MS = 3 * SECOND
SITE = {
    "name": "shop",
    "domains": ["shop.example"],
    "pixel": [{"id": PIXEL, "access_token": "t"}],
    "access_keys": ["a-key-of-the-backend-that-is-long-enough"],
    "orders": {"wait_seconds": WAIT_S},
}


def policy(**changes: Any) -> Policy:
    site = Site.model_validate(SITE | changes, context={"resolve": str})
    return Policy(site, VisitorCookieKeys("s" * 32), (b"k" * 32,))


class Message(NamedTuple):
    """A message that arrives, from a page or a backend."""

    at: int
    tie: int
    browser: Browser | None
    """The browser that sent it; None for the backend."""
    body: bytes


class Sent(NamedTuple):
    """An event that was sent to Graph, and when."""

    at: int
    is_servers: bool
    event: dict[str, Any]

    @property
    def order(self) -> str:
        return str(self.event.get("custom_data", {}).get("order_id", ""))

    @property
    def browser_data(self) -> dict[str, str]:
        return {key: text for key in BROWSER_KEYS if (text := self.event["user_data"].get(key))}


class World:
    """A shop, its visitors and backend, and a proxy with a real queue."""

    def __init__(self, queue: LocalQueue, clock: Clock, rules: Policy) -> None:
        self.queue, self.clock, self.rules = queue, clock, rules
        self.sent: list[Sent] = []
        self._ties = count()

    def messages(self, found: Iterable[Order]) -> Iterator[Message]:
        """Yield the messages of orders, in the order of their arrival."""
        waiting: list[Message] = []
        for order in found:
            page = partial(self._page, order)
            waiting.append(
                page(
                    order.checkout_at,
                    "InitiateCheckout",
                    f"checkout-{order.id}",
                    tells_email=order.checkout_tells_email,
                )
            )
            if order.page_at is not None:
                waiting.append(page(order.page_at, "Purchase", order.page_id, tells_email=order.page_tells_email))
            waiting += [self._server(order, at) for at in order.server_at]
        heapq.heapify(waiting)
        while waiting:
            yield heapq.heappop(waiting)

    def _page(self, order: Order, at: int, name: str, identity: str, *, tells_email: bool) -> Message:
        data = {"value": 10, "currency": "EUR"} | ({"order_id": order.id} if name == "Purchase" else {})
        match = {"em": order.person.email} if tells_email else {}
        if tells_email and order.person.account != "0":
            match["external_id"] = order.person.account
        body = {
            "v": 1,
            "sent": at,
            "url": "https://shop.example/thanks",
            "fbp": order.browser.fbp,
            "fbc": order.browser.fbc,
            "match": {PIXEL: match},
            "events": [{"name": name, "id": identity, "at": at, "pixels": [PIXEL], "data": data, "pixel": "fired"}],
        }
        return Message(at, next(self._ties), order.browser, orjson.dumps(body))

    def withdrawal(self, at: int, browser: Browser) -> Message:
        """Return the message of a page whose visitor withdraws consent."""
        body = {"v": 1, "sent": at, "url": "https://shop.example/", "consent": "revoked", "events": []}
        return Message(at, next(self._ties), browser, orjson.dumps(body))

    def _server(self, order: Order, at: int) -> Message:
        event = {
            "event_name": "Purchase",
            "event_time": at // 1000,
            "action_source": "website",
            "event_source_url": "https://shop.example/",
            "user_data": {"em": [order.person.email], "external_id": [order.person.account]},
            "custom_data": {"value": 10, "currency": "EUR", "order_id": order.id},
        }
        return Message(at, next(self._ties), None, orjson.dumps({"data": [event]}))

    async def arrive(self, message: Message) -> None:
        """Deliver what is due before a message arrives, then take the message."""
        await self.deliver_until(message.at)
        await self.take(message)

    async def take(self, message: Message) -> None:
        """Judge a message, and store its events and sightings."""
        self.clock.now = max(self.clock.now, message.at)
        if message.browser is None:
            claim = claim_of(ServerBody(message.body, "application/json"))
            parts = ingest_claim(claim, self.rules, pixel=PIXEL, now=self.clock.now, is_all_or_nothing=True)
            await self.queue.append(run_parts(parts).decision.records)
            return
        browser = message.browser
        received = Received(
            now=self.clock.now,
            entropy=int.from_bytes(browser.fbp.encode()[-8:], "big"),
            peer=browser.address,
            host="shop.example",
            secure=True,
            origin="https://shop.example",
            cookie="; ".join(f"{name}={text}" for name, text in browser.cookies.items()),
            user_agent=browser.user_agent,
            gpc="1" if browser.gpc else "",
            body=message.body,
        )
        decision = ingest(received, self.rules)
        assert not decision.unreadable
        assert not decision.refusals
        if decision.withdrawn:
            await self.queue.suppress(decision.withdrawn, SuppressionKind.WITHDRAWAL, self.clock.now)
        if decision.records or decision.sightings:
            await self.queue.append(decision.records, sightings=decision.sightings)
        for header in decision.cookies:
            name, _, text = header.partition(";")[0].partition("=")
            browser.cookies[name] = text

    async def deliver_until(self, moment: int) -> None:
        """Deliver everything that becomes due up to a time, each at its due time."""
        while (due := self.queue.stats().next_due) is not None and due <= moment:
            # Events due within some seconds leave together, as they would in a busy lane.
            self.clock.now = max(self.clock.now, min(moment, due + _LATE_MS))
            await self.deliver()

    async def deliver(self) -> None:
        """Deliver what may leave now."""
        while segments := await self.queue.claim(PIXEL, most=500):
            self.write_down(record for segment in segments for record in segment.records)
            await self.queue.settle(segments, Settlement(done=tuple(segment.ref for segment in segments)))

    def write_down(self, records: Iterable[Record]) -> None:
        """Record what would have been sent to Graph."""
        for record in records:
            assert record.pending is None
            self.sent.append(Sent(self.clock.now, record.browser_copy is None, orjson.loads(record.whole)))

    def purchases(self) -> dict[str, list[Sent]]:
        """Return the Purchases that were sent, by order id."""
        found: defaultdict[str, list[Sent]] = defaultdict(list)
        for sent in self.sent:
            if sent.event["event_name"] == "Purchase":
                found[sent.order].append(sent)
        return found

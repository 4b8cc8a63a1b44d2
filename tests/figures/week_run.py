"""Runs the script of a week through the real rules and a real queue; the simulator's Graph answers in the process.

The time is that of the script; no clock of the machine is used.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, cast

from clock import Clock
from pydantic import SecretStr
from received import Received, ingest
from week_script import CLUB, FEW, OUTAGE, SHOP, SLOT, Request
from week_truth import Ended

from proxy.config.schema import Pixel, Site
from proxy.delivery.lane_state import Cooldown, LaneState, Wait
from proxy.delivery.segment_delivery import SegmentDelivery
from proxy.delivery.settler import Settler
from proxy.edge.admission import Admission
from proxy.edge.reused_ids import ReusedIds
from proxy.edge.storage_notifier import StorageNotifier
from proxy.edge.storing import DecisionStore
from proxy.graph import payload, verdict
from proxy.model.record import Record
from proxy.model.server_request import ServerBody
from proxy.model.verdict import Retry, Verdict
from proxy.queue.contract import WholeQueue
from proxy.rules.effort import run_parts
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys
from proxy.rules.policy import Policy
from proxy.rules.server import ingest_claim
from proxy.rules.server_wire.claim import claim_of
from proxy.simulator.graph.answers import ApiError
from proxy.simulator.graph.edge import EventsEdge, EventsRequest
from proxy.simulator.graph.memory import Memory
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36"
_TOKEN = "t"
_EVERY = (40, 120, 700, 3_000, 20_000, 100_000)


def _site(name: str, *pixels: dict[str, Any], **more: Any) -> Site:
    listed = [{"access_token": _TOKEN, **pixel} for pixel in pixels]
    settings = {"name": name, "domains": [f"{name}.example"], "visitor_id": False, "pixel": listed, **more}
    return Site.model_validate(settings, context={"resolve": str})


SITES = {
    "shop": _site("shop", {"id": SHOP}, {"id": FEW, "events": ["PageView", "Purchase"]}),
    "club": _site("club", {"id": CLUB}, access_keys=["a-key-of-the-backend-that-is-long-enough"]),
}


def moments(requests: Sequence[Request]) -> list[int]:
    """Return when delivery looks for events: after each slot with requests, and in some slots after each request."""
    found = set()
    for request in requests:
        slot = request.at // SLOT
        found.add((slot + 1) * SLOT + _EVERY[slot % len(_EVERY)])
        if slot % 12 == 0:
            found.add(request.at + 40 + request.at // 1000 * 7919 % 900)
    return sorted(found)


def ended(requests: Sequence[Request], looks: Sequence[int]) -> list[Ended]:
    """Return how each event must have ended, and its lag.

    Args:
        requests: All requests.
        looks: When delivery looked for events; during the outage Graph failed.
    """
    well = [look for look in looks if not OUTAGE[0] <= look < OUTAGE[1]]
    found = []
    for request in requests:
        for what in request.expected:
            end = request.at
            if what.status in {"delivered", "dead"}:
                end = well[bisect_left(well, what.arrived if what.due is None else what.due)]
            found.append(Ended(what, end - what.arrived))
    return found


class FakeGraph:
    """Answers batches in the process as the simulator does: it judges each event, and fails during the outage."""

    def __init__(self, clock: Clock, poisoned: set[str]) -> None:
        """Take the script's clock, and the ids of the events to refuse."""
        self._clock = clock
        self._poisoned = poisoned
        self.memory = Memory()
        self._edge = EventsEdge(None, {}, self.memory, lambda: clock.now / 1000)

    async def send(self, pixel: Pixel, records: Sequence[Record]) -> Verdict:
        """Return the verdict for a batch."""
        if OUTAGE[0] <= self._clock.now < OUTAGE[1]:
            return Retry("http 500")
        body = payload.body((record.whole for record in records), access_token=_TOKEN)
        answer = self._edge.receive(EventsRequest(pixel.id, "", "application/json", "", body), "trace", self._refuse)
        return verdict.judge(answer.status, answer.body, answer.headers, len(records))

    def _refuse(self, events: list[dict[str, Any]]) -> ApiError | None:
        return ApiError(subcode=2804017) if any(event["event_id"] in self._poisoned for event in events) else None


class Run:
    """The week in a proxy without sockets."""

    def __init__(self, queue: WholeQueue, clock: Clock, poisoned: set[str]) -> None:
        """Prepare the proxy on a queue.

        Args:
            queue: The queue.
            clock: Its clock, which the run sets.
            poisoned: Ids of events that Graph refuses.
        """
        self._queue, self._clock = queue, clock
        keys = VisitorCookieKeys("s" * 32)
        self._policies = {name: Policy(site, keys, (b"k" * 32,)) for name, site in SITES.items()}
        metrics, conditions = Metrics(), Conditions(clock)
        notifier = StorageNotifier(
            queue, metrics=metrics, conditions=conditions, reused_ids=ReusedIds(conditions), wakes={}
        )
        self._store = DecisionStore(
            queue,
            admission=cast("Admission", None),  # no limits: all requests are admitted
            notifier=notifier,
            metrics=metrics,
            conditions=conditions,
        )
        self.graph = FakeGraph(clock, poisoned)
        self._deliveries = [self._delivery(pixel, metrics, conditions) for pixel in (SHOP, FEW, CLUB)]

    def _delivery(self, pixel: str, metrics: Metrics, conditions: Conditions) -> SegmentDelivery:
        return SegmentDelivery(
            Pixel.model_construct(id=pixel, access_token=SecretStr(_TOKEN)),
            queue=self._queue,
            graph=cast("Any", self.graph),
            settler=Settler(self._queue, conditions, asyncio.Event()),
            metrics=metrics,
            conditions=conditions,
            state=LaneState(pixel, conditions),
            now=self._clock,
        )

    async def go(self, requests: Sequence[Request], looks: Sequence[int]) -> None:
        """Receive all requests, and deliver at each moment of ``looks``."""
        start = 0
        # As lanes do at their start: only a claim makes the proxy the leader of a lane, which hears of held events.
        for delivery in self._deliveries:
            await delivery.deliver_fresh(newest=False)
        for look in looks:
            end = start
            while end < len(requests) and requests[end].at <= look:
                end += 1
            for group in _groups(requests[start:end]):
                self._clock.now = group[-1].at
                await asyncio.gather(*map(self._take, group))
            start = end
            self._clock.now = look
            await self._deliver()
        assert start == len(requests)

    async def _take(self, request: Request) -> None:
        policy = self._policies[request.site]
        visitor = request.visitor
        if visitor is None:
            claim = claim_of(ServerBody(request.raw, "application/json"))
            parts = ingest_claim(claim, policy, pixel=CLUB, now=request.at, is_all_or_nothing=True)
            decision = run_parts(parts).decision
        else:
            host = f"{request.site}.example"
            received = Received(
                now=request.at,
                entropy=visitor.number,
                peer=visitor.address,
                host=host,
                secure=True,
                origin=f"https://{host}",
                user_agent=_AGENT,
                gpc="1" if visitor.has_gpc else "",
                body=request.raw,
            )
            decision = ingest(received, policy)
        assert (decision.unreadable, decision.refusals) == ("", ())
        assert await self._store.try_store(decision, request.at)

    async def _deliver(self) -> None:
        for delivery in self._deliveries:
            while self._is_due(delivery) and _went_on(await delivery.deliver_fresh(newest=False)):
                pass
            while self._queue.stats().suspects and any(map(_went_on, await delivery.deliver_suspects())):
                pass

    def _is_due(self, delivery: SegmentDelivery) -> bool:
        """Tell whether a claim may find events, by a look at the queue's statistics, which costs nothing."""
        next_due = self._queue.stats().next_due
        return delivery.fresh_events() > 0 or (next_due is not None and next_due <= self._clock.now)


def _went_on(wait: Wait) -> bool:
    """Tell whether an attempt settled some events, so that the next can follow at once."""
    return isinstance(wait, Cooldown) and wait.seconds >= 0


def _groups(requests: Sequence[Request]) -> Iterator[list[Request]]:
    """Yield groups of requests to store together; updates begin a new group, and the club's are stored one by one."""
    group: list[Request] = []
    for request in requests:
        if group and ("club" in {request.site, group[-1].site} or not request.expected):
            yield group
            group = []
        group.append(request)
    if group:
        yield group

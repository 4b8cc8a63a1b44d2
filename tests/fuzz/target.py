"""The browser endpoints without sockets: routes, rules and answers for a request, and their cost."""

import base64
import math
import time
import zlib
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

import orjson
from hard import BURSTS
from maker import AGENTS, NOW, PIXELS, Bytes, Choices, Maker
from received import Received

from proxy.config.load import parse
from proxy.config.schema import Settings
from proxy.edge.collect import tag_answer
from proxy.model.decision import Decision
from proxy.rules import limits, tables
from proxy.rules.browser import ingest_image, ingest_parts
from proxy.rules.effort import Parts
from proxy.rules.identity.visitor_cookie import VisitorCookie, VisitorCookieKeys
from proxy.rules.policy import Policy
from proxy.rules.request.client_address import Networks
from proxy.rules.request.routes import Routes
from proxy.rules.request.sites import belongs, host_of

STATUSES = {200, 204, 400, 413}
"""The statuses that the endpoint may answer with; never a 5xx."""
_AGAIN = 40
# What the reference work takes on an idle core of the machine of docs/benchmarks.md.
_REFERENCE_S = 0.002
_PREFIX = "/k7f2q9w3"
_DOOR: dict[str, object] = {
    "access_keys": ["c3a5e1f09b7d42688e0fa2b4d6c81357"],
    "orders": {"hold_until_paid": True},
}
# The header with the visitor's address, and settings that lead through different rules.
_SITES: tuple[tuple[str, dict[str, object]], ...] = (
    ("X-Forwarded-For", {}),
    (
        "Forwarded",
        {"remember_match": True, "country": "DE", "keep_url_params": ["utm_source", "x"], "bots": "mark", **_DOOR},
    ),
    ("CF-Connecting-IP", {"consent": "required", "gpc": "ldu", "bots": "ignore", **_DOOR}),
    ("Forwarded", {"sensitive": "restricted", "dnt": "drop", "ldu": True, **_DOOR, "orders": {}}),
)


class Request(NamedTuple):
    """A request to one of the sites."""

    site: int
    facts: Received
    path: str
    is_image: bool


class Finding(NamedTuple):
    """A request that was answered wrongly, and what was wrong."""

    what: str
    request: Request


def drawn(choices: Choices) -> Request:
    """Return a request made of these choices."""
    site, kind = choices.below(len(_SITES)), choices.below(20)
    facts = Maker(choices).facts()
    if choices.below(4) == 0:
        facts = facts._replace(
            cookie=f"{facts.cookie[:4000]}; {_VISITOR_COOKIES[choices.below(len(_VISITOR_COOKIES))]}"
        )
    path = f"{_PREFIX}/e" if kind else facts.referer[:200]
    return Request(site, facts, path, is_image=kind == 1)


def burst(kind: str) -> Request:
    """Return a request with as many events as a body may have, each for two pixels and with different custom data."""
    events = [
        {"name": "Purchase", "id": f"id-{number}", "at": NOW, "pixels": PIXELS[:2], "data": BURSTS[kind](number)}
        for number in range(limits.EVENTS)
    ]
    body = orjson.dumps({"v": 1, "sent": NOW, "url": "https://shop.example/", "events": events})
    facts = (
        Maker(Bytes(b""))
        .facts()
        ._replace(
            peer="93.184.216.34", origin="https://www.shop.example", user_agent=AGENTS[0], gpc="", dnt="", body=body
        )
    )
    return Request(0, facts, f"{_PREFIX}/e", is_image=False)


class Cost(NamedTuple):
    """Processor time of an answer, in seconds."""

    longest: float
    """The time of its longest part, before other requests have their turn."""
    whole: float


ANY_COST = Cost(math.inf, math.inf)


class Door:
    """The public endpoints of a proxy with several sites."""

    def __init__(self) -> None:
        tables.prepare()
        self._trusted = Networks([ip_network("10.0.0.0/8")])
        self._policies = POLICIES
        self._routes = Routes((site, [_PREFIX]) for site in (policy.site for policy in self._policies))

    def answer(self, request: Request) -> Decision:
        """Answer a request as the listener does."""
        return self._answer(request)[0]

    def _answer(self, request: Request) -> tuple[Decision, Cost]:
        """Return the answer, and its cost."""
        start, costs = time.thread_time(), []
        parts = self._parts(request)
        while True:
            try:
                next(parts)
            except StopIteration as end:
                costs.append(time.thread_time() - start)
                return end.value, Cost(max(costs), sum(costs))
            now = time.thread_time()
            costs.append(now - start)
            start = now

    def _parts(self, request: Request) -> Parts[Decision]:
        facts, policy = request.facts, self._policies[request.site]
        arrived = facts.arrived(self._trusted, header=_SITES[request.site][0])
        self._routes.find(arrived.host, request.path)
        belongs(policy.site, host_of(facts.origin or facts.referer))
        if request.is_image:
            return ingest_image(arrived, policy)
        return (yield from ingest_parts(arrived, policy))

    def wrong(self, request: Request, most: Cost = ANY_COST) -> str:
        """Return what is wrong with the answer to a request; empty if nothing is.

        Args:
            request: What a stranger sends.
            most: The highest cost; if the first answer costs more, the least of several counts.
        """
        try:
            outcome, cost = self._answer(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            return f"{type(error).__name__}: {error}"
        if faults := getattr(outcome, "faults", ()):
            return f"fault: {faults[0]}"
        status, body = tag_answer(outcome)
        if status not in STATUSES:
            return f"status {status}"
        if body:
            orjson.loads(body)
        if _is_over(cost, most) and _is_over(cost := self._least(request), most):
            spent = f"{cost.longest * 1000:.1f} ms at a stretch, {cost.whole * 1000:.1f} ms in all"
            return f"{spent} for {_rows(outcome)} pairs of event and pixel"
        return ""

    def _least(self, request: Request) -> Cost:
        """Return the least cost of several answers, as it would be on the machine that the limits are meant for."""
        costs, references = [], []
        for _ in range(_AGAIN):
            costs.append(self._answer(request)[1])
            references.append(_reference_s())
        speed = _REFERENCE_S / min(references)
        return Cost(min(cost.longest for cost in costs) * speed, min(cost.whole for cost in costs) * speed)


def _reference_s() -> float:
    """Return the processor time of a fixed piece of work; a shared machine's speed changes from minute to minute."""
    start, lengths = time.thread_time(), {}
    for number in range(8000):
        text = f"{number:x}"
        lengths[text] = len(text.upper())
    return time.thread_time() - start


def _is_over(cost: Cost, most: Cost) -> bool:
    return cost.longest > most.longest or cost.whole > most.whole


def _rows(outcome: Decision) -> int:
    unknown = getattr(outcome, "unknown_pixels", 0)
    return len(outcome.records) + len(outcome.dropped) + outcome.refused + int(unknown)


def _settings(changes: dict[str, object]) -> Settings:
    pixels = [{"id": pixel, "access_token": "t"} for pixel in PIXELS[:3]]
    site = {"name": "shop", "domains": ["shop.example", "straße.de"], "pixel": pixels}
    return parse({"site": [site | changes]}, {}, base=Path()).settings


_KEYS = VisitorCookieKeys("a secret that is long enough for tests")
POLICIES = [Policy(_settings(changes).site[0], _KEYS, (b"k" * 32,)) for _, changes in _SITES]
"""The policies of the sites."""
_VISITOR_COOKIE = VisitorCookie(
    visitor="1" * 32, since=NOW, fbp="fb.1.1763000000000.1", match={"em": ("a" * 64,)}, match_seen=NOW
)
_SEALED = _KEYS.seal(_VISITOR_COOKIE, "shop", now=NOW, entropy=1)
_VISITOR_COOKIES = [
    f"{_KEYS.names('shop')[0]}={value}" for value in (_SEALED, _SEALED[:-5], "A" * len(_SEALED), _SEALED * 3, "é")
]


def packed(request: Request) -> bytes:
    """Return a request as a seed file's content."""
    facts = request.facts._asdict()
    body = facts.pop("body")
    return orjson.dumps(
        {"site": request.site, "path": request.path, "image": request.is_image, "facts": facts, "body": _small(body)},
        option=orjson.OPT_INDENT_2,
    )


def _small(body: bytes) -> str:
    return base64.b85encode(zlib.compress(body, 9)).decode()


def unpacked(seed: bytes) -> Request:
    """Return the request in a seed file."""
    raw = orjson.loads(seed)
    facts = Received(**raw["facts"], body=zlib.decompress(base64.b85decode(raw["body"])))
    return Request(raw["site"], facts, raw["path"], is_image=raw["image"])

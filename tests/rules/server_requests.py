"""Requests of servers, for tests of how they are read and judged."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

import orjson
from cases import KEYS, NOW, site

from proxy.model.decision import ServerDecision
from proxy.model.server_request import RefusedHit, RequestFields, ServerBody, ServerHit, ServerRequest
from proxy.rules.effort import run_parts
from proxy.rules.policy import Policy
from proxy.rules.server import ingest_claim
from proxy.rules.server_wire import reading
from proxy.rules.server_wire.claim import claim_of

PERSON_KEY = b"k" * 32
PIXEL = "123"
JSON, FORM, TEXT = "application/json", "application/x-www-form-urlencoded", "text/plain"
NOW_S = NOW // 1000


def event(**changes: Any) -> dict[str, Any]:
    """Return a Lead that Graph would count; ``changes`` replace members, or with ``None`` remove them."""
    usual = {
        "event_name": "Lead",
        "event_time": NOW_S - 60,
        "event_id": "lead-1",
        "action_source": "website",
        "event_source_url": "https://shop.example/contact",
        "user_data": {"em": ["ada@mail.example"], "client_user_agent": "Mozilla/5.0"},
    }
    return {key: value for key, value in (usual | changes).items() if value is not None}


def purchase(**changes: Any) -> dict[str, Any]:
    usual = {"event_name": "Purchase", "event_id": "order-1", "custom_data": {"value": 12.5, "currency": "EUR"}}
    return event(**(usual | changes))


def form(**fields: str) -> bytes:
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields.items()).encode()


def multipart(fields: Mapping[str, str], boundary: str, *headers: str) -> bytes:
    """Return a body as PHP and Java write it; each part has ``headers`` in addition to the one with its name."""
    lines = []
    for name, value in fields.items():
        head = "\r\n".join([f'Content-Disposition: form-data; name="{name}"', *headers])
        lines.append(f"--{boundary}\r\n{head}\r\n\r\n{value}\r\n")
    return ("".join(lines) + f"--{boundary}--\r\n").encode()


def read(content: bytes, content_type: str = JSON, query: str = "") -> ServerRequest:
    """Read a body and its events, without judging them."""
    claim = claim_of(ServerBody(content, content_type, query))
    faults: list[str] = []
    hits = [reading.read(place, element, faults) for place, element in enumerate(run_parts(reading.elements_of(claim)))]
    assert faults == []
    good = tuple(hit for hit in hits if isinstance(hit, ServerHit))
    bad = tuple(hit for hit in hits if isinstance(hit, RefusedHit))
    return ServerRequest(NOW, PIXEL, good, bad, claim.fields)


def events_read(*events: Any) -> ServerRequest:
    return read(json.dumps({"data": events}).encode())


def policy(**changes: Any) -> Policy:
    return Policy(site(**changes), KEYS, (PERSON_KEY,))


def judged(content: bytes, content_type: str = JSON, *, all_or_nothing: bool = False, **changes: Any) -> ServerDecision:
    """Take a body through all rules, for a site with ``changes``."""
    claim = claim_of(ServerBody(content, content_type))
    policy_changed = policy(**changes)
    parts = ingest_claim(claim, policy_changed, pixel=PIXEL, now=NOW, is_all_or_nothing=all_or_nothing)
    return run_parts(parts)


def taken(*events: Any, all_or_nothing: bool = False, **changes: Any) -> ServerDecision:
    return judged(json.dumps({"data": events}).encode(), all_or_nothing=all_or_nothing, **changes)


def sent(decision: ServerDecision) -> list[dict[str, Any]]:
    """Return the events as Graph gets them."""
    return [orjson.loads(record.whole) for record in decision.decision.records]


def only(decision: ServerDecision) -> dict[str, Any]:
    assert decision.refused == ()
    (payload,) = sent(decision)
    return payload


NO_FIELDS = RequestFields()

"""Golden files: bodies as Meta's clients send them, the hits made of them, and what Graph gets.

Each ``tests/golden/server/NAME.request.json`` (the head of the request and its body as text) has its
``NAME.events.json``. To rewrite the latter after an intended change: ``GOLDEN=write pytest …``, then read the diff.
"""

import json
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from server_requests import PIXEL, policy, read

from proxy.model.decision import ServerDecision
from proxy.model.join import Join
from proxy.model.record import Record
from proxy.model.server_request import ServerBody, ServerHit
from proxy.rules.effort import run_parts
from proxy.rules.server import ingest_claim
from proxy.rules.server_wire.claim import claim_of
from proxy.rules.server_wire.reading import MalformedRequestError

GOLDEN = Path(__file__).parent.parent / "golden" / "server"
NAMES = sorted(path.name.removesuffix(".request.json") for path in GOLDEN.glob("*.request.json"))


def hit_as_golden(hit: ServerHit) -> dict[str, Any]:
    members = {name: getattr(hit, name) for name in hit.__struct_fields__}
    return {name: value for name, value in members.items() if value not in ("", (), {}, None) or name == "place"}


def said(fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields._asdict().items() if value}


def pending_as_golden(record: Record, now: int) -> dict[str, Any]:
    """Return how long a record waits and the kinds of its join keys; empty if it neither waits nor is joined."""
    waits = {"wait_ms": record.not_before - now} if record.not_before else {}
    join = record.pending
    if not isinstance(join, Join):
        return waits
    return waits | {"join": [kind.name for kind, _ in join.keys], "unknown": join.unknown, "takes": join.takes}


def as_golden(keys: tuple[str, ...], hits: list[ServerHit], decision: ServerDecision, now: int) -> Any:
    records = decision.decision.records
    document = {
        "access_keys": keys,
        "fields": said(decision.fields),
        "unreadable": decision.unreadable,
        "hits": [hit_as_golden(hit) for hit in hits],
        "refused": [said(refusal) | {"place": refusal.place} for refusal in decision.refused],
        "records": [
            {
                "name": record.name,
                "id": record.id,
                "action_source": record.action_source,
                "fields": said(record.fields),
                "people": len(record.person_digests),
                "findings": record.findings,
                "payload": orjson.loads(record.whole),
                **pending_as_golden(record, now),
            }
            for record in records
        ],
        "dropped": [{"name": row.name, "id": row.id, "reason": row.reason} for row in decision.decision.dropped],
        "redactions": [redaction._asdict() for redaction in decision.decision.redactions],
    }
    return json.loads(json.dumps({key: value for key, value in document.items() if value}))


@pytest.mark.parametrize("name", NAMES)
def test_a_body_becomes_its_golden_events(name: str) -> None:
    """Keys, fields, hits and payloads are those in the golden file, for every shape that a client is known to send."""
    request = json.loads((GOLDEN / f"{name}.request.json").read_text(encoding="utf-8"))
    body = ServerBody(request["body"].encode(), request.get("content_type", ""), request.get("query", ""))
    claim = claim_of(body)
    about = {
        "pixel": PIXEL,
        "now": request["now"],
        "is_all_or_nothing": request.get("door") != "gateway",
    }
    try:
        hits = list(read(body.content, body.content_type, body.query).hits)
    except MalformedRequestError:
        hits = []
    decision = run_parts(ingest_claim(claim, policy(**request.get("site", {})), **about))
    actual = as_golden(claim.access_keys, hits, decision, request["now"])
    path = GOLDEN / f"{name}.events.json"
    expected = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    if os.environ.get("GOLDEN") == "write" and actual != expected:
        path.write_text(json.dumps(actual, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert actual == expected


def test_every_golden_answer_has_its_request() -> None:
    """Every golden result has its request, and no result is left over from a removed one."""
    assert sorted(path.name.removesuffix(".events.json") for path in GOLDEN.glob("*.events.json")) == NAMES

"""Events of a shop's pages and servers, for tests of the join of an order's two copies."""

from collections.abc import Iterable
from typing import Any

import orjson
from received import Received, ingest
from shop_requests import FACTS, KEYS, NOW, PIXEL
from shop_requests import policy as policy_without_keys

from proxy.model.decision import Decision
from proxy.model.join import Join, JoinKey, JoinKind, Sighting
from proxy.model.record import Record
from proxy.model.server_request import ServerBody, ServerHit, ServerRequest
from proxy.rules.effort import run_parts
from proxy.rules.joins.keys import Clue, join_keys
from proxy.rules.policy import Policy
from proxy.rules.server import ingest_claim, ingest_server_whole
from proxy.rules.server_wire.claim import claim_of

SECRET, OLD_SECRET = b"k" * 32, b"o" * 32
DOOR = {"access_keys": ["c3a5e1f09b7d42688e0fa2b4d6c81357"]}
FBP = "fb.1.1700000000000.1098115397"
PAID = {"value": 12.5, "currency": "EUR"}


def policy(secrets: tuple[bytes, ...] = (SECRET,), **changes: Any) -> Policy:
    """Return the policy of a shop whose servers may send; ``changes`` go to the site."""
    return Policy(policy_without_keys(**(DOOR | changes)).site, KEYS, secrets)


def event(name: str = "Purchase", **changes: Any) -> dict[str, Any]:
    """Return an event of a page, with a value; members given as ``data`` are added to its custom data."""
    data = PAID | changes.pop("data", {})
    usual = {"name": name, "id": "of-the-page-1", "at": NOW, "pixels": [PIXEL], "data": data, "pixel": "fired"}
    return usual | changes


def page(*events: Any, request: Received = FACTS, shop: Policy | None = None, **members: Any) -> Decision:
    """Return what the rules decide about a page's request with these events; ``members`` go to its body."""
    visit = {"v": 1, "sent": NOW, "url": "https://shop.example/thanks", "fbp": FBP, "events": events} | members
    return ingest(request._replace(body=orjson.dumps(visit)), shop or policy())


def seen(*events: Any, **members: Any) -> Sighting:
    """Return the one sighting that a page's request with these events leaves."""
    (sighting,) = page(*events, **members).sightings
    return sighting


def told(shop: Policy | None = None, **changes: Any) -> Record:
    """Return the record of a backend's event; ``changes`` replace members, or with ``None`` remove them."""
    usual: dict[str, Any] = {
        "event_name": "Purchase",
        "event_time": NOW // 1000 - 60,
        "event_id": "of-the-server-1",
        "action_source": "website",
        "event_source_url": "https://shop.example/",
        "user_data": {"em": ["ada@mail.example"], "client_user_agent": "Mozilla/5.0"},
        "custom_data": PAID,
    }
    members = {name: value for name, value in (usual | changes).items() if value is not None}
    claim = claim_of(ServerBody(orjson.dumps({"data": [members]}), "application/json"))
    decision = run_parts(ingest_claim(claim, shop or policy(), pixel=PIXEL, now=NOW, is_all_or_nothing=False))
    assert decision.refused == ()
    (record,) = decision.decision.records
    return record


def hooked(hit: ServerHit, shop: Policy | None = None) -> Record:
    """Return the record of a webhook's event."""
    (record,) = ingest_server_whole(ServerRequest(NOW, PIXEL, (hit,)), shop or policy()).decision.records
    return record


def join_of(record: Record) -> Join:
    assert isinstance(record.pending, Join)
    return record.pending


def kinds(keys: Iterable[JoinKey]) -> list[JoinKind]:
    return [kind for kind, _ in keys]


def key(kind: JoinKind, value: str, secret: bytes = SECRET) -> JoinKey:
    """Return the key that stands for a value at the shop."""
    clues: list[Clue] = [(kind, value)]
    return join_keys("shop", clues, (secret,))[0]

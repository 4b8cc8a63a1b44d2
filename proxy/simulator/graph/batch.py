"""Graph's batch endpoint: several calls in one request, each with an answer of its own.

Source: Meta, Graph API, "batch requests". The SDKs of Python and Node offer it for events too. Pure.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import orjson

from proxy.simulator.graph import wire
from proxy.simulator.graph.answers import Answer, ApiError
from proxy.simulator.graph.edge import EventsRequest

MAX_CALLS = 50
FORM = "application/x-www-form-urlencoded"
ADDRESS = re.compile(r"/*(?:v\d+(?:\.\d+)?/+)?([^/?]+)/+events/*(?:\?(.*))?")
HEADERS = [{"name": "Content-Type", "value": "application/json"}]


def calls(query: str, content_type: str, authorization: str, body: bytes) -> list[EventsRequest | ApiError]:
    """Return the calls of a batch as requests of their own, with an error in place of each that posts no events.

    Args:
        query: The query of the address, not decoded.
        content_type: The header.
        authorization: The header.
        body: The body as it came.

    Raises:
        UnreadableError: When there is no list of at most 50 calls.
    """
    pairs = wire.parameters(query, content_type, body)
    return [_posted(call, pairs, authorization) for call in _listed(pairs)]


def batch_answer(answers: Iterable[Answer]) -> Answer:
    """Return the answer to the batch: 200, whatever became of its calls."""
    return Answer(200, orjson.dumps([_call_json(answer) for answer in answers]))


def _listed(pairs: wire.Pairs) -> list[Any]:
    value = next((value for name, value in pairs if name == "batch"), None)
    content = wire.decoded(value, "batch")
    if not isinstance(content, list) or not 1 <= len(content) <= MAX_CALLS:
        raise wire.UnreadableError(f"The parameter batch must be an array of 1 to {MAX_CALLS} calls.")
    return content


def _posted(call: Any, pairs: wire.Pairs, authorization: str) -> EventsRequest | ApiError:
    texts = {name: value for name, value in call.items() if isinstance(value, str)} if isinstance(call, dict) else {}
    found = ADDRESS.fullmatch(texts.get("relative_url", ""))
    if found is None or texts.get("method", "").upper() != "POST":
        return ApiError("Unsupported request: a call POSTs to {pixel}/events", subcode=33, type="GraphMethodException")
    query, body = found[2] or "", texts.get("body", "")
    if wire.first([*wire.urlencoded(query), *wire.urlencoded(body)], "access_token"):
        return EventsRequest(found[1], query, FORM, "", body.encode())
    proof = wire.first(pairs, "appsecret_proof")
    proven = query if proof is None else f"{query}&{urlencode({'appsecret_proof': proof})}"
    return EventsRequest(found[1], proven, FORM, f"Bearer {wire.token(pairs, authorization) or ''}", body.encode())


def _call_json(answer: Answer) -> dict[str, Any]:
    return {"code": answer.status, "headers": HEADERS, "body": answer.body.decode()}

"""The collect door: what the tag posts is judged, stored, and answered once it is durable."""

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from proxy.edge.answers import JSON, problem, refusal
from proxy.edge.exchange import HttpAnswer
from proxy.edge.reading import AdmittedRequest, RequestReader
from proxy.edge.storing import DecisionStore
from proxy.edge.turns import Turns
from proxy.model.decision import Decision
from proxy.rules.browser import ingest_parts
from proxy.rules.policy import Policy

_MOST_NAMED = 20
"""Refused events that a 400 names."""


class TagAnswer(NamedTuple):
    """How a body is answered, before headers and cookies."""

    status: int
    body: bytes = b""
    """JSON; empty with 204."""


class CollectDoor:
    """Answers pages of the sites."""

    def __init__(
        self, policies: Mapping[str, Policy], *, reader: RequestReader, turns: Turns, store: DecisionStore
    ) -> None:
        """Open the door.

        Args:
            policies: By the name of the site.
            reader: Reads bodies.
            turns: Whose part of a large request is next.
            store: Makes decisions durable.
        """
        self._policies = policies
        self._reader = reader
        self._turns = turns
        self._store = store

    async def answer(self, admitted: AdmittedRequest) -> HttpAnswer:
        """Answer what the tag posts."""
        if (admitted.arrival.headers.get("content-encoding") or "identity").lower() != "identity":
            return refusal(415, "content-encoding: accepted: identity")
        request = await self._reader.read(admitted)
        decision = await self._turns.work(admitted.network, ingest_parts(request, self._policies[admitted.site.name]))
        status, body = tag_answer(decision)
        content = HttpAnswer(status, body, dict(JSON) if body else {})
        return await self._store.answered(admitted.network, decision, content, at=request.now)


def tag_answer(decision: Decision) -> TagAnswer:
    """Return how the tag is answered.

    204 when every event was taken; 200, naming the refused ones, beside others that were taken; 400 when none was.
    """
    if decision.unreadable:
        return TagAnswer(413 if decision.is_too_large else 400, problem(decision.unreadable))
    if not decision.refusals:
        return TagAnswer(204)
    named = [{"index": event.index, "id": event.id, "why": event.why} for event in decision.refusals]
    if not decision.taken:
        return TagAnswer(400, orjson.dumps({"error": "every event is wrong", "refused": named[:_MOST_NAMED]}))
    more = {"more": decision.surplus} if decision.surplus else {}
    return TagAnswer(200, orjson.dumps({"refused": named, **more}))

"""Behind the doors: reads a body in its client's turn; judges and stores what the tag posts, then answers it."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import orjson

from proxy.edge.answers import JSON, error_body, refusal
from proxy.edge.arrival import AdmittedRequest
from proxy.edge.exchange import BodyTooLargeError, HttpAnswer
from proxy.edge.storing import DecisionStore
from proxy.edge.turns import Turns
from proxy.model.decision import Decision
from proxy.model.request import BrowserRequest
from proxy.rules.browser import ingest_parts
from proxy.rules.effort import Parts
from proxy.rules.limits import BODY
from proxy.rules.permission.install_check import InstallChecks
from proxy.rules.policy import Policy

_MOST_NAMED = 20
"""How many refused events a 400 lists at most."""


class RequestReader:
    """Reads requests of any door, each client's in turn."""

    def __init__(self, turns: Turns, *, clock_ns: Callable[[], int], random_numbers: Iterator[int]) -> None:
        """Begin with no request.

        Args:
            turns: Decide which client's request is next.
            clock_ns: The server's clock in nanoseconds.
            random_numbers: Yields unpredictable integers of 128 random bits.
        """
        self._turns = turns
        self._clock_ns = clock_ns
        self._random_numbers = random_numbers

    async def read(self, admitted: AdmittedRequest) -> BrowserRequest:
        """Read the body, wait for the client's turn, then return the request in the form that the rules judge.

        Raises:
            BodyTooLargeError: when the body is longer than accepted.
            BodyTooSlowError: when it comes too slowly.
            BodyLostError: when the client hung up, or its body cannot be read.
        """
        arrival, header = admitted.arrival, admitted.arrival.headers.get
        if arrival.request.size > BODY:
            raise BodyTooLargeError
        body = arrival.request.whole_body
        if body is None:
            body = await arrival.request.body()
        if place := self._turns.request_turn(admitted.network):
            await place
        return BrowserRequest(
            now=self._clock_ns() // 1_000_000,
            entropy=next(self._random_numbers),
            client=arrival.client,
            host=arrival.host,
            secure=arrival.is_secure,
            origin=header("origin", ""),
            referer=header("referer", ""),
            cookie=header("cookie", ""),
            user_agent=header("user-agent", ""),
            brands=header("sec-ch-ua", ""),
            platform=header("sec-ch-ua-platform", ""),
            gpc=header("sec-gpc", ""),
            dnt=header("dnt", ""),
            body=body,
        )


class CollectDoor:
    """The door at which the tag posts its events."""

    def __init__(
        self,
        policies: Mapping[str, Policy],
        *,
        reader: RequestReader,
        turns: Turns,
        store: DecisionStore,
        checks: InstallChecks,
    ) -> None:
        """Open the door.

        Args:
            policies: By the name of the site.
            reader: Reads bodies.
            turns: Decide which client's part of a large request is next.
            store: Makes decisions durable.
            checks: Recognise the owner's browser, whose answers say more.
        """
        self._checks = checks
        self._policies = policies
        self._reader = reader
        self._turns = turns
        self._store = store

    async def answer(self, admitted: AdmittedRequest) -> HttpAnswer:
        """Answer what the tag posts; a large request is judged in parts, each at a turn of its client."""
        if (admitted.arrival.headers.get("content-encoding") or "identity").lower() != "identity":
            return refusal(415, "content-encoding: accepted: identity")
        request = await self._reader.read(admitted)
        turns = self._turns
        turns.visitors += 1
        try:
            parts = ingest_parts(request, self._policies[admitted.site.name])
            while (decision := next_part(parts)) is None:
                await turns.wait_for_turn(admitted.network)
            status, body = tag_answer(decision)
            may_be_owner = self._checks.cookie_name in request.cookie and status < 300
            if may_be_owner and self._checks.shown_ms(request.cookie, admitted.site.name, request.now):
                status, body = 200, _told_to_owner(decision, body)
            content = HttpAnswer(status, body, dict(JSON) if body else {})
            return await self._store.store_and_answer(admitted.network, decision, content, at=request.now)
        finally:
            turns.visitors -= 1
            if turns.patient:
                turns.release_server_request()


def next_part(parts: Parts[Decision]) -> Decision | None:
    """Work on the next part of a request; return the decision after the last part, None before."""
    try:
        next(parts)
    except StopIteration as end:
        decision: Decision = end.value
        return decision
    return None


def _told_to_owner(decision: Decision, body: bytes) -> bytes:
    """Return the body for the owner's browser, which also lists the events that were dropped on purpose, and why."""
    dropped = [{"name": row.name, "id": row.id, "reason": row.reason} for row in decision.dropped]
    return orjson.dumps({**orjson.loads(body or b'{"refused": []}'), "dropped": dropped})


class TagAnswer(NamedTuple):
    """How a body is answered, before headers and cookies."""

    status: int
    body: bytes = b""
    """JSON; empty with 204."""


def tag_answer(decision: Decision) -> TagAnswer:
    """Return how the tag is answered.

    204 when no event was refused; 200 when some were, which the body lists; 400 when all were, or when the body could
    not be read; 413 when it was too large.
    """
    if decision.unreadable:
        return TagAnswer(413 if decision.is_too_large else 400, error_body(decision.unreadable))
    if not decision.refusals:
        return TagAnswer(204)
    named = [{"index": event.index, "id": event.id, "why": event.why} for event in decision.refusals]
    if not decision.taken:
        return TagAnswer(400, orjson.dumps({"error": "every event is wrong", "refused": named[:_MOST_NAMED]}))
    more = {"more": decision.surplus} if decision.surplus else {}
    return TagAnswer(200, orjson.dumps({"refused": named, **more}))

"""The doors for servers: check the access key as early as possible, judge the body, and answer once all is durable.

No page sends these requests: no CORS, no cookies, and nothing of the connection goes into an event.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import NamedTuple

from proxy.config.schema import Site
from proxy.edge.admission import Admission
from proxy.edge.arrival import Arrival
from proxy.edge.exchange import BodyLostError, BodyTooLargeError, BodyTooSlowError, HttpAnswer
from proxy.edge.server import answers
from proxy.edge.server.body import NoRoomError, ServerBodyReader, UnknownCodingError
from proxy.edge.server.hooks import HookDoor
from proxy.edge.server.keys import KeyRing, WrongKeys
from proxy.edge.server.trace import new_trace
from proxy.edge.server.unpacking import UnpackableError
from proxy.edge.server.working import take_turn, work_in_turns
from proxy.edge.storing import DecisionStore
from proxy.edge.turns import Turns
from proxy.model.decision import ServerDecision
from proxy.model.server_request import ServerBody
from proxy.rules import server_limits
from proxy.rules.fairness import ClientNetwork, client_network
from proxy.rules.limits import BODY
from proxy.rules.policy import Policy
from proxy.rules.request.server_paths import ServerDoor, ServerPath
from proxy.rules.server import ingest_claim
from proxy.rules.server_wire.claim import ServerClaim, claim_of, claim_parts
from proxy.telemetry.faults import FaultReporter

_RETRY_SECONDS = 5
_LARGE = 256 * 1024
"""Larger bodies are parsed ``_LARGE_AT_ONCE`` at a time: one of 7 MB takes several times its size when parsed."""
_LARGE_AT_ONCE = 2


class _Asker(NamedTuple):
    """A request at a door, with its client and the access keys in its head."""

    arrival: Arrival
    place: ServerPath
    network: ClientNetwork
    keys: frozenset[str]
    """The different access keys in the header and the query."""


class ServerEventDoor:
    """Answers at every path of server events."""

    def __init__(  # noqa: PLR0913 - what a door needs
        self,
        policies: Mapping[str, Policy],
        *,
        keys: KeyRing,
        wrong_keys: WrongKeys,
        admission: Admission,
        reader: ServerBodyReader,
        turns: Turns,
        store: DecisionStore,
        faults: FaultReporter,
        hooks: HookDoor,
        clock_ns: Callable[[], int],
        random_numbers: Iterator[int],
    ) -> None:
        """Open the doors.

        Args:
            policies: By the name of the site.
            keys: Says which site an access key belongs to.
            wrong_keys: Answers clients that sent a wrong key.
            admission: Admits or refuses requests that have no right key in their head.
            reader: Reads bodies.
            turns: Decide which client's part of a large request is next.
            store: Makes decisions durable.
            faults: Is told of errors of ours.
            hooks: Answers webhooks.
            clock_ns: The server's clock in nanoseconds.
            random_numbers: Yields unpredictable integers of 128 random bits.
        """
        self._policies = policies
        self._keys = keys
        self._wrong_keys = wrong_keys
        self._admission = admission
        self._reader = reader
        self._turns = turns
        self._store = store
        self._faults = faults
        self._hooks = hooks
        self._clock_ns = clock_ns
        self._random_numbers = random_numbers
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def answer(self, arrival: Arrival, place: ServerPath) -> HttpAnswer:
        """Answer a request to a path of server events.

        Raises:
            BodyLostError: when the client hung up, or sent no body that can be read.
        """
        trace = new_trace(next(self._random_numbers))
        try:
            return await self._answer(arrival, place, trace)
        except answers.RefusedError as error:
            # Refusals are cheap, but not free: a flood of them takes turns like everything else.
            await take_turn(self._turns, client_network(arrival.client.address))
            return error.refusal.answer(trace)
        except (OSError, BodyLostError):
            raise  # handled by the server
        except Exception as error:  # noqa: BLE001 - the same request would fail again
            self._faults.report(error, lost="requests with server events are refused")
            return answers.internal_error().answer(trace)

    async def _answer(self, arrival: Arrival, place: ServerPath, trace: str) -> HttpAnswer:
        method = arrival.request.method
        hook = self._hooks.find_hook(place.site, place.kind)
        if not place.pixel and hook is None:
            raise answers.RefusedError(answers.unsupported(method, arrival.request.path.strip("/"), 404))
        if method != "POST":
            answer = answers.unsupported(method, place.pixel or place.kind, 405).answer(trace)
            answer.headers["Allow"] = "POST"
            return answer
        asker = _asker(arrival, place)
        if hook:
            self._hooks.check_head(hook, arrival)
            return await self._admitted(asker, partial(self._hooks.answer, hook, arrival, asker.network))
        if not asker.keys:
            self._wrong_keys.check_searched(asker.network)
        site = self._site(asker, asker.keys) if asker.keys else None
        judged = partial(self._judged, asker, site, trace)
        return await self._admitted(asker, judged, is_known=site is not None)

    async def _admitted(
        self, asker: _Asker, judged: Callable[[bytes], Awaitable[HttpAnswer]], *, is_known: bool = False
    ) -> HttpAnswer:
        """Judge a body while the request counts in its client's share; ``is_known``: its key is right, it is let in."""
        size = min(asker.arrival.request.size, BODY)
        if not is_known and (refused := self._admission.refusal(asker.network, size)):
            word = answers.throttled if refused.status == 429 else answers.unavailable
            raise answers.RefusedError(word(refused.why, refused.retry_seconds))
        self._admission.enter(asker.network, size)
        try:
            async with self._body(asker) as body, self._room_for(body):
                return await judged(body)
        except _UNREAD as error:
            raise answers.RefusedError(_refusal_of(error)) from error
        finally:
            self._admission.leave(asker.network, size)

    def _body(self, asker: _Asker) -> AbstractAsyncContextManager[bytes]:
        return self._reader.body(asker.arrival.request, asker.network)

    def _room_for(self, body: bytes) -> AbstractAsyncContextManager[None]:
        return self._large if len(body) > _LARGE else nullcontext()

    async def _judged(self, asker: _Asker, site: Site | None, trace: str, body: bytes) -> HttpAnswer:
        head = asker.arrival.headers
        told = ServerBody(body, head.get("content-type", ""), asker.arrival.request.query)
        claim = await work_in_turns(self._turns, asker.network, claim_parts(told))
        if site is None or not asker.keys.issuperset(claim.access_keys):
            site = self._site_in(asker, claim, len(body))
        now = self._clock_ns() // 1_000_000
        parts = ingest_claim(
            claim,
            self._policies[site.name],
            pixel=asker.place.pixel,
            now=now,
            is_all_or_nothing=asker.place.door is ServerDoor.GRAPH,
        )
        decided = await work_in_turns(self._turns, asker.network, parts)
        try:
            answer = _answer_to(decided, asker.place.door, trace)
        except answers.RefusedError:
            self._faults.report_places(decided.decision.faults, lost="requests with server events are refused")
            raise
        if not await self._store.try_store(decided.decision, now, turn=partial(take_turn, self._turns, asker.network)):
            raise answers.RefusedError(answers.NOT_STORED)
        return answer

    def _site_in(self, asker: _Asker, claim: ServerClaim, size: int) -> Site:
        """Return the site of the keys in head and body; without a right key, charge the client for ``size`` bytes."""
        try:
            return self._site(asker, asker.keys.union(claim.access_keys), claim.problem)
        except answers.RefusedError:
            self._wrong_keys.charge_search(asker.network, size)
            raise

    def _site(self, asker: _Asker, keys: frozenset[str], problem: str = "") -> Site:
        """Return the site that the access key belongs to, if the site lists the pixel.

        Raises:
            answers.RefusedError: when there is no key, several, or a wrong one, or the site does not list the pixel.
        """
        if not keys:
            raise answers.RefusedError(answers.invalid(problem) if problem else answers.NO_KEY)
        if len(keys) > 1:
            raise answers.RefusedError(
                answers.invalid("access_token: different ones; accepted: one, wherever it stands")
            )
        (key,) = keys
        site = self._keys.site_of(key)
        if site is None:
            raise answers.RefusedError(self._wrong_keys.refusal(asker.network))
        if asker.place.pixel not in self._policies[site.name].pixels:
            raise answers.RefusedError(answers.unsupported("POST", asker.place.pixel))
        return site


def _asker(arrival: Arrival, place: ServerPath) -> _Asker:
    kind, _, token = arrival.headers.get("authorization", "").strip().partition(" ")
    bearer = {token.strip()} if kind.lower() == "bearer" and token.strip() else set()
    in_query = claim_of(ServerBody(b"", "", arrival.request.query)).access_keys
    return _Asker(arrival, place, client_network(arrival.client.address), frozenset(bearer.union(in_query)))


def _answer_to(decided: ServerDecision, door: ServerDoor, trace: str) -> HttpAnswer:
    """Return the answer to what was decided.

    Raises:
        answers.RefusedError: when none of its events is taken.
    """
    if decided.unreadable:
        raise answers.RefusedError(answers.invalid(decided.unreadable))
    taken = decided.received - len(decided.refused)
    if decided.refused and (door is ServerDoor.GRAPH or not taken):
        raise answers.RefusedError(answers.refused_events(decided.refused))
    if door is ServerDoor.GRAPH:
        return answers.graph_success(decided.received, trace)
    return answers.gateway_success(taken, decided.refused, trace)


_UNREAD = (BodyTooLargeError, BodyTooSlowError, UnknownCodingError, UnpackableError, NoRoomError)


def _refusal_of(error: Exception) -> answers.GraphRefusal:
    """Return the refusal of a request whose body could not be read."""
    match error:
        case BodyTooLargeError():
            return answers.invalid(f"body: too large; accepted: {server_limits.BODY} bytes, packed and unpacked", 413)
        case BodyTooSlowError():
            return answers.transient_error(408, "The body came too slowly; try again")
        case UnknownCodingError():
            return answers.invalid("content-encoding: accepted: gzip, deflate or identity", 415)
        case NoRoomError():
            return answers.unavailable("Too much under way; try again later", _RETRY_SECONDS)
        case _:
            return answers.invalid("content-encoding: the body is not packed so, or not whole")

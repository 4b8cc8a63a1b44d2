"""The part of the operator API that is about people: erasures, and the list of suppressions. Digests only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import web

from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Archive, Suppression
from proxy.rules.identity.person_digest import ACCEPTED, UnknownPersonError, people_of
from proxy.telemetry.metrics import Metrics

_MOST_ROWS = 1000


class BadQueryError(ValueError):
    """A parameter of the operator API cannot be used; the text says what is accepted."""


class PersonApi:
    """Answers the owner, who may name anybody."""

    def __init__(
        self, queue: Archive, metrics: Metrics, *, now: Callable[[], int], person_keys: Sequence[bytes] = ()
    ) -> None:
        self._queue = queue
        self._metrics = metrics
        self._now = now
        self._people_keys = person_keys

    def add_to(self, app: web.Application) -> None:
        """Add the addresses of this part."""
        app.router.add_post("/api/erase", self._erase)
        app.router.add_get("/api/suppressions", self._suppressions)
        app.router.add_post("/api/suppressions/lift", self._lift)

    async def _erase(self, request: web.Request) -> web.Response:
        erased = await self._queue.erase(self._people(await _document(request)), self._now())
        self._metrics.suppressed(SuppressionKind.ERASURE)
        return _json(asdict(erased))

    async def _suppressions(self, request: web.Request) -> web.Response:
        limit, kind = request.query.get("limit", "100"), request.query.get("kind", "")
        if not limit.isdecimal() or not 0 < int(limit) <= _MOST_ROWS:
            raise BadQueryError(f"limit: {limit[:20]!r}; accepted: 1 to {_MOST_ROWS}")
        found = await self._queue.suppressions(next(iter(_kinds(kind))) if kind else None, limit=int(limit))
        return _json({"suppressions": list(map(suppression_json, found))})

    async def _lift(self, request: web.Request) -> web.Response:
        document = await _document(request)
        kinds = _kinds(document.get("kind", ""))
        lifted = await self._queue.lift(self._people(document), kinds, self._now())
        self._metrics.lifted(lifted)
        return _json({"lifted": len(lifted)})

    def _people(self, document: Mapping[str, Any]) -> tuple[bytes, ...]:
        try:
            return people_of(document, self._people_keys)
        except UnknownPersonError as error:
            raise BadQueryError(f"{error}; accepted: {ACCEPTED}") from None


def suppression_json(suppression: Suppression) -> dict[str, Any]:
    """Return a suppression as the API and the command print it."""
    return {"at": suppression.at, "kind": suppression.kind, "digest": suppression.digest.hex()}


def _kinds(name: Any) -> Sequence[SuppressionKind]:
    if not name:
        return list(SuppressionKind)
    if not isinstance(name, str) or name not in set(SuppressionKind):
        raise BadQueryError(f"kind: {str(name)[:20]!r}; accepted: {', '.join(SuppressionKind)}")
    return [SuppressionKind(name)]


async def _document(request: web.Request) -> Mapping[str, Any]:
    try:
        document = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise BadQueryError("body: accepted: a JSON object")
    return document


def _json(document: Mapping[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json")

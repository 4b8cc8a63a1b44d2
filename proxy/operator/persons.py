"""The part of the operator API that is about persons: erasures, and the list of suppressions. Digests only."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from proxy.model.suppression import SuppressionKind
from proxy.operator.documents import BadQueryError, json_object, json_response, row_limit
from proxy.queue.contract import Archive, Suppression
from proxy.rules.identity.person_digest import ACCEPTED, UnknownPersonError, person_digests_of
from proxy.telemetry.metrics import Metrics

_DIGESTS = re.compile("([0-9a-f]{32})?")


class PersonApi:
    """Erases persons, and lists and lifts suppressions."""

    def __init__(
        self, queue: Archive, metrics: Metrics, *, now: Callable[[], int], person_keys: Sequence[bytes] = ()
    ) -> None:
        """Take what keeps events and suppressions.

        Args:
            queue: Where events and suppressions are kept.
            metrics: Count suppressions that are set and lifted.
            now: Server clock in milliseconds.
            person_keys: Keys of the digests of persons, the current one first.
        """
        self._queue = queue
        self._metrics = metrics
        self._now = now
        self._person_keys = person_keys

    def add_to(self, app: web.Application) -> None:
        """Add the routes of this part."""
        app.router.add_post("/api/erase", self._erase)
        app.router.add_get("/api/suppressions", self._suppressions)
        app.router.add_post("/api/suppressions/lift", self._lift)

    async def _erase(self, request: web.Request) -> web.Response:
        erased = await self._queue.erase(self._digests(await json_object(request)), self._now())
        self._metrics.suppressed(SuppressionKind.ERASURE)
        return json_response(asdict(erased))

    async def _suppressions(self, request: web.Request) -> web.Response:
        kind = request.query.get("kind", "")
        found = await self._queue.suppressions(
            next(iter(_kinds(kind))) if kind else None, limit=row_limit(request.query), after=_after(request.query)
        )
        return json_response({"suppressions": list(map(suppression_json, found))})

    async def _lift(self, request: web.Request) -> web.Response:
        document = await json_object(request)
        kinds = _kinds(document.get("kind", ""))
        lifted = await self._queue.lift(self._digests(document), kinds, self._now())
        self._metrics.lifted(lifted)
        return json_response({"lifted": len(lifted)})

    def _digests(self, document: Mapping[str, Any]) -> tuple[bytes, ...]:
        try:
            return person_digests_of(document, self._person_keys)
        except UnknownPersonError as error:
            raise BadQueryError(f"{error}; accepted: {ACCEPTED}") from None


def suppression_json(suppression: Suppression) -> dict[str, Any]:
    """Return a suppression as the API and the command print it."""
    return {"at": suppression.at, "kind": suppression.kind, "digest": suppression.digest.hex()}


def _after(query: Mapping[str, str]) -> bytes | None:
    text = query.get("after")
    if text is None:
        return None
    if not _DIGESTS.fullmatch(text):
        raise BadQueryError(f"after: {text[:40]!r}; accepted: a digest of the list, or nothing for the first")
    return bytes.fromhex(text)


def _kinds(name: Any) -> Sequence[SuppressionKind]:
    if not name:
        return list(SuppressionKind)
    if not isinstance(name, str) or name not in set(SuppressionKind):
        raise BadQueryError(f"kind: {str(name)[:20]!r}; accepted: {', '.join(SuppressionKind)}")
    return [SuppressionKind(name)]

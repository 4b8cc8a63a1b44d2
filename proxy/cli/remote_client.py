"""Reads and changes the operator's data through the API of the running proxy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

from proxy.cli.client_error import OperatorClientError, ProxyAwayError
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Erased, Filter

_ERASE_S = 3600
"""Seconds that an erasure may take: it reads everything that waits."""


class RemoteClient:
    """Asks the running proxy; see ``OperatorClient``."""

    def __init__(self, session: aiohttp.ClientSession, away: str) -> None:
        """Take a session whose base is the proxy's address; ``away`` is the error text when nothing answers."""
        self._session = session
        self._away = away

    async def events(self, wanted: Filter) -> list[dict[str, Any]]:
        """See ``OperatorClient``; a long search answers in parts."""
        found: list[dict[str, Any]] = []
        while True:
            page = await self._ask(
                "GET", "/api/events", params=_query(replace(wanted, limit=wanted.limit - len(found)))
            )
            found += page["events"]
            if not page.get("below") or len(found) >= wanted.limit:
                return found
            wanted = replace(wanted, below=page["below"])

    async def waiting(self, wanted: Filter) -> list[dict[str, Any]]:
        """See ``OperatorClient``."""
        events: list[dict[str, Any]] = (await self._ask("GET", "/api/waiting", params=_query(wanted)))["waiting"]
        return events

    async def overview(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """See ``OperatorClient``."""
        found: dict[str, Any] = await self._ask("GET", "/api/overview", params=dict(asked))
        return found

    async def dead(self, wanted: Filter) -> list[dict[str, Any]]:
        """See ``OperatorClient``."""
        letters: list[dict[str, Any]] = (await self._ask("GET", "/api/dead", params=_query(wanted)))["dead"]
        return letters

    async def replay(self, ids: Sequence[int]) -> int:
        """See ``OperatorClient``."""
        return int((await self._ask("POST", "/api/dead/replay", json={"ids": list(ids)}))["replayed"])

    async def discard(self, ids: Sequence[int]) -> int:
        """See ``OperatorClient``."""
        return int((await self._ask("POST", "/api/dead/discard", json={"ids": list(ids)}))["discarded"])

    async def erase(self, person: Mapping[str, Sequence[str]]) -> Erased:
        """See ``OperatorClient``."""
        timeout = aiohttp.ClientTimeout(total=_ERASE_S)
        return Erased(**await self._ask("POST", "/api/erase", json=dict(person), timeout=timeout))

    async def suppressions(
        self, kind: SuppressionKind | None, limit: int, after: bytes | None = None
    ) -> list[dict[str, Any]]:
        """See ``OperatorClient``."""
        params = {"limit": str(limit)} | ({"kind": kind.value} if kind else {})
        params |= {} if after is None else {"after": after.hex()}
        found: list[dict[str, Any]] = (await self._ask("GET", "/api/suppressions", params=params))["suppressions"]
        return found

    async def lift(self, person: Mapping[str, Sequence[str]], kind: SuppressionKind | None) -> int:
        """See ``OperatorClient``."""
        body = {**person, "kind": kind or ""}
        return int((await self._ask("POST", "/api/suppressions/lift", json=body))["lifted"])

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            async with self._session.request(method, path, **options) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ProxyAwayError(f"{self._away} ({type(error).__name__})") from error
        if status == HTTPStatus.UNAUTHORIZED:
            raise OperatorClientError("the running proxy refuses operator_password: it was started with another one")
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise OperatorClientError("the running proxy had too many wrong passwords; try again in some minutes")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ProxyAwayError(f"the running proxy cannot answer now: {_error(status, body)}")
        return _answer(status, body)


def _answer(status: int, body: bytes) -> Any:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise OperatorClientError(f"what answers on operator_listen is no capi-proxy (HTTP status {status})")
    if status != HTTPStatus.OK:
        raise OperatorClientError(f"the running proxy refuses: {answer.get('error', status)}")
    return answer


def _error(status: int, body: bytes) -> object:
    try:
        return orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"HTTP status {status}"


def _query(wanted: Filter) -> dict[str, str]:
    texts = {"pixel": wanted.pixel, "name": wanted.name, "id": wanted.id, "reason": wanted.reason, "site": wanted.site}
    texts |= {"action_source": wanted.action_source, "status": wanted.status or "", "browser_copy": wanted.browser_copy}
    texts["below"] = wanted.below
    numbers = {"since": wanted.since, "from": wanted.since_ms, "to": wanted.until_ms, "before": wanted.before or None}
    fields = {**texts, **{key: f"{number}" for key, number in numbers.items() if number is not None}}
    return {key: value for key, value in fields.items() if value} | {"limit": f"{wanted.limit}"}

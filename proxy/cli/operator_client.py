"""What the commands read and mend: through the running proxy, or from data_dir when none runs."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp
import orjson
from aiohttp import hdrs

from proxy.config.load import Config
from proxy.graph.law import MAX_AGE_MS
from proxy.installation import locked, now_ms, open_queue
from proxy.model.suppression import SuppressionKind
from proxy.operator.api import dead_letter_json, event_json
from proxy.operator.persons import suppression_json
from proxy.queue.contract import Erased, Filter
from proxy.queue.sqlite.engine import DataDirBusyError, LocalQueue
from proxy.rules.identity.person_digest import ACCEPTED, UnknownPersonError, identifiers, people_of
from proxy.rules.identity.reference import LENGTH
from proxy.rules.match.text import sha256

# A long backlog is read through whole.
_ERASE_S = 3600
_NUMBER = re.compile("[0-9a-f]{32}")


class OperatorClientError(Exception):
    """The books cannot be read; the text says why."""


class OperatorClient(Protocol):
    """What the commands ask."""

    async def events(self, wanted: Filter) -> list[dict[str, Any]]:
        """Return finished events, newest first."""

    async def dead(self, wanted: Filter) -> list[dict[str, Any]]:
        """Return dead letters, newest first."""

    async def replay(self, ids: Sequence[int]) -> int:
        """Put dead letters back; return how many were young enough."""

    async def discard(self, ids: Sequence[int]) -> int:
        """Remove dead letters; return how many."""

    async def erase(self, person: Mapping[str, Sequence[str]]) -> Erased:
        """Remove what is kept of a person, named as in ``people_of``, and refuse older events that come later."""

    async def suppressions(self, kind: SuppressionKind | None, limit: int) -> list[dict[str, Any]]:
        """Return suppressions of a kind, or of any, newest first."""

    async def lift(self, person: Mapping[str, Sequence[str]], kind: SuppressionKind | None) -> int:
        """End the suppressions of a person, of a kind or of any; return how many."""


def person_of(
    config: Config, *, emails: Sequence[str], phones: Sequence[str], ids: Sequence[str], visitors: Sequence[str]
) -> dict[str, list[str]]:
    """Return a person as the owner wrote it, in the form of ``people_of``.

    Phone numbers are read as of every site's country. A visitor is named by a reference, or by the number that pages
    of an earlier version showed.

    Raises:
        ValueError: when a value has no form to be known by; the text is its key.
    """
    countries = {"", *(site.country.lower() for site in config.settings.site)}
    written = ["".join(visitor.split()).lower() for visitor in visitors]
    references = [text for text in written if len(text) == LENGTH]
    numbers = [text for text in written if _NUMBER.fullmatch(text)]
    if len(references) + len(numbers) < len(written):
        raise ValueError("visitor")
    own = [*ids, *map(sha256, numbers)]
    found = identifiers({"em": emails, "ph": phones, "external_id": own}, countries)
    return found | ({"visitor": references} if references else {})


@asynccontextmanager
async def open_operator_client(config: Config) -> AsyncIterator[OperatorClient]:
    """Reach the data of an installation: through the running proxy, or in ``data_dir`` when none runs.

    Raises:
        OperatorClientError: when there is none, or the running proxy does not answer.
        QueueBrokenError: when the queue in ``data_dir`` cannot be opened.
        OSError: when ``data_dir`` cannot be read.
    """
    if not config.data_dir.is_dir():
        raise OperatorClientError(
            f"{config.data_dir}: no such directory; has the proxy ever run with this configuration?"
        )
    async with AsyncExitStack() as stack:
        try:
            installation = stack.enter_context(locked(config))
        except DataDirBusyError:
            yield await stack.enter_async_context(_remote_client(config))
            return
        queue = open_queue(installation, now_ms)
        stack.push_async_callback(queue.close)
        yield _LocalClient(queue, installation.person_keys())


@asynccontextmanager
async def _remote_client(config: Config) -> AsyncIterator[OperatorClient]:
    server = config.settings.server
    password = server.operator_password.get_secret_value()
    base = f"http://{server.operator_listen.from_here.authority}"
    headers = {hdrs.AUTHORIZATION: aiohttp.encode_basic_auth("operator", password)} if password else {}
    async with aiohttp.ClientSession(base, headers=headers, timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield _RemoteClient(session)


class _LocalClient:
    def __init__(self, queue: LocalQueue, person_keys: Sequence[bytes]) -> None:
        self._queue = queue
        self._people_keys = person_keys

    async def events(self, wanted: Filter) -> list[dict[str, Any]]:
        return [event_json(row) async for row in self._queue.events(wanted)]

    async def dead(self, wanted: Filter) -> list[dict[str, Any]]:
        return [dead_letter_json(letter) for letter in await self._queue.dead(wanted)]

    async def replay(self, ids: Sequence[int]) -> int:
        return await self._queue.replay(ids, not_before_s=(now_ms() - MAX_AGE_MS) // 1000)

    async def discard(self, ids: Sequence[int]) -> int:
        return await self._queue.discard(ids)

    async def erase(self, person: Mapping[str, Sequence[str]]) -> Erased:
        return await self._queue.erase(self._people(person), now_ms())

    async def suppressions(self, kind: SuppressionKind | None, limit: int) -> list[dict[str, Any]]:
        return [suppression_json(one) for one in await self._queue.suppressions(kind, limit=limit)]

    async def lift(self, person: Mapping[str, Sequence[str]], kind: SuppressionKind | None) -> int:
        return len(await self._queue.lift(self._people(person), [kind] if kind else list(SuppressionKind), now_ms()))

    def _people(self, person: Mapping[str, Sequence[str]]) -> tuple[bytes, ...]:
        try:
            return people_of(person, self._people_keys)
        except UnknownPersonError as error:
            raise OperatorClientError(f"{error}; accepted: {ACCEPTED}") from None


class _RemoteClient:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def events(self, wanted: Filter) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = (await self._ask("GET", "/api/events", params=_query(wanted)))["events"]
        return events

    async def dead(self, wanted: Filter) -> list[dict[str, Any]]:
        letters: list[dict[str, Any]] = (await self._ask("GET", "/api/dead", params=_query(wanted)))["dead"]
        return letters

    async def replay(self, ids: Sequence[int]) -> int:
        return int((await self._ask("POST", "/api/dead/replay", json={"ids": list(ids)}))["replayed"])

    async def discard(self, ids: Sequence[int]) -> int:
        return int((await self._ask("POST", "/api/dead/discard", json={"ids": list(ids)}))["discarded"])

    async def erase(self, person: Mapping[str, Sequence[str]]) -> Erased:
        patience = aiohttp.ClientTimeout(total=_ERASE_S)
        return Erased(**await self._ask("POST", "/api/erase", json=dict(person), timeout=patience))

    async def suppressions(self, kind: SuppressionKind | None, limit: int) -> list[dict[str, Any]]:
        params = {"limit": str(limit)} | ({"kind": kind.value} if kind else {})
        found: list[dict[str, Any]] = (await self._ask("GET", "/api/suppressions", params=params))["suppressions"]
        return found

    async def lift(self, person: Mapping[str, Sequence[str]], kind: SuppressionKind | None) -> int:
        body = {**person, "kind": kind or ""}
        return int((await self._ask("POST", "/api/suppressions/lift", json=body))["lifted"])

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            async with self._session.request(method, path, **options) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OperatorClientError(
                f"the running proxy does not answer on its operator port: {type(error).__name__}"
            ) from error
        if status == HTTPStatus.UNAUTHORIZED:
            raise OperatorClientError("the running proxy refuses operator_password: it was started with another one")
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise OperatorClientError("the running proxy had too many wrong passwords; try again in some minutes")
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


def _query(wanted: Filter) -> dict[str, str]:
    texts = {"pixel": wanted.pixel, "name": wanted.name, "id": wanted.id, "reason": wanted.reason}
    fields = {**texts, "status": wanted.status or "", "before": f"{wanted.before or ''}"}
    return {key: value for key, value in fields.items() if value} | {"limit": str(wanted.limit)}

"""What the commands read and mend: through the running proxy, or from data_dir when none runs."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp
import orjson
from aiohttp import hdrs

from proxy.app import installation_secret, now_ms, open_queue, people_keys
from proxy.config import Config
from proxy.edge.operator import event_json, letter_json
from proxy.model import MAX_AGE_MS
from proxy.queue.base import Erased, Filter
from proxy.queue.local import DataDirBusyError, DataDirLock, LocalQueue
from proxy.rules.people import digests, identifiers
from proxy.rules.raw import sha256

# A long backlog is read through whole.
_ERASE_S = 3600


class BooksError(Exception):
    """The books cannot be read; the text says why."""


class Books(Protocol):
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
        """Remove what is kept of a person, given by hashed match keys, and refuse older events that come later."""


def person_of(
    config: Config, *, emails: Sequence[str], phones: Sequence[str], ids: Sequence[str], visitors: Sequence[str]
) -> dict[str, list[str]]:
    """Return hashed match keys of a person as the owner wrote them; phone numbers are read as of every site's country.

    Raises:
        ValueError: when a value has no form to be known by; the text is its key.
    """
    countries = {"", *(site.country.lower() for site in config.settings.site)}
    own = [*ids, *(sha256(visitor.strip().lower()) for visitor in visitors)]
    return identifiers({"em": emails, "ph": phones, "external_id": own}, countries)


@asynccontextmanager
async def open_books(config: Config) -> AsyncIterator[Books]:
    """Open the books of an installation.

    Raises:
        BooksError: when there are none, or the running proxy does not answer.
    """
    if not config.data_dir.is_dir():
        raise BooksError(f"{config.data_dir}: no such directory; has the proxy ever run with this configuration?")
    try:
        lock = DataDirLock(config.data_dir)
    except DataDirBusyError:
        async with _remote(config) as books:
            yield books
        return
    try:
        secret = installation_secret(config.settings, config.data_dir)
        queue = open_queue(config, secret)
        try:
            yield _Local(queue, people_keys(config.settings, secret))
        finally:
            await queue.close()
    finally:
        lock.close()


@asynccontextmanager
async def _remote(config: Config) -> AsyncIterator[Books]:
    server = config.settings.server
    password = server.operator_password.get_secret_value()
    base = f"http://{server.operator_listen.from_here.authority}"
    headers = {hdrs.AUTHORIZATION: aiohttp.encode_basic_auth("operator", password)} if password else {}
    async with aiohttp.ClientSession(base, headers=headers, timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield _Remote(session)


class _Local:
    def __init__(self, queue: LocalQueue, people_keys: Sequence[bytes]) -> None:
        self._queue = queue
        self._people_keys = people_keys

    async def events(self, wanted: Filter) -> list[dict[str, Any]]:
        return [event_json(row) async for row in self._queue.events(wanted)]

    async def dead(self, wanted: Filter) -> list[dict[str, Any]]:
        return [letter_json(letter) for letter in await self._queue.dead(wanted)]

    async def replay(self, ids: Sequence[int]) -> int:
        return await self._queue.replay(ids, not_before_s=(now_ms() - MAX_AGE_MS) // 1000)

    async def discard(self, ids: Sequence[int]) -> int:
        return await self._queue.discard(ids)

    async def erase(self, person: Mapping[str, Sequence[str]]) -> Erased:
        return await self._queue.erase(digests(person, self._people_keys), now_ms())


class _Remote:
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

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            async with self._session.request(method, path, **options) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BooksError(
                f"the running proxy does not answer on its operator port: {type(error).__name__}"
            ) from error
        if status == HTTPStatus.UNAUTHORIZED:
            raise BooksError("the running proxy refuses operator_password: it was started with another one")
        return _answer(status, body)


def _answer(status: int, body: bytes) -> Any:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BooksError(f"what answers on operator_listen is no capi-proxy (HTTP status {status}, no JSON)") from None
    if status != HTTPStatus.OK:
        raise BooksError(f"the running proxy refuses: {answer.get('error', status)}")
    return answer


def _query(wanted: Filter) -> dict[str, str]:
    texts = {"pixel": wanted.pixel, "name": wanted.name, "id": wanted.id, "reason": wanted.reason}
    fields = {**texts, "status": wanted.status or "", "before": f"{wanted.before or ''}"}
    return {key: value for key, value in fields.items() if value} | {"limit": str(wanted.limit)}

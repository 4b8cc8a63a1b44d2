"""How commands reach events, dead letters and persons: through the running proxy, or in data_dir when none runs."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp
import orjson
from aiohttp import hdrs

from proxy.cli.known_password import PasswordUnknownError, known_password
from proxy.config.load import Config
from proxy.graph.law import MAX_AGE_MS
from proxy.installation import Installation, locked, now_ms, open_books
from proxy.model.suppression import SuppressionKind
from proxy.operator.documents import BadQueryError
from proxy.operator.event_json import dead_letter_json, event_json
from proxy.operator.overview import asked_of, overview_json
from proxy.operator.persons import suppression_json
from proxy.queue.contract import ClosedBooks, Erased, Filter
from proxy.queue.sqlite.data_dir import DataDirBusyError
from proxy.queue.sqlite.inspect import reader_of
from proxy.queue.sqlite.reader import Reader
from proxy.rules.identity.person_digest import ACCEPTED, UnknownPersonError, people_of

_ANSWER_S = 60
_ERASE_S = 3600
"""An erasure reads all that waits."""


class OperatorClientError(Exception):
    """The operator's data cannot be reached; the text says why."""


class OperatorClient(Protocol):
    """What commands can ask and do."""

    async def events(self, wanted: Filter) -> list[dict[str, Any]]:
        """Return finished events, newest first."""

    async def overview(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """Return figures, as ``/api/overview`` answers these parameters."""

    async def dead(self, wanted: Filter) -> list[dict[str, Any]]:
        """Return dead letters, newest first."""

    async def replay(self, ids: Sequence[int]) -> int:
        """Put dead letters back; return how many were young enough."""

    async def discard(self, ids: Sequence[int]) -> int:
        """Remove dead letters; return how many."""

    async def erase(self, person: Mapping[str, Sequence[str]]) -> Erased:
        """Remove what waits about a person, as ``people_of`` takes one, and refuse older events that come later."""

    async def suppressions(
        self, kind: SuppressionKind | None, limit: int, after: bytes | None = None
    ) -> list[dict[str, Any]]:
        """Return suppressions of a kind, or of any, newest first.

        Args:
            kind: Only these; None: of all kinds.
            limit: How many at the most.
            after: Only those with larger digests than this one, in the order of digests; see ``Archive``.
        """

    async def lift(self, person: Mapping[str, Sequence[str]], kind: SuppressionKind | None) -> int:
        """End the suppressions of a person, of a kind or of any; return how many."""


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
        client = _LocalClient(installation)
        stack.push_async_callback(client.close)
        yield client


@asynccontextmanager
async def _remote_client(config: Config) -> AsyncIterator[OperatorClient]:
    server = config.settings.server
    try:
        password = known_password(server.operator_password.get_secret_value())
    except PasswordUnknownError as error:
        raise OperatorClientError(str(error)) from None
    base = f"http://{server.operator_listen.from_here.authority}"
    headers = {hdrs.AUTHORIZATION: aiohttp.encode_basic_auth("operator", password)} if password else {}
    async with aiohttp.ClientSession(base, headers=headers, timeout=aiohttp.ClientTimeout(total=_ANSWER_S)) as session:
        yield _RemoteClient(session)


class _LocalClient:
    """Reads the files of a proxy that does not run as they stand; opens its queue only to change something.

    A shared queue it reads where that is, whoever else works on it.
    """

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        # Beside a shared queue a file is what is left of an older engine, and nothing of it is shown.
        is_in_file = installation.settings.queue.engine == "sqlite"
        self._reader = reader_of(installation.config.data_dir, installation.sealer()) if is_in_file else None
        self._opened: ClosedBooks | None = None

    async def close(self) -> None:
        for part in (self._reader, self._opened):
            if part:
                await part.close()

    async def _archive(self) -> ClosedBooks | Reader:
        return self._reader or await self._queue()

    async def _queue(self) -> ClosedBooks:
        if self._reader:
            await self._reader.close()
            self._reader = None
        if not self._opened:
            self._opened = await open_books(self._installation, now_ms)
        return self._opened

    async def events(self, wanted: Filter) -> list[dict[str, Any]]:
        return [event_json(row) async for row in (await self._archive()).events(wanted)]

    async def overview(self, asked: Mapping[str, str]) -> dict[str, Any]:
        try:
            wanted = asked_of(asked, now_ms())
        except BadQueryError as error:
            raise OperatorClientError(str(error)) from None
        found: dict[str, Any] = orjson.loads(await overview_json(await self._archive(), wanted))
        return found

    async def dead(self, wanted: Filter) -> list[dict[str, Any]]:
        return [dead_letter_json(letter) for letter in await (await self._archive()).dead(wanted)]

    async def replay(self, ids: Sequence[int]) -> int:
        return await (await self._queue()).replay(ids, not_before_s=(now_ms() - MAX_AGE_MS) // 1000)

    async def discard(self, ids: Sequence[int]) -> int:
        return await (await self._queue()).discard(ids)

    async def erase(self, person: Mapping[str, Sequence[str]]) -> Erased:
        return await (await self._queue()).erase(self._person_digests(person), now_ms())

    async def suppressions(
        self, kind: SuppressionKind | None, limit: int, after: bytes | None = None
    ) -> list[dict[str, Any]]:
        found = await (await self._archive()).suppressions(kind, limit=limit, after=after)
        return list(map(suppression_json, found))

    async def lift(self, person: Mapping[str, Sequence[str]], kind: SuppressionKind | None) -> int:
        kinds = [kind] if kind else list(SuppressionKind)
        return len(await (await self._queue()).lift(self._person_digests(person), kinds, now_ms()))

    def _person_digests(self, person: Mapping[str, Sequence[str]]) -> tuple[bytes, ...]:
        try:
            return people_of(person, self._installation.person_keys())
        except UnknownPersonError as error:
            raise OperatorClientError(f"{error}; accepted: {ACCEPTED}") from None


class _RemoteClient:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def events(self, wanted: Filter) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = (await self._ask("GET", "/api/events", params=_query(wanted)))["events"]
        return events

    async def overview(self, asked: Mapping[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = await self._ask("GET", "/api/overview", params=dict(asked))
        return found

    async def dead(self, wanted: Filter) -> list[dict[str, Any]]:
        letters: list[dict[str, Any]] = (await self._ask("GET", "/api/dead", params=_query(wanted)))["dead"]
        return letters

    async def replay(self, ids: Sequence[int]) -> int:
        return int((await self._ask("POST", "/api/dead/replay", json={"ids": list(ids)}))["replayed"])

    async def discard(self, ids: Sequence[int]) -> int:
        return int((await self._ask("POST", "/api/dead/discard", json={"ids": list(ids)}))["discarded"])

    async def erase(self, person: Mapping[str, Sequence[str]]) -> Erased:
        timeout = aiohttp.ClientTimeout(total=_ERASE_S)
        return Erased(**await self._ask("POST", "/api/erase", json=dict(person), timeout=timeout))

    async def suppressions(
        self, kind: SuppressionKind | None, limit: int, after: bytes | None = None
    ) -> list[dict[str, Any]]:
        params = {"limit": str(limit)} | ({"kind": kind.value} if kind else {})
        params |= {} if after is None else {"after": after.hex()}
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
    since = "" if wanted.since is None else str(wanted.since)
    texts |= {"action_source": wanted.action_source, "status": wanted.status or ""}
    fields = {**texts, "before": f"{wanted.before or ''}", "since": since}
    return {key: value for key, value in fields.items() if value} | {"limit": str(wanted.limit)}

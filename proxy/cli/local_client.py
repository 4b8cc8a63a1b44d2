"""Reads and changes the operator's data in ``data_dir`` or in a shared queue, when no proxy runs in ``data_dir``."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from proxy.cli.client_error import OperatorClientError
from proxy.graph.law import MAX_AGE_MS
from proxy.installation import Installation, now_ms, open_books
from proxy.model.suppression import SuppressionKind
from proxy.operator.documents import BadQueryError
from proxy.operator.event_json import dead_letter_json, event_json, waiting_json
from proxy.operator.overview import overview_json, wanted_figures_of
from proxy.operator.persons import suppression_json
from proxy.queue.contract import ClosableBooks, Erased, Filter
from proxy.queue.sqlite.data_dir import DATABASE_FILE
from proxy.queue.sqlite.inspect import reader_of
from proxy.queue.sqlite.reader import Reader
from proxy.rules.identity.person_digest import ACCEPTED, UnknownPersonError, person_digests_of


class LocalClient:
    """Reads the files of a proxy that does not run, as they are.

    It opens the queue to change something, or if the file cannot be read as it is. A shared queue is always opened;
    proxies may work on it at the same time.
    """

    def __init__(self, installation: Installation, *, only_reads: bool = False) -> None:
        """Take an installation whose ``data_dir`` no other process works in.

        Args:
            installation: Where the data is.
            only_reads: Change nothing; if secrets are missing, read what can be read without them.
        """
        self._installation = installation
        self._only_reads = only_reads
        # With a shared queue, a database file in data_dir is left over from the time before; nothing of it is shown.
        is_in_file = installation.settings.queue.engine == "sqlite"
        data_dir, sealer = installation.config.data_dir, installation.sealer()
        self._reader = reader_of(data_dir, sealer, may_lack_secrets=only_reads) if is_in_file else None
        self._opened: ClosableBooks | None = None

    async def close(self) -> None:
        """Close what was opened."""
        for part in (self._reader, self._opened):
            if part:
                await part.close()

    async def _archive(self) -> ClosableBooks | Reader:
        return self._reader or await self._queue()

    async def _queue(self) -> ClosableBooks:
        if self._reader:
            await self._reader.close()
            self._reader = None
        if self._only_reads and (why := self._why_unreadable()):
            raise OperatorClientError(why)
        if not self._opened:
            self._opened = await open_books(self._installation, now_ms)
        return self._opened

    def _why_unreadable(self) -> str:
        """Return why a client that only reads cannot open the queue; empty when it can.

        It may open only a shared queue, and needs secrets for that; to open SQLite's file could create or upgrade it.
        """
        config = self._installation.config
        if self._installation.settings.queue.engine == "sqlite":
            if not (config.data_dir / DATABASE_FILE).exists():
                return f"{config.data_dir}: no events yet; has the proxy ever run with this configuration?"
            return f"{config.data_dir}: of another version, or damaged; only a start of the proxy can tell"
        wanting = ", ".join(f"{key} is {config.missing[key]}" for key in ("secret", "url") if key in config.missing)
        return (
            wanting
            and f"no proxy runs here, and the database cannot be read without its secrets: {wanting}, not set here"
        )

    def _why_sealed(self, what: str) -> str:
        """Return why encrypted data cannot be read here, ``what`` being its name in the text; empty when it can."""
        if self._installation.secret:
            return ""
        reference = self._installation.config.missing.get("secret", "not set")
        return f"{what} is sealed, and server.secret is {reference}, which is not known here"

    async def events(self, wanted: Filter) -> list[dict[str, Any]]:
        """See ``OperatorClient``."""
        archive = await self._archive()
        if wanted.since is not None:
            return [event_json(row) async for row in archive.events(wanted)]
        found: list[dict[str, Any]] = []
        while True:
            page = await archive.event_page(replace(wanted, limit=wanted.limit - len(found)))
            found += map(event_json, page.rows)
            if page.below is None or len(found) >= wanted.limit:
                return found
            wanted = replace(wanted, below=page.below)

    async def waiting(self, wanted: Filter) -> list[dict[str, Any]]:
        """See ``OperatorClient``."""
        if sealed := self._why_sealed("what waits"):
            raise OperatorClientError(sealed)
        return [waiting_json(event) for event in await (await self._archive()).waiting_events(wanted)]

    async def overview(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """See ``OperatorClient``."""
        try:
            wanted = wanted_figures_of(asked, now_ms())
        except BadQueryError as error:
            raise OperatorClientError(str(error)) from None
        found: dict[str, Any] = orjson.loads(await overview_json(await self._archive(), wanted))
        return found

    async def dead(self, wanted: Filter) -> list[dict[str, Any]]:
        """See ``OperatorClient``."""
        letters = [dead_letter_json(letter) for letter in await (await self._archive()).dead_letters(wanted)]
        if sealed := self._why_sealed("the event"):
            return [{**letter, "event": {"sealed": sealed}} for letter in letters]
        return letters

    async def replay(self, ids: Sequence[int]) -> int:
        """See ``OperatorClient``."""
        return await (await self._queue()).replay(ids, not_before_s=(now_ms() - MAX_AGE_MS) // 1000)

    async def discard(self, ids: Sequence[int]) -> int:
        """See ``OperatorClient``."""
        return await (await self._queue()).discard(ids)

    async def erase(self, person: Mapping[str, Sequence[str]]) -> Erased:
        """See ``OperatorClient``."""
        return await (await self._queue()).erase(self._person_digests(person), now_ms())

    async def suppressions(
        self, kind: SuppressionKind | None, limit: int, after: bytes | None = None
    ) -> list[dict[str, Any]]:
        """See ``OperatorClient``."""
        found = await (await self._archive()).suppressions(kind, limit=limit, after=after)
        return list(map(suppression_json, found))

    async def lift(self, person: Mapping[str, Sequence[str]], kind: SuppressionKind | None) -> int:
        """See ``OperatorClient``."""
        kinds = [kind] if kind else list(SuppressionKind)
        return len(await (await self._queue()).lift(self._person_digests(person), kinds, now_ms()))

    def _person_digests(self, person: Mapping[str, Sequence[str]]) -> tuple[bytes, ...]:
        try:
            return person_digests_of(person, self._installation.person_keys())
        except UnknownPersonError as error:
            raise OperatorClientError(f"{error}; accepted: {ACCEPTED}") from None

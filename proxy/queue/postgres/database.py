"""The database as the other parts use it: a connection for each role, and whether the database is here or away.

Each role has a connection of its own, so that no append waits for a page of the dashboard. A statement is never
cancelled, and no timeout is set within the server: if the server gave up its wait for a standby, it would make a commit
visible that a fail-over loses (channel.py).

A connection that is lost, or whose answer is late or not reliable, makes the database *away*: all connections are
ended, and the server to write to is looked for (hosts.py). The database is *here* again only after a server has
answered a durable write (reconnector.py).
"""

import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from proxy.queue.contract import QueueError
from proxy.queue.postgres.channel import Channel
from proxy.queue.postgres.errors import DatabaseAwayError, TableMissingError, error_text
from proxy.queue.postgres.hosts import Hosts
from proxy.queue.postgres.reconnector import Presence, Reconnector
from proxy.queue.postgres.session import Row, Session
from proxy.queue.postgres.transaction import Run

log = logging.getLogger(__name__)

T = TypeVar("T")

# For statements that no client of the proxy waits for. A settlement without an answer by then is sent again.
_LIMIT_S = 30.0


class Role(Enum):
    """Who uses a connection."""

    APPEND = "append"
    DRAIN = "drain"
    DELIVER = "deliver"
    BOOKS = "books"


class Database:
    """Runs statements on the shared database, with a connection for each role; used on the event loop only."""

    def __init__(
        self, hosts: Hosts, greet: Callable[[Session, bytes], Coroutine[Any, Any, None]], *, commit_timeout: float = 1.0
    ) -> None:
        """Begin away; ``start`` looks for the database.

        Args:
            hosts: The servers.
            greet: Makes sure that a server's schema fits and that it writes durably, for this replica; see schema.py.
            commit_timeout: Seconds that an append may take.
        """
        self.replica = uuid.uuid4().bytes
        """Names this process to the others."""
        self.watchers: list[Callable[[], None]] = []
        """Called whenever ``is_here`` has changed."""
        self.closed = False
        self.why_away = "it has not been reached yet"
        self.away_since: float | None = time.time()
        """Unix time since when it is away; None while it is here."""
        self._hosts = hosts
        self.commit_timeout = commit_timeout
        """Seconds that an append may take."""
        self._presence: Presence | None = None
        self._channels = {role: Channel(partial(self._open, role), self._mark_away) for role in Role}
        self._reconnector = Reconnector(
            hosts, lambda session: greet(session, self.replica), self._mark_here, self._explain
        )

    @property
    def is_here(self) -> bool:
        """Whether the database answers and writes durably, as far as this process knows."""
        return self._presence is not None

    async def start(self, patience: float = 5.0) -> None:
        """Look for the database; wait up to ``patience`` seconds for the first attempt, then go on in the background.

        Raises:
            MisfitError: when the attempt failed for a reason that a person must mend; see ``errors.is_lasting``.
        """
        await self._reconnector.start(patience)

    async def close(self) -> None:
        """End all connections; what is under way is left to the server."""
        self.closed = True
        self._presence = None
        self.away_since = self.away_since or time.time()
        await self._reconnector.close()
        for channel in self._channels.values():
            channel.end("the queue is closed")
        self._notify_watchers()

    async def run(self, role: Role, statement: str, *arguments: object, limit: float | None = None) -> Sequence[Row]:
        """Run one statement as a transaction of its own and return its rows; retry it if others changed the same rows.

        Args:
            role: On which connection.
            statement: Prepared once for each connection.
            arguments: Values of its parameters; a uuid is 16 bytes.
            limit: Seconds after which the caller gets DatabaseAwayError; None: the role's own limit.

        Raises:
            DatabaseAwayError: when no reliable answer came; the work may have been done.
            QueueError: see errors.py; nothing was done.
        """
        if self._presence is None:
            raise DatabaseAwayError(self.why_away)
        try:
            return await self._channels[role].do(
                lambda session: session.fetch(statement, *arguments), self._limit(role, limit)
            )
        except TableMissingError as error:
            raise self._escalate_error(role, error) from error.__cause__

    async def transact(
        self, role: Role, work: Callable[[Run], Coroutine[Any, Any, T]], *, limit: float | None = None
    ) -> T:
        """Run ``work`` in one transaction and return its result; retry it if others changed the same rows.

        Args:
            role: On which connection.
            work: Takes ``run``, and awaits nothing but the database. A retry calls it again.
            limit: Seconds after which the caller gets DatabaseAwayError; None: the role's own limit.

        Raises:
            DatabaseAwayError: when no reliable answer came; the work may have been done.
            QueueError: see errors.py; nothing was done.
        """
        async with self._require_here(role):
            return await self._channels[role].transact(work, self._limit(role, limit))

    @asynccontextmanager
    async def transaction(self, role: Role, *, limit: float | None = None) -> AsyncIterator[Run]:
        """Hold a transaction open for the body of a ``with``; as ``transact``, but without retries.

        Raises:
            ConflictError: when others changed the same rows.
            DatabaseAwayError: when no reliable answer came; the work may have been done.
            QueueError: see errors.py; nothing was done.
        """
        async with self._require_here(role), self._channels[role].transaction(self._limit(role, limit)) as run:
            yield run

    async def copy(self, role: Role, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write rows into a table by COPY, all or none.

        Args:
            role: On which connection.
            table: Its name.
            columns: Which columns the rows have.
            rows: The values.

        Raises:
            DatabaseAwayError: when no reliable answer came; the work may have been done.
            QueueError: see errors.py; nothing was done.
        """
        async with self._require_here(role):
            await self._channels[role].do(lambda session: session.copy(table, columns, rows), self._limit(role, None))

    def mark_away(self, why: str) -> None:
        """Count the database as away, for a reason that another part found in its answers."""
        self._mark_away(why)

    @asynccontextmanager
    async def _require_here(self, role: Role) -> AsyncIterator[None]:
        """Raise at once while the database is away; for roles that store events, a missing table makes it away."""
        if self._presence is None:
            raise DatabaseAwayError(self.why_away)
        try:
            yield
        except TableMissingError as error:
            raise self._escalate_error(role, error) from error.__cause__

    def _escalate_error(self, role: Role, error: TableMissingError) -> QueueError:
        if role not in {Role.APPEND, Role.DRAIN}:
            return error
        self._mark_away(str(error))
        return DatabaseAwayError(str(error))

    def _limit(self, role: Role, limit: float | None) -> float:
        if limit is not None:
            return limit
        return self.commit_timeout if role is Role.APPEND else _LIMIT_S

    async def _open(self, role: Role) -> Session:
        """Open another connection to the server that was found.

        Where that fails, the database is away only if the connection is for appends. Any other role leaves that to the
        appends: the server may have reached its limit of connections, and those that are open still work.
        """
        presence = self._presence
        if presence is None:
            raise DatabaseAwayError(self.why_away)
        try:
            session = await self._hosts.open(presence.url)
        except Exception as error:
            if presence is self._presence and role is Role.APPEND:
                self._mark_away(error_text(error))
            raise DatabaseAwayError(error_text(error)) from error
        if presence is self._presence and session.facts == presence.facts:
            return session
        session.end()
        if presence is self._presence:
            self._mark_away("another server answers at its address")
        raise DatabaseAwayError(self.why_away)

    def _mark_here(self, presence: Presence, session: Session) -> None:
        self._channels[Role.APPEND].adopt(session)
        self._presence, self.away_since = presence, None
        log.info("the database is here")
        self._notify_watchers()

    def _mark_away(self, why: str) -> None:
        if self._presence is None:
            return
        self._presence, self.away_since, self.why_away = None, time.time(), why
        log.warning("the database is away: %s", why)
        for channel in self._channels.values():
            channel.end(why)
        self._reconnector.begin()
        self._notify_watchers()

    def _explain(self, why: str) -> None:
        self.why_away = why

    def _notify_watchers(self) -> None:
        for watcher in self.watchers:
            try:
                watcher()
            except Exception:
                log.exception("a fault of ours: somebody who watches the database")

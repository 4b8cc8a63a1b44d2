"""One connection: how it is opened, what its session is set to, and what it says of its server.

The settings of a session override the defaults of role, database and server: a commit waits for the standbys, warnings
reach us, and no timeout is set within the server, which would report a commit that gave up its wait for a standby as a
success. JIT compilation, parallel workers and sequential scans are off: each statement reads few rows, by an index, and
takes less time than a worker needs to start.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

import asyncpg

from proxy.queue.postgres.errors import DatabaseAwayError, to_queue_error

log = logging.getLogger(__name__)

T = TypeVar("T")

Row: TypeAlias = Any
"""An asyncpg.Record: columns by name and by position; a uuid is 16 bytes."""

CONNECT_S = 1.5
_UUID = 16
_SETTINGS = {
    "synchronous_commit": "on",
    "client_min_messages": "warning",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "5s",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "TimeZone": "UTC",
}
_FACTS = """
SELECT pg_backend_pid() AS pid, pg_is_in_recovery() OR current_setting('transaction_read_only')::bool AS read_only,
  CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END AS timeline
"""
_PLAIN_FACTS = """
SELECT pg_backend_pid() AS pid, current_setting('transaction_read_only')::bool AS read_only, NULL AS timeline
"""
_AT_WORK = "SELECT FROM pg_stat_activity WHERE pid = $1 AND state <> 'idle' AND usename = current_user"
# Databases that speak PostgreSQL's protocol, but have no write-ahead log of its kind, lack or forbid these functions.
_NO_TIMELINES = (asyncpg.UndefinedFunctionError, asyncpg.FeatureNotSupportedError, asyncpg.InsufficientPrivilegeError)
# Warnings from these source files (transaction ids run out some day) come with every statement; the commit is sound.
_HARMLESS_SOURCES = frozenset({"varsup.c", "multixact.c"})


class Facts(NamedTuple):
    """What a server says of itself."""

    read_only: bool
    timeline: int
    """Grows with every promotion of a standby; 0 where the server has no timelines."""


class Session:
    """Runs statements on one connection; the caller must ask for only one at a time."""

    def __init__(self, connection: Any, facts: Facts, pid: int) -> None:
        """Take a connection.

        Args:
            connection: Open, with its settings.
            facts: What its server says of itself.
            pid: Id of the server's process, as a statement returned it: a pooler tells another number while connecting.
        """
        self._connection = connection
        self.facts = facts
        self.pid = pid
        self.why_ended = ""
        """Why we ended the connection: what a caller that waits for an answer is told."""
        self._warning = ""
        """The last warning that came with the latest statement; empty if none came."""
        connection.add_log_listener(self._on_server_message)

    @classmethod
    async def open(cls, url: str, *, schema: str, name: str) -> Self:
        """Connect to one server.

        Args:
            url: Its address, with user and password.
            schema: Where our tables are.
            name: The application name under which the server lists this session.

        Raises:
            Exception: whatever asyncpg raises; see errors.py.
        """
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_S,
            statement_cache_size=1000,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=0,
        )
        try:
            await connection.execute(_settings_of(connection, schema, name))
            await connection.set_type_codec("uuid", schema="pg_catalog", format="binary", encoder=_bytes, decoder=bytes)
            return cls(connection, *await _facts(connection))
        except BaseException:
            connection.terminate()
            raise

    async def fetch(self, statement: str, *arguments: object) -> Sequence[Row]:
        """Run a statement, prepared once, and return its rows; the task that awaits this must not be cancelled.

        Raises:
            QueueError: see errors.py.
        """
        rows: Sequence[Row] = await self._asked(self._connection.fetch(statement, *arguments))
        return rows

    async def execute(self, statements: str) -> str:
        """Run statements without arguments; return the command tag of the last one. Otherwise as ``fetch``.

        Raises:
            QueueError: see errors.py.
        """
        return str(await self._asked(self._connection.execute(statements)))

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write rows into a table by COPY. Otherwise as ``fetch``.

        Args:
            table: Its name.
            columns: Which columns the rows have.
            rows: The values.

        Raises:
            QueueError: see errors.py.
        """
        await self._asked(self._connection.copy_records_to_table(table, records=rows, columns=columns))

    async def _asked(self, answer: Awaitable[T]) -> T:
        self._warning = ""
        try:
            result = await answer
        except Exception as error:
            if not isinstance(error, asyncpg.PostgresError | OSError):
                log.debug("asyncpg", exc_info=error)
            raise to_queue_error(error) from error
        if self._warning:
            # A warning is how the server tells that a commit was not replicated.
            raise DatabaseAwayError(f"the database warned: {self._warning}")
        return result

    @property
    def open_transaction(self) -> bool:
        """Whether a transaction is open."""
        return bool(self._connection.is_in_transaction())

    @property
    def ended(self) -> bool:
        """Whether the connection is closed."""
        return bool(self._connection.is_closed())

    async def is_at_work(self, pid: int) -> bool:
        """Tell whether another session of ours, whose server process has this id, is at work on a statement.

        Raises:
            QueueError: see errors.py.
        """
        return bool(await self.fetch(_AT_WORK, pid))

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` when the connection ends, whichever side ends it."""
        self._connection.add_termination_listener(lambda _connection: tell())

    def end(self) -> None:
        """End the connection at once; a statement under way is left to the server."""
        self._connection.terminate()

    async def close(self) -> None:
        """Close a connection on which nothing is under way: in order if that is quick, otherwise at once."""
        try:
            await self._connection.close(timeout=CONNECT_S)
        except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            self.end()

    def _on_server_message(self, _connection: object, message: Any) -> None:
        severity = getattr(message, "severity_en", None) or message.severity
        if severity == "WARNING" and message.server_source_filename not in _HARMLESS_SOURCES:
            self._warning = f"{message.message} ({message.sqlstate})"


def _settings_of(connection: Any, schema: str, name: str) -> str:
    settings = {**_SETTINGS, "search_path": schema, "application_name": name}
    if connection.get_server_version().major >= 17:
        settings["transaction_timeout"] = "0"
    return ";".join(f"SET {key} = {_quoted(value)}" for key, value in settings.items())


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


async def _facts(connection: Any) -> tuple[Facts, int]:
    try:
        row = await connection.fetchrow(_FACTS)
    except _NO_TIMELINES:
        row = await connection.fetchrow(_PLAIN_FACTS)
    return Facts(bool(row["read_only"]), int(row["timeline"] or "0", 16)), int(row["pid"])


def _bytes(value: bytes) -> bytes:
    if len(value) != _UUID:
        raise ValueError("a key has not 16 bytes")
    return value

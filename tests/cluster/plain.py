"""The append as a short statement and client, each of whose safety rules can be switched off.

The statement has the form of the engine's: keys go into the duplicate memory, new ones into the queue, and the answer
lists the repeats. The tests show with it, without the engine, what each rule is for.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from node import USER
from trio import CLIENT

TABLES = (
    "CREATE TABLE seen(key text PRIMARY KEY)",
    "CREATE TABLE queue(key text)",
    "CREATE TABLE client(id int PRIMARY KEY, repeats int NOT NULL)",
    "INSERT INTO client VALUES (0, 0), (1, 0)",
)
_STORE = """
WITH fresh AS (INSERT INTO seen(key) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING key),
 stored AS (INSERT INTO queue(key) SELECT key FROM fresh RETURNING 1)
"""
_WITNESS = """,
 witness AS (UPDATE client SET repeats = repeats + 1 WHERE id = $2::int AND NOT EXISTS (SELECT FROM stored))
"""
_ANSWER = (
    "SELECT key FROM unnest($1::text[]) given(key) WHERE key NOT IN (SELECT key FROM fresh) AND $2::int IS NOT NULL"
)
_CONNECT_S = 5.0


@dataclass(frozen=True)
class Rules:
    """The safety rules, all on unless a test switches one off."""

    never_cancels: bool = True
    """Whether a statement that is given up is left running: its connection ends without a cancel request."""
    doubts_warnings: bool = True
    """Whether a commit that came with a warning counts as failed."""
    writes_a_witness: bool = True
    """Whether a group of only repeats writes something, so that its commit waits for a standby too."""
    newest_timeline: bool = True
    """Whether of all writable servers the one on the highest timeline is used, and none below the highest seen."""


@dataclass
class Client:
    """A client that appends; ``acknowledged`` has the keys to which it would have answered 204."""

    number: int
    ports: Sequence[int]
    rules: Rules
    acknowledged: set[str] = field(default_factory=set)
    hopeless: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client is to stop waiting; it stands for a time limit."""
    _timeline: int = 0

    async def append(self, *keys: str) -> bool:
        """Append keys; tell whether they are stored, new or repeated, as far as this client can know."""
        connection = await self._connect()
        warnings: list[object] = []
        connection.add_log_listener(lambda _, message: warnings.append(message))
        try:
            is_answered = await self._answered(connection, keys)
        finally:
            connection.terminate()
        if not is_answered or (warnings and self.rules.doubts_warnings):
            return False
        self.acknowledged.update(keys)
        return True

    async def _answered(self, connection: asyncpg.Connection, keys: Sequence[str]) -> bool:
        statement = _STORE + (_WITNESS if self.rules.writes_a_witness else "") + _ANSWER
        task = asyncio.create_task(connection.fetch(statement, list(keys), self.number))
        giving_up = asyncio.create_task(self.hopeless.wait())
        await asyncio.wait([task, giving_up], return_when=asyncio.FIRST_COMPLETED)
        giving_up.cancel()
        if not task.done():
            await self._give_up(connection, task)
        return isinstance((await asyncio.gather(task, return_exceptions=True))[0], list)

    async def _give_up(self, connection: asyncpg.Connection, task: asyncio.Task[Any]) -> None:
        if self.rules.never_cancels:
            connection.terminate()
            return
        # This is what ``asyncio.timeout`` and ``wait_for`` do: the driver then sends the server a cancel request by
        # itself.
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await connection.fetchval("SELECT 1")

    async def _connect(self) -> asyncpg.Connection:
        found = await asyncio.gather(*(_writable(port) for port in self.ports))
        writable = [each for each in found if each is not None]
        if self.rules.newest_timeline:
            writable.sort(key=lambda pair: -pair[0])
        for _, connection in writable[1:]:
            connection.terminate()
        timeline, connection = writable[0]
        if self.rules.newest_timeline:
            assert timeline >= self._timeline, "only a stale primary answers"
            self._timeline = timeline
        return connection


async def _writable(port: int) -> tuple[int, Any] | None:
    """Return the timeline of a writable server and a connection to it, or None."""
    try:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=port, user=USER, database=CLIENT, ssl=False, timeout=_CONNECT_S
        )
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return None
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        connection.terminate()
        return None
    name = await connection.fetchval("SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)")
    return int(name, 16), connection

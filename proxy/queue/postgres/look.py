"""A look at the servers of a queue from outside, which writes nothing.

Every host is looked at by itself, standbys too: after a fail-over any of them may have to store events durably.
``proxy.doctor`` decides what of the facts is wrong.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncpg

from proxy.config.database_url import server_urls
from proxy.queue.postgres import look_texts
from proxy.queue.postgres.errors import error_text
from proxy.queue.postgres.server_facts import Holder, IdleSlot, Look, ServerFacts, SilentProxy, Unreachable

_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_Row: TypeAlias = "asyncpg.Record"

_SECONDS = 5.0
"""For the whole look at one server."""
_QUESTIONS = 3
"""How often the server's clock is asked; the quickest answer counts."""
_PAIRS = 3
"""How often both connections are asked for their session, to find out whether a pooler answers."""


async def inspect_servers(
    url: str, *, schema: str = "capi_proxy", clock: Callable[[], float] = time.time
) -> list[Look]:
    """Look at all servers of a queue at once.

    Args:
        url: The url of the queue.
        schema: Where the tables are.
        clock: This machine's clock, in seconds.

    Raises:
        ValueError: when the url is not valid.
    """
    return list(await asyncio.gather(*(_inspect_server(server, schema, clock) for server in server_urls(url))))


async def _inspect_server(url: str, schema: str, clock: Callable[[], float]) -> Look:
    place = urlsplit(url).netloc.rpartition("@")[2]
    try:
        async with asyncio.timeout(_SECONDS), _connected(url) as first, _connected(url) as second:
            return await _facts(place, (first, second), schema, clock)
    except TimeoutError:
        return Unreachable(place, f"no answer within {_SECONDS:g} s")
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        return Unreachable(place, error_text(error))


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[_Connection]:
    # Without prepared statements, which a pooler may not support.
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        yield connection
    finally:
        connection.terminate()


async def _facts(
    place: str, connections: tuple[_Connection, _Connection], schema: str, clock: Callable[[], float]
) -> ServerFacts:
    connection, other = connections
    pooled = await _is_pooled(connection, other)
    clock_s, round_trip_s = await _clock(connection, clock)
    (own,) = await _rows(connection, look_texts.SELF)
    (tables,) = await _rows(connection, look_texts.TABLES, schema)
    (free,) = await _rows(connection, look_texts.FREE)
    (rights,) = await _rows(connection, look_texts.RIGHTS, schema)
    return ServerFacts(
        place=place,
        settings={row["name"]: row["setting"] for row in await _rows(connection, look_texts.SETTINGS)},
        is_standby=own["is_standby"],
        timeline=await _timeline(connection),
        clock_s=clock_s,
        round_trip_s=round_trip_s,
        sees_all=own["sees_all"],
        encrypted=own["encrypted"],
        pooled=pooled,
        free_connections=free[0] + len(connections),
        holders=[Holder(*row) for row in await _rows(connection, look_texts.HOLDERS)],
        idle_slots=[IdleSlot(*row) for row in await _rows(connection, look_texts.IDLE_SLOTS)],
        waited_for=own["waited_for"],
        seen_bytes=tables["seen_bytes"],
        unvacuumed=tables["unvacuumed"],
        may_create=rights["may_create"],
        foreign_tables=rights["foreign_tables"],
        silent=await _silent(connection, schema) if "replica" in rights["readable"] else (),
        proof=await _proof(connection, schema) if "meta" in rights["readable"] else b"",
    )


async def _silent(connection: _Connection, schema: str) -> list[SilentProxy]:
    rows = await _rows(connection, look_texts.SILENT.format(schema=schema))
    return [SilentProxy(*row) for row in rows]


async def _proof(connection: _Connection, schema: str) -> bytes:
    rows = await _rows(connection, f"SELECT bytes FROM \"{schema}\".meta WHERE key = 'proof'")  # noqa: S608 - our own name
    return next((row[0] for row in rows), None) or b""


async def _rows(connection: _Connection, statement: str, *arguments: object) -> list[_Row]:
    """Return the rows of a statement; in a transaction, since a pooler may give the next statement another session."""
    async with connection.transaction(readonly=True):
        rows: list[_Row] = await connection.fetch(statement, *arguments)
        return rows


async def _is_pooled(first: _Connection, second: _Connection) -> bool:
    """Tell whether a pooler shares out sessions: one served both connections, or several served one connection."""
    pids: tuple[set[int], set[int]] = (set(), set())
    for _ in range(_PAIRS):
        for known, connection in zip(pids, (first, second), strict=True):
            ((pid,),) = await _rows(connection, "SELECT pg_backend_pid()")
            known.add(pid)
    return bool(pids[0] & pids[1]) or len(pids[0] | pids[1]) > 2


async def _clock(connection: _Connection, clock: Callable[[], float]) -> tuple[float, float]:
    answers = []
    for _ in range(_QUESTIONS):
        began = clock()
        ((theirs,),) = await _rows(connection, "SELECT extract(epoch FROM clock_timestamp())::float8")
        ended = clock()
        answers.append((ended - began, theirs - (began + ended) / 2))
    round_trip_s, ahead_s = min(answers)
    return ahead_s, round_trip_s


async def _timeline(connection: _Connection) -> int:
    """Return the timeline; 0 from databases that keep no WAL of this kind and refuse the question."""
    try:
        ((timeline,),) = await _rows(connection, look_texts.TIMELINE)
    except asyncpg.PostgresError:
        return 0
    return int(timeline or "0", 16)

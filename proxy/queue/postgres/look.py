"""A look at the servers of a queue from outside, which writes nothing.

Every host is looked at by itself, standbys too: after a fail-over each of them may have to keep the promise. What is
wrong with what was found, ``proxy.doctor`` decides.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncpg

from proxy.queue.postgres.errors import told
from proxy.queue.postgres.hosts import server_urls
from proxy.queue.postgres.server_facts import Holder, IdleSlot, Look, ServerFacts, Unreachable

_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_Row: TypeAlias = "asyncpg.Record"

_SECONDS = 5.0
"""For all of one server."""
_QUESTIONS = 3
"""The clock is asked so often, and the quickest answer counts."""
_PAIRS = 3
"""So often a pooler gets the opportunity to betray itself."""

_SETTINGS = """
    SELECT name, setting FROM pg_settings WHERE name = ANY('{autovacuum, checkpoint_timeout, fsync, full_page_writes,
        max_slot_wal_keep_size, server_version, server_version_num, synchronous_commit, synchronous_standby_names,
        track_counts}')
"""
_SELF = """
    SELECT pg_is_in_recovery() AS is_standby,
        pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all,
        inet_server_addr() IS NULL OR (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS encrypted,
        (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) AS waited_for
"""
_TIMELINE = """
    SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT to_hex(received_tli) FROM pg_stat_wal_receiver)
        ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END
"""
# Reserved connections exist since version 16. A session whose kind this user may not see counts as one of a client.
_FREE = """
    WITH client AS (SELECT datname, usename FROM pg_stat_activity
        WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'),
    bound AS (
        SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true), '0')::int - (SELECT count(*) FROM client) AS free
        UNION ALL
        SELECT datconnlimit - (SELECT count(*) FROM client WHERE client.datname = pg_database.datname)
        FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0
        UNION ALL
        SELECT rolconnlimit - (SELECT count(*) FROM client WHERE usename = rolname)
        FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0)
    SELECT min(free)::int FROM bound
"""
_HOLDERS = """
    SELECT format('session %s of %s (%s; %s)', pid, usename, coalesce(nullif(application_name, ''), 'without a name'),
            state) AS who, extract(epoch FROM now() - xact_start)::float8 AS seconds,
        greatest(age(backend_xmin), age(backend_xid))::int8 AS transactions
    FROM pg_stat_activity WHERE coalesce(backend_xmin, backend_xid) IS NOT NULL AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'
    UNION ALL
    SELECT format('prepared transaction %s of %s', gid, owner), extract(epoch FROM now() - prepared)::float8,
        age(transaction)::int8 FROM pg_prepared_xacts
    UNION ALL
    SELECT format('replication slot %s', slot_name), NULL, greatest(age(xmin), age(catalog_xmin))::int8
    FROM pg_replication_slots WHERE coalesce(xmin, catalog_xmin) IS NOT NULL
    UNION ALL
    SELECT format('standby %s, by hot_standby_feedback', application_name), NULL, age(backend_xmin)::int8
    FROM pg_stat_replication WHERE backend_xmin IS NOT NULL
    ORDER BY transactions DESC
"""
_IDLE_SLOTS = """
    SELECT slot_name, coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
        ELSE pg_current_wal_lsn() END, restart_lsn), 0)::int8 AS kept_bytes
    FROM pg_replication_slots WHERE NOT active AND NOT temporary ORDER BY slot_name
"""
_TABLES = """
    SELECT coalesce(sum(pg_total_relation_size(c.oid)) FILTER (WHERE relname ~ '^seen_[0-9]+$'), 0)::int8 AS seen_bytes,
        coalesce(array_agg(relname::text ORDER BY relname) FILTER (WHERE EXISTS (SELECT FROM
            pg_options_to_table(reloptions) WHERE option_name = 'autovacuum_enabled' AND NOT option_value::bool)), '{}')
            AS unvacuumed
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = $1 AND relkind = 'r'
"""


async def look(url: str, *, schema: str = "capi_proxy", clock: Callable[[], float] = time.time) -> list[Look]:
    """Look at all servers of a queue at once.

    Args:
        url: The queue's.
        schema: Where the tables are.
        clock: This machine's, in seconds.

    Raises:
        ValueError: when it is no such url.
    """
    return list(await asyncio.gather(*(_look_within(server, schema, clock) for server in server_urls(url))))


async def _look_within(url: str, schema: str, clock: Callable[[], float]) -> Look:
    place = urlsplit(url).netloc.rpartition("@")[2]
    try:
        async with asyncio.timeout(_SECONDS), _connected(url) as first, _connected(url) as second:
            return await _facts(place, (first, second), schema, clock)
    except TimeoutError:
        return Unreachable(place, f"no answer within {_SECONDS:g} s")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return Unreachable(place, told(error))


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[_Connection]:
    # Nothing is prepared, which a pooler may not bear.
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        yield connection
    finally:
        connection.terminate()


async def _facts(
    place: str, connections: tuple[_Connection, _Connection], schema: str, clock: Callable[[], float]
) -> ServerFacts:
    connection, other = connections
    pooled = await _shared(connection, other)
    clock_s, round_trip_s = await _clock(connection, clock)
    (own,) = await _rows(connection, _SELF)
    (tables,) = await _rows(connection, _TABLES, schema)
    (free,) = await _rows(connection, _FREE)
    return ServerFacts(
        place=place,
        settings={row["name"]: row["setting"] for row in await _rows(connection, _SETTINGS)},
        is_standby=own["is_standby"],
        timeline=await _timeline(connection),
        clock_s=clock_s,
        round_trip_s=round_trip_s,
        sees_all=own["sees_all"],
        encrypted=own["encrypted"],
        pooled=pooled,
        free_connections=free[0] + len(connections),
        holders=[Holder(*row) for row in await _rows(connection, _HOLDERS)],
        idle_slots=[IdleSlot(*row) for row in await _rows(connection, _IDLE_SLOTS)],
        waited_for=own["waited_for"],
        seen_bytes=tables["seen_bytes"],
        unvacuumed=tables["unvacuumed"],
    )


async def _rows(connection: _Connection, statement: str, *arguments: object) -> list[_Row]:
    """Return the rows of a statement; in a transaction, since a pooler may give the next statement another session."""
    async with connection.transaction(readonly=True):
        rows: list[_Row] = await connection.fetch(statement, *arguments)
        return rows


async def _shared(first: _Connection, second: _Connection) -> bool:
    """Tell whether two connections that are both open were ever served by one session: then a pooler shares them."""
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
    """Return the timeline; engines that keep no WAL of this kind refuse the question."""
    try:
        ((timeline,),) = await _rows(connection, _TIMELINE)
    except asyncpg.PostgresError:
        return 0
    return int(timeline or "0", 16)

"""If the database does not answer, or its answer is not reliable, no commit is cancelled and none is believed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import pytest
from cable import cabled
from postgres_server import USER, Cluster, psql
from support import SECRET, until

from proxy.queue.contract import QueueError
from proxy.queue.postgres import reconnector
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.errors import DatabaseAwayError
from proxy.queue.postgres.hosts import Hosts
from proxy.queue.postgres.opening import make_database
from proxy.queue.postgres.session import Facts, Session
from proxy.queue.seal import Sealer

INSERT = "INSERT INTO meta(key, number) VALUES('test ' || $1, 1)"
_WAITING = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@contextmanager
def without_standbys(cluster: Cluster) -> Iterator[None]:
    """Make every commit wait for a standby that does not exist."""
    configure(cluster, "synchronous_standby_names", "nobody")
    try:
        yield
    finally:
        configure(cluster, "synchronous_standby_names", "")


def configure(cluster: Cluster, name: str, value: str) -> None:
    psql(cluster, f"ALTER SYSTEM SET {name} = '{value}'", "SELECT pg_reload_conf()")
    shown = f"SELECT setting FROM pg_settings WHERE name = '{name}'"
    while psql(cluster, shown) != value:
        pass


def keys(cluster: Cluster, schema: str) -> set[str]:
    """Return the test keys that other sessions see."""
    found = f"SELECT substr(key, 6) FROM {schema}.meta WHERE key LIKE 'test %'"
    return set(psql(cluster, found, database="capi").split())


def waiting(cluster: Cluster) -> int:
    """Return how many commits wait for a standby."""
    return int(psql(cluster, f"SELECT count(*) {_WAITING}"))


@asynccontextmanager
async def opened(url: str, schema: str, *, commit_timeout: float = 0.3) -> AsyncIterator[Database]:
    database = make_database(url, Sealer(SECRET), schema=schema, commit_timeout=commit_timeout)
    try:
        await database.start(patience=30.0)
        assert database.is_here, database.why_away
        yield database
    finally:
        await database.close()


async def here(database: Database) -> None:
    await until(lambda: database.is_here, what="the database is here")


async def test_a_commit_without_a_standby_is_neither_believed_nor_cancelled(postgres: Cluster, schema: str) -> None:
    """The caller gets an error in time; the row becomes visible once a standby has it and the commit ends by itself."""
    async with opened(postgres.url(), schema) as database:
        with without_standbys(postgres):
            with pytest.raises(DatabaseAwayError, match=r"no answer within 0\.3 seconds"):
                await database.run(Role.APPEND, INSERT, "a")
            assert not database.is_here
            await until(lambda: waiting(postgres) == 2, what="the append and one probe wait")
            assert keys(postgres, schema) == set()
        await here(database)

        assert keys(postgres, schema) == {"a"}


async def test_one_write_at_a_time_looks_for_a_standby(
    postgres: Cluster, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one probe waits at the server, however long it takes, while callers get errors at once."""
    async with opened(postgres.url(), schema) as database:
        monkeypatch.setattr(reconnector, "_PATIENCE_S", 0.05)
        looks = 0
        best = database._hosts.connect_to_primary

        async def counted() -> object:
            nonlocal looks
            looks += 1
            return await best()

        monkeypatch.setattr(database._hosts, "connect_to_primary", counted)
        with without_standbys(postgres):
            with pytest.raises(DatabaseAwayError):
                await database.run(Role.APPEND, INSERT, "a")
            await until(lambda: looks > 5, what="looks")
            assert waiting(postgres) == 2
            for role in Role:
                with pytest.raises(DatabaseAwayError, match="durable write"):
                    await database.run(role, "SELECT 1")
        await here(database)


async def test_closing_during_the_search_leaves_no_session(
    postgres: Cluster, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is closed while it looks whether its durable write still waits has no session left."""
    is_asked, never = asyncio.Event(), asyncio.Event()

    async def hang(_session: Session, _pid: int) -> bool:
        is_asked.set()
        return await never.wait()

    async with opened(postgres.url(), schema) as database:
        find = database._hosts.connect_to_primary

        async def found() -> tuple[str, Session]:
            result = await find()
            monkeypatch.setattr(reconnector, "_PATIENCE_S", 3600.0)
            return result

        monkeypatch.setattr(Session, "is_at_work", hang)
        with without_standbys(postgres):
            with pytest.raises(DatabaseAwayError):
                await database.run(Role.APPEND, INSERT, "a")
            await until(lambda: waiting(postgres) == 2, what="the append and one probe wait")
            monkeypatch.setattr(database._hosts, "connect_to_primary", found)
            await until(is_asked.is_set, what="the look")
            closing = asyncio.create_task(database.close())
            never.set()
            await closing
    sessions = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{USER}'"

    await until(lambda: psql(postgres, sessions) == "0", what="no session")


async def test_giving_up_ends_the_chosen_server_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that is cancelled while it closes the sessions with standbys ends the one with the primary."""
    primary, standby = _FakeSession(read_only=False), _FakeSession(read_only=True)
    hosts = Hosts("postgresql://u:p@127.0.0.1:1,127.0.0.1:2/d", schema="s", name="n")

    async def open_session(url: str) -> _FakeSession:
        return standby if ":2/" in url else primary

    monkeypatch.setattr(hosts, "open", open_session)
    search = asyncio.create_task(hosts.connect_to_primary())
    await standby.is_closing.wait()
    search.cancel()
    await asyncio.wait((search,))

    assert search.cancelled()
    assert (primary.has_ended, standby.has_ended) == (True, True)


class _FakeSession:
    """A session that takes for ever to be closed in order."""

    def __init__(self, *, read_only: bool) -> None:
        self.facts = Facts(read_only, 1)
        self.is_closing = asyncio.Event()
        self.has_ended = False

    async def close(self) -> None:
        self.is_closing.set()
        await asyncio.Event().wait()

    def end(self) -> None:
        self.has_ended = True


@pytest.mark.parametrize("defaults", ["", "client_min_messages = error", "synchronous_commit = off"])
async def test_a_success_with_a_warning_is_none(postgres: Cluster, schema: str, defaults: str) -> None:
    """If a person ends the wait for a standby, the server reports success with a warning, and the caller gets an error.

    The role's default settings change nothing; without ours they would suppress the warning or the wait.
    """
    if defaults:
        psql(postgres, f"ALTER ROLE {USER} SET {defaults}")
    try:
        async with opened(postgres.url(), schema, commit_timeout=60.0) as database:
            with without_standbys(postgres):
                asked = asyncio.ensure_future(database.run(Role.APPEND, INSERT, "a"))
                await until(lambda: waiting(postgres), what="the commit waits")
                psql(postgres, f"SELECT pg_cancel_backend(pid) {_WAITING}")
                with pytest.raises(DatabaseAwayError, match="the database warned: cancel"):
                    await asked
                assert keys(postgres, schema) == {"a"}
                assert not database.is_here
            await here(database)
    finally:
        psql(postgres, f"ALTER ROLE {USER} RESET ALL")


async def test_a_caller_that_goes_away_cancels_nothing(postgres: Cluster, schema: str) -> None:
    """A cancelled caller does not cancel the commit, which takes place, and the connection serves the next caller."""
    async with opened(postgres.url(), schema, commit_timeout=60.0) as database:
        with without_standbys(postgres):
            asked = asyncio.ensure_future(database.run(Role.APPEND, INSERT, "a"))
            await until(lambda: waiting(postgres), what="the commit waits")
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            assert keys(postgres, schema) == set()
            assert waiting(postgres) == 1
        await database.run(Role.APPEND, INSERT, "b")

        assert keys(postgres, schema) == {"a", "b"}
        assert database.is_here


async def test_a_body_that_is_cancelled_leaves_nothing(postgres: Cluster, schema: str) -> None:
    """A transaction whose caller is cancelled during a statement is rolled back, and the connection is used again."""
    async with opened(postgres.url(), schema, commit_timeout=60.0) as database:
        begun = asyncio.Event()

        async def body() -> None:
            async with database.transaction(Role.APPEND) as run:
                await run(INSERT, "a")
                begun.set()
                await run("SELECT pg_sleep(0.2)")

        task = asyncio.create_task(body())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await database.run(Role.APPEND, INSERT, "b")

        assert keys(postgres, schema) == {"b"}
        assert database.is_here


async def test_a_backend_that_a_person_ends_is_noticed_at_once(postgres: Cluster, schema: str) -> None:
    """Connections that are terminated while idle are replaced before the next statement."""
    async with opened(postgres.url(), schema, commit_timeout=60.0) as database:
        went = asyncio.Event()
        database.watchers.append(went.set)
        psql(postgres, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'")
        await asyncio.wait_for(went.wait(), 60)
        await here(database)
        await database.run(Role.APPEND, INSERT, "a")

        assert keys(postgres, schema) == {"a"}


async def test_a_server_without_free_connections_still_stores(postgres: Cluster, schema: str) -> None:
    """A caller that finds no connection gets an error, while appends keep theirs and go on."""
    async with opened(postgres.url(), schema, commit_timeout=60.0) as database:
        try:
            psql(postgres, f"ALTER ROLE {USER} CONNECTION LIMIT 1")
            with pytest.raises(DatabaseAwayError, match="too many connections"):
                await database.run(Role.BOOKS, "SELECT 1")
            await database.run(Role.APPEND, INSERT, "a")
            assert database.is_here
        finally:
            psql(postgres, f"ALTER ROLE {USER} CONNECTION LIMIT -1")
        await database.run(Role.BOOKS, "SELECT 1")


@pytest.mark.parametrize("role", Role)
async def test_a_server_that_takes_no_writes_is_away(postgres: Cluster, schema: str, role: Role) -> None:
    """A primary that became a standby, or was made read-only because its disk is full, is not used."""
    async with opened(postgres.url(), schema, commit_timeout=60.0) as database:
        await database.run(role, "SELECT 1")
        try:
            psql(postgres, "ALTER DATABASE capi SET default_transaction_read_only = on")
            psql(postgres, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'")
            await until(lambda: database.why_away == "no server takes writes", what="it is refused")
        finally:
            psql(postgres, "ALTER DATABASE capi RESET default_transaction_read_only")
        await here(database)


async def test_a_cable_that_is_cut_costs_no_more_than_the_limit(postgres: Cluster, schema: str) -> None:
    """If the server is cut off, the caller gets an error within the limit, and the server is used again later."""
    async with cabled(postgres.port) as relay:
        url = postgres.url().replace(str(postgres.port), str(relay.port))
        async with opened(url, schema) as database:
            relay.cut()
            with pytest.raises(DatabaseAwayError, match="no answer"):
                await database.run(Role.APPEND, INSERT, "a")
            relay.mend()
            await here(database)
            await database.run(Role.APPEND, INSERT, "b", limit=60.0)

            assert "b" in keys(postgres, schema)


async def test_a_server_that_hangs_costs_the_others_nothing(postgres: Cluster, schema: str) -> None:
    """If one of several hosts accepts connections but is silent, and one refuses them, the third is used."""
    async with cabled(postgres.port) as silent:
        silent.cut()
        hosts = f"127.0.0.1:{silent.port},127.0.0.1:1,127.0.0.1:{postgres.port}"
        url = postgres.url().replace(f"127.0.0.1:{postgres.port}", hosts)
        async with opened(url, schema, commit_timeout=60.0) as database:
            assert silent.accepted
            await database.run(Role.APPEND, INSERT, "a")


async def test_it_may_come_later(postgres: Cluster, schema: str) -> None:
    """A start without the database is allowed; once the database can be reached, it is prepared and used."""
    async with cabled(postgres.port) as relay:
        relay.cut()
        url = postgres.url().replace(str(postgres.port), str(relay.port))
        database = make_database(url, Sealer(SECRET), schema=schema)
        await database.start(patience=0.1)
        assert not database.is_here
        with pytest.raises(QueueError):
            await database.run(Role.APPEND, "SELECT 1")
        relay.mend()
        await here(database)
        await database.run(Role.APPEND, INSERT, "a", limit=60.0)
        await database.close()


def has_more(found: set[str], than: int) -> bool:
    return len(found) > than


async def test_however_often_it_comes_and_goes_nobody_waits_for_ever(
    postgres: Cluster, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If connections end and commits hang again and again under load, each call ends and no connection is left over.

    What was acknowledged is in the database; the rest may be or not.
    """
    monkeypatch.setattr(reconnector, "_MOST_HOLD_S", 0.0)
    terminate = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'"
    answered: set[str] = set()
    async with opened(postgres.url(), schema) as database:
        ending = asyncio.Event()

        async def ask(role: Role, number: int) -> None:
            while not ending.is_set():
                number += 100
                try:
                    async with database.transaction(role) as run:
                        await run(INSERT, f"{number}")
                except QueueError:
                    await asyncio.sleep(0.001)
                else:
                    answered.add(f"{number}")

        askers = [asyncio.create_task(ask(role, number)) for number, role in enumerate(list(Role) * 3)]
        for round_ in range(9):
            await until(partial(has_more, answered, len(answered) + 20), what="answers")
            if round_ % 3:
                await asyncio.to_thread(psql, postgres, terminate)
            else:
                with without_standbys(postgres):
                    await until(lambda: not database.is_here, what="it is away")
        ending.set()
        await asyncio.gather(*askers)
        await here(database)
        for role in Role:
            await database.run(role, "SELECT 1", limit=60.0)
        left = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{USER}'"
        await until(lambda: psql(postgres, left) == str(len(Role)), what="no further connection")

    assert answered <= keys(postgres, schema)


def test_what_comes_and_goes_is_held_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait before the database is used again grows while it stays only briefly, and ends after a steady time."""
    now = [1000.0]
    monkeypatch.setattr(reconnector, "_loop_time", lambda: now[0])
    held = reconnector.ReconnectBackoff()
    waits = []
    for stayed in (5, 5, 5, 5, 5, 5, 5, 5, 400, 5):
        held.note_return()
        now[0] += stayed
        waits.append(held.next_delay())

    assert waits == [0, 1, 2, 4, 8, 16, 30, 30, 0, 1]


async def test_the_first_start_waits_for_nothing() -> None:
    """There is no wait before the first connection."""
    assert [reconnector.ReconnectBackoff().next_delay() for _ in range(3)] == [0, 0, 0]

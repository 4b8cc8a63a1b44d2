"""The engine's connections to three servers: no false success is believed, and no stale primary is used."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from node import Node
from polling import until
from support import SECRET
from trio import Trio, trio

from proxy.queue.postgres import hosts
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.errors import DatabaseAwayError
from proxy.queue.postgres.opening import make_database
from proxy.queue.postgres.session import Facts, Session
from proxy.queue.seal import Sealer

pytestmark = pytest.mark.long
_WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'INSERT INTO kept%'"
_PATIENT_S = 60.0


@pytest.fixture(scope="module", name="running")
async def _running() -> AsyncIterator[Trio]:
    async with trio(clients=1) as made:
        yield made


@pytest.fixture(name="servers")
async def _servers(running: Trio) -> AsyncIterator[Trio]:
    yield running
    await running.mend()


@pytest.fixture(name="database")
async def _database(servers: Trio) -> AsyncIterator[Database]:
    made = make_database(servers.address(0), Sealer(SECRET))
    await made.start(patience=_PATIENT_S)
    assert made.is_here, made.why_away
    await made.run(Role.BOOKS, "CREATE TABLE IF NOT EXISTS kept(number int)")
    await made.run(Role.BOOKS, "DELETE FROM kept")
    yield made
    await made.close()


async def _insert(database: Database, number: int, limit: float | None = None) -> bool:
    """Insert a row; tell whether it counts as durable."""
    try:
        await database.run(Role.APPEND, "INSERT INTO kept VALUES ($1)", number, limit=limit)
    except DatabaseAwayError:
        return False
    return True


async def _kept(node: Node) -> list[int]:
    return [row[0] for row in await node.rows("SELECT number FROM capi_proxy.kept ORDER BY 1")]


def _has(node: Node, *numbers: int) -> Callable[[], Awaitable[bool]]:
    async def has() -> bool:
        return await _kept(node) == list(numbers)

    return has


async def _wait(servers: Trio) -> bool:
    return bool(await servers.primary.rows(_WAITING))


async def _fail_over(servers: Trio) -> None:
    """Lose the primary, with everything that no standby has, and promote a standby."""
    await servers.primary.kill()
    await servers.feeds[servers.primary.name].drop()
    await servers.promote()


async def test_a_statement_without_answer_is_left_running(servers: Trio, database: Database) -> None:
    """A statement given up after its limit waits on at the server, unseen, and commits when a standby returns."""
    for node in servers.standbys:
        node.freeze()
    taken = await _insert(database, 1)
    is_waiting, seen = await _wait(servers), await _kept(servers.primary)
    for node in servers.standbys:
        node.thaw()

    assert (taken, is_waiting, seen) == (False, True, [])
    await until(_has(servers.primary, 1), what="the commit")
    await until(lambda: database.is_here, what="the database")


@pytest.mark.parametrize("hears", [True, False], ids=["heard", "unheard"])
async def test_a_cancelled_wait_is_no_success(
    servers: Trio, database: Database, monkeypatch: pytest.MonkeyPatch, *, hears: bool
) -> None:
    """If someone cancels the wait for a standby, the server reports success, and a fail-over loses the row."""
    if not hears:
        monkeypatch.setattr(Session, "_on_server_message", lambda *_: None)
        await _reconnect(servers, database)
    servers.feeds[servers.primary.name].cut()
    insert = asyncio.create_task(_insert(database, 2, _PATIENT_S))
    await until(lambda: _wait(servers), what="the wait for a standby")
    await servers.primary.rows(_WAITING.replace("pid", "pg_cancel_backend(pid)", 1))

    assert await insert == (not hears)
    assert await _kept(servers.primary) == [2]
    await _fail_over(servers)
    assert await _kept(servers.primary) == []


async def _reconnect(servers: Trio, database: Database) -> None:
    """Make the database connect again, so that its sessions use the patched listener."""
    database.mark_away("a test wants other connections")
    await until(lambda: database.is_here, what="the database")
    await servers.attached(servers.standbys)


async def test_it_follows_a_promotion(servers: Trio, database: Database) -> None:
    """After the primary's death the promoted standby is found and used."""
    assert await _insert(database, 3, _PATIENT_S)
    await _fail_over(servers)
    await _insert(database, 4)
    await until(lambda: database.is_here, what="the database")

    assert await _insert(database, 5, _PATIENT_S)
    assert {3, 5} <= set(await _kept(servers.primary))


@pytest.mark.parametrize("newest", [True, False], ids=["newest timeline", "first that writes"])
async def test_it_asks_no_stale_primary(
    servers: Trio, database: Database, monkeypatch: pytest.MonkeyPatch, *, newest: bool
) -> None:
    """A former primary that was made to take writes alone is not used, even if no other server can be reached."""
    if not newest:
        monkeypatch.setattr(hosts, "primary_index", _first_writable)
    stale = servers.primary
    await _fail_over(servers)
    await _insert(database, 6)
    await until(lambda: database.is_here, what="the promoted server")
    await stale.start()
    await stale.run("ALTER SYSTEM SET synchronous_standby_names = ''")
    await stale.value("SELECT pg_reload_conf()")
    _cut_off_all_but(servers, stale)
    await _insert(database, 7)
    told = await _settled(database)
    taken = await _insert(database, 8)

    assert taken == (not newest), told
    assert (8 in await _kept(stale)) == (not newest)


def _first_writable(servers: list[Facts], _highest: int) -> int | None:
    return next((number for number, facts in enumerate(servers) if not facts.read_only), None)


def _cut_off_all_but(servers: Trio, node: Node) -> None:
    for other in servers.nodes:
        if other is not node:
            servers.doors[other.name][0].cut()


async def _settled(database: Database) -> str:
    """Wait until the database is found, or reported as stale; return that report, empty if it is found."""
    await until(lambda: database.is_here or "left by a fail-over" in database.why_away, what="a look at the servers")
    return "" if database.is_here else database.why_away

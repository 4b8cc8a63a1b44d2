"""The test's servers behave like real ones: they fail over, wait for a standby, fall silent, and fill up."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from node import Node
from polling import until
from trio import Trio, trio

pytestmark = pytest.mark.long
_SOME = 20


@pytest.fixture(scope="module", name="running")
async def _running() -> AsyncIterator[Trio]:
    async with trio(clients=2) as made:
        await made.primary.run("CREATE TABLE kept(number int PRIMARY KEY)")
        yield made


@pytest.fixture(name="servers")
async def _servers(running: Trio) -> AsyncIterator[Trio]:
    await running.primary.run("DELETE FROM kept")
    yield running
    await running.mend()


async def _insert(node: Node, number: int) -> None:
    await node.rows("INSERT INTO kept VALUES ($1)", number)


async def _kept(node: Node) -> list[int]:
    return [row[0] for row in await node.rows("SELECT number FROM kept ORDER BY 1")]


async def _is_waiting(node: Node) -> bool:
    return bool(await node.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))


@pytest.mark.parametrize("rewinding", [True, False], ids=["rewound", "copied"])
async def test_a_promotion_keeps_what_was_acknowledged(servers: Trio, *, rewinding: bool) -> None:
    """Rows committed before the primary died are on the promoted node, and later on the former one again."""
    dead = servers.primary
    for number in range(_SOME):
        await _insert(dead, number)
    timeline = await dead.timeline()
    await dead.kill()
    promoted = await servers.promote()
    await servers.bring_back(rewinding=rewinding)
    await servers.attached(servers.standbys)

    assert await _kept(promoted) == list(range(_SOME))
    assert await promoted.timeline() == timeline + 1
    assert dead in servers.standbys
    await until(lambda: _has(dead, _SOME), what="the rows on the former primary")


async def _has(node: Node, count: int) -> bool:
    return len(await _kept(node)) == count


async def test_the_standby_that_has_most_is_promoted(servers: Trio) -> None:
    """If one standby lags, only the other surely has all acknowledged rows, so that one is promoted."""
    laggard, other = servers.standbys
    laggard.freeze()
    for number in range(_SOME):
        await _insert(servers.primary, number)
    await servers.primary.kill()
    # Otherwise it would still receive what the system buffered for it while it was frozen.
    await servers.feeds[servers.primary.name].drop()
    laggard.thaw()

    assert await servers.promote() is other
    assert await _kept(other) == list(range(_SOME))


async def test_a_commit_waits_for_any_standby(servers: Trio) -> None:
    """One frozen standby delays no commit; with both frozen, a commit is answered when one of them continues."""
    first, second = servers.standbys
    first.freeze()
    await _insert(servers.primary, 1)
    second.freeze()
    waiting = asyncio.create_task(_insert(servers.primary, 2))
    await until(lambda: _is_waiting(servers.primary), what="the wait for a standby")
    answered = waiting.done()
    first.thaw()
    await waiting

    assert not answered


async def test_a_cut_is_silent(servers: Trio) -> None:
    """Behind a cut relay a statement gets neither answer nor error; after the cut its answer comes."""
    connection = await asyncpg.connect(servers.address(0), ssl=False, timeout=30)
    other = await asyncpg.connect(servers.address(1), ssl=False, timeout=30)
    servers.cut(0)
    waiting = asyncio.create_task(connection.fetchval("SELECT 1"))
    answers = [await other.fetchval("SELECT $1::int", number) for number in range(_SOME)]
    answered = waiting.done()
    for relay in servers.relays():
        relay.mend()

    assert (answers, answered, await waiting) == (list(range(_SOME)), False, 1)
    for each in (connection, other):
        await each.close()


@pytest.mark.parametrize("own", [True, False], ids=["own disk", "limited files"])
async def test_a_full_disk_is_told(servers: Trio, monkeypatch: pytest.MonkeyPatch, *, own: bool) -> None:
    """A server whose disk is full refuses to write or ends; with room again it works."""
    node = servers.primary
    if own and not node.disk.own:
        pytest.skip("NOT TESTED: a disk of its own that is full (be root, and free to mount)")
    monkeypatch.setattr(node.disk, "own", own)
    await node.run("CREATE TABLE IF NOT EXISTS wide(number int, text text)")
    node.fill_disk()
    with pytest.raises((asyncpg.DiskFullError, asyncpg.PostgresConnectionError, asyncpg.InternalServerError, OSError)):
        await node.run("INSERT INTO wide SELECT n, md5(n::text) FROM generate_series(1, 200000) n")
    monkeypatch.undo()
    node.free_disk()
    await servers.mend()
    await servers.primary.run("INSERT INTO wide VALUES (1, 'fits')")

    assert await servers.primary.value("SELECT count(*) FROM wide") == 1
    await servers.primary.run("DROP TABLE wide")


async def test_a_stale_primary_takes_writes_that_it_cannot_acknowledge(servers: Trio) -> None:
    """A former primary that is started again says that it is no standby, and no standby answers its commits."""
    stale = servers.primary
    await stale.kill()
    promoted = await servers.promote()
    await stale.start()
    waiting = asyncio.create_task(_insert(stale, 7))
    await until(lambda: _is_waiting(stale), what="the wait for a standby")

    assert not await stale.value("SELECT pg_is_in_recovery()")
    assert await stale.timeline() < await promoted.timeline()
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

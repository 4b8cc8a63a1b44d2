"""Four ways in which a fail-over can lose an acknowledged event, each shown with its safety rule off and on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from node import Node
from plain import TABLES, Client, Rules
from polling import until
from trio import Trio, trio

pytestmark = pytest.mark.long
SAFE = Rules()
_HANGING = "SELECT pid FROM pg_stat_activity WHERE wait_event IN ('SyncRep', 'transactionid')"


@pytest.fixture(scope="module", name="running")
async def _running() -> AsyncIterator[Trio]:
    async with trio(clients=2) as made:
        for statement in TABLES:
            await made.primary.run(statement)
        yield made


@pytest.fixture(name="servers")
async def _servers(running: Trio) -> AsyncIterator[Trio]:
    await running.primary.run("DELETE FROM seen")
    await running.primary.run("DELETE FROM queue")
    yield running
    await running.mend()


def clients(servers: Trio, rules: Rules) -> list[Client]:
    """Return two clients, each behind relays of its own."""
    return [Client(number, _ports(servers, number), rules) for number in range(2)]


def _ports(servers: Trio, client: int) -> Sequence[int]:
    return [servers.doors[node.name][client].port for node in servers.nodes]


async def _fail_over(servers: Trio) -> None:
    """Lose the primary, with everything that no standby has, and promote a standby."""
    await servers.primary.kill()
    await servers.feeds[servers.primary.name].drop()
    await servers.promote()


async def _lost(servers: Trio, *appending: Client) -> set[str]:
    """Return the acknowledged keys that are not in the queue."""
    kept = {row[0] for row in await servers.primary.rows("SELECT key FROM queue")}
    return set().union(*(client.acknowledged for client in appending)) - kept


async def _is_visible(node: Node, key: str) -> bool:
    return bool(await node.rows("SELECT FROM seen WHERE key = $1", key))


async def _answer(servers: Trio, client: Client) -> bool:
    """Append an event, and give up if it waits for a standby; tell whether it was acknowledged."""
    before = await _hanging(servers.primary)
    append = asyncio.create_task(client.append("order"))
    await until(lambda: _done_or(append, servers.primary, before + 1), what="an answer, or the wait for a standby")
    client.hopeless.set()
    return await append


async def _done_or(append: asyncio.Task[bool], node: Node, hanging: int) -> bool:
    return append.done() or await _hanging(node) >= hanging


async def _hanging(node: Node) -> int:
    """Return how many appends wait for a standby, or for another append of the same event that does."""
    return len(await node.rows(_HANGING))


async def _cancelled_wait(servers: Trio, rules: Rules) -> set[str]:
    """Give an append up while no standby answers, bring the event to the other proxy, and fail over; return losses."""
    first, second = clients(servers, rules)
    servers.feeds[servers.primary.name].cut()
    assert not await _answer(servers, first)
    if not rules.never_cancels:
        # The cancelled commit is on the primary alone, where everyone can see it.
        await until(lambda: _is_visible(servers.primary, "order"), what="the local commit")
    assert await _answer(servers, second) == (not (rules.never_cancels or rules.writes_a_witness))
    await _fail_over(servers)
    return await _lost(servers, first, second)


@pytest.mark.parametrize(
    ("rules", "lost"),
    [
        (replace(SAFE, never_cancels=False, writes_a_witness=False), {"order"}),
        (replace(SAFE, never_cancels=False), set()),
        (replace(SAFE, writes_a_witness=False), set()),
        (SAFE, set()),
    ],
    ids=["cancelled, no witness", "cancelled, witness", "left running, no witness", "left running, witness"],
)
async def test_a_repeat_of_what_no_standby_has_is_not_acknowledged(servers: Trio, rules: Rules, lost: set[str]) -> None:
    """A cancelled wait commits on the primary alone; the same event elsewhere is then a repeat of that very row."""
    assert await _cancelled_wait(servers, rules) == lost


@pytest.mark.parametrize(("witness", "waits"), [(False, False), (True, True)], ids=["no witness", "witness"])
async def test_a_group_of_repeats_waits_only_for_its_witness(servers: Trio, *, witness: bool, waits: bool) -> None:
    """A commit that wrote nothing is answered without a standby; with the witness it waits for one."""
    first, second = clients(servers, replace(SAFE, writes_a_witness=witness))
    assert await first.append("order")
    servers.feeds[servers.primary.name].cut()

    assert await _answer(servers, second) == (not waits)


@pytest.mark.parametrize(("doubts", "lost"), [(False, {"order"}), (True, set())], ids=["trusted", "doubted"])
async def test_a_warning_is_no_success(servers: Trio, *, doubts: bool, lost: set[str]) -> None:
    """If someone cancels the wait, the driver reports success and a warning, though no standby has the row."""
    first, _ = clients(servers, replace(SAFE, doubts_warnings=doubts))
    servers.feeds[servers.primary.name].cut()
    append = asyncio.create_task(first.append("order"))
    await until(lambda: _hanging(servers.primary), what="the wait for a standby")
    await servers.primary.rows("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")

    assert await append == (not doubts)
    await _fail_over(servers)
    assert await _lost(servers, first) == lost


@pytest.mark.parametrize(("newest", "lost"), [(False, {"order"}), (True, set())], ids=["first found", "newest"])
async def test_a_stale_primary_is_not_asked(servers: Trio, *, newest: bool, lost: set[str]) -> None:
    """A former primary that needs no standby takes writes; a client that uses the first writable server loses them."""
    stale = servers.primary
    await stale.kill()
    await servers.promote()
    await servers.attached(servers.standbys)
    await stale.start()
    # Someone in a hurry switches off the wait for standbys, since the server hangs.
    await stale.run("ALTER SYSTEM SET synchronous_standby_names = ''")
    await stale.value("SELECT pg_reload_conf()")
    ports = [servers.doors[node.name][0].port for node in (stale, servers.primary, *servers.standbys)]
    client = Client(0, ports, replace(SAFE, newest_timeline=newest))

    assert await client.append("order")
    assert await _lost(servers, client) == lost


async def test_a_promoted_standby_needs_the_setting_itself(servers: Trio) -> None:
    """A promoted node without ``synchronous_standby_names`` of its own acknowledges what it alone has."""
    await servers.primary.kill()
    await servers.promote()
    alone = servers.primary
    await servers.attached(servers.standbys)
    await alone.run("ALTER SYSTEM SET synchronous_standby_names = ''")
    await alone.value("SELECT pg_reload_conf()")
    servers.feeds[alone.name].cut()
    client = Client(0, _ports(servers, 0), SAFE)
    assert await client.append("order")
    await alone.run("ALTER SYSTEM RESET synchronous_standby_names")
    await _fail_over(servers)

    assert await _lost(servers, client) == {"order"}

"""The faults of servers and proxies under load: each lasts a while, and events are still accepted.

A fault leaves servers broken, cut off or frozen; the round ends with ``Trio.mend``.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from fleet import SharedMachine
from scene import Scene

Strike: TypeAlias = Callable[[Scene], Awaitable[None]]


async def proxy_killed(scene: Scene) -> None:
    """Kill a proxy; the others deliver for it until it restarts and drains its spool."""
    await _kill_one(scene)
    await scene.last()


async def primary_killed(scene: Scene) -> None:
    """Kill the primary, and promote a standby after a while."""
    await scene.servers.primary.kill()
    await scene.last(scene.chance.uniform(0, scene.hold_s))
    await scene.servers.promote()


async def both_killed(scene: Scene) -> None:
    """Kill the primary and a proxy at the same moment."""
    await asyncio.gather(scene.servers.primary.kill(), _kill_one(scene))
    await scene.last(scene.chance.uniform(0, scene.hold_s))
    await scene.servers.promote()


async def primary_frozen(scene: Scene) -> None:
    """Freeze the primary; when it is thawed, it continues as before."""
    scene.servers.primary.freeze()
    await scene.last()


async def standby_frozen(scene: Scene) -> None:
    """Freeze one standby, which should have no effect."""
    scene.chance.choice(scene.servers.standbys).freeze()
    await scene.last()


async def standbys_frozen(scene: Scene) -> None:
    """Freeze both standbys, so that no commit is answered."""
    for node in scene.servers.standbys:
        node.freeze()
    await scene.last()


async def network_cut(scene: Scene) -> None:
    """Cut one proxy, or all, off from all servers."""
    clients = range(len(scene.proxies.machines))
    for client in scene.chance.choice([[scene.chance.choice(clients)], clients]):
        scene.servers.cut(client)
    await scene.last(scene.cut_s)


async def primary_isolated(scene: Scene) -> None:
    """Cut the primary off from everything and promote a standby; then clients reach both primaries."""
    stale = scene.servers.primary
    scene.servers.isolate_primary()
    await scene.last(scene.cut_s / 2)
    await scene.servers.promote()
    await scene.last(scene.cut_s / 2)
    for relay in scene.servers.doors[stale.name]:
        relay.mend()
    await scene.last()


async def waits_cancelled(scene: Scene) -> None:
    """Cancel and end our back-ends while no standby answers; then the primary dies with commits that it alone has."""
    for node in scene.servers.standbys:
        node.freeze()
    async with scene.dba("pg_cancel_backend", "pg_cancel_backend", "pg_terminate_backend"):
        await scene.last()
    await scene.servers.primary.kill()
    await scene.servers.feeds[scene.servers.primary.name].drop()
    for node in scene.servers.standbys:
        node.thaw()
    await scene.servers.promote()


async def statements_cancelled(scene: Scene) -> None:
    """Cancel and end our back-ends at work."""
    async with scene.dba("pg_cancel_backend", "pg_cancel_backend", "pg_terminate_backend"):
        await scene.last()


async def stale_primary(scene: Scene) -> None:
    """Start the former primary again in parallel to the new one; then cut off all others for a while."""
    stale = scene.servers.primary
    await stale.kill()
    await scene.servers.promote()
    await stale.start()
    await scene.last()
    others = [node for node in scene.servers.nodes if node is not stale]
    for relay in [relay for node in others for relay in scene.servers.doors[node.name]]:
        relay.cut()
    await scene.last()


async def disk_full(scene: Scene) -> None:
    """Fill the primary's disk; if that ends it, it is started when there is room again."""
    scene.servers.primary.fill_disk()
    await scene.last()
    scene.servers.primary.free_disk()


async def restarted_with_waiting_commits(scene: Scene) -> None:
    """Restart the primary while commits wait for standbys, which makes them visible; then it dies with them."""
    for node in scene.servers.standbys:
        node.freeze()
    await scene.last()
    await scene.servers.primary.kill()
    await scene.servers.primary.start()
    await scene.last()
    await scene.servers.primary.kill()
    await scene.servers.feeds[scene.servers.primary.name].drop()
    for node in scene.servers.standbys:
        node.thaw()
    await scene.servers.promote()


async def proxy_frozen(scene: Scene) -> None:
    """Freeze a proxy until others lead its lanes; then let it continue."""
    machine = scene.chance.choice(scene.proxies.machines)
    machine.freeze()
    await scene.last(3 * scene.hold_s)
    machine.thaw()
    await scene.last()


async def _kill_one(scene: Scene) -> SharedMachine:
    machine = scene.chance.choice(scene.proxies.machines)
    await machine.kill()
    return machine


BRIEF: tuple[Strike, ...] = (
    proxy_killed,
    primary_killed,
    both_killed,
    primary_frozen,
    standby_frozen,
    standbys_frozen,
    network_cut,
    waits_cancelled,
    stale_primary,
    disk_full,
)
FAULTS = (*BRIEF, primary_isolated, statements_cancelled, restarted_with_waiting_commits, proxy_frozen)

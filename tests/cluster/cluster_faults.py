"""What is done to servers and proxies under load: each fault lasts a while, in which events are accepted all the same.

A fault leaves servers broken, cut or frozen; the round ends with ``Trio.mend``.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from fleet import SharedMachine
from scene import Scene

Strike: TypeAlias = Callable[[Scene], Awaitable[None]]


async def proxy_killed(scene: Scene) -> None:
    """Kill a proxy; the others deliver what it led, until it comes back and finds its spool."""
    await _kill_one(scene)
    await scene.last()


async def primary_killed(scene: Scene) -> None:
    """Kill the primary, and promote a standby after a while."""
    await scene.servers.primary.kill()
    await scene.last(scene.chance.uniform(0, scene.hold_s))
    await scene.servers.promote()


async def both_killed(scene: Scene) -> None:
    """Kill the primary and a proxy at one moment."""
    await asyncio.gather(scene.servers.primary.kill(), _kill_one(scene))
    await scene.last(scene.chance.uniform(0, scene.hold_s))
    await scene.servers.promote()


async def primary_frozen(scene: Scene) -> None:
    """Freeze the primary; it goes on as if nothing had been."""
    scene.servers.primary.freeze()
    await scene.last()


async def standby_frozen(scene: Scene) -> None:
    """Freeze one standby: nobody should notice."""
    scene.chance.choice(scene.servers.standbys).freeze()
    await scene.last()


async def standbys_frozen(scene: Scene) -> None:
    """Freeze both standbys: no commit is answered."""
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
    """Cut the primary off from everybody and promote a standby; then it is reached again as it was, and stays so."""
    stale = scene.servers.primary
    scene.servers.isolate_primary()
    await scene.last(scene.cut_s / 2)
    await scene.servers.promote()
    await scene.last(scene.cut_s / 2)
    for relay in scene.servers.doors[stale.name]:
        relay.mend()
    await scene.last()


async def waits_cancelled(scene: Scene) -> None:
    """Cancel and end our back-ends while no standby answers; then the primary dies with what only it has."""
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
    """Start the former primary as it was, beside the new one; then all but it are cut off for a while."""
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
    """Fill the primary's disk; if it ends of that, it is started again when there is room."""
    scene.servers.primary.fill_disk()
    await scene.last()
    scene.servers.primary.free_disk()


async def restarted_with_waiting_commits(scene: Scene) -> None:
    """Restart the primary while commits wait for standbys: what it has alone becomes visible; then it dies."""
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
    """Freeze a proxy until others lead its lanes; then it goes on as if nothing had been."""
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

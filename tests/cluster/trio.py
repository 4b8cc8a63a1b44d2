"""Three PostgreSQL servers, each behind relays: a primary and two standbys, of which a commit needs any one.

A fail-over takes the right steps, as Patroni or a person should: first no standby follows the old primary any more
(else it could still acknowledge), then the standby with most of the log is promoted (of two standbys only that one
surely has what was acknowledged), then the others follow it.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from disk import Disk
from node import USER, Node
from polling import until
from relay import Relay

PREFIX = "capi-proxy-trio-"
CLIENT = "capi"
"""The user of our programs, who is no superuser, and the database that this user owns."""
_NAMES = ("one", "two", "three")
# How long a rewound node may take to start; after that it is copied, which is slower and always works.
_REWOUND_S = 20.0


@dataclass
class Trio:
    """The nodes, which of them is the primary, and the relays in front of each."""

    nodes: list[Node]
    doors: dict[str, list[Relay]]
    """By node: one relay for each of its clients."""
    feeds: dict[str, Relay]
    """By node: the relay at which its standbys follow it."""
    primary: Node
    retired: list[Node] = field(default_factory=list)
    """Former primaries that are no standbys yet."""

    @property
    def standbys(self) -> list[Node]:
        """Return the nodes that follow the primary, or will."""
        return [node for node in self.nodes if node is not self.primary and node not in self.retired]

    def address(self, client: int) -> str:
        """Return the URL by which one of the clients reaches all nodes."""
        hosts = ",".join(f"127.0.0.1:{self.doors[node.name][client].port}" for node in self.nodes)
        return f"postgresql://{CLIENT}@{hosts}/{CLIENT}"

    # -- creation

    async def make(self) -> None:
        """Create and start the primary, then its copies."""
        await asyncio.gather(*(relay.start() for relay in self.relays()))
        await self.primary.make()
        await self.primary.start()
        # There is no standby yet for which a commit could wait.
        creations = (f"CREATE ROLE {CLIENT} LOGIN", f"CREATE DATABASE {CLIENT} OWNER {CLIENT}")
        await self.primary.run("SET synchronous_commit = local", *creations)
        for node in self.nodes:
            node.database = CLIENT
        await asyncio.gather(*(self._join(node) for node in self.standbys))
        await self.attached(self.standbys)

    def relays(self) -> list[Relay]:
        """Return all relays."""
        return [*self.feeds.values(), *(relay for relays in self.doors.values() for relay in relays)]

    async def _join(self, node: Node) -> None:
        await node.copy(self.primary.port, self.feeds[self.primary.name].port)
        await node.start()

    async def attached(self, nodes: Collection[Node]) -> None:
        """Wait until these nodes follow the primary, count for its commits, and have all that it wrote so far.

        PostgreSQL begins a new timeline at the beginning of a segment. A standby that is cut off before it has that
        segment up to what it replayed already cannot be promoted (PANIC); only something written now proves that it has
        it.
        """
        written = await self.primary.value("SELECT pg_logical_emit_message(false, '', 'attached') - '0/0'")
        streaming = "SELECT application_name, flush_lsn - '0/0' FROM pg_stat_replication WHERE state = 'streaming'"

        async def are_attached() -> bool:
            rows = await self.primary.rows(streaming)
            return {node.name for node in nodes} <= {name for name, flushed in rows if flushed and flushed >= written}

        await until(are_attached, what="the standbys")

    # -- fail-over

    async def promote(self) -> Node:
        """Make the standby with most of the log the primary; return it.

        The old primary may be dead, frozen or cut off; it stays as it is until ``bring_back``.
        """
        standbys = self.standbys
        await asyncio.gather(*(node.follow(0) for node in standbys))
        newest = max([(await node.received(), node.name) for node in standbys])
        best = next(node for node in standbys if node.name == newest[1])
        await best.promote()
        self.retired.append(self.primary)
        self.primary = best
        await asyncio.gather(*(node.follow(self.feeds[best.name].port) for node in self.standbys))
        return best

    async def bring_back(self, *, rewinding: bool = True) -> None:
        """Make former primaries standbys: rewound if that works, else copied."""
        # Without it ``pg_rewind`` would not see that the new primary is on a timeline of its own.
        await self.primary.run("CHECKPOINT")
        for node in self.retired:
            await node.kill()
            upstream = self.feeds[self.primary.name].port
            if not (rewinding and await node.rewind(self.primary.port, upstream) and await self._starts(node)):
                await node.kill()
                await self._join(node)
        self.retired.clear()

    @staticmethod
    async def _starts(node: Node) -> bool:
        """Start a rewound node; tell whether it starts: not if the primary has removed log that it needs."""
        try:
            await node.start(seconds=_REWOUND_S)
        except (TimeoutError, RuntimeError):
            return False
        return True

    async def mend(self) -> None:
        """Repair everything: all nodes run, can be reached, and follow the primary."""
        for relay in self.relays():
            relay.mend()
        for node in self.nodes:
            node.free_disk()
            if node.is_frozen:
                node.thaw()
        for node in self.nodes:
            if not node.runs and node not in self.retired:
                await node.start()
        await self.bring_back()
        await self._repair_standbys()
        await self.attached(self.standbys)

    async def _repair_standbys(self) -> None:
        """Copy again the standbys that cannot follow, as they have more than the primary had when it was promoted."""
        for node in self.standbys:
            if not await self._follows(node):
                await node.kill()
                await self._join(node)

    async def _follows(self, node: Node) -> bool:
        try:
            await asyncio.wait_for(self.attached([node]), 10)
        except TimeoutError:
            return False
        return True

    # -- network cuts

    def cut(self, client: int) -> None:
        """Cut one client off from all nodes."""
        for relays in self.doors.values():
            relays[client].cut()

    def heal(self, client: int) -> None:
        """Let one client reach all nodes again."""
        for relays in self.doors.values():
            relays[client].mend()

    def isolate_primary(self) -> None:
        """Cut the primary off from clients and standbys."""
        for relay in (self.feeds[self.primary.name], *self.doors[self.primary.name]):
            relay.cut()

    async def close(self) -> None:
        """End all processes and unmount the disks."""
        await asyncio.gather(*(node.kill() for node in self.nodes))
        await asyncio.gather(*(relay.stop() for relay in self.relays()))
        for node in self.nodes:
            node.disk.remove()


def remove_left_over() -> None:
    """Remove what a killed run left, whose disks would fill the memory; another process may do so in parallel."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = directory.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists():
            for disk in list(directory.iterdir()):
                with suppress(subprocess.CalledProcessError):
                    Disk(disk, own=disk.is_mount()).remove()
            shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def trio(clients: int) -> AsyncIterator[Trio]:
    """Run a primary and two standbys, with relays for each client."""
    remove_left_over()
    # The server runs as another user, who cannot enter the directories that pytest makes.
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    if os.geteuid() == 0:
        shutil.chown(directory, USER)
    nodes = [Node(name, _NAMES, Disk(directory / name)) for name in _NAMES]
    doors = {node.name: [Relay(node.port) for _ in range(clients)] for node in nodes}
    made = Trio(nodes, doors, {node.name: Relay(node.port) for node in nodes}, nodes[0])
    try:
        for node in nodes:
            node.disk.make(USER)
        await made.make()
        yield made
    finally:
        await made.close()
        shutil.rmtree(directory)

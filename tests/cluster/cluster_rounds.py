"""A round: load, a fault during it, the repair of everything, and an account of the acknowledged events."""

import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from account import Account, account
from cluster_faults import Strike
from fleet import Fleet, fleet
from load import Load, loaded
from scene import Scene
from servers import simulator
from trio import Trio, trio

PROXIES = 3
# A proxy that often lost its database returns to it later and later; a fresh process returns at once.
_FRESH = 3


@dataclass
class Figures:
    """The results of all rounds."""

    rounds: int = 0
    acknowledged: int = 0
    lost: int = 0
    stored_twice: int = 0
    again: int = 0
    longest_s: dict[str, float] = field(default_factory=dict)
    """The longest time from a request to its answer, by fault."""
    refused: Counter[int] = field(default_factory=Counter)
    recovered_s: dict[str, list[float]] = field(default_factory=dict)
    """Seconds until all proxies used the database again with empty spools, by fault."""

    def add(self, fault: str, load: Load, found: Account, recovered_s: float) -> None:
        """Count a round.

        Args:
            fault: The name of the fault.
            load: The requests and their answers.
            found: The account of the acknowledged events.
            recovered_s: Seconds from the beginning of the repair.
        """
        self.rounds += 1
        self.acknowledged += len(load.acknowledged)
        self.lost += len(found.missing)
        self.stored_twice += len(found.stored_twice)
        self.again += found.again
        self.longest_s[fault] = max(self.longest_s.get(fault, 0.0), load.longest_s)
        self.refused += load.refused
        self.recovered_s.setdefault(fault, []).append(recovered_s)

    def lines(self) -> list[str]:
        """Return the lines to print."""
        longest = (f"{name} {taken:.2f}" for name, taken in sorted(self.longest_s.items()))
        times = (f"{name} {max(taken):.1f}" for name, taken in sorted(self.recovered_s.items()))
        return [
            f"{self.rounds} rounds on PostgreSQL: {self.acknowledged} acknowledged, {self.lost} lost",
            f"  {self.stored_twice} stored twice, {self.again} delivered again with the same ids",
            f"  answers but 204: {dict(self.refused) or 'none'}",
            f"  seconds of the longest append: {', '.join(longest)}",
            f"  seconds until all proxies were on the database again, with empty spools: {', '.join(times)}",
        ]


@dataclass
class Stage:
    """What all rounds share."""

    servers: Trio
    proxies: Fleet
    graph: str
    session: aiohttp.ClientSession
    hold_s: float
    cut_s: float
    impatient: bool = False
    """Whether the proxies return to the database at once, however often they lost it."""
    figures: Figures = field(default_factory=Figures)
    plays: int = 0
    """How many rounds began."""

    async def play(self, strike: Strike, chance: random.Random) -> tuple[Load, Account]:
        """Play a round; return its load, and the account of the acknowledged events."""
        if self.figures.rounds and not self.figures.rounds % _FRESH and not self.impatient:
            await self.proxies.restart()
        await self.slow_graph()
        self.plays += 1
        # The same fault comes again, but an id that came before would be a repeat.
        async with loaded(self.proxies, f"{strike.__name__}-{self.plays}", chance) as load:
            await load.goes_on()
            await strike(Scene(self.servers, self.proxies, load, chance, self.hold_s, self.cut_s))
            started = time.monotonic()
            await self.mend()
            recovered_s = time.monotonic() - started
            await load.goes_on()
        await self.proxies.at_rest()
        found = await account(self.session, self.graph, self.servers.primary, load.acknowledged)
        self.figures.add(strike.__name__, load, found, recovered_s)
        await self.forget()
        return load, found

    async def mend(self) -> None:
        """Repair everything, and wait until all proxies use the database again."""
        await self.servers.mend()
        await self.proxies.start()
        await self.proxies.at_rest()

    async def slow_graph(self, delay_s: float = 0.2) -> None:
        """Make Graph as slow as the real one, so that a fault meets requests in progress."""
        order = {"mode": "slow", "delay": delay_s, "after": True}
        async with self.session.post(f"{self.graph}/sim/faults", json=order) as answer:
            answer.raise_for_status()

    async def forget(self) -> None:
        """Reset the simulator, as it remembers a fixed number of copies."""
        async with self.session.post(f"{self.graph}/sim/reset") as answer:
            answer.raise_for_status()


@asynccontextmanager
async def stage(
    directory: Path,
    *,
    hold_s: float = 0.0,
    cut_s: float = 0.0,
    lines: Sequence[str] = (),
    proxies: int = PROXIES,
    impatient: bool = True,
) -> AsyncIterator[Stage]:
    """Run three servers, proxies that share them, and the simulator.

    Args:
        directory: For the proxies' files.
        hold_s: How long a fault lasts, in seconds.
        cut_s: How long a network cut lasts, in seconds.
        lines: More lines of ``[queue]``.
        proxies: How many proxies.
        impatient: Whether they return to the database at once, however often they lost it.
    """
    async with simulator() as graph, trio(proxies) as servers, aiohttp.ClientSession() as session:
        addresses = [servers.address(client) for client in range(proxies)]
        async with fleet(directory, graph, addresses, "\n".join(lines), impatient=impatient) as running:
            yield Stage(servers, running, graph, session, hold_s, cut_s, impatient)

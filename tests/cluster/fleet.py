"""Several proxies as processes, on a shared database or each with a SQLite file."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from machine import Machine
from polling import until

PIXELS = ("1001", "1002", "1003")
_AWAY = re.compile(r'^capi_proxy_conditions\{code="database"\} (\S+)$', re.MULTILINE)
# The real program, except that it never waits long for a database that was away again and again.
_IMPATIENT = """
from proxy.queue.postgres import reconnector
reconnector._MOST_HOLD_S = 0.3
from proxy.cli.commands import main
main()
"""
_SPOOLED = re.compile(r"^capi_proxy_spooled_events (\S+)$", re.MULTILINE)


@dataclass
class SharedMachine(Machine):
    """A proxy with its queue in a database, or in a SQLite file if ``database`` is empty."""

    pixels: Sequence[str] = PIXELS
    database: str = ""
    lines: str = ""
    """More lines of ``[queue]``."""
    impatient: bool = False
    is_frozen: bool = False
    freezes: int = 0

    def command(self) -> tuple[str, ...]:
        """Return the command that is run."""
        if not self.impatient:
            return super().command()
        return (sys.executable, "-c", _IMPATIENT, "serve", "--config", str(self.config))

    def __post_init__(self) -> None:
        """Write the configuration."""
        super().__post_init__()
        if self.database:
            queue = f'[queue]\nengine = "postgres"\nurl = "{self.database}"\n{self.lines}\n'
            self.config.write_text(self.config.read_text().replace("[graph]\n", f"{queue}[graph]\n"))

    @property
    def runs(self) -> bool:
        """Tell whether its process lives."""
        return self.process is not None and self.process.returncode is None

    def freeze(self) -> None:
        """Stop the process with SIGSTOP, as a machine without memory seems to do."""
        os.kill(self.pid, signal.SIGSTOP)
        self.is_frozen = True
        self.freezes += 1

    def thaw(self) -> None:
        """Let the process continue."""
        os.kill(self.pid, signal.SIGCONT)
        self.is_frozen = False

    async def is_at_rest(self) -> bool:
        """Tell whether it uses its database, and its spool is empty."""
        return not self.database or await self._figure(_AWAY) == await self._figure(_SPOOLED) == 0

    async def spooled(self) -> int:
        """Return the number of events in its spool."""
        return await self._figure(_SPOOLED) or 0

    async def _figure(self, pattern: re.Pattern[str]) -> int | None:
        found = pattern.search((await self._get(self.operator_port, "/metrics")).decode())
        return int(float(found[1])) if found else None


@dataclass
class Fleet:
    """Several proxies."""

    machines: list[SharedMachine]

    async def at_rest(self, seconds: float = 120.0) -> None:
        """Wait until all use their database, and all spools are empty.

        Raises:
            TimeoutError: when it takes longer than ``seconds``.
        """

        async def are_at_rest() -> bool:
            return all([await machine.is_at_rest() for machine in self.machines])

        await until(are_at_rest, seconds=seconds, what="proxies at rest")

    async def start(self) -> None:
        """Start the proxies that do not run."""
        await asyncio.gather(*(machine.start() for machine in self.machines if not machine.runs))

    async def restart(self) -> None:
        """End all proxies as an operator would, and start them again."""
        codes = await asyncio.gather(*(machine.terminate() for machine in self.machines))
        assert set(codes) == {0}, codes
        await self.start()

    async def kill(self) -> None:
        """Kill all proxies that run."""
        await asyncio.gather(*(machine.kill() for machine in self.machines if machine.runs))


@asynccontextmanager
async def fleet(
    directory: Path, graph: str, addresses: Sequence[str], lines: str = "", *, impatient: bool = False
) -> AsyncIterator[Fleet]:
    """Run a proxy for each address of the database.

    Args:
        directory: Each proxy gets a directory in it.
        graph: Address of the simulator.
        addresses: How each reaches the database, through relays of its own.
        lines: More lines of ``[queue]``.
        impatient: Whether they return to the database at once, however often they lost it.
    """
    machines = [
        SharedMachine(directory / f"proxy-{number}", graph, database=address, lines=lines, impatient=impatient)
        for number, address in enumerate(addresses)
    ]
    made = Fleet(machines)
    try:
        await made.start()
        yield made
    finally:
        await made.kill()

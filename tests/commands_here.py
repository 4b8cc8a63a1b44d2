"""The proxy and its commands within this process, for tests that are not about processes.

Starting Python and importing the proxy takes longer than most commands do. What a test shows of a command here holds
for ``python -m proxy`` too, which calls the same function, as ``test_commands.py`` shows.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from click.testing import CliRunner, Result
from machine import Machine

from proxy.app import run_proxy
from proxy.cli.commands import main
from proxy.config import load


@dataclass
class House(Machine):
    """A configuration on disk, and a proxy within this process that runs it."""

    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        """Start the proxy."""
        await self._stack.enter_async_context(run_proxy(load.load(self.config, {})))

    async def end(self) -> None:
        """End the proxy, if it runs."""
        await self._stack.aclose()


def invoke(*arguments: str) -> Result:
    """Run a command; raise any exception except its exit."""
    done = CliRunner().invoke(main, arguments)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


async def invoke_beside(*arguments: str) -> Result:
    """Run a command in a thread, while this event loop goes on serving."""
    return await asyncio.to_thread(invoke, *arguments)


async def run(machine: Machine, *arguments: str) -> tuple[int, list[str]]:
    """Run a command on a machine's configuration; return its exit code and the lines it printed."""
    done = await invoke_beside(*arguments, "--config", str(machine.config))
    return done.exit_code, done.stdout.splitlines()

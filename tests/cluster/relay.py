"""A relay in front of a server, which a test can cut and mend."""

import asyncio
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from machine import free_port

_PROGRAM = Path(__file__).with_name("relay_process.py")


@dataclass
class Relay:
    """A port of loopback that forwards to another port, unless the relay is cut."""

    target: int
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it listens."""
        self.process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig=KILL", "--", sys.executable, "-I", "-S", str(_PROGRAM)),
            *(str(self.port), str(self.target)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.process.stdout
        assert await self.process.stdout.readline() == b"ready\n"

    def cut(self) -> None:
        """Stop forwarding, without ending connections."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def mend(self) -> None:
        """Forward again, beginning with what came meanwhile, as after a network cut."""
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End it; what it has not forwarded is lost."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()

    async def drop(self) -> None:
        """Lose what has not been forwarded, as if a machine in between had been switched off and on."""
        await self.stop()
        await self.start()

"""A proxy as a process of its own: its configuration, its start and end, and its resource use.

Tests and benches share it. It imports nothing of the proxy, so that a bench can run another copy of it.
"""

import asyncio
import json
import os
import random
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polling import until

ROOT = Path(__file__).resolve().parent.parent
PIXEL = "1234567890"
TOKEN = "token-of-the-pixel-KEEP-OUT"
SECRET = "a secret for tests that is long enough"
START_S = 180.0
END_S = 120.0
COMMAND_S = 120.0
_ANSWER_S = 10.0
# Above the only larger port that browsers refuse, 10080 (Fetch, port blocking).
_LOWEST_PORT = 12_000
_TICKS = os.sysconf("SC_CLK_TCK")
_UNLIMITED = """\
[limits]
requests_per_second = 1000000
burst = 1000000
connections_per_address = 4000
"""


def free_port() -> int:
    """Return a port of loopback on which nothing listens now.

    It is none of the ports that the system assigns to clients: a client that tries such a port again and again is in
    the end connected to itself (TCP, simultaneous open), and the server then finds its port taken.
    """
    first_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(_LOWEST_PORT, max(first_given, _LOWEST_PORT + 1000))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def lives(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@dataclass
class Machine:
    """A configuration on disk, and the process that runs it."""

    directory: Path
    graph: str
    pixels: Sequence[str] = (PIXEL,)
    prefix: str = "/shop-tools"
    timeout: float = 30.0
    """Seconds for a whole request to Graph, many enough that a busy machine is not taken for a hanging Graph."""
    limited: bool = False
    """Whether the usual limits for one address apply; most tests and benches send everything from one address."""
    workers: int = 1
    """Front processes; with more than one the proxy has a back, too."""
    asker: str = "127.0.0.1"
    """The address from which the health and status requests come."""
    port: int = field(default_factory=free_port)
    operator_port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None
    tree: Path = ROOT
    """The directory of the program."""

    def __post_init__(self) -> None:
        self.directory.mkdir(exist_ok=True)
        self.config = self.directory / "config.toml"
        self.write_config()

    def write_config(self) -> None:
        """Write the configuration, which the next start reads."""
        pixels = "".join(f'[[site.pixel]]\nid = "{pixel}"\naccess_token = "{TOKEN}"\n' for pixel in self.pixels)
        self.config.write_text(
            f"""
[server]
listen = "127.0.0.1:{self.port}"
operator_listen = "127.0.0.1:{self.operator_port}"
trusted_proxies = ["127.0.0.1/32"]
secret = "{SECRET}"
{f"workers = {self.workers}" if self.workers > 1 else ""}
[graph]
url = "{self.graph}"
timeout = {self.timeout}
{"" if self.limited else _UNLIMITED}[[site]]
name = "shop"
domains = ["shop.example"]
prefix = "{self.prefix}"
{pixels}"""
        )

    def command(self) -> tuple[str, ...]:
        """Return the command that is run."""
        return (sys.executable, "-m", "proxy", "serve", "--config", str(self.config))

    def environment(self) -> dict[str, str]:
        """Return the environment of the command."""
        return {**os.environ, "PYTHONWARNINGS": "error", "PYTHONPATH": str(ROOT / "tests" / "faults")}

    # -- start and end

    async def start(self) -> None:
        """Start the proxy and wait until it answers."""
        with (self.directory / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command(), cwd=self.tree, env=self.environment(), stderr=log
            )
        try:
            await until(self._accepts, seconds=START_S, what="the proxy's start")
        except BaseException:
            await self.kill()
            raise

    async def _accepts(self) -> bool:
        assert self.process
        assert self.process.returncode is None, self.log()[-2000:]
        try:
            answer = await asyncio.wait_for(self._get(self.port, "/healthz"), _ANSWER_S)
        except TimeoutError:
            return False
        # On a full disk the proxy runs, and answers that it accepts nothing.
        return answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503"))

    async def kill(self) -> None:
        """End all its processes at once with SIGKILL, as a crash of the machine would."""
        assert self.process
        children = [*self.children().values()]
        for pid in (self.process.pid, *children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self.process.wait()
        await until(lambda: not any(map(lives, children)), what="the end of all processes")

    def children(self) -> dict[str, int]:
        """Return the ids of the fronts' and the back's processes by name, as ``front-1``; empty with one worker."""
        found: dict[str, int] = {}
        with suppress(OSError):
            for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                if lives(int(pid)) and name.startswith("capi-"):
                    found[name.removeprefix("capi-")] = int(pid)
        return found

    async def terminate(self) -> int:
        """End it as an operator would, with SIGTERM; return the exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), END_S)

    # -- what it answers

    @property
    def public(self) -> str:
        """Return the address of the public listener."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def operator(self) -> str:
        """Return the address of the operator listener."""
        return f"http://127.0.0.1:{self.operator_port}"

    def log(self) -> str:
        """Return what the process wrote to its log."""
        return (self.directory / "log").read_text()

    async def waiting(self) -> int:
        """Return how many events wait, according to the operator listener."""
        document: dict[str, Any] = json.loads(
            (await self._get(self.operator_port, "/api/status")).partition(b"\r\n\r\n")[2]
        )
        return sum(lane["waiting"] for lane in document["lanes"])

    async def drained(self, seconds: float = 120.0) -> None:
        """Wait until no event waits.

        Raises:
            TimeoutError: when it takes longer than ``seconds``.
        """

        async def empty() -> bool:
            return await self.waiting() == 0

        await until(empty, seconds=seconds, what="an empty queue")

    async def _get(self, port: int, path: str) -> bytes:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(self.asker, 0))
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
        except OSError:
            return b""
        return answer

    # -- its resource use

    @property
    def pid(self) -> int:
        """Return the id of the running process."""
        assert self.process, "the proxy does not run"
        return self.process.pid

    def cpu_s(self) -> float:
        """Return the seconds of processor time that all its processes have used so far."""
        stats = [Path(f"/proc/{pid}/stat").read_text() for pid in (self.pid, *self.children().values())]
        fields = [stat.rpartition(")")[2].split() for stat in stats]
        return sum(int(times[11]) + int(times[12]) for times in fields) / _TICKS

    def memory_mb(self, *, peak: bool = False) -> float:
        """Return the resident set, or its largest size so far, in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:" if peak else "VmRSS:")[1].split()[0]) * 1024 / 1e6


async def run(machine: Machine, *arguments: str) -> tuple[int, list[str]]:
    """Run a command of the proxy on a machine's configuration; return its exit code and the lines it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", *arguments, "--config", str(machine.config)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), COMMAND_S)
    return process.returncode or 0, out.decode().splitlines()

"""Runs the real program as a process, loads it over real sockets, and accounts for every acknowledged event."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from support import PIXEL, SECRET, TOKEN, browser_headers, get_json, page_views, until

ROOT = Path(__file__).resolve().parent.parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Machine:
    """A configuration on disk, and the process that runs it."""

    directory: Path
    graph: str
    port: int = field(default_factory=free_port)
    operator_port: int = field(default_factory=free_port)
    timeout: float = 2.0
    """Seconds for a whole request to Graph."""
    report: str = ""
    """Where the simulator tells what came; by default where Graph is."""
    process: asyncio.subprocess.Process | None = None

    def __post_init__(self) -> None:
        self.report = self.report or self.graph
        self.config = self.directory / "config.toml"
        self.config.write_text(
            f"""
[server]
listen = "127.0.0.1:{self.port}"
operator_listen = "127.0.0.1:{self.operator_port}"
trusted_proxies = ["127.0.0.1/32"]
secret = "{SECRET}"
[graph]
url = "{self.graph}"
timeout = {self.timeout}
[limits]
requests_per_second = 100000
burst = 100000
[[site]]
name = "shop"
domains = ["shop.example"]
prefix = "/shop-tools"
[[site.pixel]]
id = "{PIXEL}"
access_token = "{TOKEN}"
"""
        )

    async def start(self, session: aiohttp.ClientSession) -> None:
        """Start the proxy and wait until it answers."""
        with (self.directory / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command(),
                cwd=ROOT,
                env={**os.environ, "PYTHONWARNINGS": "error", "PYTHONPATH": str(ROOT / "tests" / "faults")},
                stderr=log,
            )
        try:
            await until(lambda: self._accepts(session), seconds=90, what="the proxy's start")
        except BaseException:
            await self.kill()
            raise

    def command(self) -> tuple[str, ...]:
        """Return what is run."""
        return (sys.executable, "-m", "proxy", "serve", "--config", str(self.config))

    @property
    def public(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def operator(self) -> str:
        return f"http://127.0.0.1:{self.operator_port}"

    def resident_mb(self) -> float:
        """Return the memory it holds now."""
        assert self.process
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    async def drained(self, session: aiohttp.ClientSession) -> bool:
        """Tell whether nothing waits."""
        status = await get_json(session, f"{self.operator}/api/status")
        return bool(status["lanes"][0]["waiting"] == 0)

    async def _accepts(self, session: aiohttp.ClientSession) -> bool:
        assert self.process
        assert self.process.returncode is None, self.log()
        try:
            async with session.get(f"{self.public}/healthz") as answer:
                return answer.status in {200, 503}  # on a full disk it runs, and says that it takes nothing
        except aiohttp.ClientError:
            return False

    async def kill(self) -> None:
        """End it as a crash would."""
        assert self.process
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        """End it as an operator would; return the exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 30)

    def log(self) -> str:
        return (self.directory / "log").read_text()


@dataclass
class Load:
    """Clients that post until stopped; ``acknowledged`` holds the ids of every 204."""

    name: str
    session: aiohttp.ClientSession
    port: int
    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0
    number: int = 0

    async def client(self) -> None:
        while True:
            ids = [f"{self.name}-{self.number + step}" for step in range(3)]
            self.number += 3
            try:
                async with self.session.post(
                    f"http://127.0.0.1:{self.port}/shop-tools/e",
                    data=orjson.dumps(page_views(ids)),
                    headers=browser_headers(),
                ) as answer:
                    status = answer.status
            except (aiohttp.ClientError, OSError):
                return
            if status == 204:
                self.acknowledged.update(ids)
            else:
                self.refused += 1


@asynccontextmanager
async def loaded(machine: Machine, name: str, *, clients: int = 16) -> AsyncIterator[Load]:
    """Load the machine until the context ends."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        load = Load(name, session, machine.port)
        tasks = [asyncio.create_task(load.client()) for _ in range(clients)]
        try:
            yield load
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True)
class Account:
    """What the simulator got of the acknowledged events."""

    missing: set[str]
    copies: int
    """Server copies beyond the first: deliveries repeated after a crash or a lost answer."""


async def settled_account(
    session: aiohttp.ClientSession, graph: str, acknowledged: set[str], *, seconds: float = 60.0
) -> Account:
    """Wait until every acknowledged event arrived, or no more arrive for a while; return the account."""
    deadline = time.monotonic() + seconds

    async def look() -> Account:
        pairs: list[dict[str, Any]] = (await get_json(session, f"{graph}/sim/report"))["pairs"]
        server = {pair["id"]: pair["server"] for pair in pairs}
        extra = sum(copies - 1 for copies in server.values() if copies)
        return Account({identity for identity in acknowledged if not server.get(identity)}, extra)

    async def done() -> Account | None:
        account = await look()
        return account if not account.missing or time.monotonic() > deadline else None

    account: Account = await until(done, seconds=seconds + 10, what="the account")
    return account

"""A queue behind the socket: an engine, the back's end on top of it, and the front's end as an ``Intake``."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path

import queues
from clock import Clock
from polling import until
from support import SECRET

from proxy.queue.postgres.engine import SharedQueue
from proxy.queue.remote.back import Back
from proxy.queue.remote.front import RemoteQueue
from proxy.queue.remote.link import BackLink
from proxy.queue.remote.messages import CounterChange, FrontReport, Hello
from proxy.queue.seal import Sealer
from proxy.queue.sieve import Sieve
from proxy.queue.sqlite.engine import LocalQueue

TOKEN = b"t" * 16


class Source:
    """The source of a front's reports: a counter that the test changes."""

    def __init__(self) -> None:
        self.count = self.told = 0.0
        self.told_lost = 0
        self.renewed = 0

    def report(self, lost_notes: int) -> FrontReport | None:
        self.telling, self.telling_lost = self.count, lost_notes
        if (self.told, self.told_lost) == (self.telling, lost_notes):
            return None
        lost = CounterChange("lost", (), self.told_lost, lost_notes)
        return FrontReport(b"life", (CounterChange("tests", (), self.told, self.telling), lost))

    def on_answered(self) -> None:
        self.told, self.told_lost = self.telling, self.telling_lost

    def on_new_back(self) -> None:
        self.renewed += 1


class Watch:
    """What a back learns of its fronts."""

    def __init__(self) -> None:
        self.fronts: list[int] = []
        self.counted = 0.0
        self.lost = 0
        self.faults: list[Exception] = []
        self.refusals: list[str] = []

    def joined(self, front: int) -> None:
        self.fronts.append(front)

    def left(self, front: int) -> None:
        self.fronts.remove(front)

    def report(self, _front: int, report: FrontReport) -> None:
        self.counted += sum(each.now - each.since for each in report.counts if each.name == "tests")
        self.lost += sum(int(each.now - each.since) for each in report.counts if each.name == "lost")

    def refused(self, why: str) -> None:
        self.refusals.append(why)

    def fault(self, error: Exception) -> None:
        self.faults.append(error)


@dataclass
class Fronted:
    """An engine and what leads to it; the test may end the back and begin another."""

    directory: Path
    engine: LocalQueue | SharedQueue
    sieve: mmap
    watch: Watch = field(default_factory=Watch)
    woken: list[str] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    back: Back | None = None

    @property
    def address(self) -> str:
        return str(self.directory / "back.sock")

    async def begin(self) -> None:
        self.back = Back(self.engine, TOKEN, watch=self.watch, wake=self._wake)
        await self.back.start(self.address)

    async def end(self) -> None:
        if self.back:
            await self.back.close(0)
            self.back = None

    def link(self, number: int = 1, token: bytes = TOKEN) -> BackLink:
        return BackLink(self.address, Hello(token, number))

    def front(self, link: BackLink) -> RemoteQueue:
        self.sources.append(Source())
        return RemoteQueue(link, Sealer(SECRET), Sieve(self.sieve), self.sources[-1])

    def _wake(self, pixels: Collection[str]) -> None:
        self.woken.extend(pixels)


@asynccontextmanager
async def fronted(
    directory: Path, clock: Clock, opened: Callable[[Sieve], Awaitable[SharedQueue]] | None = None
) -> AsyncIterator[Fronted]:
    """Open an engine with a back on top of it; without ``opened`` it is SQLite's."""
    directory.mkdir(exist_ok=True)  # noqa: ASYNC240 - of a test
    memory = mmap(-1, Sieve.BYTES)
    sieve = Sieve(memory)
    made = Fronted(
        directory, await opened(sieve) if opened else queues.open_queue(directory, clock, sieve=sieve), memory
    )
    await made.begin()
    try:
        yield made
    finally:
        await made.end()
        await made.engine.close()


@asynccontextmanager
async def started(front: RemoteQueue, link: BackLink) -> AsyncIterator[RemoteQueue]:
    """Connect a front until the context ends."""
    front.start()
    try:
        await asyncio.wait_for(link.here.wait(), 60)
        yield front
    finally:
        await front.close()


async def noticed_away(link: BackLink) -> None:
    """Wait until a front has noticed that the back is gone."""
    await until(lambda: link.state is None, what="the front's notice")

"""What a delivered event costs, stage by stage: processor time of this process while it delivers a backlog.

A fake Graph runs as a process of its own. With PYTHONPATH another copy of the proxy is measured; run both in turn.
"""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import click
from pydantic import SecretStr
from rig import start, table, workplace
from stock import fill_within, queue_of

from proxy.config.schema import GraphSettings, Pixel
from proxy.delivery.attempt import Attempt
from proxy.delivery.client import GraphClient, graph_session
from proxy.delivery.refused_networks import RefusedNetworks
from proxy.delivery.settlement import settlement
from proxy.model.verdict import Delivered
from proxy.queue.sqlite.engine import LocalQueue
from proxy.telemetry.conditions import Conditions

_PIXEL = "1001"
_BATCH = 1000


def _now() -> int:
    return time.time_ns() // 1_000_000


class Stages:
    """Adds up the processor time of each stage."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.events = self.batches = 0

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Add the processor time of the ``with`` block to a stage."""
        began = time.process_time()
        yield
        self.seconds[name] += time.process_time() - began

    def rows(self) -> list[tuple[str, str]]:
        """Return a row for each stage and one for their sum: its name, and its microseconds per event."""
        names = [*self.seconds, "sum"]
        seconds = [*self.seconds.values(), sum(self.seconds.values())]
        return [(name, f"{used / self.events * 1e6:.2f}") for name, used in zip(names, seconds, strict=True)]


@asynccontextmanager
async def _graph() -> AsyncIterator[GraphClient]:
    """Run a fake Graph, and yield a client that sends to it."""
    program = Path(__file__).with_name("fakegraph.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    try:
        address = await process.stdout.readline() if process.stdout else b""
        settings = GraphSettings(url=address.decode().strip())
        async with graph_session(30) as session:
            yield GraphClient(session, settings, _now, Conditions(_now))
    finally:
        process.kill()
        await process.wait()


async def _deliver(queue: LocalQueue, graph: GraphClient) -> Stages:
    """Deliver all waiting events, as a lane does while nothing fails, and return what each stage took."""
    stages = Stages()
    pixel = Pixel.model_construct(id=_PIXEL, access_token=SecretStr("t" * 180))
    while True:
        with stages.of("claim: read, open, unpack"):
            segments = await queue.claim(_PIXEL, most=_BATCH, newest=bool(stages.batches % 2))
        if not segments:
            return stages
        records = [record for segment in segments for record in segment.records]
        with stages.of("send: body, request, verdict"):
            verdict = await graph.send(pixel, records)
        if not isinstance(verdict, Delivered):
            raise TypeError(f"the fake Graph did not take a batch: {verdict}")
        with stages.of("decide: what becomes of each"):
            result = Attempt()
            result.decide(records, verdict, RefusedNetworks())
            settled = settlement(segments, result, _now())
        with stages.of("settle: remove, ledger rows"):
            await queue.settle(segments, settled)
        stages.events += len(records)
        stages.batches += 1


async def bench(events: int) -> None:
    """Deliver a backlog for each of several segment sizes, and print the cost of each stage."""
    async with _graph() as graph:
        for group in (64, 5, 1):
            with workplace() as place:
                async with queue_of(place) as queue:
                    await fill_within(queue, events, 60, group=group)
                    stages = await _deliver(queue, graph)
            print(f"\n{stages.events} events in segments of {group}, {stages.batches} requests")
            table(("", "CPU us an event"), stages.rows())


@click.command()
@click.option("--quick", is_flag=True, help="A look within half a minute.")
def main(*, quick: bool) -> None:
    """Processor time of a delivered event by stage."""
    start()
    asyncio.run(bench(5_000 if quick else 50_000))


if __name__ == "__main__":
    main()

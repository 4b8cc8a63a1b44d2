"""What a backlog costs: appends, deliveries and settlements with a million events waiting, relative to few waiting.

The backlog goes in through the queue's own append, so that the duplicate memory is as large as the backlog. For the
append rates Graph is down; for the delivery rates a proxy starts on its backlog while Graph is up. ``--events`` asks
for another size of the backlog, ``--fill-seconds`` bounds the time to make it; the tables say how many events there
were in the end.
"""

import asyncio
import shutil
import statistics
import time
from functools import partial
from pathlib import Path

import click
from fakegraph import FakeGraph, served
from rig import PinnedMachine, Slice, goal, percentile, ratio, rounds, running, slices, start, table, workplace, wrk
from stock import fill, fill_within, queue_of
from visitor import visiting

from proxy.model.ledger import LedgerRow, Status
from proxy.queue.contract import Settlement
from proxy.queue.sqlite.engine import LocalQueue

_PIXEL = "1001"
_BATCH = 1000
# A larger backlog is not drained completely: this many events are enough.
_DRAINED = 1_000_000
_MOST_EVENTS = "\n[queue]\nmax_events = 20000000\n"


class Bench:
    """Two proxies on one disk: with few events waiting, and with many."""

    def __init__(self, place: Path, graph: FakeGraph, address: str, many: int, few: int) -> None:
        self.graph = graph
        self.many, self.few = many, few
        self.least = 0.9 if many <= _DRAINED else 0.85
        self.peak = 0.0
        self.small = PinnedMachine(place / "small", address, timeout=10)
        self.large = PinnedMachine(place / "large", address, timeout=10)
        with self.large.config.open("a") as config:
            config.write(_MOST_EVENTS)

    async def stock(self, fill_seconds: float) -> None:
        """Fill the large queue, and time settlements in the small and the large one in turn."""
        async with queue_of(self.small.directory) as small, queue_of(self.large.directory) as large:
            started = time.monotonic()
            await fill_within(large, self.many, fill_seconds)
            asked, self.many = self.many, large.stats().waiting[_PIXEL]
            print(f"{self.many} of {asked} events appended in {time.monotonic() - started:.0f} s")
            times: dict[str, list[float]] = {"few": [], "many": []}
            for _ in range(min(100, self.many // 2000)):
                await fill(small, _BATCH)
                times["few"].append(await _settle(small))
                times["many"].append(await _settle(large))
            await fill(large, len(times["many"]) * _BATCH)
        rows = [
            (name, f"{statistics.median(taken):.1f}", f"{percentile(taken, 0.95):.1f}") for name, taken in times.items()
        ]
        print("\nsettling 1000 delivered events, with 1000 ledger rows, until the commit returns")
        table(("", "p50 ms", "p95 ms"), rows)
        goal("settling 1000 events, p95 ms", percentile(times["many"], 0.95), 10, most=True)

    async def append(self, count: int, seconds: float) -> None:
        """Compare the rates of appends while Graph is down."""
        self.graph.modes[_PIXEL] = "down"
        print(f"\nappends over HTTP, 128 connections, delivery down, {count} rounds of {seconds:g} s")
        async with running(self.small, self.large):
            load = {
                "few wait": partial(wrk, self.small, connections=128, seconds=seconds),
                f"{self.many} wait": partial(wrk, self.large, connections=128, seconds=seconds),
            }
            found = await rounds(load, (self.small, self.large), count=count)
            self._memory("with keep-alive clients")
        base, name = found
        slices(found, base)
        goal(f"appends with {self.many} waiting / with few", ratio(found, name, base), self.least)
        self.peak = max(part.rate for part in found[base])

    async def deliver(self, count: int) -> None:
        """Compare the delivery rates after a start of the proxy; the small backlog is made again for each round."""
        self.graph.modes[_PIXEL] = "ok"
        names = (f"of {self.few}", f"of {self.many}")
        found: dict[str, list[Slice]] = {name: [] for name in names}
        for _ in range(count):
            shutil.rmtree(self.small.directory / "data")
            async with queue_of(self.small.directory) as small:
                await fill(small, self.few)
            for name, machine in zip(names, (self.small, self.large), strict=True):
                found[name].append(await self._first(machine))
        base, name = names
        rows = []
        for name, taken in found.items():
            rate, used = (statistics.median(getattr(part, what) for part in taken) for what in ("rate", "cpu_us"))
            rows.append((name, f"{rate:.0f}", f"{ratio(found, name, base):.2f}", f"{used:.1f}"))
        print(f"\ndelivery of the first {self._window} events after a start, {count} rounds")
        table(("", "events/s", "ratio", "CPU us each"), rows)
        goal(f"delivery with {self.many} waiting / with few", ratio(found, name, base), self.least)

    @property
    def _window(self) -> int:
        """Return how many events are delivered for a rate; the last fifth of the small backlog is left out."""
        return self.few * 8 // 10

    async def _first(self, machine: PinnedMachine) -> Slice:
        self.graph.arrivals.clear()
        async with running(machine):
            used = machine.cpu_s()
            await self.graph.took(self._window)
            used = machine.cpu_s() - used
            return self._rate(used)

    def _rate(self, used: float) -> Slice:
        first, *later_arrivals = self.graph.arrivals
        events = sum(arrival.events for arrival in later_arrivals)
        return Slice(events / (later_arrivals[-1].at - first.at), 0, 0, used / (events + first.events) * 1e6)

    async def drain(self) -> None:
        """Deliver all events of the large backlog, or a million of them."""
        self.graph.arrivals.clear()
        async with running(self.large):
            used = self.large.cpu_s()
            if self.many > _DRAINED:
                await self.graph.took(_DRAINED)
            else:
                await self.large.drained(120)
            whole = self._rate(self.large.cpu_s() - used)
            print(f"\ndrained {self.graph.taken()} events in {len(self.graph.arrivals)} requests")
            print(f"{whole.rate:.0f} events/s, {whole.cpu_us:.1f} us of CPU each")
            self._memory("while it drained")
        goal("events/s of the whole drain", whole.rate, 20_000)
        goal("the same to the peak of appends in this run", whole.rate / self.peak, 1.5)

    async def singles(self, count: int) -> None:
        """Deliver a backlog in which each event was committed alone, as on a quiet site."""
        shutil.rmtree(self.small.directory / "data")
        async with queue_of(self.small.directory) as small:
            await fill(small, count, group=1)
        self.graph.arrivals.clear()
        async with running(self.small):
            used = self.small.cpu_s()
            await self.small.drained(120)
            whole = self._rate(self.small.cpu_s() - used)
        print(
            f"\n{count} events that were committed alone: {whole.rate:.0f} events/s, {whole.cpu_us:.1f} us of CPU each"
        )
        goal("events/s of events committed alone", whole.rate, 20_000)

    async def slow(self, seconds: float) -> None:
        """Deliver the events of an outage to a Graph whose answer takes 1 ms longer for each event of a batch.

        One event is delivered before the outage begins.
        """
        shutil.rmtree(self.small.directory / "data")
        self.graph.arrivals.clear()
        self.graph.per_event, self.graph.most_under_way = 0.001, 0
        async with running(self.small), visiting(self.small) as visitor:
            await visitor.event("first", _PIXEL)
            await self.graph.took(1)
            self.graph.modes[_PIXEL] = "down"
            await wrk(self.small, "slow", connections=128, seconds=seconds)
            self.graph.modes[_PIXEL] = "ok"
            await self.small.drained(120)
        taken = [arrival for arrival in self.graph.arrivals if arrival.good]
        rate = sum(arrival.events for arrival in taken[2:]) / (taken[-1].at - taken[1].at)
        self.graph.per_event = 0.0
        print(f"\nanswers that take 1 ms for each event: {self.graph.taken()} events, {rate:.0f} events/s")
        goal("requests under way at most", self.graph.most_under_way, 2)

    def _memory(self, when: str) -> None:
        most = 150 if self.many <= _DRAINED else 200
        goal(f"MB of memory at most, {when}", self.large.memory_mb(peak=True), most, most=True)


async def _settle(queue: LocalQueue) -> float:
    """Claim a batch and return the milliseconds it takes to settle it as delivered."""
    segments = await queue.claim(_PIXEL, most=_BATCH)
    now = time.time_ns() // 1_000_000
    rows = tuple(
        LedgerRow(
            now,
            event.pixel,
            event.name,
            event.id,
            event.time_s,
            Status.DELIVERED,
            "",
            event.browser_copy,
            "A1b2C3d4E5f",
            1,
        )
        for segment in segments
        for event in segment.records
    )
    started = time.perf_counter()
    await queue.settle(segments, Settlement(done=tuple(segment.ref for segment in segments), rows=rows))
    return (time.perf_counter() - started) * 1000


async def bench(many: int, few: int, count: int, seconds: float, fill_seconds: float) -> None:
    """Run all parts.

    Args:
        many: Events of the large backlog.
        few: Events of the small one.
        count: Rounds.
        seconds: The length of a round.
        fill_seconds: How long the large backlog may take to make; after that it stays as large as it is.
    """
    graph = FakeGraph()
    with workplace() as place:
        async with served(graph) as address:
            parts = Bench(place, graph, address, many, few)
            await parts.stock(fill_seconds)
            await parts.append(count, seconds)
            await parts.deliver(min(count, 4))
            await parts.drain()
            await parts.singles(few // 5)
            await parts.slow(seconds)


@click.command()
@click.option("--quick", is_flag=True, help="A look within half a minute, with a smaller backlog.")
@click.option("--events", type=int, help="How many events the large backlog has.")
@click.option("--fill-seconds", default=900.0, show_default=True, help="The longest time to make it.")
def main(*, quick: bool, events: int | None, fill_seconds: float) -> None:
    """Rates with a large backlog to rates with a small one."""
    start()
    many, few, count, seconds = (100_000, 20_000, 2, 1) if quick else (1_000_000, 100_000, 7, 3)
    asyncio.run(bench(events or many, few, count, seconds, fill_seconds))


if __name__ == "__main__":
    main()

"""Events of the past by ``send``: killed again and again, and the proxy too, is each event delivered once?

A file of JSON Lines goes through a proxy to a fake Graph that accounts for each line. ``send`` is a process of its own
before a terminal, as somebody sees it who watches. It is killed (SIGKILL) at random moments of its progress, and
started again; the proxy is killed at others, and ``send`` must wait for it and go on; once both are killed together.
The run fails when a promise does not hold. ``python bench/backfill.py [--events N] [--kills K] [--proxy-kills P]``.
"""

import asyncio
import random
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import click
import past_events
import rig
from counting_graph import CountingGraph, Tally
from fakegraph import served
from kills import Kill, planned, said
from promises import Promise, at_most, exactly
from watched_send import WatchedSend

_KEY = "6f1d2c9ab0e84735a1c07d93be5f2846"
_PIXEL = "1001"
_REPEATS = re.compile(r'^capi_proxy_events_total\{[^}]*result="duplicate"[^}]*\} (\S+)$', re.MULTILINE)
_MOST_MB = 150
_BATCH = 1000
"""Events of a request, which is what a kill may make ``send`` repeat."""
_REQUEST_S = 0.6
"""About the time that the proxy takes for such a request."""
_SAMPLE_S = 0.05
_STARTS_S = 300.0
"""Seconds within which a run of ``send`` must get on; it reads the whole file first."""
_DRAIN_S = 600.0


class Sample(NamedTuple):
    """How far it was at a moment."""

    at: float
    sent: int
    run: int
    """Of ``send``."""
    life: int
    """Of the proxy."""


class BackfillMachine(rig.PinnedMachine):
    """A proxy whose site has an access key."""

    def __post_init__(self) -> None:
        """Write the configuration."""
        super().__post_init__()
        text = self.config.read_text()
        self.config.write_text(text.replace("[[site]]\n", f'[[site]]\naccess_keys = ["{_KEY}"]\n', 1))

    async def repeats(self) -> int:
        """Return how many events it has recognised as repeats in this life."""
        metrics = (await self._get(self.operator_port, "/metrics")).decode()
        return sum(int(float(count)) for count in _REPEATS.findall(metrics))


@dataclass
class Backfill:
    """One run, and what was seen of it."""

    file: Path
    machine: BackfillMachine
    graph: CountingGraph
    chance: random.Random
    send: WatchedSend = field(init=False)
    noted: int = 0
    """Repeats that this life of the proxy has recognised, when it was asked at last."""
    repeats: int = 0
    """Those of all lives, but for what came in the moment before a kill."""
    proxy_mb: float = 0.0
    waits: int = 0
    """How often ``send`` outlived the proxy."""
    samples: list[Sample] = field(default_factory=list)
    """Each time that more events were acknowledged."""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Prepare to send."""
        self.send = WatchedSend(self.machine.config, self.file, _PIXEL)

    async def run(self, plan: Sequence[Kill]) -> None:
        """Send everything, killing as planned."""
        started = time.monotonic()
        async with self._sampled():
            await self.send.start()
            for kill in plan:
                await self.send.reached(kill.at, _STARTS_S)
                await self._note()
                await self._moment(kill.whom)
                await self._kill(kill.whom)
            await self.send.ended()
            self.seconds = time.monotonic() - started
        await self.machine.drained(_DRAIN_S)
        await self._note()
        self.repeats += self.noted

    async def _moment(self, whom: str) -> None:
        """Wait until anywhere in a request, or until one is stored and perhaps not yet answered."""
        if whom == "both" or self.chance.random() < 0.5:
            await asyncio.sleep(self.chance.uniform(0, _REQUEST_S))
            return
        self.graph.came.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.graph.came.wait(), 10 * _REQUEST_S)

    async def _kill(self, whom: str) -> None:
        if whom != "send":
            self.repeats += self.noted
            await self.machine.kill()
            await asyncio.sleep(_SAMPLE_S)  # what it sent at last is read before its next life begins
            self.graph.tally.life += 1
        if whom != "proxy":
            await self.send.kill()
        if whom != "send":
            await self.machine.start()
        if whom != "proxy":
            await self.send.start()
        else:
            await self.send.reached(self.send.acknowledged() + 1, _STARTS_S)
            self.waits += 1

    async def _note(self) -> None:
        """Keep what a proxy forgets when it ends."""
        self.noted = await self.machine.repeats()
        self.proxy_mb = max(self.proxy_mb, self.machine.memory_mb(peak=True))

    @asynccontextmanager
    async def _sampled(self) -> AsyncIterator[None]:
        async def sample() -> None:
            while True:
                self.send.look()
                now = Sample(time.monotonic(), self.send.acknowledged(), self.send.runs, self.graph.tally.life)
                if not self.samples or now.sent > self.samples[-1].sent:
                    self.samples.append(now)
                await asyncio.sleep(_SAMPLE_S)

        task = asyncio.create_task(sample())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def pace(self) -> float:
        """Return the events a second between acknowledgements that no kill lies between."""
        pairs = [(a, b) for a, b in pairwise(self.samples) if (a.run, a.life) == (b.run, b.life)]
        return sum(b.sent - a.sent for a, b in pairs) / (sum(b.at - a.at for a, b in pairs) or 1)


def promised(done: Backfill, plan: Sequence[Kill]) -> list[Promise]:
    """Return what was promised, and what became of it."""
    send, tally = done.send, done.graph.tally
    of_proxy = sum(kill.whom == "proxy" for kill in plan)
    return [
        exactly("lines of the file", send.acknowledged() + send.refused(), tally.lines),
        exactly("events acknowledged", send.acknowledged(), tally.lines),
        exactly("kills of send, the proxy with it in one", send.kills, len(plan) - of_proxy),
        exactly("kills of the proxy that send outlived", done.waits, of_proxy),
        exactly("events lost", tally.lines - tally.arrived, 0),
        exactly("delivered again under another id", tally.other_ids, 0),
        exactly("delivered again by the same life of the proxy", tally.again, 0),
        Promise("delivered again after a kill of the proxy, same id", tally.again_after_kill),
        at_most("repeats that the proxy recognised", done.repeats, _BATCH * len(plan)),
        at_most("peak memory of send, MB", send.peak_mb, _MOST_MB),
        Promise("peak memory of the proxy, MB", done.proxy_mb),
        Promise("progress lines with rate and ETA", send.bars, "> 0", send.bars > 0),
        Promise("seconds until the last acknowledgement", done.seconds),
        Promise("events/s, restarts and reading included", tally.lines / done.seconds),
        Promise("events/s while nothing was killed", done.pace()),
    ]


async def bench(events: int, of_send: int, of_proxy: int, seed: int) -> bool:
    """Run it, print the table, and return whether every promise held.

    Args:
        events: In the file.
        of_send: How often ``send`` is killed.
        of_proxy: How often the proxy is.
        seed: Of the moments.
    """
    rig.start()
    chance = random.Random(seed)
    plan = planned(events, of_send, of_proxy, chance)
    print(f"kills, by events acknowledged (seed {seed}): {said(plan)}")
    graph = CountingGraph(tally=Tally(events))
    with rig.workplace() as place:
        file = place / "events.jsonl"
        past_events.write(file, events, int(time.time()))
        print(f"{events:,} events, {file.stat().st_size / events:.0f} bytes each", flush=True)
        async with served(graph) as address:
            machine = BackfillMachine(place / "proxy", address)
            done = Backfill(file, machine, graph, chance)
            async with rig.running(machine):
                try:
                    await done.run(plan)
                finally:
                    await done.send.stop()
        found = promised(done, plan)
    print(f"the last state of the bar: {done.send.last_bar}")
    rig.table(("", "measured", "promised", ""), (promise.cells() for promise in found))
    return all(promise.holds for promise in found)


@click.command(help=__doc__)
@click.option("--events", default=1_000_000, show_default=True, type=click.IntRange(min=1000))
@click.option("--kills", "of_send", default=5, show_default=True, type=click.IntRange(0, 100))
@click.option("--proxy-kills", "of_proxy", default=2, show_default=True, type=click.IntRange(0, 50))
@click.option("--quick", is_flag=True, help="A look within two minutes: 20,000 events.")
@click.option("--seed", default=None, type=int, help="Repeats the moments of an earlier run.")
def main(*, events: int, of_send: int, of_proxy: int, quick: bool, seed: int | None) -> None:
    """Run it."""
    chosen = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    sys.exit(0 if asyncio.run(bench(20_000 if quick else events, of_send, of_proxy, chosen)) else 1)


if __name__ == "__main__":
    main()

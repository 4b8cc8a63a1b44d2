"""Past events sent by ``send``, while it and the proxy are killed again and again: is each event delivered once?

A file of JSON Lines goes through a proxy to a fake Graph that accounts for each line. ``send`` is a process of its own
on a terminal, so that it shows its progress as to a person. It is killed (SIGKILL) at random moments of its progress
and started again; the proxy is killed at other moments, and ``send`` must wait for it and go on; once both are killed
together. The run fails when a promise does not hold. ``python bench/backfill.py [--events N] [--kills K] [--proxy-kills
P]``.
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
from kills import Kill, most_kills, planned, said
from promises import Promise, at_most, exactly
from watched_send import WatchedSend

_KEY = "6f1d2c9ab0e84735a1c07d93be5f2846"
_PIXEL = "1001"
_REPEATS = re.compile(r'^capi_proxy_events_total\{[^}]*result="duplicate"[^}]*\} (\S+)$', re.MULTILINE)
_MOST_MB = 150
_BATCH = 1000
"""Events of one request: at most so many does ``send`` repeat after a kill."""
_REQUEST_S = 0.6
"""About how long the proxy takes for one request of ``send``."""
_SAMPLE_S = 0.05
_STARTS_S = 300.0
"""Seconds within which a run of ``send`` must make progress; it reads the whole file first."""
_DRAIN_S = 600.0


class Sample(NamedTuple):
    """The progress of ``send`` at a moment."""

    at: float
    sent: int
    run: int
    """The number of the run of ``send``."""
    life: int
    """The number of the run of the proxy."""


class BackfillMachine(rig.PinnedMachine):
    """A proxy whose site has an access key."""

    def __post_init__(self) -> None:
        """Write the configuration."""
        super().__post_init__()
        text = self.config.read_text()
        self.config.write_text(text.replace("[[site]]\n", f'[[site]]\naccess_keys = ["{_KEY}"]\n', 1))

    async def repeats(self) -> int:
        """Return how many events the proxy has recognised as repeats since it was started."""
        metrics = (await self._get(self.operator_port, "/metrics")).decode()
        return sum(int(float(count)) for count in _REPEATS.findall(metrics))


@dataclass
class Backfill:
    """The transfer of one file with its kills, and what was measured meanwhile."""

    file: Path
    machine: BackfillMachine
    graph: CountingGraph
    chance: random.Random
    send: WatchedSend = field(init=False)
    noted: int = 0
    """Repeats that the running proxy had recognised when it was last asked; a start sets its count to 0."""
    repeats: int = 0
    """Repeats that all runs of the proxy recognised, except those between the last question and a kill."""
    proxy_mb: float = 0.0
    waits: int = 0
    """How often ``send`` went on after a kill of the proxy."""
    samples: list[Sample] = field(default_factory=list)
    """A sample for each time that the number of acknowledged events had grown."""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Prepare the command ``send``."""
        self.send = WatchedSend(self.machine.config, self.file, _PIXEL)

    async def run(self, plan: Sequence[Kill]) -> None:
        """Send the whole file, and kill processes at the planned moments."""
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
        """Wait until a random moment of a request, or until a batch reaches Graph.

        In the second case events are stored, and ``send`` may not have its answer yet.
        """
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
            await asyncio.sleep(_SAMPLE_S)  # what the proxy sent before the kill is counted first
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
        """Ask the running proxy for its repeats and its peak memory, both of which it forgets when it ends."""
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
        """Return the events a second, without the intervals in which something was killed."""
        pairs = [(a, b) for a, b in pairwise(self.samples) if (a.run, a.life) == (b.run, b.life)]
        return sum(b.sent - a.sent for a, b in pairs) / (sum(b.at - a.at for a, b in pairs) or 1)


def promised(done: Backfill, plan: Sequence[Kill]) -> list[Promise]:
    """Return each promise with the measured figure."""
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
    """Run the bench, print the table, and return whether every promise held.

    Args:
        events: How many events the file has.
        of_send: How often ``send`` is killed.
        of_proxy: How often the proxy alone is killed.
        seed: Of the random choice of moments.
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
    count = 20_000 if quick else events
    if of_send + of_proxy > (most := most_kills(count)):
        raise click.UsageError(f"--kills and --proxy-kills: {of_send + of_proxy} together; accepted: up to {most}")
    chosen = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    sys.exit(0 if asyncio.run(bench(count, of_send, of_proxy, chosen)) else 1)


if __name__ == "__main__":
    main()

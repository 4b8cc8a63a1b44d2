"""How long events of two pixels take from the post to Graph, while a third pixel has trouble during the whole run.

Three proxies run side by side and are visited in turn: one with all pixels well, one with a pixel that is paused for
its token and has a backlog, one with a pixel whose requests Graph never answers.
"""

import asyncio
import re
import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import click
from fakegraph import FakeGraph, Mode, served
from rig import PinnedMachine, goal, percentile, running, start, table, workplace
from stock import fill, queue_of
from visitor import visiting

_WELL = ("1001", "1002")
_ILL = "1003"
_WATCHED = re.compile(rb'"event_id":"(lane-[^"]+)"')


@dataclass
class Case:
    """A proxy with its Graph; ``rounds`` has a list of latencies in ms for each round."""

    name: str
    machine: PinnedMachine
    graph: FakeGraph
    rounds: list[list[float]]

    async def visit(self, number: int, seconds: float) -> None:
        """Post events for all three pixels, and wait until those of the two well pixels have reached Graph."""
        self.graph.arrivals.clear()
        posted: dict[str, float] = {}

        async def fetch(pixel: str) -> None:
            async with visiting(self.machine) as visitor:
                await visitor.stay(f"lane-{number}-{pixel}", pixel, seconds=seconds, every=0.02)
                if pixel != _ILL:
                    posted.update(visitor.posted)

        await asyncio.gather(*(fetch(pixel) for pixel in (*_WELL, _ILL)))
        came = await self._came(len(posted))
        self.rounds.append([(came[identity] - at) * 1000 for identity, at in posted.items()])

    async def _came(self, expected: int) -> dict[str, float]:
        came: dict[str, float] = {}
        for _ in range(500):
            came = {
                identity.decode(): arrival.at
                for arrival in self.graph.arrivals
                if arrival.pixel in _WELL
                for identity in arrival.ids
            }
            if len(came) == expected:
                return came
            await asyncio.sleep(0.02)
        raise TimeoutError(f"{self.name}: {expected - len(came)} events did not come within 10 s")

    def share(self, share: float) -> list[float]:
        """Return a percentile of the latencies of each round."""
        return [percentile(taken, share) for taken in self.rounds]


async def _case(stack: AsyncExitStack, place: Path, name: str, mode: Mode, backlog: int) -> Case:
    graph = FakeGraph(watched=_WATCHED)
    graph.modes[_ILL] = mode
    address = await stack.enter_async_context(served(graph))
    machine = PinnedMachine(place / mode, address, pixels=(*_WELL, _ILL))
    if backlog:
        async with queue_of(machine.directory) as queue:
            await fill(queue, backlog, _ILL)
    await stack.enter_async_context(running(machine))
    # A graceful stop would wait for the request that is never answered.
    stack.push_async_callback(machine.kill)
    return Case(name, machine, graph, [])


async def bench(count: int, seconds: float, backlog: int) -> None:
    """Visit the proxies in turn, and compare the latencies of the two well pixels."""
    async with AsyncExitStack() as stack:
        place = stack.enter_context(workplace())
        cases = [
            await _case(stack, place, "all well", "ok", 0),
            await _case(stack, place, f"one paused, {backlog} waiting", "token", backlog),
            await _case(stack, place, f"one never answered, {backlog} waiting", "hang", backlog),
        ]
        for number in range(count + 1):
            for case in cases:
                await case.visit(number, seconds)
    for case in cases:
        del case.rounds[0]
    base = cases[0]
    rows = []
    for case in cases:
        ratios = [_ratio(case, base, share) for share in (0.5, 0.95)]
        values = [statistics.median(case.share(share)) for share in (0.5, 0.95)]
        rows.append((case.name, *(f"{value:.1f}" for value in values), *(f"{value:.2f}" for value in ratios)))
    print(f"\nlatency of the other two pixels, {count} rounds of {seconds:g} s")
    table(("", "p50 ms", "p95 ms", "p50 ratio", "p95 ratio"), rows)
    for case in cases[1:]:
        goal(f"p50 with {case.name} / all well", _ratio(case, base, 0.5), 1.1, most=True)
        goal(f"p95 with {case.name} / all well", _ratio(case, base, 0.95), 1.25, most=True)


def _ratio(case: Case, base: Case, share: float) -> float:
    return statistics.median(a / b for a, b in zip(case.share(share), base.share(share), strict=True))


@click.command()
@click.option("--quick", is_flag=True, help="A look within half a minute.")
def main(*, quick: bool) -> None:
    """Latency of two pixels while a third is ill, to their latency while it is well."""
    start()
    asyncio.run(bench(*(3, 1.5, 5_000) if quick else (15, 3, 50_000)))


if __name__ == "__main__":
    main()

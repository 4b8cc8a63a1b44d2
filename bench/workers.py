"""What several processes cost: the processor time for an event of two fronts and a back, relative to one process.

All are measured in turn within one run. On one core the processes evict each other's data from its caches, which they
do not on cores of their own; with two cores the second front shares its core with the load. Graph is down, so that
nothing is delivered.
"""

import asyncio
from functools import partial

import click
from fakegraph import FakeGraph, served
from rig import LOAD_CORE, PinnedMachine, Slice, goal, pin, ratio, rounds, running, slices, start, workplace
from shop_pages import VISITORS
from shoppers import Shoppers

_ONE, _MANY, _APART = "one process", "2 fronts + back, one core", "2 fronts + back, two cores"
_MOST = 1.1
"""The most processor time allowed, relative to one process."""


class TwoCoreMachine(PinnedMachine):
    """A proxy whose second front runs on the core of the load."""

    async def start(self) -> None:
        """Start the proxy, and move its second front to the other core."""
        await super().start()
        pin(self.children()["front-2"], LOAD_CORE)


async def bench(count: int, seconds: float, visitors: int) -> None:
    """Measure all with few and with many connections.

    Args:
        count: Rounds.
        seconds: Length of each slice; a whole number.
        visitors: How many different visitors there are.
    """
    graph = FakeGraph()
    graph.modes["1001"] = "down"
    with workplace() as place:
        shoppers = Shoppers(place, visitors)
        async with served(graph) as address:
            machines = {
                _ONE: PinnedMachine(place / "one", address),
                _MANY: PinnedMachine(place / "many", address, workers=2),
                _APART: TwoCoreMachine(place / "apart", address, workers=2),
            }
            async with running(*machines.values()):
                await shoppers.come(machines[_ONE])
                for connections in (64, 256):
                    await _compare(shoppers, machines, connections, count, seconds)
                for machine in machines.values():
                    await machine.check_all_stored()


async def _compare(
    shoppers: Shoppers, machines: dict[str, PinnedMachine], connections: int, count: int, seconds: float
) -> None:
    print(f"\n{connections} connections, one event a request, {count} rounds of {seconds:g} s")
    load = {name: partial(_load, shoppers, machine, connections, seconds) for name, machine in machines.items()}
    found = await rounds(load, machines.values(), count=count)
    slices(found, _ONE)
    for name in (_MANY, _APART):
        used = 1 / ratio(found, name, _ONE, cpu=True)
        goal(f"{name} / {_ONE}, processor time for a request", used, _MOST, most=True)


async def _load(shoppers: Shoppers, machine: PinnedMachine, connections: int, seconds: float, _round: str) -> Slice:
    return await shoppers.load(machine, events=1, connections=connections, seconds=seconds)


@click.command()
@click.option("--quick", is_flag=True, help="A look within a minute.")
def main(*, quick: bool) -> None:
    """Processor time of two fronts and a back to that of one process."""
    start()
    asyncio.run(bench(*(3, 2, 1000) if quick else (9, 3, VISITORS)))


if __name__ == "__main__":
    main()

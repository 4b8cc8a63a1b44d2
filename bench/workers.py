"""What several processes cost: processor time for an event of two fronts and a back, to that of one process.

All on one core and in turn within one run, so that the ratio is of work done and not of cores. Graph is down, so that
nothing is delivered meanwhile, but for the one row that says so.
"""

import asyncio
from functools import partial

import click
from fakegraph import FakeGraph, served
from rig import PinnedMachine, Slice, goal, ratio, rounds, running, slices, start, workplace
from shop_pages import VISITORS
from shoppers import Shoppers

_ONE, _MANY = "one process", "2 fronts + back"
_MOST = 1.1
"""Times the processor time of one process."""


async def bench(count: int, seconds: float, visitors: int) -> None:
    """Measure both with few and with many connections.

    Args:
        count: Rounds.
        seconds: Of each slice; a whole number.
        visitors: How many come.
    """
    graph = FakeGraph()
    graph.modes["1001"] = "down"
    with workplace() as place:
        shoppers = Shoppers(place, visitors)
        async with served(graph) as address:
            machines = {
                _ONE: PinnedMachine(place / "one", address),
                _MANY: PinnedMachine(place / "many", address, workers=2),
            }
            async with running(*machines.values()):
                await shoppers.come(machines[_ONE])
                for connections in (16, 64, 256):
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
    goal(f"{_ONE} / {_MANY}, processor time for a request", ratio(found, _MANY, _ONE, cpu=True), 1 / _MOST)


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

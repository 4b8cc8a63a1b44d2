"""What durability costs: accepted requests per second of a front that stores events, relative to one that does not.

All proxies run at once, and the visitors of a shop load them in turn. Graph is down, so that nothing is delivered
meanwhile, except in the row "durable, delivering".
"""

import asyncio
import time
from functools import partial

import click
from fakegraph import FakeGraph, served
from rig import PinnedMachine, Slice, goal, ratio, rounds, running, slices, start, workplace
from shop_pages import VISITORS
from shoppers import Shoppers

_FRONT = str(__file__).replace("durable.py", "front.py")


async def bench(count: int, seconds: float, visitors: int) -> None:
    """Measure the price of durability, then that of a slow fsync.

    Args:
        count: Rounds.
        seconds: Length of each measurement; a whole number.
        visitors: How many different visitors there are.
    """
    graph = FakeGraph()
    graph.modes["1001"] = "down"
    with workplace() as place:
        shoppers = Shoppers(place, visitors)
        async with served(graph) as address, served(FakeGraph()) as well:
            variants = {
                "not stored": PinnedMachine(place / "none", address, program=(_FRONT, "--no-store")),
                "durable": PinnedMachine(place / "durable", address),
                "durable, delivering": PinnedMachine(place / "delivering", well),
            }
            await _compare(shoppers, variants, 128, count, seconds, base="not stored", bounds={"durable": 0.65})
            variants = {
                "normal fsync": PinnedMachine(place / "quick", address, program=(_FRONT, "--fsync-ms", "0")),
                "fsync +10 ms": PinnedMachine(place / "slow", address, program=(_FRONT, "--fsync-ms", "10")),
            }
            await _compare(shoppers, variants, 256, count, seconds, base="normal fsync", bounds={"fsync +10 ms": 0.9})


async def _compare(  # noqa: PLR0913, PLR0917 - a table row
    shoppers: Shoppers,
    variants: dict[str, PinnedMachine],
    connections: int,
    count: int,
    seconds: float,
    base: str,
    bounds: dict[str, float],
) -> None:
    print(f"\n{connections} connections, one event a request, {count} rounds of {seconds:g} s")
    async with running(*variants.values()):
        await shoppers.come(next(iter(variants.values())))
        load = {name: partial(_load, shoppers, machine, connections, seconds) for name, machine in variants.items()}
        found = await rounds(load, variants.values(), count=count)
    slices(found, base)
    for name, bound in bounds.items():
        goal(f"{name} / {base}, requests/s", ratio(found, name, base), bound)


async def _load(shoppers: Shoppers, machine: PinnedMachine, connections: int, seconds: float, _round: str) -> Slice:
    """Load a proxy and return what was measured; wait until a delivering one is idle, so as not to disturb the next."""
    taken = await shoppers.load(machine, events=1, connections=connections, seconds=seconds)
    if machine.directory.name == "delivering":
        started = time.monotonic()
        await machine.drained(60)
        print(f"(delivering: all sent {time.monotonic() - started:.1f} s after the load ended)")
    return taken


@click.command()
@click.option("--quick", is_flag=True, help="A look within half a minute.")
def main(*, quick: bool) -> None:
    """Durable to not stored, and slow fsync to normal."""
    start()
    asyncio.run(bench(*(2, 1, 1000) if quick else (9, 3, VISITORS)))


if __name__ == "__main__":
    main()

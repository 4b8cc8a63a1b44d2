"""After an outage of six days: how soon is a fresh event delivered, and how often was Graph tried meanwhile?

Only the times of the backlog's events span six days. The outage itself lasts two minutes (12 seconds with ``--quick``);
two minutes are long enough for the back-off to grow beyond what fresh events allow.
"""

import asyncio
import re
import time
from itertools import pairwise

import click
from fakegraph import Arrival, FakeGraph, served
from rig import PinnedMachine, goal, percentile, running, start, table, workplace
from stock import fill, queue_of
from visitor import visiting

_PIXEL = "1001"
_WATCHED = re.compile(rb'"event_id":"(fresh-[^"]+)"')


async def bench(backlog: int, outage: float, after: float) -> None:
    """Fill the queue, watch the outage, and watch the recovery."""
    graph = FakeGraph(watched=_WATCHED)
    graph.modes[_PIXEL] = "down"
    with workplace() as place:
        async with served(graph) as address:
            machine = PinnedMachine(place / "proxy", address)
            async with queue_of(machine.directory) as queue:
                await fill(queue, backlog, days=6)
            async with running(machine), visiting(machine) as visitor:
                began = time.monotonic()
                await visitor.stay("fresh-early", _PIXEL, seconds=outage, every=0.2)
                _outage(graph.arrivals, began, time.monotonic())
                graph.modes[_PIXEL] = "ok"
                while not graph.taken():
                    await visitor.stay(f"fresh-still-{time.monotonic()}", _PIXEL, seconds=0.2, every=0.05)
                await visitor.stay("fresh-late", _PIXEL, seconds=after, every=0.02)
                left = await machine.waiting()
                await machine.drained(120)
                _recovery(graph.arrivals, visitor.posted, left)


def _outage(arrivals: list[Arrival], began: float, ended: float) -> None:
    tries = [began, *(arrival.at for arrival in arrivals if arrival.ids), ended]
    gaps = [after - before for before, after in pairwise(tries)]
    print(f"\noutage of {ended - began:.0f} s: {len(tries) - 2} tries with fresh events, gaps in s:")
    print(" ".join(f"{gap:.1f}" for gap in gaps))
    goal("largest gap between tries with fresh events, s", max(gaps), 15, most=True)


def _recovery(arrivals: list[Arrival], posted: dict[str, float], left: int) -> None:
    good = [arrival for arrival in arrivals if arrival.good]
    first = good[0].at
    came = {identity.decode(): arrival.at for arrival in reversed(good) for identity in arrival.ids}
    late = [came[identity] - at for identity, at in posted.items() if at > first]
    print(f"\nrecovery: {sum(arrival.events for arrival in good)} events delivered within {good[-1].at - first:.1f} s")
    waits = sorted(at - first for identity, at in came.items() if posted[identity] <= first)
    table(
        ("s from the first good answer to", "first", "median", "last"),
        [
            ("events posted during the outage", *(f"{percentile(waits, share):.2f}" for share in (0, 0.5, 1))),
            ("events posted later, from their post", *(f"{percentile(late, share):.2f}" for share in (0, 0.5, 1))),
        ],
    )
    print(f"{left} events still waited when the last fresh event was posted")
    missing = len(posted) - len(came)
    goal("fresh events missing", missing, 0, most=True)
    goal("s from the first good answer to the first fresh event", waits[0], 5, most=True)
    goal("s from the post to Graph at most, while the backlog drained", max(late), 5, most=True)


@click.command()
@click.option("--quick", is_flag=True, help="A look within half a minute: a smaller backlog, a shorter outage.")
def main(*, quick: bool) -> None:
    """Freshness during and after an outage."""
    start()
    asyncio.run(bench(*(100_000, 12, 1.0) if quick else (1_000_000, 120, 3.0)))


if __name__ == "__main__":
    main()

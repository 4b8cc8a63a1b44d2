"""Whether any statement of the shared queue reads a large table from end to end when each table has a million rows.

``tests/postgres`` checks the same with empty and with small tables. The statements that count rows, which run at most
once a minute, are timed instead.
"""

import asyncio
import sys
import time

import click
from cluster import cluster
from rig import ROOT, goal, table, workplace
from stock import shared_queue_of

sys.path += [str(ROOT / "tests" / part) for part in ("postgres", "queue")]

import everything
import plans
from clock import Clock
from support import PIXEL

from proxy.queue.postgres.opening import SCHEMA
from proxy.queue.postgres.session import Session


async def bench(rows: int) -> None:
    """Fill the tables of a queue, run each statement, and look at its plan."""
    with workplace() as place:
        async with cluster(place, 0) as servers:
            recorder = plans.Recorder()
            with recorder.listening():
                clock = Clock()
                async with shared_queue_of(servers.url, clock) as queue:
                    await everything.everything(queue, clock)
            session = await Session.open(servers.url, schema=SCHEMA, name="plans")
            began = time.monotonic()
            await plans.fill(session, rows, lane=PIXEL)
            print(f"{rows} rows in each of {len(await plans.tables(session))} tables, {time.monotonic() - began:.0f} s")
            await _look(session, list(dict.fromkeys([*recorder.explicable(), *plans.constants()])))
            await session.close()


async def _look(session: Session, statements: list[str]) -> None:
    found = {each: await plans.offences(session, each) for each in statements if each not in plans.COUNTS}
    for statement, tables in found.items():
        if tables:
            print(f"{', '.join(tables)}: {' '.join(statement.split())[:300]}")
    goal(
        f"statements of {len(found)} that read a large table from end to end",
        sum(map(bool, found.values())),
        0,
        most=True,
    )
    times = []
    for statement in sorted(plans.COUNTS):
        began = time.monotonic()
        await session.fetch(statement)
        times.append((statement, f"{(time.monotonic() - began) * 1000:.0f} ms"))
    table(("counts, once a minute", ""), times)


@click.command()
@click.option("--quick", is_flag=True, help="A look within a minute, with fewer rows.")
def main(*, quick: bool) -> None:
    """Plans of all statements on large tables."""
    asyncio.run(bench(50_000 if quick else 1_000_000))


if __name__ == "__main__":
    main()

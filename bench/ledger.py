"""The operator's pages on a large ledger, and what an open dashboard and a running search cost the proxy's work.

A proxy runs on ``--rows`` finished events of seven days and 400 days of rollups, with SQLite and with PostgreSQL. The
data of each page is requested in turn, as the dashboard does. Then events are appended and delivered as fast as
possible, in turn without any operator and beside a live dashboard, its charts, and a search that reads page after page.
"""

import asyncio
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import click
from cluster import cluster
from fakegraph import FakeGraph, served
from ledger_onlookers import fetched, watched
from ledger_stock import DAYS, PIXEL, ROLLUP_DAYS, Stock, fill_postgres, fill_sqlite, made_at
from rig import PinnedMachine, goal, rounds, running, start, table, workplace, wrk

from proxy.model.units import DAY_MS, HOUR_MS

_RETENTION = "\n[retention]\nledger_days = 8\nledger_max_bytes = 100000000000\n"
_PERIODS = {"1 h": HOUR_MS, "24 h": DAY_MS, "7 d": 7 * DAY_MS, "30 d": 30 * DAY_MS, "400 d": ROLLUP_DAYS * DAY_MS}
_MOST_MS, _LEAST_SHARE = 100, 0.95
_ENGINES = ("sqlite", "postgres")


@dataclass
class Engine:
    """A proxy on a large ledger, with the times and sizes of its answers."""

    name: str
    machine: PinnedMachine
    graph: FakeGraph
    times: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds of each answer, by page."""
    sizes: dict[str, int] = field(default_factory=dict)

    async def look(self, session: aiohttp.ClientSession, page: str, path: str) -> None:
        """Request a page's data, and note how long the answer took and how large it was."""
        began = time.perf_counter()
        body = await fetched(session, path)
        self.times.setdefault(page, []).append((time.perf_counter() - began) * 1000)
        self.sizes[page] = len(body)


def pages(stock: Stock) -> Mapping[str, str]:
    """Return the address that each page of the dashboard requests, by the page's name."""
    now, name, identity = stock.now, *stock.event(stock.rows // 2)
    day = {"from": now - DAY_MS, "to": now}
    asked: dict[str, tuple[str, Mapping[str, object]]] = {
        **{f"overview, {period}": ("overview", {"from": now - ms, "to": now}) for period, ms in _PERIODS.items()},
        "events, newest": ("events", {"limit": 100}),
        "events, an hour six days ago": ("events", {"from": now - 6 * DAY_MS, "to": now - 6 * DAY_MS + HOUR_MS}),
        "events, one in fifty": ("events", {"name": "Purchase", **day}),
        "events, one in a thousand": ("events", {"name": "Schedule"}),
        "events, dead": ("events", {"status": "dead"}),
        "events, blocked of a site": ("events", {"site": "shop", "browser_copy": "blocked", "status": "delivered"}),
        "events, none": ("events", {"name": "Nothing", "browser_copy": "fired"}),
        "events, by id": ("events", {"id": identity}),
        "waiting": ("waiting", {}),
        "story": ("event", {"pixel": PIXEL, "name": name, "id": identity}),
        "sources": ("sources", day),
        "pixels": ("pixels", day),
        "dead": ("dead", {}),
        "status": ("status", {}),
    }
    return {page: f"/api/{leaf}?{urlencode(query)}" for page, (leaf, query) in asked.items()}


async def ask_pages(engine: Engine, stock: Stock, count: int) -> None:
    """Request each page ``count`` times, in turn, after a first round that does not count."""
    async with aiohttp.ClientSession(engine.machine.operator) as session:
        for number in range(count + 1):
            for page, path in pages(stock).items():
                with suppress(RuntimeError):
                    await engine.look(session, page, path)
            if not number:
                engine.times.clear()


# -- beside the work


@dataclass(frozen=True)
class Work:
    """The rates and costs of one slice."""

    appended: float
    """Events a second."""
    delivered: float
    """Events a second, from the first append until no event waited."""
    p99_ms: float
    cpu_us: float
    """Processor time of the proxy per event, while events were appended."""


async def _work(engine: Engine, tag: str, seconds: float) -> Work:
    began = time.monotonic()
    taken = await wrk(engine.machine, tag, connections=32, seconds=seconds, pixel=PIXEL)
    await engine.machine.drained()
    events = taken.rate * seconds
    return Work(taken.rate, events / (time.monotonic() - began), taken.p99_ms, taken.cpu_us)


async def work_beside(engine: Engine, count: int, seconds: float) -> dict[str, list[Work]]:
    """Append and deliver in turn without an operator and with one who watches and searches."""

    async def quiet(tag: str) -> Work:
        return await _work(engine, f"q{tag}", seconds)

    async def beside(tag: str) -> Work:
        async with watched(engine.machine):
            return await _work(engine, f"b{tag}", seconds)

    variants: dict[str, Callable[[str], Awaitable[Work]]] = {"quiet": quiet, "beside": beside}
    return await rounds(variants, [engine.machine], count=count)


# -- all of it


@dataclass(frozen=True)
class Size:
    """How large the ledger of a run is, and how much is measured."""

    rows: int
    looks: int
    rounds: int
    seconds: float


async def bench(size: Size, engines: tuple[str, ...]) -> None:
    """Measure each engine on a ledger of its own."""
    for name in engines:
        async with AsyncExitStack() as stack:
            place = stack.enter_context(workplace())
            graph = FakeGraph()
            address = await stack.enter_async_context(served(graph))
            machine = PinnedMachine(place / name, address, pixels=(PIXEL,))
            settings, stock = _RETENTION, Stock(size.rows, made_at())
            began = time.monotonic()
            if name == "postgres":
                servers = await stack.enter_async_context(cluster(place, 0))
                settings += f'\n[queue]\nengine = "postgres"\nurl = "{servers.url}"\n'
                await fill_postgres(servers.url, stock)
            else:
                await fill_sqlite(machine, stock)
            print(f"\n{name}: {size.rows:,} rows of {DAYS} days, made in {time.monotonic() - began:.0f} s")
            machine.config.write_text(machine.config.read_text() + settings)
            await stack.enter_async_context(running(machine))
            engine = Engine(name, machine, graph)
            await ask_pages(engine, stock, size.looks)
            _report_pages(engine, stock)
            _report_work(engine, await work_beside(engine, size.rounds, size.seconds))
            _report_disk(place)


def _report_pages(engine: Engine, stock: Stock) -> None:
    medians = {page: statistics.median(times) for page, times in engine.times.items()}
    table(
        ("page", "median ms", "slowest ms", "KB"),
        [
            (page, f"{medians[page]:.1f}", f"{max(times):.1f}", f"{engine.sizes[page] / 1000:.0f}")
            for page, times in engine.times.items()
        ],
    )
    for page in pages(stock).keys() - engine.times.keys():
        print(f"MISSED  {page}: no answer")
    goal(f"{engine.name}: the slowest page's median, ms", max(medians.values()), _MOST_MS, most=True)


def _report_work(engine: Engine, found: Mapping[str, list[Work]]) -> None:
    rows = [
        (name, *(f"{statistics.median(getattr(each, what) for each in taken):.0f}" for what in _WHAT))
        for name, taken in found.items()
    ]
    table(("", "appended/s", "delivered/s", "p99 ms", "CPU us"), rows)
    for what in _WHAT[:2]:
        pairs = zip(found["beside"], found["quiet"], strict=True)
        ratio = statistics.median(getattr(ours, what) / getattr(theirs, what) for ours, theirs in pairs)
        goal(f"{engine.name}: {what} beside a dashboard and a search / without", ratio, _LEAST_SHARE)


_WHAT = ("appended", "delivered", "p99_ms", "cpu_us")


def _report_disk(place: Path) -> None:
    sizes = [path.stat().st_size for path in place.rglob("*") if path.is_file()]
    print(f"all files: {sum(sizes) / 1e9:.1f} GB")


def _rows(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    return int(re.sub(r"[_,]", "", value))


@click.command()
@click.option("--rows", default="10_000_000", callback=_rows, help="Finished events in the ledger.")
@click.option("--quick", is_flag=True, help="A look within a minute, with fewer rows.")
@click.option(
    "--engine",
    "engines",
    type=click.Choice(_ENGINES),
    multiple=True,
    default=_ENGINES,
    help="Which engine; both by default.",
)
def main(*, rows: int, quick: bool, engines: tuple[str, ...]) -> None:
    """Pages on a large ledger, and the proxy's work beside them."""
    start()
    size = Size(200_000, 5, 2, 2) if quick else Size(rows, 9, 11, 4)
    asyncio.run(bench(size, engines))


if __name__ == "__main__":
    main()

"""What an event costs with PostgreSQL: in the proxy, on the primary and on a standby, and in WAL; beside SQLite.

Groups of 1, 20 and 100 events are stored and then delivered without Graph: claim, settlement, ledger. All variants run
in turn, round by round, on this machine and its disk: SQLite, PostgreSQL without a standby, and PostgreSQL with two
standbys, of which each commit waits for one. ``--before DIR`` adds the SQLite engine of another copy of the proxy.
Processor time and WAL are the result; rates only tell the order of magnitude.
"""

import asyncio
import json
import statistics
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import click
from cluster import Cluster, cluster
from rig import PROXY_CORE, goal, start, table, workplace

GROUPS = (1, 20, 100)
_PROGRAM = Path(__file__).with_name("append_cost.py")
SQLITE, BEFORE = "SQLite", "SQLite, before"


@dataclass(frozen=True)
class Cost:
    """What an event cost in one measurement: µs of processor time, bytes of WAL; events/s and latencies in ms."""

    client_us: float
    primary_us: float = 0
    standby_us: float = 0
    """The processor time of one standby, on average."""
    wal: float = 0
    rate: float = 0
    p50: float = 0
    p99: float = 0


class Variant:
    """A process that works with an engine, and the database servers that it uses."""

    def __init__(self, process: asyncio.subprocess.Process, servers: Cluster | None) -> None:
        """Take a running process, and its servers if the engine is PostgreSQL."""
        self._process = process
        self._servers = servers

    async def ask(self, line: str) -> Cost:
        """Let the process carry out a line, and return what an event of it cost."""
        before = await self._spent()
        answer = await self.answer(line)
        after = await self._spent()
        events = max(1, answer["events"])
        primary, standbys, wal = ((end - begin) / events for begin, end in zip(before, after, strict=True))
        count = len(self._servers.standbys) if self._servers else 0
        return Cost(
            answer["client_us"],
            primary * 1e6,
            standbys * 1e6 / max(1, count),
            wal,
            answer["rate"],
            answer.get("p50", 0),
            answer.get("p99", 0),
        )

    async def answer(self, line: str = "") -> dict[str, float]:
        """Write a line if there is one, and return the process's next answer; its first is a greeting."""
        assert self._process.stdin and self._process.stdout  # noqa: S101, PT018 - both are pipes
        if line:
            self._process.stdin.write(f"{line}\n".encode())
        answer: dict[str, float] = json.loads(await self._process.stdout.readline())
        return answer

    async def _spent(self) -> tuple[float, float, float]:
        """Return the processor seconds of primary and standbys, and the bytes of WAL, from the start to now."""
        if not self._servers:
            return 0, 0, 0
        # After a commit the standbys' replay and the walwriter still work; their time belongs to the measurement.
        await asyncio.sleep(0.3)
        return (
            *self._servers.cpu_s(),
            float(await value(self._servers, "pg_current_wal_insert_lsn() - '0/0'::pg_lsn")),
        )


async def value(servers: Cluster, expression: str) -> float:
    """Return the value of an SQL expression on the primary."""
    connection = await asyncpg.connect(servers.primary.url)
    try:
        return float(await connection.fetchval(f"SELECT {expression}") or 0)
    finally:
        await connection.close()


@asynccontextmanager
async def variant(
    place: Path, servers: Cluster | None = None, *, tree: Path | None = None, given: float = 0
) -> AsyncIterator[Variant]:
    """Run a process with an engine of its own.

    Args:
        place: A directory for its files.
        servers: Its database; None for SQLite.
        tree: The copy of the proxy that it works with; None for this one.
        given: The share of events whose id does not begin with the time of its creation.
    """
    options = ["--place", str(place), "--given", str(given)]
    options += ["--url", servers.url] if servers else []
    options += ["--tree", str(tree)] if tree else []
    process = await asyncio.create_subprocess_exec(
        *("taskset", "-c", str(PROXY_CORE), sys.executable, str(_PROGRAM), *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        running = Variant(process, servers)
        await running.answer()
        yield running
    finally:
        assert process.stdin  # noqa: S101 - it is a pipe
        process.stdin.close()
        await process.wait()


Found = dict[str, dict[str, list[Cost]]]
"""The costs of each round, by variant, then by what was measured."""


async def bench(count: int, scale: float, before: Path | None, given: float) -> None:
    """Measure all variants in turn, and print the results.

    Args:
        count: Rounds.
        scale: A factor of the number of events.
        before: Another copy of the proxy, for its SQLite engine.
        given: The share of events whose id does not begin with the time of its creation.
    """
    async with AsyncExitStack() as stack:
        place = stack.enter_context(workplace())
        alone, trio = [await stack.enter_async_context(cluster(place, standbys)) for standbys in (0, 2)]
        variants = {SQLITE: await stack.enter_async_context(variant(place / "sqlite", given=given))}
        if before:
            old = variant(place / "before", tree=before, given=given)
            variants[BEFORE] = await stack.enter_async_context(old)
        for name, servers in (("PostgreSQL", alone), ("PostgreSQL, 2 standbys", trio)):
            variants[name] = await stack.enter_async_context(variant(place / name[-1], servers, given=given))
        found: Found = {name: {} for name in variants}
        for number in range(count + 1):
            for name, each in variants.items():
                await _round(found[name] if number else {}, each, scale, delivers=name != BEFORE)
        _report(found)
        await _sizes(trio)


async def _round(found: dict[str, list[Cost]], each: Variant, scale: float, *, delivers: bool) -> None:
    for group in GROUPS:
        events = int(scale * 200 * group**0.8)
        found.setdefault(f"append, {group} at once", []).append(await each.ask(f"append {group} {events}"))
        if delivers:
            found.setdefault(f"deliver, of {group}", []).append(await each.ask(f"drain {events}"))
    found.setdefault("append, 64 callers", []).append(await each.ask(f"append 64 {int(scale * 5000)}"))
    if delivers:
        await each.ask(f"drain {int(scale * 5000)}")


def _middle(costs: Sequence[Cost], what: str) -> float:
    values: list[float] = [getattr(cost, what) for cost in costs]
    return statistics.median(values)


def _report(found: Found) -> None:
    base = found[SQLITE]
    for name, parts in found.items():
        print(f"\n{name}")
        rows = []
        for part, costs in parts.items():
            figures = [_middle(costs, what) for what in ("client_us", "primary_us", "standby_us", "wal", "rate")]
            rows.append((part, *(f"{figure:.1f}" for figure in figures), f"{_ratio(costs, base[part]):.2f}"))
        table(("", "proxy us", "primary us", "each standby us", "WAL bytes", "events/s", "proxy us / SQLite"), rows)
    shared = found["PostgreSQL"]
    print("\nunit costs: each event, and each group besides")
    for name, what, source in (
        ("proxy", "client_us", shared),
        ("primary", "primary_us", shared),
        ("each standby", "standby_us", found["PostgreSQL, 2 standbys"]),
        ("WAL", "wal", shared),
    ):
        print(f"  {name}, append: {_fit(source, what)}")
    _goals(found)


def _fit(parts: Mapping[str, Sequence[Cost]], what: str) -> str:
    one, many = (_middle(parts[f"append, {group} at once"], what) for group in (GROUPS[0], GROUPS[-1]))
    together = (one - many) / (1 - 1 / GROUPS[-1])
    return f"{one - together:.1f} + {together:.0f} / n"


def _ratio(costs: Sequence[Cost], base: Sequence[Cost]) -> float:
    return statistics.median(ours.client_us / theirs.client_us for ours, theirs in zip(costs, base, strict=True))


def _goals(found: Found) -> None:
    part = "append, 64 callers"
    alone, trio = found["PostgreSQL"][part], found["PostgreSQL, 2 standbys"][part]
    if BEFORE in found:
        goal("proxy's CPU for an append / SQLite, before", _ratio(alone, found[BEFORE][part]), 0.5, most=True)
    rates = [ours.rate / theirs.rate for ours, theirs in zip(trio, found[SQLITE][part], strict=True)]
    goal("events/s with two standbys / SQLite, 64 callers", statistics.median(rates), 0.9)


async def _sizes(servers: Cluster) -> None:
    """Print the bytes on disk of the duplicate memory, with its indexes."""
    seen = "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE relname ~ '^seen_[0-9]+$'"
    print(f"  duplicate memory: {await value(servers, f'({seen})'):.0f} bytes in all")


@click.command()
@click.option("--quick", is_flag=True, help="A look within a minute.")
@click.option("--before", type=click.Path(path_type=Path, exists=True), help="Another copy of the proxy.")
@click.option("--given", default=0.0, help="So many ids do not tell their birth.")
def main(*, quick: bool, before: Path | None, given: float) -> None:
    """Processor time and WAL of an event with PostgreSQL, beside SQLite."""
    start()
    asyncio.run(bench(*((2, 0.5) if quick else (5, 1.0)), before, given))


if __name__ == "__main__":
    main()

"""A process that stores and delivers events in its own memory, and tells what that took; for ``postgres.py``.

It works with the copy of the proxy that ``--tree`` names, an older one too, so that versions are compared in one run.
For each line ``append CALLERS EVENTS`` or ``drain EVENTS`` it answers with a line of JSON.
"""

import asyncio
import itertools
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import click
import uvloop

PIXEL = "1001"
_BATCH = 1000
_numbers = itertools.count()


class Bench:
    """Works with one queue; what it is given to store is made before a measurement begins."""

    def __init__(self, queue: Any, records: Callable[[int, str], Any], given: float) -> None:
        """Take the queue.

        Args:
            queue: Of whichever engine and version.
            records: Makes events of the same version.
            given: So many of their ids do not tell their birth.
        """
        self._queue = queue
        self._records = records
        self._given = given
        self._chance = random.Random(os.getpid())

    async def append(self, callers: int, events: int) -> dict[str, float]:
        """Store events, one a call, with so many callers at once in a closed loop."""
        made = [self._named(record) for record in self._records(events, PIXEL)]
        source = iter(made)
        latencies: list[float] = []

        async def caller() -> None:
            for record in source:
                began = time.perf_counter()
                await self._queue.append([record])
                latencies.append(time.perf_counter() - began)

        began, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(caller() for _ in range(callers)))
        used, took = time.process_time() - used, time.perf_counter() - began
        latencies.sort()
        p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
        return {
            "events": len(made),
            "client_us": used / len(made) * 1e6,
            "rate": len(made) / took,
            "p50": p50,
            "p99": p99,
        }

    def _named(self, record: Any) -> Any:
        """Return an event with an id as the tag makes them, or as pages do."""
        number = next(_numbers)
        if self._chance.random() < self._given:
            return record._replace(id=f"order-{os.getpid()}-{number}")
        return record._replace(id=f"{time.time_ns() // 1_000_000}{self._chance.randrange(10**9)}{number}")

    async def drain(self, events: int) -> dict[str, float]:
        """Claim and settle so many events as delivered, with their rows of the ledger."""
        from proxy.model.ledger import LedgerRow, Status  # noqa: PLC0415 - of the tree that is measured
        from proxy.queue.contract import Settlement  # noqa: PLC0415

        done = 0
        began, used = time.perf_counter(), time.process_time()
        while done < events and (segments := await self._claimed()):
            now = time.time_ns() // 1_000_000
            records = [record for segment in segments for record in segment.records]
            rows = tuple(
                LedgerRow(now, r.pixel, r.name, r.id, r.time_s, Status.DELIVERED, "", r.browser_copy, "A1b2C3d4E5f", 1)
                for r in records
            )
            refs = tuple(segment.ref for segment in segments)
            await self._queue.settle(segments, Settlement(done=refs, rows=rows))
            done += len(records)
        used, took = time.process_time() - used, time.perf_counter() - began
        return {"events": done, "client_us": used / max(1, done) * 1e6, "rate": done / took}

    async def _claimed(self) -> Sequence[Any]:
        """Return what is claimed; an engine that has just become the leader of the lane needs a moment."""
        for _ in range(100):
            if segments := await self._queue.claim(PIXEL, most=_BATCH):
                return list(segments)
            if not self._queue.stats().waiting.get(PIXEL, 0):
                break
            await asyncio.sleep(0.1)
        return []


async def serve(opened: AbstractAsyncContextManager[Any], records: Callable[[int, str], Any], given: float) -> None:
    """Answer the lines of stdin.

    Args:
        opened: The queue.
        records: Makes events.
        given: See ``Bench``.
    """
    loop = asyncio.get_running_loop()
    async with opened as queue:
        bench = Bench(queue, records, given)
        print(json.dumps({}), flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            match line.split():
                case ["append", callers, events]:
                    answer = await bench.append(int(callers), int(events))
                case ["drain", events]:
                    answer = await bench.drain(int(events))
                case _:
                    raise ValueError(line)
            print(json.dumps(answer), flush=True)


@click.command()
@click.option("--tree", type=click.Path(path_type=Path), default=Path(__file__).resolve().parent.parent)
@click.option("--place", type=click.Path(path_type=Path), required=True, help="For the files of SQLite.")
@click.option("--url", default="", help="Of a PostgreSQL; otherwise the engine is SQLite.")
@click.option("--given", default=0.0, help="So many ids do not tell their birth.")
def main(*, tree: Path, place: Path, url: str, given: float) -> None:
    """Measure on request."""
    sys.path[:0] = [str(tree / "bench"), str(tree / "tests"), str(tree)]
    import stock  # noqa: PLC0415 - of the tree that is measured

    opened = stock.shared_queue_of(url) if url else stock.queue_of(place)
    uvloop.run(serve(opened, stock.records, given))


if __name__ == "__main__":
    main()

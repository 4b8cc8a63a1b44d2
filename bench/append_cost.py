"""A process that stores and delivers events and reports what that cost; ``postgres.py`` starts it.

It works with the copy of the proxy that ``--tree`` names, which may be an older one, so that versions are compared in
one run. For each line ``append CALLERS EVENTS`` or ``drain EVENTS`` on stdin it prints a line of JSON.
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
    """Measures appends and deliveries of one queue; the events to store are made before the clock starts."""

    def __init__(self, queue: Any, records: Callable[[int, str], Any], given: float) -> None:
        """Work with a queue.

        Args:
            queue: A queue of either engine and of any version.
            records: Makes events of the same version.
            given: The share of events whose id does not begin with the time of its creation.
        """
        self._queue = queue
        self._records = records
        self._given = given
        self._chance = random.Random(os.getpid())

    async def append(self, callers: int, events: int) -> dict[str, float]:
        """Store events one per call, from ``callers`` concurrent callers, each of which waits for its last call."""
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
        """Return the event with a new id: an order number as pages give, or one with the time as the tag makes."""
        number = next(_numbers)
        if self._chance.random() < self._given:
            return record._replace(id=f"order-{os.getpid()}-{number}")
        return record._replace(id=f"{time.time_ns() // 1_000_000}{self._chance.randrange(10**9)}{number}")

    async def drain(self, events: int) -> dict[str, float]:
        """Claim this many events and settle them as delivered, with their rows of the ledger."""
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
        """Return a claimed batch, or nothing if nothing waits.

        An engine that has just become the leader of the lane cannot claim at once, so it is asked again.
        """
        for _ in range(100):
            if segments := await self._queue.claim(PIXEL, most=_BATCH):
                return list(segments)
            if not self._queue.stats().waiting.get(PIXEL, 0):
                break
            await asyncio.sleep(0.1)
        return []


async def serve(opened: AbstractAsyncContextManager[Any], records: Callable[[int, str], Any], given: float) -> None:
    """Carry out the commands that come on stdin, one a line, and print the results.

    Args:
        opened: The queue, as a context manager that opens it.
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
    """Carry out the measurements that stdin asks for."""
    sys.path[:0] = [str(tree / "bench"), str(tree / "tests"), str(tree)]
    import stock  # noqa: PLC0415 - of the tree that is measured

    opened = stock.shared_queue_of(url) if url else stock.queue_of(place)
    uvloop.run(serve(opened, stock.records, given))


if __name__ == "__main__":
    main()

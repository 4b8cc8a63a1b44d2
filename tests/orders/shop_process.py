"""A process that may be killed at any time: it takes a shop's messages one by one, and writes down what it sent.

Run as ``python shop_process.py DIRECTORY SEED ORDERS DELIVERIES``. The journal has a line for each acknowledged
message; after a restart the process continues behind the last. What goes to Graph is on disk before it is settled, as
it would be at Graph. After ``DELIVERIES`` deliveries the process kills itself between the two; with 0 it never does.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from buyers import DAY, orders, people
from clock import NOON, Clock
from queues import open_queue
from world import World, policy

from proxy.model.record import Record

JOURNAL, SENT, DONE = "journal", "sent", "done"


class JournalingWorld(World):
    """A world that writes down what was sent, one record a line."""

    file: IO[bytes]
    deliveries: int
    """How many deliveries remain before it kills itself."""

    def write_down(self, records: Iterable[Record]) -> None:
        """Write down what goes to Graph, durably; then kill the process if this was the last delivery."""
        self.file.write(b"".join(record.whole + b"\n" for record in records))
        self.file.flush()
        self.deliveries -= 1
        if self.deliveries == 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def run(directory: Path, seed: int, number: int, deliveries: int) -> None:
    """Take the messages that were not acknowledged yet."""
    chance = random.Random(seed)  # noqa: S311 - a made-up shop, no secret
    clock = Clock()
    queue = open_queue(directory / "data", clock)
    world = JournalingWorld(queue, clock, policy())
    world.deliveries = deliveries
    world.file = (directory / SENT).open("ab")
    journal = (directory / JOURNAL).open("ab")
    past = (directory / JOURNAL).read_bytes().splitlines()
    clock.now = max([NOON, *map(int, past)])
    messages = list(world.messages(orders(chance, people(chance, number // 3), number)))
    for message in messages[len(past) :]:
        await world.arrive(message)
        journal.write(b"%d\n" % clock.now)
        journal.flush()
    await world.deliver_until(NOON + 30 * DAY)
    await world.deliver()
    await queue.close()
    (directory / DONE).touch()


if __name__ == "__main__":
    place, seed, number, deliveries = sys.argv[1:]
    os.umask(0o077)
    asyncio.run(run(Path(place), int(seed), int(number), int(deliveries)))

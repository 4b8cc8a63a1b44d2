"""A process that may be killed at any moment: takes a shop's messages one after another, and writes down what it sent.

Run as ``python shop_process.py DIRECTORY SEED ORDERS DELIVERIES``. The journal has a line for each message that was
acknowledged; started again, it goes on behind the last. What goes to Graph is on disk before it is settled, as it would
be at Graph. After so many deliveries it kills itself between the two; with 0 it never does.
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
    """Writes down what was sent, by one line a record."""

    file: IO[bytes]
    deliveries: int
    """Before it kills itself."""

    def write_down(self, records: Iterable[Record]) -> None:
        """Note what goes to Graph, durably."""
        self.file.write(b"".join(record.whole + b"\n" for record in records))
        self.file.flush()
        self.deliveries -= 1
        if self.deliveries == 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def run(directory: Path, seed: int, number: int, deliveries: int) -> None:
    """Take what was not acknowledged yet."""
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

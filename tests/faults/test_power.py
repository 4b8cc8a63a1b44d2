"""Power is cut at a random read, write or sync: everything acknowledged by then is there afterwards."""

import asyncio
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import apsw
import pytest
from conftest import Say
from support import SECRET, record
from vfs import Disk, Operation, installed

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.model.verdict import GraphError
from proxy.queue.contract import Filter, NewDeadLetter, QueueBrokenError, QueueError, Remainder, Segment, Settlement
from proxy.queue.seal import Sealer
from proxy.queue.sqlite import disk_space, housekeeping, tables
from proxy.queue.sqlite.engine import LocalQueue

CUTS = int(os.environ.get("CAPI_PROXY_CUTS", "12"))
CLIENTS = 12
PIXELS = ("1111", "2222")
NOON = 1_790_000_000_000
NEVER = 1 << 60


@dataclass
class Promise:
    """What the queue was asked, and what of it was acknowledged, in all runs on one file."""

    asked: dict[str, Record] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=count)

    def records(self, chance: random.Random) -> list[Record]:
        """Return new records to append."""
        numbers = [next(self.numbers) for _ in range(chance.randrange(1, 5))]
        new = [record(number, pixel=chance.choice(PIXELS)) for number in numbers]
        self.asked.update((event.id, event) for event in new)
        return new


@dataclass
class Cut:
    """Takes the image before the k-th operation; after it the disk fails, so that nothing may be acknowledged."""

    seed: int
    left: int
    image: Path
    disk: Disk | None = None
    at: str = ""

    def before(self, operation: Operation, name: str, _size: int) -> None:
        self.left -= 1
        if self.left == 0:
            self.take(f"{operation} {name}")
        if self.at:
            raise apsw.IOError("injected: no power")

    def take(self, at: str) -> None:
        assert self.disk
        self.at = at
        self.disk.cut(self.seed, self.image)


def open_queue(directory: Path) -> LocalQueue:
    directory.mkdir(mode=0o700, exist_ok=True)
    return LocalQueue.open(
        directory,
        Sealer(SECRET),
        limits=QueueSettings(min_free_bytes=0),
        retention=RetentionSettings(),
        now=lambda: NOON,
        on_broken=lambda _error: None,
    )


async def live(directory: Path, cut: Cut, promise: Promise, chance: random.Random, goal: int) -> None:
    """Open and load a queue until the cut; or, once ``goal`` records are stored, close it and cut then."""
    with installed() as disk:
        cut.disk, disk.before = disk, cut.before
        try:
            queue = open_queue(directory)
        except QueueError:
            if not cut.at:
                raise
            return
        goal += len(promise.stored)
        clients = [_appends(queue, cut, promise, chance, goal) for _ in range(CLIENTS)]
        ends = await asyncio.gather(*clients, _settles(queue, cut, promise, chance, goal), return_exceptions=True)
        if cut.at:
            disk.before = None
        await queue.close()
        for error in filter(None, ends):
            if not cut.at or not isinstance(error, QueueBrokenError):
                raise error
        if not cut.at:
            cut.take("after the end")


async def _appends(queue: LocalQueue, cut: Cut, promise: Promise, chance: random.Random, goal: int) -> None:
    while not cut.at and len(promise.stored) < goal:
        records = promise.records(chance)
        await queue.append(records)
        promise.stored.update(event.id for event in records)


async def _settles(queue: LocalQueue, cut: Cut, promise: Promise, chance: random.Random, goal: int) -> None:
    while not cut.at and len(promise.stored) < goal:
        pixel = chance.choice(PIXELS)
        segments = await queue.claim(pixel, most=chance.randrange(1, 60), newest=chance.random() < 0.5)
        if chance.random() < 0.3:
            await queue.release(segments)
            continue
        settlement = _settlement(pixel, segments, chance)
        await queue.settle(segments, settlement)
        promise.settled.update(row.id for row in settlement.rows)


def _settlement(pixel: str, segments: tuple[Segment, ...], chance: random.Random) -> Settlement:
    """Deliver some records, make one a dead letter and keep the rest as a remainder; or count an attempt."""
    numbers = tuple(segment.ref for segment in segments)
    if chance.random() < 0.2:
        return Settlement(tried=numbers)
    records = [event for segment in segments for event in segment.records]
    chance.shuffle(records)
    quarter = len(records) // 4
    rest, dead, delivered = records[:quarter], records[quarter : quarter + 1], records[quarter + 1 :]
    return Settlement(
        done=numbers,
        remainders=(Remainder(pixel, 1, 0, tuple(rest)),) if rest else (),
        dead=tuple(NewDeadLetter(event, "rejected", GraphError(), 1) for event in dead),
        rows=(*(_row(event, Status.DELIVERED) for event in delivered), *(_row(event, Status.DEAD) for event in dead)),
    )


def _row(event: Record, status: Status) -> LedgerRow:
    return LedgerRow(NOON, event.pixel, event.name, event.id, event.time_s, status)


async def lost(image: Path, promise: Promise) -> str:
    """Reopen the image, append all records again as the tag would; return what is wrong, empty if nothing."""
    everything = Filter(limit=1 << 30)
    queue = open_queue(image)
    try:
        waiting = await _claimed(queue)
        ended = {row.id: row.status async for row in queue.events(everything)}
        dead = [letter.event_id for letter in await queue.dead_letters(everything)]
        again = await queue.append(list(promise.asked.values()))
        fresh = await _claimed(queue)
    finally:
        await queue.close()
    database = apsw.Connection(str(image / "queue.db"))
    intact = database.pragma("integrity_check")
    database.close()
    found_ids = {*waiting, *ended}
    missing = promise.stored - found_ids
    checks = {
        f"{len(missing)} records are missing": bool(missing),
        "an end that was recorded is not": not promise.settled <= ended.keys(),
        "a record is there twice": max(Counter([*waiting, *ended]).values(), default=1) > 1,
        "dead letters and their ends disagree": sorted(dead) != sorted(i for i in ended if ended[i] is Status.DEAD),
        "a repeat was sent again, or refused and not there": {event.id for event in again.duplicates} != found_ids,
        "a retry was swallowed": {*found_ids, *fresh} != promise.asked.keys(),
        f"integrity: {intact}": intact != "ok",
    }
    return "; ".join(loss for loss, broken in checks.items() if broken)


async def _claimed(queue: LocalQueue) -> list[str]:
    found: list[str] = []
    for pixel in PIXELS:
        while segments := await queue.claim(pixel, most=1 << 30):
            found += [event.id for segment in segments for event in segment.records]
    return found


async def run(directory: Path, seed: int, places: Counter[str]) -> tuple[int, str]:
    """Give a file a few runs, each cut short; return the number of acknowledged records, and what is finally wrong."""
    promise = Promise()
    try:
        image = await _lives(directory, seed, promise, places)
        loss = await lost(image, promise)
    except Exception as error:  # noqa: BLE001 - whatever a damaged file leads to, it is an answer
        return len(promise.stored), f"all {len(promise.stored)} records, perhaps: {error!r}"
    if not loss:
        shutil.rmtree(image)
    return len(promise.stored), loss


async def _lives(directory: Path, seed: int, promise: Promise, places: Counter[str]) -> Path:
    chance = random.Random(seed)  # noqa: S311 - a test's dice
    image = directory / f"seed-{seed}"
    for life in range(chance.choice((1, 2, 3))):
        # The cut comes while it opens or recovers, under load, or during or after a normal end.
        goal = chance.choice((NEVER, NEVER, 150))
        cut = Cut(seed, chance.randrange(1, chance.choice((60, 1500, 3000))), directory / f"seed-{seed}-{life}")
        await live(image, cut, promise, chance, goal)
        places[cut.at] += 1
        shutil.rmtree(image)
        image = cut.image
    return image


async def account(
    directory: Path, runs: int, monkeypatch: pytest.MonkeyPatch, say: Say, title: str
) -> tuple[int, dict[int, str]]:
    """Do this many runs and print the account; return the number acknowledged, and what was wrong by seed."""
    # Checkpoint and restart the log several times a run, since most can go wrong there.
    monkeypatch.setattr(housekeeping, "_CHECKPOINT_PAGES", 60)
    monkeypatch.setattr(disk_space, "_BALLAST_BYTES", 4096)
    places: Counter[str] = Counter()
    ends = {seed: await run(directory, seed, places) for seed in range(runs)}
    acknowledged = sum(stored for stored, _ in ends.values())
    losses = {seed: loss for seed, (_, loss) in ends.items() if loss}
    cuts = ", ".join(f"{number} {place}" for place, number in sorted(places.items()))
    say(f"{runs} runs, {title}: {acknowledged} acknowledged, {len(losses)} runs with losses; cut at: {cuts}")
    return acknowledged, losses


@pytest.mark.timeout(240 + 15 * CUTS)
async def test_nothing_acknowledged_is_lost_to_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Say
) -> None:
    """After a cut at a random operation, each image has every acknowledged record and end once, and is intact."""
    acknowledged, losses = await account(tmp_path, CUTS, monkeypatch, say, "synchronous=FULL")

    assert losses == {}
    assert acknowledged > 10 * CUTS


@pytest.mark.timeout(240 + 15 * CUTS)
@pytest.mark.parametrize("synchronous", ["off", "normal"])
async def test_the_same_with_fewer_syncs_is_seen_to_lose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Say, synchronous: str
) -> None:
    """With a weaker ``synchronous`` the same harness finds losses, which shows that it can fail."""
    monkeypatch.setattr(tables, "set_pragmas", _weaker(tables.set_pragmas, synchronous))
    runs = max(8, CUTS // 4)
    _, losses = await account(tmp_path, runs, monkeypatch, say, f"synchronous={synchronous}")

    assert any("records" in loss for loss in losses.values())


def _weaker(set_pragmas: Callable[[apsw.Connection], None], synchronous: str) -> Callable[[apsw.Connection], None]:
    def set_weaker(db: apsw.Connection) -> None:
        set_pragmas(db)
        db.pragma("synchronous", synchronous)

    return set_weaker

"""The counts of waiting events that other threads see: only committed ones, and never half a change."""

import asyncio
from pathlib import Path

import pytest
from support import PIXEL, SECRET, record

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.queue.contract import QueueError, Remainder, Stats
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.engine import LocalQueue

NOON = 1_790_000_000_000


def open_queue(directory: Path) -> LocalQueue:
    return LocalQueue.open(
        directory,
        Sealer(SECRET),
        limits=QueueSettings(min_free_bytes=0),
        retention=RetentionSettings(),
        now=lambda: NOON,
        on_broken=lambda _error: None,
    )


async def test_counts_show_only_what_is_committed(tmp_path: Path) -> None:
    """Counts do not change within a transaction, nor by one that is rolled back."""
    queue = open_queue(tmp_path)
    await queue.append([record(1)])

    def half() -> Stats:
        queue._store.tables.segments.insert(Remainder("55", 0, 0, (record(2),)))
        return queue.stats()

    def failing() -> None:
        half()
        raise ValueError

    during = await queue._writer.do(half)
    with pytest.raises(QueueError):
        await queue._writer.do(failing)
    after = queue.stats()
    await queue.close()

    assert (during.waiting, after.waiting) == ({PIXEL: 1}, {PIXEL: 1, "55": 1})


async def test_a_claim_of_a_failed_transaction_is_taken_back(tmp_path: Path) -> None:
    """A rollback also undoes in memory what the transaction claimed or released."""
    queue = open_queue(tmp_path)
    await queue.append([record(1)])
    await queue.append([record(2)])
    (first,) = await queue.claim(PIXEL, most=1)

    def failing() -> None:
        queue._store.deliveries.claim(PIXEL, 10)
        queue._store.deliveries.release([first])
        raise ValueError

    with pytest.raises(QueueError):
        await queue._writer.do(failing)
    left = await queue.claim(PIXEL, most=10)
    await queue.close()

    assert [record.id for segment in left for record in segment.records] == ["id-2"]


@pytest.mark.long
async def test_counts_are_read_while_thousands_of_pixels_are_new(tmp_path: Path) -> None:
    """Counts that are read from another thread never show half a change."""
    queue = open_queue(tmp_path)
    appends = [asyncio.ensure_future(queue.append([record(n, pixel=str(n))])) for n in range(3000)]
    looks = 0
    while not all(append.done() for append in appends):
        assert sum(queue.stats().waiting.values()) <= 3000
        looks += 1
        await asyncio.sleep(0)
    total = len(queue.stats().waiting)
    await queue.close()

    assert total == 3000
    assert looks


async def test_counts_are_copied_only_after_a_change(tmp_path: Path) -> None:
    """The counts are copied at most once a change, however often they are read and however many pixels there are."""
    queue = open_queue(tmp_path)
    await queue.append([record(1)])
    before = queue.stats()
    again = queue.stats()
    await queue.append([record(2)])
    after = queue.stats()
    await queue.close()

    assert before.waiting is again.waiting
    assert (before.waiting, after.waiting) == ({PIXEL: 1}, {PIXEL: 2})
